package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/modules"
	"golang.org/x/sync/errgroup"
)

// fetch brings the modules that node_modules lacks here and checks them. It
// returns the wanted packages and those among them that must be written.
func (j *job) fetch(ctx context.Context) (nodes, stale []*tree.Node, err error) {
	for {
		nodes = j.wanted()
		if stale, err = j.stale(ctx, nodes); err != nil {
			return nil, nil, err
		}
		if err := j.checkOccupied(stale); err != nil {
			return nil, nil, err
		}
		failed, err := j.fetchAll(ctx, nodes, stale)
		if err != nil {
			return nil, nil, err
		}
		if !failed {
			j.noteSkipped()
			return nodes, stale, nil
		}
	}
}

// fetchAll brings what is stale, each package when one that needs it is there and is
// what was signed: what a record alone claims to need is not fetched. It reports whether
// an optional package could not be had, so that others may not be needed either.
func (j *job) fetchAll(ctx context.Context, nodes, stale []*tree.Node) (failed bool, err error) {
	todo, waits := map[*tree.Node]bool{}, map[*tree.Node]bool{}
	for _, n := range stale {
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
		j.options.event(Event{Fetching, n.Package.Name, done, len(stale)})
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

// place makes node_modules hold nodes and nothing else of es's. After a crash
// anywhere in it, every package is the old one or the new one, and the marker
// says which must be written again.
func (j *job) place(ctx context.Context, nodes, stale []*tree.Node) error {
	bins, warnings := chooseBins(nodes)
	j.result.Warnings = append(j.result.Warnings, warnings...)
	extra := j.extra(nodes)
	j.report(nodes, stale, extra)
	current := j.binsCurrent(bins)
	j.result.Linked = !current
	if len(stale) == 0 && len(extra) == 0 && current && !j.adopted && !j.takesNew() {
		return nil
	}
	if err := j.announce(stale, extra, bins); err != nil {
		return err
	}
	if err := j.writeAll(ctx, stale); err != nil {
		return err
	}
	if err := j.linkBins(bins); err != nil {
		return err
	}
	if err := j.removeExtra(extra, bins); err != nil {
		return err
	}
	j.marker.Modules = map[string]placed{}
	for _, n := range nodes {
		if j.taken[n] && j.others.names(n.Package.Path) != "" {
			continue // it stays theirs
		}
		j.marker.Modules[n.Package.Path] = j.placed(n)
	}
	return j.marker.write(j.disk)
}

// takesNew reports whether something is taken as it is that becomes es's by that: no other
// package manager names it.
func (j *job) takesNew() bool {
	for n, same := range j.taken {
		if same && j.others.names(n.Package.Path) == "" {
			return true
		}
	}
	return false
}

// extra returns the paths that es filled and that are no longer wanted, but not
// those inside of others.
func (j *job) extra(nodes []*tree.Node) []string {
	wanted := map[string]bool{}
	for _, n := range nodes {
		wanted[n.Package.Path] = true
	}
	var extra []string
	for _, path := range j.marker.paths() {
		inside := slices.ContainsFunc(extra, func(e string) bool { return strings.HasPrefix(path, e+"/") })
		if !wanted[path] && !inside {
			extra = append(extra, path)
		}
	}
	return extra
}

// report says in the result what will have changed.
func (j *job) report(nodes, stale []*tree.Node, extra []string) {
	written := map[*tree.Node]bool{}
	for _, n := range stale {
		written[n] = true
	}
	for _, n := range nodes {
		before, known := j.marker.Modules[n.Package.Path]
		switch {
		case j.taken[n]:
			j.result.Taken = append(j.result.Taken, n.Package)
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
	for _, path := range extra {
		for _, gone := range append([]string{path}, j.marker.inside(path)...) {
			if p := j.before(gone); p != nil {
				j.result.Removed = append(j.result.Removed, p)
			}
		}
	}
	byPath := func(p, q *Package) int { return strings.Compare(p.Path, q.Path) }
	slices.SortFunc(j.result.Added, byPath)
	slices.SortFunc(j.result.Restored, byPath)
	slices.SortFunc(j.result.Taken, byPath)
	slices.SortFunc(j.result.Removed, byPath)
	slices.SortFunc(j.result.Scripts, byPath)
	slices.SortFunc(j.result.Changed, func(a, b Change) int { return byPath(a.After, b.After) })
}

// before returns the package that stood at path, as far as es-lock.json says.
func (j *job) before(path string) *Package {
	if j.locked == nil {
		return nil
	}
	if p := j.locked.Packages[path]; p != nil && p.Module.String() == j.marker.Modules[path].Module {
		return p
	}
	return nil
}

// announce notes in the marker what is about to change, so that it counts as
// es's and as unfinished until the end. What somebody else put there is left
// out: after a crash it may still stand there.
func (j *job) announce(stale []*tree.Node, extra []string, bins []bin) error {
	flux := *j.marker
	flux.Modules, flux.Bins = map[string]placed{}, map[string]string{}
	for path, p := range j.marker.Modules {
		flux.Modules[path] = p
	}
	for at, owner := range j.marker.Bins {
		flux.Bins[at] = owner
	}
	replaced := map[*tree.Node]bool{}
	for _, n := range stale {
		replaced[n] = true
		path := n.Package.Path
		if info, err := j.disk.lstat(path); replaced[n.Parent] || err == nil && info == nil || j.marker.ours(j.disk, path) {
			flux.Modules[path] = placed{}
		}
	}
	for _, path := range extra {
		if j.marker.ours(j.disk, path) {
			flux.Modules[path] = placed{}
		}
	}
	for _, b := range bins {
		if !j.disk.foreignBin(b, j.marker) {
			flux.Bins[b.at] = b.owner.Path
		}
	}
	return flux.write(j.disk)
}

// writeAll writes packages, those at the top first, because the others stand in
// them, and then the links to them.
func (j *job) writeAll(ctx context.Context, stale []*tree.Node) error {
	done, total := 0, len(stale)
	stale = slices.Clone(stale)
	slices.SortStableFunc(stale, func(a, b *tree.Node) int {
		return cmp.Or(isLink(a)-isLink(b), a.Depth()-b.Depth())
	})
	for len(stale) > 0 {
		depth := stale[0].Depth()
		n := slices.IndexFunc(stale, func(n *tree.Node) bool { return n.Depth() != depth || isLink(n) != isLink(stale[0]) })
		if n < 0 {
			n = len(stale)
		}
		if err := j.writeLevel(ctx, stale[:n], &done, total); err != nil {
			return err
		}
		stale = stale[n:]
	}
	return nil
}

func isLink(n *tree.Node) int {
	if n.Target != nil {
		return 1
	}
	return 0
}

// writeLevel writes packages that do not stand in each other, several at once.
// Each is swapped in as soon as it is complete, so that no more temporary
// directories are open than there are workers.
func (j *job) writeLevel(ctx context.Context, nodes []*tree.Node, done *int, total int) (err error) {
	parents := map[string]*os.Root{}
	defer func() {
		for _, root := range parents {
			err = errors.Join(err, j.sync(root), root.Close())
		}
	}()
	for _, n := range nodes {
		dir := path.Dir(n.Package.Path)
		if parents[dir] != nil {
			continue
		}
		j.disk.step("make directory " + dir)
		root, err := j.disk.parent(n.Package.Path, true)
		if err != nil {
			return fmt.Errorf("install %s: %w", n.Package.Path, err)
		}
		parents[dir] = root
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(j.options.workers())
	for _, n := range nodes {
		if n.Target != nil {
			continue
		}
		g.Go(func() error {
			if err := j.write(gctx, n.Package, parents[path.Dir(n.Package.Path)]); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			*done++
			j.options.event(Event{Writing, n.Package.Name, *done, total})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Target == nil {
			continue
		}
		if err := j.link(n.Package); err != nil {
			return fmt.Errorf("link %s: %w", n.Package.Path, err)
		}
		*done++
	}
	return nil
}

// sync makes the swaps in a directory durable together, unless modules did so
// for each.
func (j *job) sync(parent *os.Root) error {
	if j.options.Extract.Sync != modules.SyncDirectory {
		return nil
	}
	return atomicfile.SyncRoot(parent)
}

// write puts a package in its place.
func (j *job) write(ctx context.Context, p *Package, parent *os.Root) error {
	t, err := j.modules.tree(ctx, p.Name, p.Target())
	if err != nil {
		return err
	}
	o := j.options.Extract
	if o.Sync == modules.SyncDirectory {
		o.Sync = modules.SyncNone
	}
	j.disk.step("stage " + p.Path)
	s, err := modules.Stage(ctx, j.modules.sources.Blocks, t, parent, o)
	if err != nil {
		return fmt.Errorf("write %s: %w", p.Path, err)
	}
	j.disk.step("swap " + p.Path)
	if err := s.Swap(path.Base(p.Path)); err != nil {
		return fmt.Errorf("write %s: %w", p.Path, err)
	}
	return nil
}

// link makes p's path a link to the same package elsewhere.
func (j *job) link(p *Package) error {
	info, err := j.disk.lstat(p.Path)
	if err == nil && info != nil && info.Mode().Type() != fs.ModeSymlink {
		err = j.disk.takeOut(p.Path)
	}
	if err != nil {
		return err
	}
	return j.disk.symlink(linkTarget(p.Path, p.Link), p.Path)
}

// linkBins links the commands, and notes in the marker which are es's.
func (j *job) linkBins(bins []bin) error {
	for _, b := range bins {
		warning, err := j.disk.linkBin(b, j.marker, runtime.GOOS == "windows")
		var occupied *OccupiedError
		if errors.As(err, &occupied) {
			warning, err = &Warning{b.owner.Path, fmt.Sprintf("its command %q is not linked: %v", path.Base(b.at), err)}, nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("link %s: %w", b.at, err)
		case warning != nil:
			j.result.Warnings = append(j.result.Warnings, *warning)
			delete(j.marker.Bins, b.at)
		default:
			j.marker.Bins[b.at] = b.owner.Path
			if j.disk.startsWithMark(b) {
				j.result.Warnings = append(j.result.Warnings, Warning{b.owner.Path,
					fmt.Sprintf("its command %q has a byte order mark before #!, so that the system does not start it", path.Base(b.at))})
			}
		}
	}
	return nil
}

// binsCurrent reports whether the commands are linked as they should be.
func (j *job) binsCurrent(bins []bin) bool {
	count := 0
	for _, b := range bins {
		if j.marker.Bins[b.at] != b.owner.Path {
			return false
		}
		count++
		if runtime.GOOS == "windows" {
			continue
		}
		target, err := j.disk.root.Readlink(filepath.FromSlash(b.at))
		if err != nil || target != linkTarget(b.at, b.file()) {
			return false
		}
	}
	return count == len(j.marker.Bins)
}
