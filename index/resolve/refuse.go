package resolve

import (
	"context"
	"slices"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
	"github.com/everythingstays/es/trust"
)

// refusal says why none of the versions that the constraint takes was chosen.
func (x *Resolver) refusal(ctx context.Context, c *nameClaims, constraint string, evaluator *trust.Evaluator) error {
	want, err := parseConstraint(constraint)
	if err != nil {
		return err
	}
	candidates := c.candidates(want)
	if skipped := c.choose(candidates, want.Kind == npmrange.Version).skipped; len(skipped) > 0 {
		s := skipped[0]
		if c.authors != nil { // a refusal shows what others say too
			if s.Decision, _, err = x.DecideWithNotices(ctx, c.name, s.Version, evaluator); err != nil {
				return err
			}
		}
		return c.skippedError(s)
	}
	all, err := x.released(ctx, c)
	if err != nil {
		return err
	}
	candidates = all.candidates(want)
	missing := &NotFoundError{Name: c.name, Constraint: constraint}
	if len(candidates) == 0 && want.Kind == npmrange.Tag {
		missing.Tag = want.Tag
		var given bool
		if missing.Tagged, given = c.tagVersion(want.Tag); !given {
			if candidates, err = x.othersTag(ctx, all, want.Tag); err != nil {
				return err
			}
		}
	}
	wanted := map[records.Version]bool{}
	for _, v := range candidates {
		wanted[v] = true
	}
	claimants, err := x.claimants(ctx, c.name, evaluator, func(v records.Version) bool { return wanted[v] })
	if err != nil {
		return err
	}
	if len(claimants) == 0 {
		missing.Have = c.trusted()
		return x.notFound(ctx, missing, candidates, evaluator)
	}
	e := &UntrustedError{Name: c.name, Constraint: constraint, Version: claimants[0].Newest, Keys: len(claimants)}
	if e.Signers, err = x.describe(ctx, claimants); err != nil {
		return err
	}
	if e.Decision, _, err = x.DecideWithNotices(ctx, c.name, e.Version, evaluator); err != nil {
		return err
	}
	return e
}

// skippedError says why a version that is decided about was not chosen.
func (c *nameClaims) skippedError(s Skipped) error {
	switch s.Decision.State {
	case trust.Trusted:
		return &HeldError{Name: c.name, Version: s.Version, Decision: s.Decision, Yanked: s.Yanked}
	case trust.Conflict:
		return &ConflictError{Name: c.name, Version: s.Version, Decision: s.Decision}
	}
	e := &EquivocationError{index.EquivocationError{Name: c.name, Version: s.Version}, s.Decision}
	for _, v := range s.Decision.Claims {
		if v.Effect == trust.Equivocating {
			e.Author = v.Author
			break
		}
	}
	return e
}

// released returns c with all versions that anybody released.
func (x *Resolver) released(ctx context.Context, c *nameClaims) (*nameClaims, error) {
	listed, err := x.index.ListReleases(ctx, c.name)
	if err != nil {
		return nil, err
	}
	all := *c
	all.versions = nil
	seen := map[records.Version]bool{}
	for _, r := range listed {
		if !seen[r.Version] {
			seen[r.Version] = true
			all.versions = append(all.versions, r.Version)
		}
	}
	slices.SortFunc(all.versions, func(v, w records.Version) int { return w.CompareStable(v) })
	return &all, nil
}

// othersTag returns the versions that somebody gave the tag, that somebody released,
// and that is not trusted. All is what released returns.
func (x *Resolver) othersTag(ctx context.Context, all *nameClaims, tag string) ([]records.Version, error) {
	tags, err := x.tags(ctx, all, index.Filter{Name: all.name, Tag: tag})
	if err != nil {
		return nil, err
	}
	given := map[records.Version]bool{}
	for _, t := range tags {
		given[t.Version] = true
	}
	for _, v := range all.trusted() {
		delete(given, v)
	}
	var vs []records.Version
	for _, v := range all.versions {
		if given[v] {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

// notFound adds to the error which of the candidates was signed, if one was: no signature
// over any of them counts.
func (x *Resolver) notFound(ctx context.Context, e *NotFoundError, candidates []records.Version, evaluator *trust.Evaluator) error {
	for _, v := range candidates[:min(len(candidates), maxShown)] {
		d, _, err := x.DecideWithNotices(ctx, e.Name, v, evaluator)
		if err != nil {
			return err
		}
		if len(d.Claims) > 0 {
			e.Invalid = &d
			break
		}
	}
	return e
}

// trusted returns the trusted versions, newest first.
func (c *nameClaims) trusted() []records.Version {
	var vs []records.Version
	for _, v := range c.versions {
		if len(c.claims[v]) > 0 && c.Decide(v, c.claims[v]).State == trust.Trusted {
			vs = append(vs, v)
		}
	}
	return vs
}
