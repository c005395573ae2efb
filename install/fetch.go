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
func (j *job) fetch(ctx context.Context) (nodes, pending []*tree.Node, err error) {
	for {
		nodes = tree.Wanted(j.tree, j.options.Platform, func(n *tree.Node) bool { return j.failed[n] != nil })
		if pending, err = j.change.Pending(ctx, nodes); err != nil {
			return nil, nil, err
		}
		if err := j.change.CheckOccupied(pending, j.claims); err != nil {
			return nil, nil, err
		}
		failed, err := j.fetchAll(ctx, nodes, pending)
		if err != nil {
			return nil, nil, err
		}
		if !failed {
			j.noteSkipped()
			return nodes, pending, nil
		}
	}
}

// fetchAll brings what is pending, each package when one that needs it is there and is
// what was signed: what a record alone claims to need is not fetched. It reports whether
// an optional package could not be had, so that others may not be needed either.
func (j *job) fetchAll(ctx context.Context, nodes, pending []*tree.Node) (failed bool, err error) {
	todo, waits := map[*tree.Node]bool{}, map[*tree.Node]bool{}
	for _, n := range pending {
		todo[n], waits[n] = n.Target == nil, true
	}
	var mu sync.Mutex
	done := 0
	g, gctx := errgroup.WithContext(ctx)
	places := make(chan struct{}, j.options.workers())
	var begin func(needed *tree.Node)
	fetch := func(n *tree.Node) error {
		select {
		case places <- struct{}{}:
		case <-gctx.Done():
			return gctx.Err()
		}
		_, err := j.modules.check(gctx, n.Package)
		<-places
		mu.Lock()
		defer mu.Unlock()
		done++
		j.options.event(Event{Fetching, n.Package.Name, done, len(pending)})
		var broken *IntegrityError
		if err == nil {
			begin(n)
			return nil
		}
		if !n.Package.Optional || errors.As(err, &broken) || gctx.Err() != nil {
			return err
		}
		j.failed[n] = err
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
	for _, n := range append([]*tree.Node{j.tree}, nodes...) {
		if !waits[n] {
			begin(n)
		}
	}
	mu.Unlock()
	err = g.Wait()
	return failed, err
}

// report says in the result what will have changed.
func (j *job) report(nodes, pending []*tree.Node) {
	note := j.change.Note()
	written := map[*tree.Node]bool{}
	for _, n := range pending {
		written[n] = true
	}
	for _, n := range nodes {
		before, known := note.Modules[n.Package.Path]
		switch {
		case j.change.Kept(n):
			j.result.Kept = append(j.result.Kept, n.Package)
			continue
		case !written[n]:
			j.result.Unchanged++
			continue
		case known && before.Module == n.Package.Module.String() && before.Link == n.Package.Link && written[n.Parent] && !j.options.Force:
			j.result.Unchanged++ // it went with what it stands in
			continue
		case known && before.Module == n.Package.Module.String() && before.Link == n.Package.Link:
			j.result.Restored = append(j.result.Restored, n.Package)
			continue
		case known:
			j.result.Changed = append(j.result.Changed, Change{j.before(n.Package.Path), n.Package})
		default:
			j.result.Added = append(j.result.Added, n.Package)
		}
		if n.Package.Scripts && n.Target == nil {
			j.result.Scripts = append(j.result.Scripts, n.Package)
		}
	}
	for _, path := range j.change.Obsolete(nodes) {
		for _, gone := range append([]string{path}, note.Inside(path)...) {
			if p := j.before(gone); p != nil {
				j.result.Removed = append(j.result.Removed, p)
			}
		}
	}
	byPath := func(p, q *Package) int { return strings.Compare(p.Path, q.Path) }
	slices.SortFunc(j.result.Added, byPath)
	slices.SortFunc(j.result.Restored, byPath)
	slices.SortFunc(j.result.Kept, byPath)
	slices.SortFunc(j.result.Removed, byPath)
	slices.SortFunc(j.result.Scripts, byPath)
	slices.SortFunc(j.result.Changed, func(a, b Change) int { return byPath(a.After, b.After) })
}

// before returns the package that stood at path, as far as es-lock.json says.
func (j *job) before(path string) *Package {
	if j.locked == nil {
		return nil
	}
	if p := j.locked.Packages[path]; p != nil && p.Module.String() == j.change.Note().Modules[path].Module {
		return p
	}
	return nil
}

// claims reports whether the project says that es installs n's path: in
// es-lock.json, in package.json or on the command line.
func (j *job) claims(n *tree.Node) bool {
	if j.locked != nil && j.locked.Packages[n.Package.Path] != nil {
		return true
	}
	return n.Parent.Package == nil && slices.ContainsFunc(j.edges, func(e tree.Edge) bool { return e.Name == lockfile.NameAt(n.Package.Path) })
}
