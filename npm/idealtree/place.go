package idealtree

import (
	"slices"
	"strings"
)

// A placement puts a release into the tree for an edge: into the highest node_modules
// that it and its peers can stand in, from that of who asks upwards.
type placement struct {
	t      *resolver
	dep    *node // in its peer set
	edge   *edge
	parent *placement // of a peer: the placement of who needs it

	can      *check // the highest that went well
	canSelf  *check // the highest that went well but for its peers
	placed   *node  // nil if nothing was
	children []*placement
	again    []*node // nodes whose edges have to be looked at again
}

func (p *placement) run() error {
	if p.edge.to != nil && p.edge.valid() && !p.t.updates(p.edge.name) {
		return nil
	}
	p.find()
	if p.can == nil {
		if p.isMine() {
			return p.t.placeConflict(p)
		}
		if p.canSelf == nil {
			p.edge.conflicted = true
			return nil
		}
		p.can = p.canSelf
	}
	verdict := p.can.verdict
	if verdict == conflict {
		verdict = p.can.self
	}
	target := p.can.target
	if verdict == keep {
		if p.edge.peer() && !p.edge.valid() {
			p.edge.conflicted = true
		}
		p.t.prune(target, true)
		return nil
	}
	for up := target; up != nil; up = up.around() {
		if up.matches(p.dep) && !up.isTop() {
			// Packages that need each other in turns: the nesting ends with a link.
			p.placed = p.t.newNode(p.dep.name, up.manifest)
			p.placed.link = up
			p.placed.attach(target)
			return nil
		}
	}
	if err := p.put(target); err != nil {
		return err
	}
	p.tidy(target)
	return p.placePeers()
}

// find walks up as long as nothing is in the way.
func (p *placement) find() {
	for target := p.start(); target != nil; target = target.around() {
		if own := target.out.get(p.edge.name); own != nil && own.peer() && !target.isTop() {
			continue
		}
		c := &check{dep: p.dep, target: target, edge: p.edge}
		if p.parent != nil {
			c.parent = p.parent.can
		}
		c.run()
		if c.self != conflict {
			p.canSelf = c
		}
		if c.verdict == conflict {
			return
		}
		p.can = c
		if p.dep.err != nil {
			return // it goes, or all fails
		}
	}
}

func (p *placement) start() *node {
	from := p.edge.from
	if p.parent != nil {
		from = p.parent.start()
	}
	return deepest(from, p.edge.name)
}

func (p *placement) put(target *node) error {
	t := p.t
	if t.placed++; t.placed > MaxPlaces {
		return &LimitError{"packages are placed", MaxPlaces}
	}
	if target.depth() >= MaxDepth {
		return &LimitError{"node_modules stand within each other", MaxDepth}
	}
	n := t.newNode(p.dep.name, p.dep.manifest)
	n.err, n.link, n.overrides = p.dep.err, p.dep.link, p.dep.overrides
	if n.link != nil {
		if err := t.attachDirectory(n.link); err != nil {
			return err
		}
	} else {
		n.load()
	}
	p.placed = n
	if old := target.children.get(n.name); old != nil {
		p.replace(old, target)
	} else {
		n.attach(target)
	}
	if p.edge.peer() && !p.edge.satisfiedBy(n) {
		p.edge.conflicted = true
	}
	return nil
}

// replace puts the new node in old's place, and takes out what only old needed, and the
// peer sets that the new one does not suit and that can stand deeper.
func (p *placement) replace(old, target *node) {
	var oldDeps []*node
	for _, e := range old.out.list {
		if p.placed.out.get(e.name) == nil && e.to != nil {
			to := e.to
			oldDeps = appendSet(oldDeps, gather([]*node{to}, func(x *edge) bool { return x.to != to }))
		}
	}
	var sets []*node
	for _, e := range slices.Clone(old.in) {
		if e.satisfiedBy(p.placed) || !e.peer() || e.from.parent != target || e.conflicted {
			continue
		}
		entries, _ := peerEntries(e.from)
		for _, entry := range entries {
			to := entry.to
			if to != target && !entry.from.isProject() {
				sets = appendSet(sets, gather([]*node{to}, func(x *edge) bool { return x.to != to && !x.conflicted }))
			} else {
				e.conflicted = true
			}
		}
	}
	p.placed.replace(old)
	p.t.pruneAfter(p.placed, oldDeps)
	for _, n := range sets {
		for _, e := range n.in {
			p.again = append(p.again, e.from)
		}
		n.detach()
	}
}

// appendSet appends nodes in the order of their places.
func appendSet(list []*node, set map[*node]bool) []*node {
	return append(list, sorted(set)...)
}

func sorted(set map[*node]bool) []*node {
	type placed struct {
		n    *node
		path string
	}
	all := make([]placed, 0, len(set))
	for n := range set {
		all = append(all, placed{n, n.path()})
	}
	slices.SortFunc(all, func(a, b placed) int { return strings.Compare(a.path, b.path) })
	list := make([]*node, len(all))
	for i, p := range all {
		list[i] = p.n
	}
	return list
}

// pruneAfter takes out what n's predecessor needed and nothing else does.
func (t *resolver) pruneAfter(n *node, oldDeps []*node) {
	stale := make(map[*node]bool)
	for _, e := range n.out.list {
		if e.to != nil && !e.valid() {
			stale[e.to] = true
		}
	}
	for _, d := range oldDeps {
		for each := range gather([]*node{d}, func(e *edge) bool { return e.to != d && e.valid() }) {
			stale[each] = true
		}
	}
	for _, each := range sorted(gather(sorted(stale), func(e *edge) bool { return e.from != n && e.to != n && e.valid() })) {
		each.detach()
	}
}

// tidy takes out what the new node makes unnecessary further down.
func (p *placement) tidy(target *node) {
	t, name := p.t, p.edge.name
	if p.edge.to != nil && p.edge.to != p.placed && p.edge.valid() {
		t.prune(p.edge.to, false)
	}
	for _, n := range slices.Clone(t.tree.byName[name]) {
		if n.root != t.tree || n.isTop() || !n.within(target) {
			continue
		}
		t.prune(n, false)
		if n.root == t.tree {
			for _, kid := range slices.Clone(n.children.list) {
				t.prune(kid, false)
			}
		}
	}
}

// prune takes n out if what stands further up will do, with what only n needed; if down,
// else what is below n.
func (t *resolver) prune(n *node, down bool) {
	if n.root != t.tree {
		return
	}
	if n.superfluous() {
		for _, each := range sorted(gather([]*node{n}, func(e *edge) bool { return e.to != n && e.valid() })) {
			each.detach()
		}
		return
	}
	if !down {
		return
	}
	for _, c := range sorted(setOf(n.children.list)) {
		t.prune(c, true)
	}
	for _, top := range sorted(setOf(n.tops)) {
		for _, c := range sorted(setOf(top.children.list)) {
			t.prune(c, true)
		}
	}
}

func setOf(list []*node) map[*node]bool {
	set := make(map[*node]bool, len(list))
	for _, n := range list {
		set[n] = true
	}
	return set
}

// superfluous reports whether all that use n would be content with what they would find
// without it, and that is not older.
func (n *node) superfluous() bool {
	if n.bundled || n.around() == nil || n.around().around() == nil {
		return false
	}
	if len(n.in) == 0 {
		return true
	}
	other := n.around().around().resolve(n.name)
	switch {
	case other == nil:
		return false
	case other.matches(n):
		return true
	case !other.canReplace(n, nil) || n.version() == "" || other.version() == "":
		return false
	}
	order := other.manifest.Version.Compare(n.manifest.Version)
	return order == 0 || order > 0 && !n.overridden()
}

// overridden reports whether an override chose the very version of n.
func (n *node) overridden() bool {
	if n.overrides == nil || n.overrides.value == "" || n.overrides.name != n.name {
		return false
	}
	for _, e := range n.in {
		if o := e.overrides; o != nil && o.name == n.name && o.value == n.version() && !o.equal(e.from.overrides) {
			return true
		}
	}
	return false
}

// placePeers places the peers that the new node does not find.
func (p *placement) placePeers() error {
	set := p.dep.parent
	if set == nil {
		return nil // another took its place in the set: the peers are found later
	}
	for _, e := range slices.Clone(p.placed.out.list) {
		if !e.peer() || e.valid() || e.conflicted {
			continue
		}
		dep := set.children.get(e.name)
		if dep == nil || !e.satisfiedBy(dep) {
			continue
		}
		child := &placement{t: p.t, dep: dep, edge: e, parent: p}
		p.children = append(p.children, child)
		if err := p.t.spendPlain(); err != nil {
			return err
		}
		if err := child.run(); err != nil {
			return err
		}
	}
	return nil
}

// isMine reports whether the peer set is placed for the project or a workspace, which
// can be told to mend a conflict.
func (p *placement) isMine() bool {
	for p.parent != nil {
		p = p.parent
	}
	from := p.edge.from
	if from.isProject() {
		return true
	}
	if !p.edge.peer() {
		return false
	}
	peers := false
	for _, e := range from.in {
		if e.peer() {
			peers = true
		} else if e.from.isProject() {
			return true
		}
	}
	if peers {
		entries, _ := peerEntries(from)
		for _, e := range entries {
			if e.from.isProject() {
				return true
			}
		}
	}
	return false
}
