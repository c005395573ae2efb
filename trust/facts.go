package trust

import (
	"cmp"
	"context"
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
	// Invalid says why the signature does not count under what is known of the
	// author's key; "" when it counts.
	Invalid string
	// Retracted is whether the author retracted the record by a notice.
	Retracted bool
	// Backdated is whether it may have been backdated (SPEC.md [T110]): its key had ended
	// long before it came here, and nothing in the author's log follows it.
	Backdated bool
}

func (s *Statement) takesPart() bool { return s.Invalid == "" && !s.Retracted }

// inTime reports whether the statement may make somebody decide.
func (s *Statement) inTime() bool { return s.takesPart() && !s.Backdated }

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

// A loader returns facts by authors, as Inputs.Load does, and remembers them.
type loader struct {
	load func(context.Context, []records.Fingerprint) (Facts, error)
	by   map[records.Fingerprint]*Facts
}

func (l *loader) get(ctx context.Context, authors []records.Fingerprint) (Facts, error) {
	var ask []records.Fingerprint
	for _, a := range authors {
		if l.by[a] == nil {
			ask = append(ask, a)
		}
	}
	if len(ask) > 0 {
		more, err := l.load(ctx, ask)
		if err != nil {
			return Facts{}, err
		}
		by := more.byAuthor()
		for _, a := range ask {
			if l.by[a] = by[a]; by[a] == nil {
				l.by[a] = &Facts{}
			}
		}
	}
	var all Facts
	for _, a := range authors {
		all.add(l.by[a])
	}
	return all, nil
}

func (f *Facts) add(g *Facts) {
	f.Delegations = append(f.Delegations, g.Delegations...)
	f.Successions = append(f.Successions, g.Successions...)
	f.Equivocated = append(f.Equivocated, g.Equivocated...)
}

// byAuthor says what each author says, and what is known of it.
func (f *Facts) byAuthor() map[records.Fingerprint]*Facts {
	m := map[records.Fingerprint]*Facts{}
	of := func(author records.Fingerprint) *Facts {
		if m[author] == nil {
			m[author] = &Facts{}
		}
		return m[author]
	}
	for _, d := range f.Delegations {
		by := of(d.Author)
		by.Delegations = append(by.Delegations, d)
	}
	for _, s := range f.Successions {
		by := of(s.Author)
		by.Successions = append(by.Successions, s)
	}
	for _, key := range f.Equivocated {
		by := of(key)
		by.Equivocated = append(by.Equivocated, key)
	}
	return m
}
