package idealtree

import (
	"slices"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records/npmrange"
)

// edgeKind says which field of package.json an edge is from.
type edgeKind uint8

const (
	prod edgeKind = iota
	dev
	optional
	peer
	peerOptional
	workspace
)

// state says what is wrong with an edge.
type state uint8

const (
	unknown state = iota
	fine
	missing
	beside  // a peer that stands in the node_modules of who asks for it, and not beside it
	invalid // another version than asked for
)

// An edge is one dependency of a node, and what it finds there.
type edge struct {
	from *node
	to   *node // what the name leads to; nil for nothing
	name string
	raw  string // as package.json has it
	kind edgeKind

	state      state
	conflicted bool // a peer that was decided against
	overrides  *overrides
}

// edges are the dependencies of a node, a name once.
type edges struct {
	list []*edge
	by   map[string]*edge
}

func (s *edges) get(name string) *edge { return s.by[fold(name)] }

func (e *edge) peer() bool     { return e.kind == peer || e.kind == peerOptional }
func (e *edge) optional() bool { return e.kind == optional || e.kind == peerOptional }

// load makes the edges of n of its manifest. What stands in a later field counts:
// peers, dependencies, optional ones, and those for development.
func (n *node) load() {
	if n == n.t.tree {
		for _, w := range n.t.workspaces {
			n.want(w.name, "file:"+w.dir, workspace)
		}
	}
	m := n.manifest
	for _, d := range m.Peers {
		if !m.OptionalPeers[d.Name] {
			n.want(d.Name, d.Spec, peer)
		}
	}
	for _, d := range m.Peers {
		if m.OptionalPeers[d.Name] {
			n.want(d.Name, d.Spec, peerOptional)
		}
	}
	for _, d := range m.Dependencies {
		n.want(d.Name, d.Spec, prod)
	}
	for _, d := range m.Optional {
		n.want(d.Name, d.Spec, optional)
	}
	if n.top {
		for _, d := range m.Dev {
			n.want(d.Name, d.Spec, dev)
		}
	}
}

func (n *node) want(name, spec string, kind edgeKind) {
	old := n.out.get(name)
	if old != nil && old.kind == workspace {
		return
	}
	if old != nil {
		old.drop()
	}
	e := &edge{from: n, name: name, raw: spec, kind: kind}
	if n.overrides != nil {
		e.overrides = n.overrides.forEdge(e)
	}
	if n.out.by == nil {
		n.out.by = make(map[string]*edge)
	}
	n.out.by[fold(name)] = e
	n.out.list = append(n.out.list, e)
	n.root.asking[fold(name)] = append(n.root.asking[fold(name)], e)
	e.reload(true)
}

func (e *edge) drop() {
	if e.to != nil {
		e.to.dropIn(e)
		e.to = nil
	}
	n, key := e.from, fold(e.name)
	delete(n.out.by, key)
	n.out.list = slices.DeleteFunc(n.out.list, func(x *edge) bool { return x == e })
	n.root.asking[key] = slices.DeleteFunc(n.root.asking[key], func(x *edge) bool { return x == e })
}

// reload looks again at which rules the edge is under and where it leads. What is wrong
// with it is looked at again when it leads elsewhere; if hard, always.
func (e *edge) reload(hard bool) {
	changed, before := false, e.overrides
	if e.from.overrides == nil {
		e.overrides = nil
	} else if now := e.from.overrides.forEdge(e); now != nil && !now.equal(before) {
		changed, e.overrides = true, now
	}
	to := e.from.resolve(e.name)
	switch {
	case to != e.to:
		if e.to != nil {
			e.to.dropIn(e)
		}
		e.to, e.state = to, unknown
		if to != nil {
			to.addIn(e)
		}
	case hard:
		e.state = unknown
	case changed && e.to != nil:
		e.to.underNoMore(before)
		e.to.underToo(e.overrides)
	}
}

// spec is what the edge asks for: what an override says instead, if one does.
func (e *edge) spec() string {
	o := e.overrides
	if o == nil || o.parent == nil || o.name != e.name || o.value == "*" {
		return e.raw
	}
	if o.value[0] != '$' {
		return o.value
	}
	if spec, ok := e.reference(o.value[1:]); ok {
		return spec
	}
	return o.value // refused where it is needed: "$" is in no range
}

// reference is what the project's package.json, else the dependent's own, has of a name.
func (e *edge) reference(name string) (string, bool) {
	for _, m := range []*manifest.Manifest{e.from.t.project.Root, e.from.manifest} {
		for _, field := range [][]manifest.Dependency{m.Dev, m.Optional, m.Dependencies, m.Peers} {
			for _, d := range field {
				if d.Name == name && d.Spec != "" {
					return d.Spec, true
				}
			}
		}
	}
	return "", false
}

// parse reads what stands behind a name, in the directory of who asks.
func (e *edge) parse(text string) manifest.Spec {
	from := e.from
	if from.source != nil {
		from = from.source
	}
	return e.from.t.parse(e.name, text, from)
}

func (e *edge) valid() bool {
	s := e.status()
	return s == fine || s == missing && e.optional()
}

// status says what is wrong with the edge; an optional one that leads nowhere is
// missing, and valid all the same.
func (e *edge) status() state {
	if e.state != unknown {
		return e.state
	}
	switch {
	case e.to == nil:
		e.state = missing
	case e.peer() && e.from == e.to.parent && !e.from.isTop():
		e.state = beside
	case !e.satisfiedBy(e.to):
		e.state = invalid
	case e.overrides != nil && e.to.overrides != nil && len(e.to.out.list) > 0 && e.rulesContradict():
		e.state = invalid
	default:
		e.state = fine
	}
	return e.state
}

func (e *edge) rulesContradict() bool {
	_, err := specific(e.overrides, e.to.overrides)
	return err != nil
}

// satisfiedBy reports whether n is what the edge asks for.
func (e *edge) satisfiedBy(n *node) bool {
	e.from.t.work++
	if n.name != e.name {
		return false
	}
	if n.bundled {
		return e.accepts(n, e.raw)
	}
	o := e.overrides
	if o == nil || o.parent == nil || o.keySpec == "" {
		return e.accepts(n, e.spec())
	}
	if e.accepts(n, e.spec()) {
		return true
	}
	// What an override leaves alone: a version that was asked for and that it does not
	// concern.
	return e.accepts(n, e.raw) && !e.accepts(n, o.keySpec)
}

func (e *edge) accepts(n *node, text string) bool {
	w := e.parse(text)
	switch w.Kind {
	case manifest.Directory:
		return n.link != nil && n.link.dir == w.Dir
	case manifest.Refused:
		return false
	}
	switch w.Constraint.Kind {
	case npmrange.Latest:
		return true
	case npmrange.Tag:
		return n.link == nil
	}
	return n.manifest.Version != "" && w.Constraint.Match(n.manifest.Version)
}
