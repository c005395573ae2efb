package install

import (
	"context"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/records"
)

// A Node is one dependency in the tree that List returns.
type Node struct {
	Name      records.Name
	Spec      string   // what is asked for
	Package   *Package // nil when es-lock.json has none that matches
	Signature Signature
	Installed bool // this very module is there
	Optional  bool // may be missing
	Repeated  bool // its dependencies are shown where it comes first
	Children  []*Node
}

// List returns the project's dependencies with theirs below them, sorted by
// name. It reads es-lock.json, node_modules and, of s, Blocks and Records, and changes
// nothing.
func (p *Project) List(ctx context.Context, s Sources) ([]*Node, error) {
	root, d, err := p.look()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	l := &lister{Comparer: d.Compare(s.Blocks, wantedHere(root)), dir: d, known: s.Records, note: d.Note(), shown: map[*tree.Node]bool{}}
	return l.below(ctx, root)
}

// look opens the project for reading; the tree is es-lock.json's, however much
// it agrees with package.json.
func (p *Project) look() (*tree.Node, *layout.Dir, error) {
	deps, err := p.Dependencies()
	if err != nil {
		return nil, nil, err
	}
	var edges []tree.Edge
	for _, d := range deps {
		edges = append(edges, tree.Edge{Name: d.Name, Spec: d.Spec})
	}
	l, err := p.Lockfile()
	if err != nil {
		return nil, nil, err
	}
	if l == nil {
		l = &lockfile.File{}
	}
	d, err := p.open()
	if err != nil {
		return nil, nil, err
	}
	root, _ := tree.FromLockfile(l, edges)
	return root, d, nil
}

// wantedHere returns what a project is to have on this machine.
func wantedHere(root *tree.Node) []*tree.Node {
	return tree.Wanted(root, tree.Platform{}.OrThis(), func(*tree.Node) bool { return false })
}

type lister struct {
	*layout.Comparer
	dir   *layout.Dir
	known Records
	note  *layout.Note
	shown map[*tree.Node]bool
}

func (l *lister) below(ctx context.Context, n *tree.Node) ([]*Node, error) {
	l.shown[n] = true
	edges := slices.SortedFunc(slices.Values(n.Edges), func(a, b tree.Edge) int { return strings.Compare(string(a.Name), string(b.Name)) })
	var nodes []*Node
	for i := range edges {
		e := &edges[i]
		node := &Node{Name: e.Name, Spec: e.Spec.Text, Optional: e.Optional}
		nodes = append(nodes, node)
		to := n.Found[e.Name]
		if to == nil {
			continue
		}
		node.Package = to.Package
		var err error
		if node.Signature, err = SignatureOf(ctx, to.Package, l.known); err != nil {
			return nil, err
		}
		if node.Installed, err = l.installed(ctx, to); err != nil {
			return nil, err
		}
		if to.Target != nil {
			to = to.Target
		}
		if l.shown[to] {
			node.Repeated = len(to.Edges) > 0
			continue
		}
		if node.Children, err = l.below(ctx, to); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// installed reports whether n's module stands where it belongs.
func (l *lister) installed(ctx context.Context, n *tree.Node) (bool, error) {
	if l.note.Holds(l.dir, n.Package) {
		return true, nil
	}
	return l.Stands(ctx, n)
}
