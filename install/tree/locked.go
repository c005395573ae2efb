package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
)

// Lockfile returns the tree's packages.
func (n *Node) Lockfile() *lockfile.File {
	l := &lockfile.File{Packages: map[string]*lockfile.Package{}}
	n.Walk(func(m *Node) {
		if m.Package != nil {
			l.Packages[m.Package.Path] = m.Package
		}
	})
	return l
}

// FromLockfile arranges the lockfile's packages below a project with the given edges,
// and returns why they are not what these edges need; then the tree is of no
// use.
func FromLockfile(l *lockfile.File, edges []Edge) (*Node, []string) {
	root := newRoot(edges)
	at := map[string]*Node{"": root}
	for _, path := range slices.SortedFunc(maps.Keys(l.Packages), lockfile.ComparePaths) {
		p := *l.Packages[path]
		at[path] = at[lockfile.Parent(path)].add(lockfile.NameAt(path), &p)
	}
	for _, n := range at {
		if n.Package != nil && n.Package.Link != "" {
			n.Target = at[n.Package.Link]
			n.Edges = nil
		}
	}
	root.choose()
	var reasons []string
	root.Walk(func(n *Node) {
		for i := range n.Edges {
			if reason := n.connect(&n.Edges[i]); reason != "" {
				reasons = append(reasons, reason)
			}
		}
	})
	reached := root.Reach(func(*Edge, *Node) bool { return true })
	root.Walk(func(n *Node) {
		if !reached[n] {
			reasons = append(reasons, fmt.Sprintf("nothing needs %s", n.Path()))
		}
	})
	root.markOptional()
	return root, reasons
}

// choose marks what the project itself asks for by CID.
func (n *Node) choose() {
	for _, e := range n.Edges {
		if child := n.Children[e.Name]; child != nil && e.Spec.Kind == packagejson.CID && child.Package.Module == e.Spec.CID {
			child.chosen = true
		}
	}
}

// connect finds where e leads, or says why it leads nowhere.
func (n *Node) connect(e *Edge) string {
	to := n.Lookup(e.Name)
	if to != nil && e.Err == nil && to.satisfies(e) {
		n.Found[e.Name] = to
		return ""
	}
	if e.Optional {
		return ""
	}
	by := cmp.Or(n.Label(), packagejson.Name)
	if to == nil {
		return fmt.Sprintf("%s asks for %s@%s, which is not locked", by, e.Name, clip(e.Spec.Text))
	}
	return fmt.Sprintf("%s asks for %s@%s, and %s is locked", by, e.Name, clip(e.Spec.Text), to.Label())
}
