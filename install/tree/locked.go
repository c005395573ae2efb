package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
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
func FromLockfile(l *lockfile.File, edges []Edge) (*Node, []Disagreement) {
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
	var reasons []Disagreement
	root.Walk(func(n *Node) {
		for i := range n.Edges {
			if d := n.connect(&n.Edges[i]); d != nil {
				reasons = append(reasons, *d)
			}
		}
	})
	reached := root.Reach(func(*Edge, *Node) bool { return true })
	root.Walk(func(n *Node) {
		if !reached[n] {
			reasons = append(reasons, Disagreement{Code: NotNeeded, Path: n.Path()})
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

// What a Disagreement may be.
const (
	NotLocked   = "not-locked"   // By needs Name, and finds nothing of that name
	OtherLocked = "other-locked" // By needs Name, and finds Locked, which does not satisfy it
	NotNeeded   = "not-needed"   // nothing needs what stands at Path
)

// A Disagreement is one way in which es-lock.json is not the lockfile of a package.json
// (SPEC.md [I12]).
type Disagreement struct {
	Code   string
	By     string // "a@1.0.0", or "package.json"
	Name   records.Name
	Spec   string
	Locked string // "a@1.0.0"
	Path   string
}

func (d Disagreement) String() string {
	switch d.Code {
	case NotNeeded:
		return "nothing needs " + d.Path
	case NotLocked:
		return fmt.Sprintf("%s asks for %s@%s, which is not locked", d.By, d.Name, records.Clip(d.Spec))
	}
	return fmt.Sprintf("%s asks for %s@%s, and %s is locked", d.By, d.Name, records.Clip(d.Spec), d.Locked)
}

// connect finds where e leads, or says why it leads nowhere.
func (n *Node) connect(e *Edge) *Disagreement {
	to := n.Lookup(e.Name)
	if to != nil && e.Err == nil && to.satisfies(e) {
		n.Found[e.Name] = to
		return nil
	}
	if e.Optional {
		return nil
	}
	d := &Disagreement{Code: NotLocked, By: cmp.Or(n.Label(), packagejson.Name), Name: e.Name, Spec: e.Spec.Text}
	if to != nil {
		d.Code, d.Locked = OtherLocked, to.Label()
	}
	return d
}
