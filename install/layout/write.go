package layout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/modules/extract"
	"golang.org/x/sync/errgroup"
)

// A writer applies a Change.
type writer struct {
	*Change
	trees    Trees
	warnings []Warning
}

// Apply makes node_modules hold nodes, of which the pending ones are to be written, and
// nothing else of es's ([I23]). After a crash anywhere in it, every package is the old one
// or the new one, and the note says which must be written again. linked says that commands
// were linked anew or removed.
func (c *Change) Apply(ctx context.Context, trees Trees, nodes, pending []*tree.Node) (linked bool, warnings []Warning, err error) {
	w := &writer{Change: c, trees: trees}
	bins, warnings := chooseBins(nodes)
	w.warnings = warnings
	obsolete := c.Obsolete(nodes)
	current := c.areCurrent(bins)
	if len(pending) == 0 && len(obsolete) == 0 && current && !c.adopted && !c.keepsNew() {
		return false, w.warnings, nil
	}
	if err := w.openJournal(pending, obsolete, bins); err != nil {
		return false, nil, err
	}
	if err := w.writeAll(ctx, pending); err != nil {
		return false, nil, err
	}
	if err := w.linkBins(bins); err != nil {
		return false, nil, err
	}
	if err := w.removeObsolete(obsolete, bins); err != nil {
		return false, nil, err
	}
	c.note.Modules = map[string]Placed{}
	for _, n := range nodes {
		if c.same[n] && c.managers.Claim(n.Package.Path) != "" {
			continue // it stays theirs
		}
		c.note.Modules[n.Package.Path] = c.placed(n)
	}
	return !current, w.warnings, c.note.write(c.dir)
}

// openJournal notes what is about to change, so that it counts as es's and as unfinished
// until the end. What somebody else put there is left out: after a crash it may still
// stand there.
func (w *writer) openJournal(pending []*tree.Node, obsolete []string, bins []bin) error {
	journal := *w.note
	journal.Modules, journal.Bins = maps.Clone(w.note.Modules), maps.Clone(w.note.Bins)
	replaced := map[*tree.Node]bool{}
	for _, n := range pending {
		replaced[n] = true
		path := n.Package.Path
		if info, err := w.dir.lstat(path); replaced[n.Parent] || err == nil && info == nil || w.note.ours(w.dir, path) {
			journal.Modules[path] = Placed{}
		}
	}
	for _, path := range obsolete {
		if w.note.ours(w.dir, path) {
			journal.Modules[path] = Placed{}
		}
	}
	for _, b := range bins {
		if !w.dir.foreignBin(b, w.note) {
			journal.Bins[b.at] = b.owner.Path
		}
	}
	return journal.write(w.dir)
}

// writeAll writes packages, those at the top first, because the others stand in
// them, and then the links to them.
func (w *writer) writeAll(ctx context.Context, pending []*tree.Node) error {
	done, total := 0, len(pending)
	pending = slices.Clone(pending)
	slices.SortStableFunc(pending, func(a, b *tree.Node) int {
		return cmp.Or(isLink(a)-isLink(b), a.Depth()-b.Depth())
	})
	for len(pending) > 0 {
		depth := pending[0].Depth()
		n := slices.IndexFunc(pending, func(n *tree.Node) bool { return n.Depth() != depth || isLink(n) != isLink(pending[0]) })
		if n < 0 {
			n = len(pending)
		}
		if err := w.writeLevel(ctx, pending[:n], &done, total); err != nil {
			return err
		}
		pending = pending[n:]
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
func (w *writer) writeLevel(ctx context.Context, nodes []*tree.Node, done *int, total int) (err error) {
	parents := map[string]*os.Root{}
	defer func() {
		for _, root := range parents {
			err = errors.Join(err, w.sync(root), root.Close())
		}
	}()
	for _, n := range nodes {
		dir := path.Dir(n.Package.Path)
		if parents[dir] != nil {
			continue
		}
		w.dir.step("make directory " + dir)
		root, err := w.dir.parent(n.Package.Path, true)
		if err != nil {
			return fmt.Errorf("install %s: %w", n.Package.Path, err)
		}
		parents[dir] = root
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(w.Workers)
	for _, n := range nodes {
		if n.Target != nil {
			continue
		}
		g.Go(func() error {
			if err := w.write(gctx, n.Package, parents[path.Dir(n.Package.Path)]); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			*done++
			if w.Written != nil {
				w.Written(n.Package.Name, *done, total)
			}
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
		if err := w.link(n.Package); err != nil {
			return fmt.Errorf("link %s: %w", n.Package.Path, err)
		}
		*done++
	}
	return nil
}

// sync makes the swaps in a directory durable together, unless modules did so
// for each.
func (w *writer) sync(parent *os.Root) error {
	if w.Extract.Sync != extract.SyncDirectory {
		return nil
	}
	return atomicfile.SyncRoot(parent)
}

// write puts a package in its place.
func (w *writer) write(ctx context.Context, p *lockfile.Package, parent *os.Root) error {
	t, err := w.trees.Tree(ctx, p)
	if err != nil {
		return err
	}
	o := w.Extract
	if o.Sync == extract.SyncDirectory {
		o.Sync = extract.SyncNone
	}
	w.dir.step("stage " + p.Path)
	s, err := extract.Stage(ctx, w.blocks, t, parent, o)
	if err != nil {
		return fmt.Errorf("write %s: %w", p.Path, err)
	}
	w.dir.step("swap " + p.Path)
	if err := s.Swap(path.Base(p.Path)); err != nil {
		return fmt.Errorf("write %s: %w", p.Path, err)
	}
	return nil
}

// link makes p's path a link to the same package elsewhere.
func (w *writer) link(p *lockfile.Package) error {
	info, err := w.dir.lstat(p.Path)
	if err == nil && info != nil && info.Mode().Type() != fs.ModeSymlink {
		err = w.dir.moveAside(p.Path)
	}
	if err != nil {
		return err
	}
	return w.dir.symlink(linkTarget(p.Path, p.Link), p.Path)
}

// removeObsolete removes commands first, then packages.
func (w *writer) removeObsolete(obsolete []string, bins []bin) error {
	keep := map[string]bool{}
	for _, b := range bins {
		keep[b.at] = true
	}
	for at, owner := range w.note.Bins {
		if keep[at] {
			continue
		}
		if err := w.dir.unlinkBin(at, owner); err != nil {
			return fmt.Errorf("remove %s: %w", at, err)
		}
		delete(w.note.Bins, at)
		w.dir.pruneEmpty(at)
	}
	for _, path := range obsolete {
		info, err := w.dir.lstat(path)
		if errors.As(err, new(*ExistsError)) {
			continue // it was in a package that is a link now
		}
		if err == nil && info == nil {
			w.dir.pruneEmpty(path) // a crash may have left the directory for it
			continue
		}
		if by := w.managers.Claim(path); by != "" {
			w.warnings = append(w.warnings, Warning{path, "is left where it is: " + by + " asks for it too"})
			continue
		}
		if !w.note.ours(w.dir, path) {
			w.warnings = append(w.warnings, Warning{path, "is not removed: something else than es has replaced it"})
			continue
		}
		if err := w.dir.moveAside(path); err != nil {
			return err
		}
		w.dir.pruneEmpty(path)
	}
	return nil
}
