package trust

import (
	"cmp"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A person is what a key says of other keys, as far as it takes part, and what is
// known of it.
type person struct {
	delegations []delegation // in force, to keys that are not denied, sorted by key
	nominated   []half       // whom it names as its successor, sorted by key
	accepted    []half       // whom it says that it succeeds, sorted by key
	lateGrants  []lateGrant  // what does not take part for that, sorted by record
	equivocated bool
}

type delegation struct {
	to     records.Fingerprint
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

// A half is one key's part of a succession.
type half struct {
	other  records.Fingerprint
	record cid.Cid
}

// learn makes a person of all facts by a key. What a denied key says never counts.
func (v *View) learn(key records.Fingerprint, facts *Facts) *person {
	p := &person{equivocated: len(facts.Equivocated) > 0}
	if v.Denied(key) {
		return p
	}
	newest := map[records.Fingerprint]*Delegation{}
	for i := range facts.Delegations {
		d := &facts.Delegations[i]
		if d.takesPart() && d.Late && len(d.Scopes) > 0 {
			p.lateGrants = append(p.lateGrants, lateGrant{d.Record, d.Time, d.To})
			continue
		}
		if old := newest[d.To]; d.takesPart() && (old == nil || d.compareNewest(&old.Statement) > 0) {
			newest[d.To] = d
		}
	}
	for to, d := range newest {
		if len(d.Scopes) > 0 && v.now.Before(d.Until) && !v.Denied(to) {
			p.delegations = append(p.delegations, delegation{to, int32(d.Depth), d.Scopes, d.Record})
		}
	}
	slices.SortFunc(p.delegations, func(a, b delegation) int { return a.to.Compare(b.to) })
	p.nominated = halves(facts.Successions, func(s *Succession) records.Fingerprint { return s.To })
	p.accepted = halves(facts.Successions, func(s *Succession) records.Fingerprint {
		if !s.To.IsZero() {
			return records.Fingerprint{}
		}
		return s.From
	})
	for i := range facts.Successions {
		if s := &facts.Successions[i]; s.takesPart() && s.Late && !s.To.IsZero() {
			p.lateGrants = append(p.lateGrants, lateGrant{s.Record, s.Time, s.To})
		}
	}
	slices.SortFunc(p.lateGrants, func(a, b lateGrant) int { return cmp.Compare(a.record.KeyString(), b.record.KeyString()) })
	p.lateGrants = slices.Compact(p.lateGrants)
	return p
}

// A lateGrant is a statement that would let another key decide, and may have been
// dated back.
type lateGrant struct {
	record cid.Cid
	time   time.Time // as it says
	to     records.Fingerprint
}

// halves lists the other keys that successions name in one role. Of several
// records that say the same, which one is shown is fixed.
func halves(ss []Succession, other func(*Succession) records.Fingerprint) []half {
	var list []half
	for i := range ss {
		if s := &ss[i]; s.inTime() && !other(s).IsZero() {
			list = append(list, half{other(s), s.Record})
		}
	}
	slices.SortFunc(list, func(a, b half) int {
		return cmp.Or(a.other.Compare(b.other), cmp.Compare(a.record.KeyString(), b.record.KeyString()))
	})
	return slices.CompactFunc(list, func(a, b half) bool { return a.other == b.other })
}

// people are the keys that matter to a ruling, in the order in which they came up;
// elsewhere in the package an int32 is the place of one.
type people struct {
	view    *View
	list    []member
	ids     map[records.Fingerprint]int32
	missing []records.Fingerprint // whose facts were wanted and not at hand
}

type member struct {
	key        records.Fingerprint
	person     *person // nil until it is asked for
	chained    bool    // successors are found
	successors []successor
	voice      int32 // of all keys that are one voice the one that stands for them
}

type successor struct {
	to                  int32
	nominated, accepted cid.Cid
}

// id returns the place of the key, or -1.
func (p *people) id(key records.Fingerprint) int32 {
	if id, ok := p.ids[key]; ok {
		return id
	}
	return -1
}

// meet returns the place of the key, a new one if need be.
func (p *people) meet(key records.Fingerprint) int32 {
	id, ok := p.ids[key]
	if !ok {
		id = int32(len(p.list))
		p.ids[key] = id
		p.list = append(p.list, member{key: key, voice: -1})
	}
	return id
}

var nobody = &person{}

// get returns what somebody says, and notes when that is not at hand.
func (p *people) get(id int32) *person {
	m := &p.list[id]
	if m.person == nil {
		if m.person = p.view.known[m.key]; m.person == nil {
			m.person = nobody
			if p.view.load != nil {
				p.missing = append(p.missing, m.key)
			}
		}
	}
	return m.person
}

// successors returns the keys that somebody named as successor and that accepted,
// sorted by key.
func (p *people) successors(id int32) []successor {
	if p.list[id].chained {
		return p.list[id].successors
	}
	key := p.list[id].key
	var list []successor
	for _, n := range p.get(id).nominated {
		if n.other == key {
			continue
		}
		to := p.meet(n.other)
		accepted := p.get(to).accepted
		if i, ok := slices.BinarySearchFunc(accepted, key, func(h half, k records.Fingerprint) int { return h.other.Compare(k) }); ok {
			list = append(list, successor{to, n.record, accepted[i].record})
		}
	}
	p.list[id].successors, p.list[id].chained = list, true
	return list
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
		next := p.successors(at)
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
	if len(p.successors(id)) == 0 {
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
	return slices.MinFunc(path[loop:], p.compare)
}

// compare orders keys by fingerprint.
func (p *people) compare(a, b int32) int { return p.list[a].key.Compare(p.list[b].key) }
