package layout

import (
	"context"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/managers"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/modules/extract"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// Options of a Change.
type Options struct {
	// Force writes every package again, even where something stands that es did not
	// install.
	Force   bool
	Workers int // packages that are written at once, at least 1
	// Extract says how files are written: copied, or linked from the block store.
	Extract extract.Options
	// Written, if set, is called by one goroutine at a time.
	Written func(name records.Name, done, total int)
}

// Trees says which files a module has, all of which are in the blocks.
type Trees interface {
	Tree(ctx context.Context, p *lockfile.Package) (*unixfs.Tree, error)
}

// A Change brings node_modules from what it holds to what it shall hold, while the
// project is locked.
type Change struct {
	Options
	dir      *Dir
	blocks   unixfs.Blocks
	note     *Note
	managers *managers.Found
	adopted  bool                // the note was lost, and is made anew
	same     map[*tree.Node]bool // whether what another program put there is the module
}

// Change begins a change.
func (d *Dir) Change(blocks unixfs.Blocks, o Options) *Change {
	return &Change{Options: o, dir: d, blocks: blocks, note: d.Note(), managers: managers.Find(d.root), same: map[*tree.Node]bool{}}
}

// Note is what the project's note says; Apply changes it.
func (c *Change) Note() *Note { return c.note }

// Kept reports whether n's module was there already, put there by another program.
func (c *Change) Kept(n *tree.Node) bool { return c.same[n] }

// Adopt notes as es's what es-lock.json has had before and what stands in its place to the
// byte, where the note is lost or another home's. What another package manager names stays
// that one's.
func (c *Change) Adopt(ctx context.Context, locked *tree.Node) error {
	var nodes []*tree.Node
	locked.Walk(func(n *tree.Node) {
		if n.Package != nil {
			nodes = append(nodes, n)
		}
	})
	v := c.dir.Compare(c.blocks, nodes)
	for _, n := range nodes {
		at := n.Package.Path
		if _, noted := c.note.Modules[at]; noted || c.managers.Claim(at) != "" {
			continue
		}
		same, err := v.Stands(ctx, n)
		if err != nil {
			return err
		}
		if same {
			c.note.Modules[at] = c.placed(n)
			c.adopted = true
		}
	}
	for at, b := range v.commands {
		if _, noted := c.note.Modules[b.owner.Path]; noted && c.note.Bins[at] == "" && c.dir.isBin(b, at) {
			c.note.Bins[at] = b.owner.Path
			c.adopted = true
		}
	}
	return nil
}

// placed is what the note says of n, which stands in its place.
func (c *Change) placed(n *tree.Node) Placed {
	p := Placed{Module: n.Package.Module.String(), Link: n.Package.Link}
	if n.Target == nil {
		p.Fingerprint = c.dir.fingerprint(n.Package.Path)
	}
	return p
}

// Pending returns the nodes whose package is not in node_modules as it should be.
// What stands in a package that is replaced goes with it. What another program has put
// there and is the very module is kept as it is.
func (c *Change) Pending(ctx context.Context, nodes []*tree.Node) ([]*tree.Node, error) {
	var pending []*tree.Node
	replaced := map[*tree.Node]bool{}
	v := c.dir.Compare(c.blocks, nodes)
	for _, n := range nodes {
		there := !c.Force && !replaced[n.Parent]
		if there && !c.note.Holds(c.dir, n.Package) {
			var err error
			if there, err = c.isSame(ctx, v, n); err != nil {
				return nil, err
			}
		}
		if !there {
			replaced[n] = true
			pending = append(pending, n)
		}
	}
	return pending, nil
}

// isSame reports whether exactly n's module is there without es's having put it there.
func (c *Change) isSame(ctx context.Context, v *Comparer, n *tree.Node) (bool, error) {
	if _, ours := c.note.Modules[n.Package.Path]; ours && c.note.ours(c.dir, n.Package.Path) {
		return false, nil // another module of es's, or one that a crash has left
	}
	if same, known := c.same[n]; known {
		return same, nil
	}
	same, err := v.Stands(ctx, n)
	c.same[n] = same
	return same, err
}

// Obsolete returns the paths that es filled and that are no longer wanted, but not those
// inside of others.
func (c *Change) Obsolete(nodes []*tree.Node) []string {
	wanted := map[string]bool{}
	for _, n := range nodes {
		wanted[n.Package.Path] = true
	}
	var obsolete []string
	for _, path := range c.note.Paths() {
		inside := slices.ContainsFunc(obsolete, func(e string) bool { return strings.HasPrefix(path, e+"/") })
		if !wanted[path] && !inside {
			obsolete = append(obsolete, path)
		}
	}
	return obsolete
}

// keepsNew reports whether something is kept as it is that becomes es's by that: no other
// package manager names it.
func (c *Change) keepsNew() bool {
	for n, same := range c.same {
		if same && c.managers.Claim(n.Package.Path) == "" {
			return true
		}
	}
	return false
}
