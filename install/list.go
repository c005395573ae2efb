package install

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// A Node is one dependency in the tree that List returns.
type Node struct {
	Name      records.Name
	Spec      string   // what is asked for
	Package   *Package // nil when es-lock.json has none that matches
	Installed bool     // es put this very module there, and it is there
	Optional  bool     // may be missing
	Repeated  bool     // its dependencies are shown where it comes first
	Children  []*Node
}

// List returns the project's dependencies with theirs below them, sorted by
// name. It reads es-lock.json and node_modules and changes nothing.
func (p *Project) List() ([]*Node, error) {
	tree, d, err := p.look()
	if err != nil {
		return nil, err
	}
	defer d.root.Close()
	l := &lister{disk: d, marker: d.readMarker(), shown: map[*treeNode]bool{}}
	return l.below(tree), nil
}

// look opens the project for reading; the tree is es-lock.json's, however much
// it agrees with package.json.
func (p *Project) look() (*treeNode, *disk, error) {
	deps, err := p.Dependencies()
	if err != nil {
		return nil, nil, err
	}
	var edges []edge
	for _, d := range deps {
		edges = append(edges, edge{name: d.Name, spec: d.Spec})
	}
	l, err := p.Lockfile()
	if err != nil {
		return nil, nil, err
	}
	if l == nil {
		l = &Lockfile{}
	}
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open project: %w", err)
	}
	tree, _ := l.tree(edges)
	return tree, &disk{root: root, step: func(string) {}}, nil
}

type lister struct {
	disk   *disk
	marker *marker
	shown  map[*treeNode]bool
}

func (l *lister) below(n *treeNode) []*Node {
	l.shown[n] = true
	edges := slices.SortedFunc(slices.Values(n.edges), func(a, b edge) int { return strings.Compare(string(a.name), string(b.name)) })
	var nodes []*Node
	for i := range edges {
		e := &edges[i]
		node := &Node{Name: e.name, Spec: e.spec.Text, Optional: e.optional}
		nodes = append(nodes, node)
		to := n.found[e.name]
		if to == nil {
			continue
		}
		node.Package = to.pkg
		node.Installed = l.marker.holds(l.disk, to.pkg)
		if to.target != nil {
			to = to.target
		}
		if l.shown[to] {
			node.Repeated = len(to.edges) > 0
			continue
		}
		node.Children = l.below(to)
	}
	return nodes
}
