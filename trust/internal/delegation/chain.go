package delegation

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// id returns the place of the key, or -1.
func (g *Graph) id(key records.Fingerprint) int32 {
	if id, ok := g.ids[key]; ok {
		return id
	}
	return -1
}

// intern returns the place of the key, a new one if need be.
func (g *Graph) intern(key records.Fingerprint) int32 {
	id, ok := g.ids[key]
	if !ok {
		id = int32(len(g.keys))
		g.ids[key] = id
		g.keys = append(g.keys, keyNode{key: key, voice: -1})
	}
	return id
}

var noFacts = &KeyFacts{}

// factsOf returns what a key says, and notes when that is not at hand.
func (g *Graph) factsOf(id int32) *KeyFacts {
	k := &g.keys[id]
	if k.facts == nil {
		if k.facts = g.facts(k.key); k.facts == nil {
			k.facts = noFacts
			g.missing = append(g.missing, k.key)
		}
	}
	return k.facts
}

// successors returns the keys that a key named as successor and that accepted,
// sorted by key.
func (g *Graph) successors(id int32) []successor {
	if g.keys[id].chained {
		return g.keys[id].successors
	}
	key := g.keys[id].key
	var list []successor
	for _, n := range g.factsOf(id).Nominated {
		if n.Key == key {
			continue
		}
		to := g.intern(n.Key)
		accepted := g.factsOf(to).Accepted
		if i, ok := slices.BinarySearchFunc(accepted, key, func(l Link, k records.Fingerprint) int { return l.Key.Compare(k) }); ok {
			list = append(list, successor{to, n.Record, accepted[i].Record})
		}
	}
	g.keys[id].successors, g.keys[id].chained = list, true
	return list
}

// chain returns the successors of a key, in order. It ends before a key that it
// has already; then loop is where that one is, counted from the key itself, and
// else -1.
func (g *Graph) chain(id int32) (chain []successor, loop int) {
	at := id
	for {
		next := g.successors(at)
		if len(next) != 1 {
			return chain, -1
		}
		at = next[0].to
		if at == id {
			return chain, 0
		}
		if i := slices.IndexFunc(chain, func(s successor) bool { return s.to == at }); i >= 0 {
			return chain, i + 1
		}
		if len(chain)+1 == maxChain {
			return chain, -1
		}
		chain = append(chain, next[0])
	}
}

// voiceOf returns a key that stands for all keys that are one voice with this one.
func (g *Graph) voiceOf(id int32) int32 {
	if len(g.successors(id)) == 0 {
		return id
	}
	chain, loop := g.chain(id)
	all := []int32{id}
	for _, s := range chain {
		all = append(all, s.to)
	}
	if loop < 0 {
		return all[len(all)-1]
	}
	return slices.MinFunc(all[loop:], g.compare)
}

// compare orders keys by fingerprint.
func (g *Graph) compare(a, b int32) int { return g.keys[a].key.Compare(g.keys[b].key) }
