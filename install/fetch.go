package install

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"golang.org/x/sync/errgroup"
)

// fetch brings the modules that node_modules lacks here and checks them. It
// returns the wanted packages and those among them that must be written.
func (op *operation) fetch(ctx context.Context) (nodes, pending []*tree.Node, err error) {
	for {
		nodes = tree.Wanted(op.tree, op.options.Platform, func(n *tree.Node) bool { return op.failed[n] != nil })
		if pending, err = op.change.Pending(ctx, nodes); err != nil {
			return nil, nil, err
		}
		if err := op.change.CheckExisting(pending, op.claims); err != nil {
			return nil, nil, err
		}
		failed, err := op.fetchAll(ctx, nodes, pending)
		if err != nil {
			return nil, nil, err
		}
		if !failed {
			op.noteSkipped()
			return nodes, pending, nil
		}
	}
}

// fetchAll brings what is pending, each package when one that needs it is there and is
// what was signed: what a record alone claims to need is not fetched. It reports whether
// an optional package could not be had, so that others may not be needed either.
func (op *operation) fetchAll(ctx context.Context, nodes, pending []*tree.Node) (failed bool, err error) {
	todo, waits := map[*tree.Node]bool{}, map[*tree.Node]bool{}
	for _, n := range pending {
		todo[n], waits[n] = n.Target == nil, true
	}
	var mu sync.Mutex
	done := 0
	g, gctx := errgroup.WithContext(ctx)
	places := make(chan struct{}, op.options.workers())
	var begin func(needed *tree.Node)
	fetch := func(n *tree.Node) error {
		select {
		case places <- struct{}{}:
		case <-gctx.Done():
			return gctx.Err()
		}
		_, err := op.modules.check(gctx, n.Package)
		<-places
		mu.Lock()
		defer mu.Unlock()
		done++
		op.options.event(Event{Fetching, n.Package.Name, done, len(pending)})
		var broken *IntegrityError
		if err == nil {
			begin(n)
			return nil
		}
		if !n.Package.Optional || errors.As(err, &broken) || gctx.Err() != nil {
			return err
		}
		op.failed[n] = err
		failed = true
		return nil
	}
	// begin starts what a package needs; mu is held.
	begin = func(n *tree.Node) {
		for _, to := range n.Found {
			if to.Target != nil {
				to = to.Target
			}
			if todo[to] {
				delete(todo, to)
				g.Go(func() error { return fetch(to) })
			}
		}
	}
	mu.Lock()
	for _, n := range append([]*tree.Node{op.tree}, nodes...) {
		if !waits[n] {
			begin(n)
		}
	}
	mu.Unlock()
	err = g.Wait()
	return failed, err
}

// report says in the result what will have changed.
func (op *operation) report(nodes, pending []*tree.Node) {
	note := op.change.Note()
	written := map[*tree.Node]bool{}
	for _, n := range pending {
		written[n] = true
	}
	for _, n := range nodes {
		before, known := note.Modules[n.Package.Path]
		switch {
		case op.change.Kept(n):
			op.result.Kept = append(op.result.Kept, n.Package)
			continue
		case !written[n]:
			op.result.Unchanged++
			continue
		case known && before.Module == n.Package.Module.String() && before.Link == n.Package.Link && written[n.Parent] && !op.options.Force:
			op.result.Unchanged++ // it went with what it stands in
			continue
		case known && before.Module == n.Package.Module.String() && before.Link == n.Package.Link:
			op.result.Restored = append(op.result.Restored, n.Package)
			continue
		case known:
			op.result.Changed = append(op.result.Changed, Change{op.before(n.Package.Path), n.Package})
		default:
			op.result.Added = append(op.result.Added, n.Package)
		}
		if n.Package.Scripts && n.Target == nil {
			op.result.Scripts = append(op.result.Scripts, n.Package)
		}
	}
	for _, path := range op.change.Obsolete(nodes) {
		for _, gone := range append([]string{path}, note.Inside(path)...) {
			if p := op.before(gone); p != nil {
				op.result.Removed = append(op.result.Removed, p)
			}
		}
	}
	byPath := func(p, q *Package) int { return strings.Compare(p.Path, q.Path) }
	slices.SortFunc(op.result.Added, byPath)
	slices.SortFunc(op.result.Restored, byPath)
	slices.SortFunc(op.result.Kept, byPath)
	slices.SortFunc(op.result.Removed, byPath)
	slices.SortFunc(op.result.Scripts, byPath)
	slices.SortFunc(op.result.Changed, func(a, b Change) int { return byPath(a.After, b.After) })
}

// before returns the package that stood at path, as far as es-lock.json says.
func (op *operation) before(path string) *Package {
	if op.locked == nil {
		return nil
	}
	if p := op.locked.Packages[path]; p != nil && p.Module.String() == op.change.Note().Modules[path].Module {
		return p
	}
	return nil
}

// claims reports whether the project says that es installs n's path: in
// es-lock.json, in package.json or on the command line.
func (op *operation) claims(n *tree.Node) bool {
	if op.locked != nil && op.locked.Packages[n.Package.Path] != nil {
		return true
	}
	return n.Parent.Package == nil && slices.ContainsFunc(op.edges, func(e tree.Edge) bool { return e.Name == lockfile.NameAt(n.Package.Path) })
}
