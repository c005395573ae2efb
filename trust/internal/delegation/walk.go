package delegation

import "slices"

// A hop is a key that a root leads to, on one path from there.
type hop struct {
	key    int32
	before int32 // the hop before it, or -1 for the root's own
	root   int32
	depth  int32 // how many delegations may start here
	other  int32 // 1 + another hop by which the key decides, or 0
	by     int32 // which delegation by the key before, or:
}

const (
	byRoot      = -1
	bySuccessor = -2
)

// walk finds all keys that decide by the roots.
func (g *Graph) walk() {
	g.hops = make([]hop, 0, 4*len(g.roots))
	s := search{Graph: g}
	for i := range g.roots {
		root := &g.roots[i]
		first := len(g.hops)
		g.hops = append(g.hops, hop{key: root.id, before: -1, root: int32(i), depth: int32(root.Depth), by: byRoot})
		if root.Expired || root.Denied {
			continue
		}
		if root.Follow {
			g.follow()
		}
		s.known = s.known[:0]
		for n := first; n < len(g.hops); n++ {
			s.known = append(s.known, int32(n))
		}
		if root.Depth > 0 {
			s.delegate()
		}
		g.last = append(g.last, make([]int32, len(g.keys)-len(g.last))...)
		for _, n := range s.known {
			key := g.hops[n].key
			g.hops[n].other, g.last[key] = g.last[key], n+1
		}
	}
	g.findVoices()
}

// findVoices finds the voice of each key that decides.
func (g *Graph) findVoices() {
	for id := range g.last {
		if g.last[id] > 0 {
			voice := g.voiceOf(int32(id)) // may add keys
			g.keys[id].voice = voice
		}
	}
	first := map[int]int32{} // by registry: the voice of its first key
	for i := range g.roots {
		root := &g.roots[i]
		if root.Registry != 0 && g.keys[root.id].voice >= 0 {
			if voice, ok := first[root.Registry]; ok {
				g.keys[root.id].voice = voice
			} else {
				first[root.Registry] = g.keys[root.id].voice
			}
		}
	}
	for i := range g.roots {
		root := &g.roots[i]
		if root.voice = g.keys[root.id].voice; root.Shared {
			root.voice = -1
		}
	}
}

// follow adds the successors of the last hop's key.
func (g *Graph) follow() {
	chain, _ := g.chain(g.hops[len(g.hops)-1].key)
	for i := range chain {
		last := g.hops[len(g.hops)-1]
		g.hops = append(g.hops, hop{key: chain[i].to, before: int32(len(g.hops) - 1), root: last.root, depth: last.depth, by: bySuccessor})
	}
}

// search is the walk from one root after the other, level by level: what one
// more delegation leads to.
type search struct {
	*Graph
	known []int32 // by key the hop that was found first, in order
	from  []int32 // the hops of the level before
	found []int32 // hops of keys that are new on this level
	wider []int32 // further hops of known keys, which may delegate further

	round int32     // counts up by root
	marks []mark    // by key
	fits  [][]int32 // by key: which delegations hold the name, once asked for
}

// A mark is what one search knows of a key.
type mark struct {
	round int32
	depth int32 // how many delegations may start there at most
	found int32 // 1 + where it stands in found; 0 when it was known before
}

// mark returns the mark of a key, of an earlier search when it is new to this one.
func (s *search) mark(key int32) *mark {
	if n := len(s.keys) - len(s.marks); n > 0 {
		s.marks = append(s.marks, make([]mark, n)...)
	}
	return &s.marks[key]
}

// delegate adds the keys that delegations lead to, those after the fewest first
// and then by fingerprint, until there are maxKeys beside the first.
func (s *search) delegate() {
	s.round++
	for _, n := range s.known {
		*s.mark(s.hops[n].key) = mark{round: s.round, depth: s.hops[n].depth}
	}
	for s.from = append(s.from[:0], s.known...); len(s.from) > 0; {
		s.found, s.wider = s.found[:0], s.wider[:0]
		for _, n := range s.from {
			if s.hops[n].depth > 0 {
				s.step(n)
			}
		}
		for _, n := range s.found {
			s.mark(s.hops[n].key).found = 0
		}
		slices.SortFunc(s.found, func(a, b int32) int { return s.compare(s.hops[a].key, s.hops[b].key) })
		s.found = s.found[:min(len(s.found), 1+maxKeys-len(s.known))]
		s.known = append(s.known, s.found...)
		if len(s.known) > maxKeys {
			return
		}
		s.from = append(append(s.from[:0], s.wider...), s.found...)
	}
}

// step takes every delegation of one hop's key.
func (s *search) step(n int32) {
	from := s.hops[n]
	delegations := s.factsOf(from.key).Delegations
	for _, i := range s.fitting(from.key, delegations) {
		d := &delegations[i]
		to := hop{key: s.intern(d.To), before: n, root: from.root, depth: min(from.depth-1, int32(d.Depth)), by: i}
		m := s.mark(to.key)
		switch {
		case m.round != s.round:
			s.found = append(s.found, s.add(to))
			*m = mark{s.round, to.depth, int32(len(s.found))}
		case to.depth <= m.depth:
		case m.found > 0:
			m.depth = to.depth
			s.found[m.found-1] = s.add(to)
		default:
			m.depth = to.depth
			s.wider = append(s.wider, s.add(to))
		}
	}
}

// fitting returns the places of the delegations by a key that hold the name.
func (s *search) fitting(id int32, delegations []Edge) []int32 {
	if n := len(s.keys) - len(s.fits); n > 0 {
		s.fits = append(s.fits, make([][]int32, n)...)
	}
	if s.fits[id] == nil {
		fits := make([]int32, 0, len(delegations))
		for i := range delegations {
			if delegations[i].holds(s.name) {
				fits = append(fits, int32(i))
			}
		}
		s.fits[id] = fits
	}
	return s.fits[id]
}

func (s *search) add(h hop) int32 {
	s.hops = append(s.hops, h)
	return int32(len(s.hops) - 1)
}
