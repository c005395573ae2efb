package tree

import (
	"maps"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
)

// An Edge is one dependency of a package, or of the project.
type Edge struct {
	Name     records.Name
	Spec     packagejson.Spec
	Optional bool
	Fresh    bool  // asked for by this command: the lockfile has no say
	Err      error // the name or the spec could not be read
}

// Real returns the name to resolve.
func (e *Edge) Real() records.Name {
	if e.Spec.Alias != "" {
		return e.Spec.Alias
	}
	return e.Name
}

// A Node is a package at its place, or the project when Package is nil.
type Node struct {
	Package  *lockfile.Package
	Parent   *Node
	Children map[records.Name]*Node
	Target   *Node // of a link
	Edges    []Edge
	Found    map[records.Name]*Node // where each edge leads
	chosen   bool                   // the project itself asks for this CID

	neededBy *Node        // whose dependency had n placed, while the tree is planned
	neededAs records.Name // ... under which name
	optional bool         // ... which is optional

	level int // packages around it and itself
	// outside are the names that n, or something in it, finds outside of n: a package
	// of the name in n's node_modules would come before what they found.
	outside map[records.Name]bool
}

func newRoot(edges []Edge) *Node {
	root := &Node{Children: map[records.Name]*Node{}, Found: map[records.Name]*Node{}, Edges: edges}
	slices.SortFunc(root.Edges, compareEdges)
	return root
}

// add puts p into n's node_modules.
func (n *Node) add(name records.Name, p *lockfile.Package) *Node {
	p.Path = lockfile.PathIn(n.Path(), name)
	child := &Node{
		Package: p, Parent: n,
		Children: map[records.Name]*Node{}, Found: map[records.Name]*Node{},
		Edges: edgesOf(p), level: n.level + 1,
	}
	n.Children[name] = child
	return child
}

// compareEdges puts pins first: what is exact decides over what is not.
func compareEdges(a, b Edge) int {
	if (a.Spec.Kind == packagejson.CID) != (b.Spec.Kind == packagejson.CID) {
		if a.Spec.Kind == packagejson.CID {
			return -1
		}
		return 1
	}
	return strings.Compare(string(a.Name), string(b.Name))
}

// edgesOf returns what p needs, except what it brings along.
func edgesOf(p *lockfile.Package) []Edge {
	edges := map[string]Edge{}
	for name, text := range p.Dependencies {
		edges[name] = NewEdge(name, text, false)
	}
	for name, text := range p.OptionalDependencies {
		edges[name] = NewEdge(name, text, true)
	}
	for name, c := range p.Pins {
		_, optional := p.OptionalDependencies[string(name)]
		spec := packagejson.Spec{Kind: packagejson.CID, Text: c.String(), CID: c}
		edges[string(name)] = Edge{Name: name, Spec: spec, Optional: optional}
	}
	for _, name := range p.Bundled {
		delete(edges, name)
	}
	return slices.SortedFunc(maps.Values(edges), compareEdges)
}

// NewEdge is a dependency as a manifest has it; what cannot be read is in its Err.
func NewEdge(name, text string, optional bool) Edge {
	e := Edge{Optional: optional}
	n, err := records.ParseName(name)
	if err != nil {
		e.Name, e.Err = records.Name(name), err
		return e
	}
	e.Name = n
	e.Spec, e.Err = packagejson.ParseSpec(text)
	e.Spec.Text = text
	return e
}

// Lookup returns the package that require(name) in n finds, or nil.
func (n *Node) Lookup(name records.Name) *Node {
	for ; n != nil; n = n.Parent {
		if child := n.Children[name]; child != nil {
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
func (n *Node) bundles(name records.Name) bool {
	return n.Package != nil && slices.Contains(n.Package.Bundled, string(name))
}

// satisfies reports whether n is what e asks for. A module without a record
// counts for ranges only when the project asks for it: a package that pins a
// module must not decide what other packages get under its name.
func (n *Node) satisfies(e *Edge) bool {
	if e.Spec.Kind == packagejson.CID {
		return n.Package.Module == e.Spec.CID
	}
	if n.Package.Name != e.Real() || n.Package.Version == "" {
		return false
	}
	return (n.Package.Record.Defined() || n.chosen) && e.Spec.Match(n.Package.Version)
}

// place returns the highest package whose node_modules may take name for the
// use of n, where n's lookup of name found nothing that will do.
func (n *Node) place(name records.Name) *Node {
	for n.Parent != nil {
		up := n.Parent
		if up.Children[name] != nil || up.bundles(name) || up.outside[name] {
			break
		}
		n = up
	}
	return n
}

// finds notes where n's dependency on name leads: into the node_modules of n or of a
// package around it.
func (n *Node) finds(name records.Name, to *Node) {
	n.Found[name] = to
	for u := n; u != to.Parent; u = u.Parent {
		if u.outside == nil {
			u.outside = map[records.Name]bool{}
		}
		u.outside[name] = true
	}
}

// within reports whether n stands in top's node_modules or deeper.
func (n *Node) within(top *Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p == top {
			return true
		}
	}
	return false
}

// Depth returns how many packages stand around n, with n.
func (n *Node) Depth() int { return n.level }

// Path returns where n stands: "node_modules/a/node_modules/b", or "" for the project.
func (n *Node) Path() string {
	if n.Package == nil {
		return ""
	}
	return n.Package.Path
}

// Label names n in messages; the project has none.
func (n *Node) Label() string {
	if n.Package == nil {
		return ""
	}
	return n.Package.String()
}

// Walk visits n and everything in it, parents before children, by path.
func (n *Node) Walk(visit func(*Node)) {
	visit(n)
	for _, name := range slices.Sorted(maps.Keys(n.Children)) {
		n.Children[name].Walk(visit)
	}
}

// Reach returns the packages that the edges lead to from n; follow decides
// about each edge, with the node it leads to.
func (n *Node) Reach(follow func(e *Edge, to *Node) bool) map[*Node]bool {
	reached := map[*Node]bool{n: true}
	queue := []*Node{n}
	visit := func(to *Node) {
		if to != nil && !reached[to] {
			reached[to] = true
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		visit(from.Target)
		for i := range from.Edges {
			e := &from.Edges[i]
			if to := from.Found[e.Name]; to != nil && follow(e, to) {
				visit(to)
			}
		}
	}
	return reached
}

// markOptional sets Optional on the packages that no required edge leads to.
func (n *Node) markOptional() {
	required := n.Reach(func(e *Edge, _ *Node) bool { return !e.Optional })
	n.Walk(func(m *Node) {
		if m.Package != nil {
			m.Package.Optional = !required[m]
		}
	})
}

// FitsPeer is satisfies without the question of who decided.
func (n *Node) FitsPeer(e *Edge) bool {
	if e.Spec.Kind == packagejson.CID {
		return n.Package.Module == e.Spec.CID
	}
	return n.Package.Name == e.Real() && n.Package.Version != "" && e.Spec.Match(n.Package.Version)
}

// IsDirect reports whether the package that n stands in asks for n.
func (n *Node) IsDirect() bool {
	return n.Parent.Found[lockfile.NameAt(n.Package.Path)] == n
}
