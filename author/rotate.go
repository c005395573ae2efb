package author

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
)

// ErrSameKey is returned by Rotate for a key that would succeed itself.
var ErrSameKey = errors.New("the new key is the old one")

// Rotate signs with old that next succeeds it, and with next that it does. Then next releases
// again what old released and did not take back, and says the same of tags, so that it stays
// when the old key is revoked. It returns how many versions were released again.
func Rotate(ctx context.Context, old, next *Author) (released int, err error) {
	from, to := old.Fingerprint(), next.Fingerprint()
	if from == to {
		return 0, ErrSameKey
	}
	if _, err := old.sign(ctx, &records.Successor{To: to}); err != nil {
		return 0, err
	}
	if _, err := next.sign(ctx, &records.Successor{From: from}); err != nil {
		return 0, err
	}
	if released, err = next.releaseAgain(ctx, from); err != nil {
		return released, err
	}
	return released, next.tagAgain(ctx, from)
}

type version struct {
	name    records.Name
	version records.Version
}

// releaseAgain signs every release of a key once more that still stands and that
// this key has not released itself.
func (a *Author) releaseAgain(ctx context.Context, by records.Fingerprint) (int, error) {
	done, err := a.settled(ctx, by)
	if err != nil {
		return 0, err
	}
	withdrawn, err := a.index.Retracted(ctx, by)
	if err != nil {
		return 0, err
	}
	all, err := a.index.Statements(ctx, by, "release")
	if err != nil {
		return 0, err
	}
	released := 0
	for _, s := range all {
		r, ok := s.Record.Body.(*records.Release)
		if !ok || s.Invalid != "" || withdrawn[s.ID] || done[version{r.Name, r.Version}] {
			continue
		}
		done[version{r.Name, r.Version}] = true
		if _, err := a.sign(ctx, r); err != nil {
			return released, fmt.Errorf("release %s@%s again: %w", r.Name, r.Version, err)
		}
		released++
	}
	return released, nil
}

// settled are the versions that this key has released, and those of which nobody knows
// which module the other key meant.
func (a *Author) settled(ctx context.Context, by records.Fingerprint) (map[version]bool, error) {
	mine, err := a.index.Statements(ctx, a.Fingerprint(), "release")
	if err != nil {
		return nil, err
	}
	done := map[version]bool{}
	for _, s := range mine {
		if r, ok := s.Record.Body.(*records.Release); ok {
			done[version{r.Name, r.Version}] = true
		}
	}
	proofs, err := a.index.Equivocations(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range proofs {
		if e.Author == by {
			done[version{e.Name, e.Version}] = true
		}
	}
	return done, nil
}

// tagAgain says once more what a key says of tags, where this key says nothing: tags of
// the old key stay where they are, and would hold back what this key releases.
func (a *Author) tagAgain(ctx context.Context, by records.Fingerprint) error {
	all, err := a.index.Statements(ctx, by, "tag")
	if err != nil {
		return err
	}
	done := map[records.Name]bool{}
	for _, s := range all {
		name := s.Record.Body.(*records.Tag).Name
		if done[name] {
			continue
		}
		done[name] = true
		tags, err := a.index.Tags(ctx, name)
		if err != nil {
			return err
		}
		for _, t := range tags {
			mine := func(o index.Tag) bool { return o.Author == a.Fingerprint() && o.Body.Tag == t.Body.Tag }
			if t.Author != by || t.Body.Version == "" || slices.ContainsFunc(tags, mine) {
				continue
			}
			if _, err := a.sign(ctx, t.Body); err != nil {
				return fmt.Errorf("tag %s@%s as %s again: %w", name, t.Body.Version, t.Body.Tag, err)
			}
		}
	}
	return nil
}
