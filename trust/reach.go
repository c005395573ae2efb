package trust

import (
	"slices"

	"github.com/ipfs/go-cid"
)

// A node is a key that a root leads to, on one way from there.
type node struct {
	key    int32
	before int32 // the node before it, or -1 for the root's own
	root   int32
	depth  int32 // how many delegations may start here
	other  int32 // 1 + another node by which the key decides, or 0
	by     int32 // which delegation by the key before, or:
}

const (
	byRoot      = -1
	bySuccessor = -2
)

// grow finds everybody who decides by the roots.
func (r *Ruling) grow() {
	r.nodes = make([]node, 0, 4*len(r.roots))
	g := growth{Ruling: r}
	for i := range r.roots {
		root := &r.roots[i]
		first := len(r.nodes)
		r.nodes = append(r.nodes, node{key: root.id, before: -1, root: int32(i), depth: int32(root.depth), by: byRoot})
		if root.expired || r.view.Denied(root.key) {
			continue
		}
		if root.follow {
			r.follow()
		}
		g.known = g.known[:0]
		for n := first; n < len(r.nodes); n++ {
			g.known = append(g.known, int32(n))
		}
		if root.depth > 0 {
			g.delegate()
		}
		r.last = append(r.last, make([]int32, len(r.list)-len(r.last))...)
		for _, n := range g.known {
			key := r.nodes[n].key
			r.nodes[n].other, r.last[key] = r.last[key], n+1
		}
	}
	r.findVoices()
}

// findVoices says whose voice everybody is who decides.
func (r *Ruling) findVoices() {
	for id := range r.last {
		if r.last[id] > 0 {
			voice := r.voiceOf(int32(id)) // may meet more keys
			r.list[id].voice = voice
		}
	}
	for i := range r.roots {
		root := &r.roots[i]
		if root.voice = r.list[root.id].voice; root.project {
			root.voice = -1
		}
	}
}

// follow adds the successors of the last node's key.
func (r *Ruling) follow() {
	chain, _ := r.chain(r.nodes[len(r.nodes)-1].key)
	for i := range chain {
		last := r.nodes[len(r.nodes)-1]
		r.nodes = append(r.nodes, node{key: chain[i].to, before: int32(len(r.nodes) - 1), root: last.root, depth: last.depth, by: bySuccessor})
	}
}

// growth is the search from one root after the other, level by level: what one
// more delegation leads to.
type growth struct {
	*Ruling
	known []int32 // by key the node that was found first, in order
	from  []int32 // the nodes of the level before
	found []int32 // nodes of keys that are new on this level
	wider []int32 // further nodes of known keys, which may delegate further

	search int32     // counts up by root
	marks  []mark    // by key
	fits   [][]int32 // by key: which delegations hold the name, once asked for
}

// A mark is what one search knows of a key.
type mark struct {
	search int32
	depth  int32 // how many delegations may start there at most
	found  int32 // 1 + where it stands in found; 0 when it was known before
}

// mark returns the mark of a key, of an earlier search when it is new to this one.
func (g *growth) mark(key int32) *mark {
	if n := len(g.list) - len(g.marks); n > 0 {
		g.marks = append(g.marks, make([]mark, n)...)
	}
	return &g.marks[key]
}

// delegate adds the keys that delegations lead to, those after the fewest first
// and then by fingerprint, until there are maxReached beside the first.
func (g *growth) delegate() {
	g.search++
	for _, n := range g.known {
		*g.mark(g.nodes[n].key) = mark{search: g.search, depth: g.nodes[n].depth}
	}
	for g.from = append(g.from[:0], g.known...); len(g.from) > 0; {
		g.found, g.wider = g.found[:0], g.wider[:0]
		for _, n := range g.from {
			if g.nodes[n].depth > 0 {
				g.step(n)
			}
		}
		for _, n := range g.found {
			g.mark(g.nodes[n].key).found = 0
		}
		slices.SortFunc(g.found, func(a, b int32) int { return g.compare(g.nodes[a].key, g.nodes[b].key) })
		g.found = g.found[:min(len(g.found), 1+maxReached-len(g.known))]
		g.known = append(g.known, g.found...)
		if len(g.known) > maxReached {
			return
		}
		g.from = append(append(g.from[:0], g.wider...), g.found...)
	}
}

// step takes every delegation of one node's key.
func (g *growth) step(n int32) {
	from := g.nodes[n]
	delegations := g.get(from.key).delegations
	for _, i := range g.fitting(from.key, delegations) {
		d := &delegations[i]
		to := node{key: g.meet(d.to), before: n, root: from.root, depth: min(from.depth-1, d.depth), by: i}
		m := g.mark(to.key)
		switch {
		case m.search != g.search:
			g.found = append(g.found, g.add(to))
			*m = mark{g.search, to.depth, int32(len(g.found))}
		case to.depth <= m.depth:
		case m.found > 0:
			m.depth = to.depth
			g.found[m.found-1] = g.add(to)
		default:
			m.depth = to.depth
			g.wider = append(g.wider, g.add(to))
		}
	}
}

// fitting returns the delegations by somebody that hold the name.
func (g *growth) fitting(id int32, delegations []delegation) []int32 {
	if n := len(g.list) - len(g.fits); n > 0 {
		g.fits = append(g.fits, make([][]int32, n)...)
	}
	if g.fits[id] == nil {
		fits := make([]int32, 0, len(delegations))
		for i := range delegations {
			if delegations[i].holds(g.name) {
				fits = append(fits, int32(i))
			}
		}
		g.fits[id] = fits
	}
	return g.fits[id]
}

func (g *growth) add(n node) int32 {
	g.nodes = append(g.nodes, n)
	return int32(len(g.nodes) - 1)
}

// decides reports whether a key is among those that decide.
func (r *Ruling) decides(id int32) bool { return id >= 0 && int(id) < len(r.last) && r.last[id] > 0 }

// way returns the steps by which a key decides: of several ways the one with the
// fewest, and of these the one from the first root.
func (r *Ruling) way(id int32) []Step {
	best, shortest := int32(-1), 0
	for n := r.last[id]; n > 0; n = r.nodes[n-1].other {
		length := 0
		for at := n - 1; at >= 0; at = r.nodes[at].before {
			length++
		}
		if best < 0 || length <= shortest { // those of earlier roots come later
			best, shortest = n-1, length
		}
	}
	return r.steps(best, shortest)
}

func (r *Ruling) steps(n int32, length int) []Step {
	steps := make([]Step, length)
	for i := length - 1; i >= 0; i-- {
		at := &r.nodes[n]
		s := Step{Key: r.list[at.key].key}
		switch root := &r.roots[at.root]; {
		case at.by >= 0:
			d := &r.list[r.nodes[at.before].key].person.delegations[at.by]
			s.Kind, s.Records = ByDelegation, []cid.Cid{d.record}
		case at.by == bySuccessor:
			next := &r.list[r.nodes[at.before].key].successors[0]
			s.Kind, s.Records = BySuccession, []cid.Cid{next.nominated, next.accepted}
		case root.line == 0:
			s.Kind = ByOwn
		default:
			s.Kind, s.Line, s.Project = ByLine, root.line, root.project
		}
		steps[i] = s
		n = at.before
	}
	return steps
}

// voices counts how many voices the keys have together: the most pairs of a
// signing voice and the voice of a root that it decides by, none twice.
func (r *Ruling) voices(keys []int32) int {
	if len(keys) < 2 {
		return len(keys)
	}
	rows := map[int32]int{}
	var may [][]int32 // by signing voice: the voices of roots
	for _, k := range keys {
		row, ok := rows[r.list[k].voice]
		if !ok {
			row = len(may)
			rows[r.list[k].voice] = row
			may = append(may, nil)
		}
		for n := r.last[k]; n > 0; n = r.nodes[n-1].other {
			may[row] = append(may[row], r.roots[r.nodes[n-1].root].voice)
		}
	}
	for i := range may {
		slices.Sort(may[i])
		may[i] = slices.Compact(may[i])
	}
	return matching(may)
}

// matching returns the size of the largest matching between the rows and what
// they list, by augmenting paths.
func matching(may [][]int32) int {
	taker := map[int32]int{}
	var take func(row int, tried map[int32]bool) bool
	take = func(row int, tried map[int32]bool) bool {
		for _, c := range may[row] {
			if _, taken := taker[c]; !taken {
				taker[c] = row
				return true
			}
		}
		for _, c := range may[row] {
			if tried[c] {
				continue
			}
			tried[c] = true
			if take(taker[c], tried) {
				taker[c] = row
				return true
			}
		}
		return false
	}
	size := 0
	for row := range may {
		if take(row, map[int32]bool{}) {
			size++
		}
	}
	return size
}
