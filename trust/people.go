package trust

import (
	"bytes"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// people are the keys that a basis speaks of, sorted by fingerprint; elsewhere in
// the package an int32 is the place of one.
type people struct {
	list []person
	ids  map[records.Fingerprint]int32
}

// A person is a key, with the facts about it that take part.
type person struct {
	key         records.Fingerprint
	denied      int // the line that says so, or 0
	label       string
	equivocated bool
	voice       int32        // one of all keys that are one voice with this one
	delegations []delegation // in force, by the key that they are to
	successors  []successor  // by their keys
}

type delegation struct {
	to     int32
	depth  int32
	scopes []records.Scope
	record cid.Cid
}

func (d *delegation) holds(name records.Name) bool {
	for _, s := range d.scopes {
		if s.Contains(name) {
			return true
		}
	}
	return false
}

type successor struct {
	to                  int32
	nominated, accepted cid.Cid
}

// people finds everybody whom the lines, own keys and facts name.
func (b *Basis) people(entries [][]Entry, denials []Denial) people {
	p := people{ids: map[records.Fingerprint]int32{}}
	add := func(key records.Fingerprint) {
		if _, ok := p.ids[key]; !ok {
			p.ids[key] = 0
			p.list = append(p.list, person{key: key})
		}
	}
	for _, es := range entries {
		for i := range es {
			add(es[i].Fingerprint)
		}
	}
	for _, d := range denials {
		add(d.Fingerprint)
	}
	for _, key := range b.Own {
		add(key)
	}
	for i := range b.Facts.Delegations {
		add(b.Facts.Delegations[i].Author)
		add(b.Facts.Delegations[i].To)
	}
	for i := range b.Facts.Successions {
		s := &b.Facts.Successions[i]
		add(s.Author)
		if s.To.IsZero() {
			add(s.From)
		} else {
			add(s.To)
		}
	}
	p.sort()
	return p
}

// sort gives everybody their place.
func (p *people) sort() {
	type place struct {
		bytes []byte
		person
	}
	places := make([]place, len(p.list))
	for i := range p.list {
		places[i] = place{p.list[i].key.Bytes(), p.list[i]}
	}
	slices.SortFunc(places, func(a, b place) int { return bytes.Compare(a.bytes, b.bytes) })
	for i := range places {
		p.list[i] = places[i].person
		p.ids[places[i].key] = int32(i)
	}
}

// id returns the place of the key, or -1.
func (p *people) id(key records.Fingerprint) int32 {
	if id, ok := p.ids[key]; ok {
		return id
	}
	return -1
}

// learn takes in the facts. Everybody who is denied is known by then.
func (p *people) learn(facts *Facts, now time.Time) {
	for _, key := range facts.Equivocated {
		if id, ok := p.ids[key]; ok {
			p.list[id].equivocated = true
		}
	}
	p.learnDelegations(facts.Delegations, now)
	p.learnSuccessions(facts.Successions)
	for i := range p.list {
		p.list[i].voice = p.voiceOf(int32(i))
	}
}

type pair struct{ from, to int32 }

func (p *people) learnDelegations(ds []Delegation, now time.Time) {
	newest := make(map[pair]int, len(ds))
	for i := range ds {
		d := &ds[i]
		if !d.takesPart() {
			continue
		}
		between := pair{p.ids[d.Author], p.ids[d.To]}
		if old, ok := newest[between]; !ok || d.compareNewest(&ds[old].Statement) > 0 {
			newest[between] = i
		}
	}
	for between, i := range newest {
		d, from := &ds[i], &p.list[between.from] // a denied one is never asked
		if len(d.Scopes) > 0 && now.Before(d.Until) && p.list[between.to].denied == 0 {
			from.delegations = append(from.delegations, delegation{between.to, int32(d.Depth), d.Scopes, d.Record})
		}
	}
	for i := range p.list {
		slices.SortFunc(p.list[i].delegations, func(a, b delegation) int { return int(a.to - b.to) })
	}
}

func (p *people) learnSuccessions(ss []Succession) {
	nominated, accepted := map[pair]cid.Cid{}, map[pair]cid.Cid{}
	for i := range ss {
		s := &ss[i]
		if !s.takesPart() || p.list[p.ids[s.Author]].denied != 0 {
			continue
		}
		half, move := nominated, pair{p.ids[s.Author], p.ids[s.To]}
		if s.To.IsZero() {
			half, move = accepted, pair{p.ids[s.From], p.ids[s.Author]}
		}
		// Of several records that say the same, which one is shown is fixed.
		if old, ok := half[move]; !ok || s.Record.KeyString() < old.KeyString() {
			half[move] = s.Record
		}
	}
	for move, record := range nominated {
		if other, ok := accepted[move]; ok && move.from != move.to {
			from := &p.list[move.from]
			from.successors = append(from.successors, successor{move.to, record, other})
		}
	}
	for i := range p.list {
		slices.SortFunc(p.list[i].successors, func(a, b successor) int { return int(a.to - b.to) })
	}
}

// Limits on what one line leads to.
const (
	maxChain   = 32 // keys in a chain of successors, the first included
	maxReached = 32 // keys beside the line's own
)

// chain returns the successors of a key, in order. It ends before a key that it
// has already; then loop is where that one is, counted from the key itself, and
// else -1.
func (p *people) chain(id int32) (chain []successor, loop int) {
	at := id
	for {
		next := p.list[at].successors
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
func (p *people) voiceOf(id int32) int32 {
	if len(p.list[id].successors) == 0 {
		return id
	}
	chain, loop := p.chain(id)
	path := []int32{id}
	for _, s := range chain {
		path = append(path, s.to)
	}
	if loop < 0 {
		return path[len(path)-1]
	}
	return slices.Min(path[loop:])
}
