package trust

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A Statement is what every signed record says of itself, as far as trust needs it.
type Statement struct {
	Author records.Fingerprint
	Record cid.Cid
	Seq    int64
	Time   time.Time // as the record says
	// Void says why the signature does not count under what is known of the
	// author's key; "" when it counts.
	Void string
	// Withdrawn is whether the author took the record back by a notice.
	Withdrawn bool
}

func (s *Statement) takesPart() bool { return s.Void == "" && !s.Withdrawn }

// compareNewest orders an author's statements about one thing: the newest is the greatest.
func (s *Statement) compareNewest(t *Statement) int {
	return cmp.Or(
		cmp.Compare(s.Seq, t.Seq),
		s.Time.Compare(t.Time),
		cmp.Compare(s.Record.KeyString(), t.Record.KeyString()),
	)
}

// A Delegation lets To speak for its author on names in all of Scopes' union.
type Delegation struct {
	Statement
	To     records.Fingerprint
	Scopes []records.Scope // none takes earlier delegations to the key back
	Depth  int             // how many delegations may follow
	Until  time.Time       // the first moment at which it is over
}

// A Succession is one half of a move from an old key to a new one: the old key
// sets To, the new one From.
type Succession struct {
	Statement
	To, From records.Fingerprint
}

// Facts are statements about keys, by anybody, in any order. Those by keys that
// no line of a trust file leads to change nothing.
type Facts struct {
	Delegations []Delegation
	Successions []Succession
	// Equivocated are keys of which a proof of equivocation is known.
	Equivocated []records.Fingerprint
}

// Gather collects the facts that matter to a view of the basis: load is asked, a
// few times, for the statements by some authors and returns them. Facts that the
// basis has already are not looked at.
func Gather(b Basis, load func(authors []records.Fingerprint) (Facts, error)) (Facts, error) {
	var all Facts
	depth := b.lineDepths()
	facts := map[records.Fingerprint]Facts{}
	next := slices.Collect(maps.Keys(depth))
	// A line leads over at most 31 successors and 3 delegations to its last
	// key, and whose voice that is may take 31 more to find out.
	for range 2*maxChain + records.MaxDepthGrant {
		ask := slices.DeleteFunc(slices.Clone(next), func(k records.Fingerprint) bool { _, ok := facts[k]; return ok })
		if len(ask) > 0 {
			slices.SortFunc(ask, compareKeys)
			more, err := load(slices.Compact(ask))
			if err != nil {
				return Facts{}, err
			}
			all.add(more)
			more.byAuthor(facts)
		}
		for _, k := range ask {
			if _, ok := facts[k]; !ok {
				facts[k] = Facts{} // asked for
			}
		}
		if next = grow(depth, facts, next); len(next) == 0 {
			break
		}
	}
	return all, nil
}

// grow follows the statements by some authors one step, and returns the keys for
// which that changed something.
func grow(depth map[records.Fingerprint]int, facts map[records.Fingerprint]Facts, from []records.Fingerprint) []records.Fingerprint {
	var next []records.Fingerprint
	reach := func(key records.Fingerprint, d int) {
		if old, ok := depth[key]; !ok || d > old {
			depth[key] = d
			next = append(next, key)
		}
	}
	for _, k := range from {
		for _, s := range facts[k].Successions {
			if !s.To.IsZero() {
				reach(s.To, depth[k])
			}
		}
		for _, d := range facts[k].Delegations {
			if depth[k] > 0 {
				reach(d.To, min(depth[k]-1, d.Depth))
			}
		}
	}
	return next
}

func (f *Facts) add(g Facts) {
	f.Delegations = append(f.Delegations, g.Delegations...)
	f.Successions = append(f.Successions, g.Successions...)
	f.Equivocated = append(f.Equivocated, g.Equivocated...)
}

func (f *Facts) byAuthor(m map[records.Fingerprint]Facts) {
	for _, d := range f.Delegations {
		of := m[d.Author]
		of.Delegations = append(of.Delegations, d)
		m[d.Author] = of
	}
	for _, s := range f.Successions {
		of := m[s.Author]
		of.Successions = append(of.Successions, s)
		m[s.Author] = of
	}
}

// lineDepths returns the keys that a basis speaks of by itself, with the most
// delegations that may start there.
func (b *Basis) lineDepths() map[records.Fingerprint]int {
	depth := map[records.Fingerprint]int{}
	for _, k := range b.Own {
		depth[k] = 0
	}
	for _, f := range []*File{b.File, b.Project} {
		if f == nil {
			continue
		}
		for _, e := range f.Entries() {
			depth[e.Fingerprint] = max(depth[e.Fingerprint], e.Depth)
		}
	}
	return depth
}

func compareKeys(a, b records.Fingerprint) int { return bytes.Compare(a.Bytes(), b.Bytes()) }
