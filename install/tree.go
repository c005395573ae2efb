package install

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
)

// An edge is one dependency of a package, or of the project.
type edge struct {
	name     records.Name
	spec     Spec
	optional bool
	fresh    bool  // asked for by this command: the lockfile has no say
	err      error // the spec could not be read
}

// real returns the name to resolve.
func (e *edge) real() records.Name {
	if e.spec.Alias != "" {
		return e.spec.Alias
	}
	return e.name
}

// A treeNode is a package at its place, or the project when pkg is nil.
type treeNode struct {
	pkg      *Package
	parent   *treeNode
	children map[records.Name]*treeNode
	target   *treeNode // of a link
	edges    []edge
	found    map[records.Name]*treeNode // where each edge leads
	chosen   bool                       // the project itself asks for this CID

	level int // packages around it and itself
	// taken are the names that n, or something in it, finds outside of n: a package
	// of the name in n's node_modules would come before what they found.
	taken map[records.Name]bool
}

func newRoot(edges []edge) *treeNode {
	root := &treeNode{children: map[records.Name]*treeNode{}, found: map[records.Name]*treeNode{}, edges: edges}
	slices.SortFunc(root.edges, compareEdges)
	return root
}

// add puts p into n's node_modules.
func (n *treeNode) add(name records.Name, p *Package) *treeNode {
	p.Path = lockfile.NodeModules + "/" + string(name)
	if n.pkg != nil {
		p.Path = n.pkg.Path + "/" + p.Path
	}
	child := &treeNode{
		pkg: p, parent: n,
		children: map[records.Name]*treeNode{}, found: map[records.Name]*treeNode{},
		edges: edgesOf(p), level: n.level + 1,
	}
	n.children[name] = child
	return child
}

// compareEdges puts pins first: what is exact decides over what is not.
func compareEdges(a, b edge) int {
	if (a.spec.Kind == CID) != (b.spec.Kind == CID) {
		if a.spec.Kind == CID {
			return -1
		}
		return 1
	}
	return strings.Compare(string(a.name), string(b.name))
}

// edgesOf returns what p needs, except what it brings along.
func edgesOf(p *Package) []edge {
	edges := map[string]edge{}
	for name, text := range p.Dependencies {
		edges[name] = newEdge(name, text, false)
	}
	for name, text := range p.OptionalDependencies {
		edges[name] = newEdge(name, text, true)
	}
	for name, c := range p.Pins {
		_, optional := p.OptionalDependencies[string(name)]
		spec := Spec{Kind: CID, Text: c.String(), CID: c}
		edges[string(name)] = edge{name: name, spec: spec, optional: optional}
	}
	for _, name := range p.Bundled {
		delete(edges, name)
	}
	return slices.SortedFunc(maps.Values(edges), compareEdges)
}

func newEdge(name, text string, optional bool) edge {
	e := edge{optional: optional}
	n, err := records.ParseName(name)
	if err != nil {
		e.name, e.err = records.Name(name), err
		return e
	}
	e.name = n
	e.spec, e.err = ParseSpec(text)
	e.spec.Text = text
	return e
}

// lookup returns the package that require(name) in n finds, or nil.
func (n *treeNode) lookup(name records.Name) *treeNode {
	for ; n != nil; n = n.parent {
		if child := n.children[name]; child != nil {
			return child
		}
		if n.bundles(name) {
			return nil
		}
	}
	return nil
}

// bundles reports whether n's own files hold a package name, whose version
// nobody has stated.
func (n *treeNode) bundles(name records.Name) bool {
	return n.pkg != nil && slices.Contains(n.pkg.Bundled, string(name))
}

// satisfies reports whether n is what e asks for. A module without a record
// counts for ranges only when the project asks for it: a package that pins a
// module must not decide what other packages get under its name.
func (n *treeNode) satisfies(e *edge) bool {
	if e.spec.Kind == CID {
		return n.pkg.Module == e.spec.CID
	}
	if n.pkg.Name != e.real() || n.pkg.Version == "" {
		return false
	}
	return (n.pkg.Record.Defined() || n.chosen) && e.spec.Match(n.pkg.Version)
}

// place returns the highest package whose node_modules may take name for the
// use of n, where n's lookup of name found nothing that will do.
func (n *treeNode) place(name records.Name) *treeNode {
	for n.parent != nil {
		up := n.parent
		if up.children[name] != nil || up.bundles(name) || up.taken[name] {
			break
		}
		n = up
	}
	return n
}

// finds notes where n's dependency on name leads: into the node_modules of n or of a
// package around it.
func (n *treeNode) finds(name records.Name, to *treeNode) {
	n.found[name] = to
	for u := n; u != to.parent; u = u.parent {
		if u.taken == nil {
			u.taken = map[records.Name]bool{}
		}
		u.taken[name] = true
	}
}

// within reports whether n stands in top's node_modules or deeper.
func (n *treeNode) within(top *treeNode) bool {
	for p := n.parent; p != nil; p = p.parent {
		if p == top {
			return true
		}
	}
	return false
}

func (n *treeNode) depth() int { return n.level }

func (n *treeNode) path() string {
	if n.pkg == nil {
		return ""
	}
	return n.pkg.Path
}

// label names n in messages; the project has none.
func (n *treeNode) label() string {
	if n.pkg == nil {
		return ""
	}
	return n.pkg.String()
}

// walk visits n and everything in it, parents before children, by path.
func (n *treeNode) walk(visit func(*treeNode)) {
	visit(n)
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		n.children[name].walk(visit)
	}
}

// reach returns the packages that the edges lead to from n; follow decides
// about each edge, with the node it leads to.
func (n *treeNode) reach(follow func(e *edge, to *treeNode) bool) map[*treeNode]bool {
	reached := map[*treeNode]bool{n: true}
	queue := []*treeNode{n}
	visit := func(to *treeNode) {
		if to != nil && !reached[to] {
			reached[to] = true
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		visit(from.target)
		for i := range from.edges {
			e := &from.edges[i]
			if to := from.found[e.name]; to != nil && follow(e, to) {
				visit(to)
			}
		}
	}
	return reached
}

// markOptional sets Optional on the packages that no required edge leads to.
func (n *treeNode) markOptional() {
	required := n.reach(func(e *edge, _ *treeNode) bool { return !e.optional })
	n.walk(func(m *treeNode) {
		if m.pkg != nil {
			m.pkg.Optional = !required[m]
		}
	})
}

// lockfile returns the tree's packages.
func (n *treeNode) lockfile() *lockfile.File {
	l := &lockfile.File{Packages: map[string]*Package{}}
	n.walk(func(m *treeNode) {
		if m.pkg != nil {
			l.Packages[m.pkg.Path] = m.pkg
		}
	})
	return l
}

// tree arranges the lockfile's packages below a project with the given edges,
// and returns why they are not what these edges need; then the tree is of no
// use.
func treeOf(l *lockfile.File, edges []edge) (*treeNode, []string) {
	root := newRoot(edges)
	at := map[string]*treeNode{"": root}
	for _, path := range slices.SortedFunc(maps.Keys(l.Packages), lockfile.ComparePaths) {
		p := *l.Packages[path]
		at[path] = at[lockfile.Parent(path)].add(lockfile.NameAt(path), &p)
	}
	for _, n := range at {
		if n.pkg != nil && n.pkg.Link != "" {
			n.target = at[n.pkg.Link]
			n.edges = nil
		}
	}
	root.choose()
	var reasons []string
	root.walk(func(n *treeNode) {
		for i := range n.edges {
			if reason := n.connect(&n.edges[i]); reason != "" {
				reasons = append(reasons, reason)
			}
		}
	})
	reached := root.reach(func(*edge, *treeNode) bool { return true })
	root.walk(func(n *treeNode) {
		if !reached[n] {
			reasons = append(reasons, fmt.Sprintf("nothing needs %s", n.path()))
		}
	})
	root.markOptional()
	return root, reasons
}

// choose marks what the project itself asks for by CID.
func (n *treeNode) choose() {
	for _, e := range n.edges {
		if child := n.children[e.name]; child != nil && e.spec.Kind == CID && child.pkg.Module == e.spec.CID {
			child.chosen = true
		}
	}
}

// connect finds where e leads, or says why it leads nowhere.
func (n *treeNode) connect(e *edge) string {
	to := n.lookup(e.name)
	if to != nil && e.err == nil && to.satisfies(e) {
		n.found[e.name] = to
		return ""
	}
	if e.optional {
		return ""
	}
	by := cmp.Or(n.label(), packageJSON)
	if to == nil {
		return fmt.Sprintf("%s asks for %s@%s, which is not locked", by, e.name, clip(e.spec.Text))
	}
	return fmt.Sprintf("%s asks for %s@%s, and %s is locked", by, e.name, clip(e.spec.Text), to.label())
}
