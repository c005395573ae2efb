package trust

import (
	"cmp"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/internal/delegation"
)

// keyFacts are the statements by one key that take part, and what is known of it.
type keyFacts struct {
	delegation.KeyFacts
	backdatedGrants []backdatedGrant // what does not take part since it is backdated, sorted by record
	equivocated     bool
}

// A backdatedGrant is a statement that would let another key decide, and may have been
// backdated.
type backdatedGrant struct {
	record cid.Cid
	time   time.Time // as it says
	to     records.Fingerprint
}

var noFacts = &keyFacts{}

// keyFacts returns what takes part of all facts by a key (SPEC.md section 9.3). What a
// denied key says never counts.
func (ev *Evaluator) keyFacts(key records.Fingerprint, facts *Facts) *keyFacts {
	k := &keyFacts{equivocated: len(facts.Equivocated) > 0}
	if ev.Denied(key) {
		return k
	}
	newest := map[records.Fingerprint]*Delegation{}
	for i := range facts.Delegations {
		d := &facts.Delegations[i]
		if d.takesPart() && d.Backdated && len(d.Scopes) > 0 {
			k.backdatedGrants = append(k.backdatedGrants, backdatedGrant{d.Record, d.Time, d.To})
			continue
		}
		if old := newest[d.To]; d.takesPart() && (old == nil || d.compareNewest(&old.Statement) > 0) {
			newest[d.To] = d
		}
	}
	for to, d := range newest {
		if len(d.Scopes) > 0 && ev.now.Before(d.Until) && !ev.Denied(to) {
			k.Delegations = append(k.Delegations, delegation.Edge{To: to, Depth: d.Depth, Scopes: d.Scopes, Record: d.Record})
		}
	}
	slices.SortFunc(k.Delegations, func(a, b delegation.Edge) int { return a.To.Compare(b.To) })
	k.Nominated = links(facts.Successions, func(s *Succession) records.Fingerprint { return s.To })
	k.Accepted = links(facts.Successions, func(s *Succession) records.Fingerprint {
		if !s.To.IsZero() {
			return records.Fingerprint{}
		}
		return s.From
	})
	for i := range facts.Successions {
		if s := &facts.Successions[i]; s.takesPart() && s.Backdated && !s.To.IsZero() {
			k.backdatedGrants = append(k.backdatedGrants, backdatedGrant{s.Record, s.Time, s.To})
		}
	}
	slices.SortFunc(k.backdatedGrants, func(a, b backdatedGrant) int { return cmp.Compare(a.record.KeyString(), b.record.KeyString()) })
	k.backdatedGrants = slices.Compact(k.backdatedGrants)
	return k
}

// links lists the other keys that successions name in one role. Of several
// records that say the same, which one is shown is fixed.
func links(all []Succession, other func(*Succession) records.Fingerprint) []delegation.Link {
	var list []delegation.Link
	for i := range all {
		if s := &all[i]; s.inTime() && !other(s).IsZero() {
			list = append(list, delegation.Link{Key: other(s), Record: s.Record})
		}
	}
	slices.SortFunc(list, func(a, b delegation.Link) int {
		return cmp.Or(a.Key.Compare(b.Key), cmp.Compare(a.Record.KeyString(), b.Record.KeyString()))
	})
	return slices.CompactFunc(list, func(a, b delegation.Link) bool { return a.Key == b.Key })
}
