package reconcile

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/records"
)

// A Comparison says how much of one author's is here and at a peer. When the
// counts differ, the side with more may lack something all the same.
type Comparison struct {
	Author       records.Fingerprint
	Ours, Theirs uint64 // records and key blocks
	Same         bool   // both have exactly the same
}

// Compare asks a peer how what it has of some authors compares, and fetches
// nothing. The answers are in the order of the authors. It returns as many as
// the session brought before an error, and has the errors of Pull.
func (r *Reconcile) Compare(ctx context.Context, with peer.ID, authors []records.Fingerprint) ([]Comparison, error) {
	scope := Authors(authors...)
	found := make(map[string]Comparison, len(scope))
	err := r.ask(ctx, with, func(ctx context.Context, s *stream) error {
		return r.count(ctx, s, scope, found)
	})
	var all []Comparison
	for _, a := range authors {
		if c, ok := found[records.AuthorRange(a).From]; ok {
			c.Author = a
			all = append(all, c)
		}
	}
	if err != nil {
		return all, fmt.Errorf("compare with %s: %w", with, err)
	}
	return all, nil
}

// count compares ranges and notes the results by where they begin.
func (r *Reconcile) count(ctx context.Context, s *stream, scope Scope, found map[string]Comparison) error {
	for len(scope) > 0 {
		q := request{kind: typeCompare, parts: 1}
		var ours []uint64
		for _, a := range scope[:min(len(scope), maxRanges)] {
			sum, err := r.cfg.Set.Sum(ctx, a)
			if err != nil {
				return err
			}
			q.ranges = append(q.ranges, rangeRequest{a, sum.Fingerprint()})
			ours = append(ours, sum.Count)
		}
		body, err := s.request(q)
		if err != nil {
			return err
		}
		entries, err := decodeCompared(body, q)
		if err != nil {
			return offence(err.Error())
		}
		for i, e := range entries {
			c := Comparison{Ours: ours[i], Theirs: ours[i], Same: true}
			if e.kind == entryParts {
				c.Theirs, c.Same = e.parts[0].count, e.parts[0].fingerprint == q.ranges[i].fingerprint
			}
			found[scope[i].From] = c
		}
		scope = scope[len(entries):]
	}
	return nil
}
