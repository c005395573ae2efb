// Package delegation finds the keys that decide about a name: those that the roots (key
// lines of a trust file) give it to, and those that successions and delegations lead to
// from there (SPEC.md [T29] to [T31]); and which of them are one voice ([T34]).
//
// Which statements take part is decided before: KeyFacts has only those.
package delegation

import (
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// Limits on what one root leads to (SPEC.md [T29] and [T31]).
const (
	maxChain = 32 // keys in a chain of successors, the first included
	maxKeys  = 32 // keys beside the root's own
)

// KeyFacts are the statements by one key that take part.
type KeyFacts struct {
	Delegations []Edge // in force, sorted by key, each key once
	Nominated   []Link // whom it names as its successor, sorted by key, each key once
	Accepted    []Link // whom it says that it succeeds, sorted by key, each key once
}

// An Edge is a delegation to another key.
type Edge struct {
	To     records.Fingerprint
	Depth  int // how many delegations may follow
	Scopes []records.Scope
	Record cid.Cid
}

func (e *Edge) holds(name records.Name) bool {
	return slices.ContainsFunc(e.Scopes, func(s records.Scope) bool { return s.Contains(name) })
}

// A Link is one key's half of a succession.
type Link struct {
	Key    records.Fingerprint // the other key
	Record cid.Cid
}

// A Root is a key to which a line of a trust file gives the name.
type Root struct {
	Key     records.Fingerprint
	Depth   int
	Follow  bool // successors decide too
	Denied  bool
	Expired bool
	// Shared says that all roots of which it is set are one voice together.
	Shared bool
	// Registry is not 0 for the key of a registry: those with one number are one voice.
	Registry int
}

// Kind says how a step of a path leads to its key.
type Kind int

const (
	AtRoot       Kind = iota
	BySuccession      // it succeeds the key before it
	ByDelegation      // the key before it delegated to it
)

// A Step is one key of a path.
type Step struct {
	Kind    Kind
	Key     records.Fingerprint
	Records []cid.Cid // the delegation, or both halves of the succession
}

// A Graph is who decides about one name. It is immutable and may be used by several
// goroutines.
type Graph struct {
	name    records.Name
	facts   func(records.Fingerprint) *KeyFacts
	ids     map[records.Fingerprint]int32
	keys    []keyNode             // elsewhere an int32 is the place of one
	missing []records.Fingerprint // whose facts were wanted and not at hand

	roots []rootNode
	hops  []hop
	last  []int32 // by key: 1 + the last hop by which it decides, or 0
}

// A keyNode is a key that matters to the graph.
type keyNode struct {
	key        records.Fingerprint
	facts      *KeyFacts // nil until it is asked for
	chained    bool      // successors are found
	successors []successor
	voice      int32 // of all keys that are one voice the one that stands for them
}

type successor struct {
	to                  int32
	nominated, accepted cid.Cid
}

type rootNode struct {
	Root
	id    int32
	voice int32 // -1 for Shared
}

// Walk finds all keys that decide by the roots about the name. The function facts returns
// what is known of a key, or nil where that is not at hand: then the key is among
// Missing, and the graph is not complete. It is called during Walk alone.
func Walk(name records.Name, roots []Root, facts func(records.Fingerprint) *KeyFacts) *Graph {
	g := &Graph{
		name:  name,
		facts: facts,
		ids:   make(map[records.Fingerprint]int32, 2*len(roots)),
		keys:  make([]keyNode, 0, 2*len(roots)),
		roots: make([]rootNode, len(roots)),
	}
	for i := range roots {
		g.roots[i] = rootNode{Root: roots[i], id: g.intern(roots[i].Key)}
	}
	g.walk()
	for i := range g.roots { // for Successors, which others may ask for later
		if !g.roots[i].Denied {
			g.successors(g.roots[i].id)
		}
	}
	return g
}

// Missing returns the keys whose facts were wanted and not at hand.
func (g *Graph) Missing() []records.Fingerprint { return g.missing }

// Decides reports whether a key is among those that decide.
func (g *Graph) Decides(key records.Fingerprint) bool { return g.decides(g.id(key)) }

func (g *Graph) decides(id int32) bool { return id >= 0 && int(id) < len(g.last) && g.last[id] > 0 }

// Deciders returns all keys that decide, in the order in which they were met.
func (g *Graph) Deciders() []records.Fingerprint {
	var keys []records.Fingerprint
	for id := range g.last {
		if g.last[id] > 0 {
			keys = append(keys, g.keys[id].key)
		}
	}
	return keys
}

// Successors returns the keys that succeed that of a root, sorted; none of a root that
// is denied.
func (g *Graph) Successors(root int) []records.Fingerprint {
	var keys []records.Fingerprint
	for _, next := range g.keys[g.roots[root].id].successors {
		keys = append(keys, g.keys[next.to].key)
	}
	return keys
}

// Path returns the steps by which a key decides, and the place of the root among those of
// Walk: of several paths the one with the fewest steps, and of these the one from the
// first root. A key that does not decide has none.
func (g *Graph) Path(key records.Fingerprint) (root int, path []Step) {
	id := g.id(key)
	if !g.decides(id) {
		return -1, nil
	}
	best, shortest := int32(-1), 0
	for n := g.last[id]; n > 0; n = g.hops[n-1].other {
		length := 0
		for at := n - 1; at >= 0; at = g.hops[at].before {
			length++
		}
		if best < 0 || length <= shortest { // those of earlier roots come later
			best, shortest = n-1, length
		}
	}
	return int(g.hops[best].root), g.steps(best, shortest)
}

func (g *Graph) steps(n int32, length int) []Step {
	steps := make([]Step, length)
	for i := length - 1; i >= 0; i-- {
		at := &g.hops[n]
		s := Step{Key: g.keys[at.key].key}
		switch {
		case at.by >= 0:
			s.Kind, s.Records = ByDelegation, []cid.Cid{g.keys[g.hops[at.before].key].facts.Delegations[at.by].Record}
		case at.by == bySuccessor:
			next := &g.keys[g.hops[at.before].key].successors[0]
			s.Kind, s.Records = BySuccession, []cid.Cid{next.nominated, next.accepted}
		}
		steps[i] = s
		n = at.before
	}
	return steps
}
