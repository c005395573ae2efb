package idealtree

// verdict says whether a release can be put into a node_modules.
type verdict uint8

const (
	undecided verdict = iota
	conflict          // no
	free              // nothing has its name there
	replaces          // yes, in place of what is there
	keep              // what is there will do
)

// A check finds whether dep, with its peers, can be put into the node_modules of target
// for an edge. It changes nothing.
type check struct {
	dep    *node
	target *node
	edge   *edge
	parent *check // of a peer: the check of who needs it
	path   []*node
	dedupe bool // what is there is preferred to a later version

	children []*check
	current  *node
	entry    *edge // for which the whole peer set is placed
	override bool  // it was decided that the edge gets something else than it asks for

	verdict verdict
	self    verdict // without its peers
	peers   verdict
}

func (c *check) run() *check {
	c.dedupe = c.dedupe || c.edge.peer()
	c.entry = c.edge
	for p := c.parent; p != nil; p = p.parent {
		c.entry = p.edge
	}
	c.current = c.target.children.get(c.edge.name)
	c.override = !c.edge.satisfiedBy(c.dep)
	c.verdict = c.decide()
	if c.self == undecided {
		c.self = c.verdict
	}
	return c
}

func (c *check) decide() verdict {
	if c.dep.err != nil {
		if c.current != nil {
			return replaces
		}
		return free
	}
	own := c.target.out.get(c.edge.name)
	if own != nil && own.peer() && !c.target.isTop() {
		return conflict // peers stand beside who needs them
	}
	if c.current != nil {
		return c.overCurrent()
	}
	if own != nil && own != c.edge && !own.satisfiedBy(c.dep) {
		return conflict
	}
	return c.shadowing()
}

// shadowing decides where nothing has the name: what is further up under it may be
// needed from below here.
func (c *check) shadowing() verdict {
	if c.target != c.entry.from {
		if above := c.target.resolve(c.edge.name); above != nil {
			for _, e := range above.in {
				c.dep.t.work++
				if !e.satisfiedBy(c.dep) && e.valid() && e.from.within(c.target) {
					return conflict
				}
			}
		}
	}
	return c.withPeers(free)
}

func (c *check) overCurrent() verdict {
	if c.dep.matches(c.current) && (c.override || c.edge.satisfiedBy(c.current)) {
		return keep
	}
	later := c.current.version() != "" && c.dep.version() != "" && c.dep.manifest.Version.Compare(c.current.manifest.Version) >= 0
	if later && c.dep.canReplace(c.current, nil) {
		if v := c.withPeers(replaces); v != conflict {
			return v
		}
	}
	if c.edge.satisfiedBy(c.current) {
		return keep
	}
	if c.dedupe && !later && c.dep.canReplace(c.current, nil) {
		if v := c.withPeers(replaces); v != conflict {
			return v
		}
	}
	if c.target != c.deepest() {
		return conflict // it can stand deeper
	}
	if !c.edge.peer() && c.target == c.edge.from {
		return c.withPeers(replaces) // it can stand nowhere else
	}
	if c.parent == nil && !c.edge.peer() {
		return conflict
	}
	if c.currentCanGo() {
		return c.withPeers(replaces)
	}
	return conflict
}

// currentCanGo reports whether each peer set that what is there belongs to can be
// replaced by the new one, or can stand deeper.
func (c *check) currentCanGo() bool {
	if c.dep.parent == nil {
		return false // another took its place in the peer set
	}
	entries, sets := peerEntries(c.current)
	for _, e := range entries {
		if e == c.edge || e == c.entry {
			continue
		}
		if rep := c.dep.parent.children.get(e.to.name); rep != nil {
			names := make(map[string]bool)
			for _, n := range c.dep.parent.children.list {
				names[n.name] = true
			}
			if rep.canReplace(e.to, names) {
				continue
			}
		} else if c.suits(e.to) {
			continue
		}
		for _, p := range sets[e] {
			if deep := deepest(e.from, p.name); deep == c.target || c.target.within(deep) {
				return false
			}
		}
	}
	return true
}

// suits reports whether a peer set that stands here would be content with the members of
// the new one.
func (c *check) suits(entry *node) bool {
	all, seen := []*node{entry}, map[*node]bool{entry: true}
	for i := 0; i < len(all); i++ {
		for _, e := range all[i].out.list {
			c.dep.t.work++
			if !e.peer() || !e.valid() {
				continue
			}
			rep := c.dep.parent.children.get(e.name)
			switch {
			case rep != nil && !e.satisfiedBy(rep):
				return false
			case rep == nil && e.to != nil && !seen[e.to]:
				seen[e.to] = true
				all = append(all, e.to)
			}
		}
	}
	return true
}

// withPeers decides v unless a peer of the release cannot be put here or above.
func (c *check) withPeers(v verdict) verdict {
	c.self = v
	if c.peers != undecided {
		return c.peers
	}
	path := append(c.path[:len(c.path):len(c.path)], c.dep)
	c.peers = v
	for _, e := range c.dep.out.list {
		if !e.peer() || e.to == nil || contains(path, e.to) {
			continue
		}
		child := &check{dep: e.to, target: deepest(c.target, e.to.name), parent: c, edge: e, path: path, dedupe: true}
		c.dep.t.work += 1 + len(path)
		c.children = append(c.children, child)
		if len(path) > maxNesting || c.dep.t.exhausted() {
			child.verdict, child.self = conflict, conflict
		} else {
			child.run()
		}
		if child.verdict == conflict {
			c.peers = conflict
		}
	}
	return c.peers
}

func contains(path []*node, n *node) bool {
	for _, p := range path {
		if p == n {
			return true
		}
	}
	return false
}

// deepest is the lowest node_modules, from that of n upwards, that a package of this
// name may be put into: not that of who has it as a peer.
func deepest(n *node, name string) *node {
	for {
		up := n.around()
		if up == nil || n.isRoot() {
			return n
		}
		if e := n.out.get(name); e == nil || !e.peer() {
			return n
		}
		n = up
	}
}

func (c *check) deepest() *node {
	if c.parent != nil {
		return deepest(c.parent.deepest(), c.edge.name)
	}
	return deepest(c.edge.from, c.edge.name)
}
