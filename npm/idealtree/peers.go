package idealtree

import (
	"context"
	"fmt"
	"slices"

	"github.com/everythingstays/es/npm/manifest"
)

// peerSet is a copy of source that asks for what source asks for, below which what it
// gets is put together with the peers of that. With reuse, the last one made of source.
func (t *resolver) peerSet(source *node, reuse bool) *node {
	if s := t.peerSets[source]; reuse && s != nil {
		return s
	}
	set := &node{t: t, name: source.name, manifest: source.manifest, source: source, dir: source.dir, top: source.top, overrides: source.overrides}
	set.root = set
	set.register()
	set.load()
	for _, c := range source.children.list {
		if c.link != nil && c.link.top {
			top := &node{t: t, name: c.link.name, manifest: c.link.manifest, source: c.link, dir: c.link.dir, top: true}
			top.root = top
			top.register()
			top.load()
			top.attachTop(set)
		}
	}
	t.peerSets[source] = set
	return set
}

// nodes that are required may not be decided against: what the dependent of a peer set
// needs without fail, and what that needs.
type required map[*node]bool

// nodeFor finds what an edge asks for, and puts it into a peer set (the one of who asks,
// if set is nil) with its own peers. Of two edges that the same package is for, what the
// second asks for is taken where it suits both.
func (t *resolver) nodeFor(ctx context.Context, e *edge, set *node, second *edge, need required) (*node, error) {
	if err := t.spend(ctx); err != nil {
		return nil, err
	}
	if t.nesting++; t.nesting > maxNesting {
		return nil, &LimitError{"peers that need each other are put together", maxNesting}
	}
	defer func() { t.nesting-- }()
	if set == nil {
		set = t.peerSet(e.from, false)
	}
	n, err := t.nodeOf(ctx, e, e.spec(), set)
	if err != nil {
		return nil, err
	}
	if second != nil && !second.valid() {
		other, err := t.nodeOf(ctx, second, second.spec(), set)
		if err != nil {
			return nil, err
		}
		if e.valid() {
			n = other
		}
	}
	n.attach(set)
	if need[e.from] && e.kind != peerOptional || second != nil && need[second.from] && second.kind != peerOptional {
		need[n] = true
	}
	return n, t.loadPeers(ctx, n, need)
}

// nodeOf makes a node of what an edge asks for, in a peer set. One whose release cannot
// be found has an error: whether that matters is known when the tree stands.
func (t *resolver) nodeOf(ctx context.Context, e *edge, spec string, set *node) (*node, error) {
	w := e.parse(spec)
	name := e.name
	switch w.Kind {
	case manifest.Refused:
		return t.failed(name, e, w.Err, set), nil
	case manifest.Directory:
		top, err := t.directory(w.Dir)
		if err != nil {
			return t.failed(name, e, err, set), nil
		}
		return t.linkTo(name, top, set), nil
	}
	if t.isWorkspaceName(w.Name) {
		if l := t.tree.out.get(w.Name).to; l != nil && l.link != nil && t.isWorkspace(l) && l.name == name && e.satisfiedBy(l) {
			return t.linkTo(name, l.link, set), nil
		}
	}
	r, err := t.pick(ctx, w)
	if isFatal(err) {
		return nil, err
	}
	if err != nil {
		return t.failed(name, e, err, set), nil
	}
	n := t.newNode(name, r.manifest)
	n.attach(set)
	n.load()
	return n, nil
}

func (t *resolver) linkTo(name string, top, set *node) *node {
	n := t.newNode(name, top.manifest)
	n.link = top
	n.attach(set)
	return n
}

func (t *resolver) failed(name string, e *edge, err error, set *node) *node {
	n := t.newNode(name, &manifest.Manifest{})
	n.err = &MissingError{Name: name, Spec: e.spec(), By: e.from.describe(), Err: err}
	n.attach(set)
	return n
}

// loadPeers puts the peers of n, and theirs, into its peer set.
func (t *resolver) loadPeers(ctx context.Context, n *node, need required) error {
	var peers []*edge
	for _, e := range n.out.list {
		if e.peer() && !(e.valid() && e.to != nil) {
			peers = append(peers, e)
		}
	}
	slices.SortStableFunc(peers, func(a, b *edge) int { return collate(a.name, b.name) })
	for _, e := range peers {
		if n.parent == nil {
			return nil // another that suits more took its place meanwhile
		}
		if e.valid() && e.to != nil {
			continue
		}
		done, err := t.loadMissingPeer(ctx, n, e, need)
		if err != nil {
			return err
		}
		if done || n.parent == nil {
			continue
		}
		if err := t.loadOtherPeer(ctx, n, e, need); err != nil {
			return err
		}
	}
	return nil
}

// mayConflict reports whether peers of a set may be decided against: only where they are
// not the user's own doing.
func mayConflict(set *node) bool { return !set.source.isProject() }

// loadMissingPeer brings a peer that is not in the set: what the dependent itself asks
// for under that name, if that suits. It reports whether the edge is done with.
func (t *resolver) loadMissingPeer(ctx context.Context, n *node, e *edge, need required) (bool, error) {
	if e.to != nil {
		return false, nil
	}
	set := n.parent
	own := set.out.get(e.name)
	if own == nil {
		_, err := t.nodeFor(ctx, e, set, nil, need)
		return true, err
	}
	dep, err := t.nodeFor(ctx, own, set, e, need)
	if err != nil || e.valid() {
		return true, err
	}
	if mayConflict(set) || !need[dep] {
		e.conflicted = true
		return true, nil
	}
	if n.parent == nil {
		return true, nil
	}
	return true, t.conflict(e, own)
}

// loadOtherPeer tries another release of a peer that is in the set and does not suit: it
// is taken if it suits all that need it there.
func (t *resolver) loadOtherPeer(ctx context.Context, n *node, e *edge, need required) error {
	set, current := n.parent, e.to
	own := set.out.get(e.name)
	dep, err := t.nodeFor(ctx, e, nil, nil, need)
	if err != nil {
		return err
	}
	if dep.canReplace(current, nil) {
		_, err := t.nodeFor(ctx, e, set, nil, need)
		return err
	}
	if mayConflict(set) || !need[e.from] {
		return nil
	}
	return t.conflict(e, own)
}

// canReplace reports whether all that use old would be content with n. Those in its own
// node_modules that are named in peers come with it and do not count.
func (n *node) canReplace(old *node, peers map[string]bool) bool {
	switch {
	case n.name != old.name || n.manifest.Name != old.manifest.Name:
		return false
	case len(old.out.list) > 0 && (n.overrides != nil || old.overrides != nil) && !n.overrides.equal(old.overrides):
		return false
	}
	own := gather([]*node{old}, func(e *edge) bool { return e.to != old && e.valid() })
	for _, e := range old.in {
		if !old.isTop() && e.from.parent == old.parent && e.peer() && peers[e.from.name] {
			continue
		}
		if !own[e.from] && !e.satisfiedBy(n) {
			return false
		}
	}
	return true
}

// gather returns the nodes and all that they need, but what something else needs too;
// edges that do not count are passed over.
func gather(from []*node, counts func(*edge) bool) map[*node]bool {
	set := make(map[*node]bool, len(from))
	all := slices.Clone(from)
	for _, n := range from {
		set[n] = true
	}
	for i := 0; i < len(all); i++ {
		for _, e := range all[i].out.list {
			all[i].t.work++
			if e.to != nil && !set[e.to] && counts(e) {
				set[e.to] = true
				all = append(all, e.to)
			}
		}
	}
	// What is taken out may be what keeps others: those are looked at again.
	queue := all
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		if !set[n] {
			continue
		}
		for _, e := range n.in {
			n.t.work++
			if !set[e.from] && counts(e) {
				delete(set, n)
				for _, out := range n.out.list {
					if out.to != nil && set[out.to] {
						queue = append(queue, out.to)
					}
				}
				break
			}
		}
	}
	return set
}

// peerEntries finds the edges through which a node came as a peer (or itself), and what
// each brought: an edge that is no peer's, or one of a top.
func peerEntries(n *node) (entries []*edge, sets map[*edge][]*node) {
	union, seen := []*node{n}, map[*node]bool{n: true}
	add := func(x *node) {
		if !seen[x] {
			seen[x] = true
			union = append(union, x)
		}
	}
	for i := 0; i < len(union); i++ {
		for _, e := range union[i].out.list {
			if e.peer() && e.to != nil && e.valid() {
				add(e.to)
			}
		}
		for _, e := range union[i].in {
			if e.peer() && e.valid() {
				add(e.from)
			}
		}
	}
	sets = make(map[*edge][]*node)
	for _, p := range union {
		var sub []*node
		for _, e := range p.in {
			if !e.valid() || e.peer() && !e.from.isTop() {
				continue
			}
			if sub == nil {
				sub = peersOf(p)
			}
			if slices.Contains(sub, n) {
				entries = append(entries, e)
				sets[e] = sub
			}
		}
	}
	return entries, sets
}

// peersOf are a node, its peers, and theirs.
func peersOf(n *node) []*node {
	all, seen := []*node{n}, map[*node]bool{n: true}
	for i := 0; i < len(all); i++ {
		for _, e := range all[i].out.list {
			n.t.work++
			if e.peer() && e.to != nil && e.valid() && !seen[e.to] {
				seen[e.to] = true
				all = append(all, e.to)
			}
		}
	}
	return all
}

// describe names a node for a message.
func (n *node) describe() string {
	switch {
	case n.source != nil:
		return n.source.describe()
	case n == n.t.tree:
		return "the project"
	case n.top:
		return fmt.Sprintf("%q", n.dir)
	case n.manifest.Version == "":
		return fmt.Sprintf("%q", n.name)
	}
	if n.manifest.Name != n.name {
		return fmt.Sprintf("%s (%s@%s)", n.name, n.manifest.Name, n.manifest.Version)
	}
	return fmt.Sprintf("%s@%s", n.name, n.manifest.Version)
}
