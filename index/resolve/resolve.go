package resolve

import (
	"context"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
	"github.com/everythingstays/es/trust"
)

// A Resolver answers from an index what a name stands for. It holds nothing but the
// index, and may be used by several goroutines.
type Resolver struct {
	index *index.Index
	// LargeName is how many records of one kind about a name are so many that those by keys
	// that decide nothing are not read unless they must be: largeNameThreshold from New.
	LargeName int
	// Failed says of records with an origin why their tarballs could not be checked: they
	// are not asked for again.
	Failed map[cid.Cid]*trust.Failure
}

// New returns a Resolver over the index.
func New(x *index.Index) *Resolver { return &Resolver{index: x, LargeName: largeNameThreshold} }

// A name with its claims and tags is enough to choose a version.
type nameClaims struct {
	*trust.Ruling
	name       records.Name
	authors    []records.Fingerprint // whose records were read; nil for everybody's
	versions   []records.Version     // newest first
	claims     map[records.Version][]trust.Claim
	tags       []index.TagRow
	notices    []trust.Notice
	backdating *authorlog.Backdating
}

// nameClaims reads what is said of a name: everything or, of a large name, what
// decides, and what is said about some versions.
func (x *Resolver) nameClaims(ctx context.Context, name records.Name, evaluator *trust.Evaluator, about ...records.Version) (*nameClaims, error) {
	ruling, err := evaluator.Ruling(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &nameClaims{Ruling: ruling, name: name, claims: map[records.Version][]trust.Claim{}, backdating: authorlog.New(x.index).Backdating()}
	deciders, large, err := x.isLarge(ctx, name, ruling)
	if err != nil {
		return nil, err
	}
	if large {
		c.authors = append([]records.Fingerprint{}, deciders...)
	}
	if err := x.addClaims(ctx, c, index.Filter{Name: name, Authors: c.authors}); err != nil {
		return nil, err
	}
	if err := x.addEndorsements(ctx, c); err != nil {
		return nil, err
	}
	if large {
		if err := x.addImports(ctx, c); err != nil {
			return nil, err
		}
		if err := x.addOthers(ctx, c, about); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.versions, func(v, w records.Version) int { return w.CompareStable(v) })
	if err := x.addKeyEnds(ctx, c); err != nil {
		return nil, err
	}
	if c.notices, err = x.notices(ctx, c); err != nil {
		return nil, err
	}
	c.tags, err = x.tags(ctx, c, index.Filter{Name: name, Authors: c.authors})
	return c, err
}

// addClaims adds the releases that a filter selects.
func (x *Resolver) addClaims(ctx context.Context, c *nameClaims, f index.Filter) error {
	rows, err := x.index.ReleaseRows(ctx, f)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, known := c.claims[r.Version]; !known {
			c.versions = append(c.versions, r.Version)
		}
		c.claims[r.Version] = append(c.claims[r.Version], trust.Claim{
			Author: r.Author, Module: r.Module, Record: r.ID, Invalid: r.Invalid, Time: r.Time, FirstSeen: r.FirstSeen, Release: r.Import, Failed: x.Failed[r.ID]})
	}
	return nil
}

// addEndorsements adds those of versions that somebody has released.
func (x *Resolver) addEndorsements(ctx context.Context, c *nameClaims) error {
	endorsed, err := x.endorsed(ctx, c)
	if err != nil {
		return err
	}
	if c.authors != nil {
		if err := x.addVersions(ctx, c, endorsed); err != nil {
			return err
		}
	}
	for v, claims := range endorsed {
		if _, released := c.claims[v]; released {
			c.claims[v] = append(c.claims[v], claims...)
		}
	}
	return nil
}

// addKeyEnds fills in when the keys of those ended who decide. Others are not looked
// at: there may be any number of them.
func (x *Resolver) addKeyEnds(ctx context.Context, c *nameClaims) error {
	for _, claims := range c.claims {
		for i := range claims {
			claim := &claims[i]
			if !c.Decides(claim.Author) {
				continue
			}
			var err error
			if claim.Ended, claim.Followed, err = c.backdating.Of(ctx, claim.Author, claim.Record, claim.FirstSeen); err != nil {
				return err
			}
		}
	}
	return nil
}

// tags returns, of the tags that a filter selects, each author's newest about each.
func (x *Resolver) tags(ctx context.Context, c *nameClaims, f index.Filter) ([]index.TagRow, error) {
	f.Valid = true
	all, err := x.index.TagRows(ctx, f)
	if err != nil {
		return nil, err
	}
	best := map[string]index.TagRow{}
	for _, t := range all {
		if c.Decides(t.Author) {
			if backdated, err := c.backdating.Is(ctx, t.Meta); err != nil {
				return nil, err
			} else if backdated {
				continue
			}
		}
		k := t.Tag + "\x00" + t.Author.String()
		if old, ok := best[k]; !ok || t.Newer(old.Meta) {
			best[k] = t
		}
	}
	ts := make([]index.TagRow, 0, len(best))
	for _, t := range best {
		if t.Version != "" { // a record without a version takes the tag away ([X3])
			ts = append(ts, t)
		}
	}
	return ts, nil
}

// tagVersion returns the version that the tag stands for: the newest one that an
// author who decides about the name gave it.
func (c *nameClaims) tagVersion(tag string) (records.Version, bool) {
	var best records.Version
	for _, t := range c.tags {
		if t.Tag == tag && c.Decides(t.Author) && (best == "" || t.Version.CompareStable(best) > 0) {
			best = t.Version
		}
	}
	return best, best != ""
}

// Resolve chooses a version. The constraint is a version, a tag, an npm range, or
// empty for the newest: what the tag "latest" says, or an older version while that
// one cannot be had; without the tag the highest version that is not a
// pre-release. Only trusted versions are chosen. The error is
// a *ConstraintError, *NotFoundError, *UntrustedError, *UncheckedError, *ConflictError
// or *EquivocationError when the question, and not the store, is the cause.
func (x *Resolver) Resolve(ctx context.Context, name records.Name, constraint string, evaluator *trust.Evaluator) (Resolution, error) {
	c, err := x.nameClaims(ctx, name, evaluator)
	if err != nil {
		return Resolution{}, err
	}
	r, ok, err := x.resolve(ctx, c, constraint)
	if err == nil && !ok {
		err = x.refusal(ctx, c, constraint, evaluator)
	}
	return r, err
}

// resolve reports whether a version is chosen.
func (x *Resolver) resolve(ctx context.Context, c *nameClaims, constraint string) (r Resolution, ok bool, err error) {
	want, err := parseConstraint(constraint)
	if err != nil {
		return Resolution{}, false, err
	}
	ch := c.choose(c.candidates(want), want.Kind == npmrange.Version)
	if len(ch.unchecked) > 0 {
		return Resolution{}, false, &UncheckedError{Name: c.name, Version: ch.unchecked[0].Release.Version, Claims: ch.unchecked}
	}
	if ch.version == "" {
		return Resolution{}, false, nil
	}
	r = Resolution{Version: ch.version, Decision: ch.decision, Skipped: ch.skipped, Notices: ch.notices}
	r.Release, err = x.index.Release(ctx, ch.decision.Record)
	return r, err == nil, err
}

// Decide says what name@version is by the evaluator.
func (x *Resolver) Decide(ctx context.Context, name records.Name, version records.Version, evaluator *trust.Evaluator) (trust.Decision, error) {
	d, _, err := x.DecideWithNotices(ctx, name, version, evaluator)
	return d, err
}

// parseConstraint returns a *ConstraintError for what asks for no version.
func parseConstraint(s string) (npmrange.Constraint, error) {
	want, err := npmrange.ParseConstraint(s)
	if err != nil {
		return want, &ConstraintError{s, err}
	}
	return want, nil
}

// candidates returns the versions that are asked for, the preferred first.
func (c *nameClaims) candidates(want npmrange.Constraint) []records.Version {
	switch {
	case want.Kind == npmrange.Latest || want.Tag == "latest":
		return c.latest()
	case want.Kind == npmrange.Version:
		return c.only(want.Version)
	case want.Kind == npmrange.Tag:
		v, ok := c.tagVersion(want.Tag)
		if !ok {
			return nil
		}
		return c.only(v)
	}
	var vs []records.Version
	for _, v := range c.versions {
		if want.Match(v) {
			vs = append(vs, v)
		}
	}
	slices.SortFunc(vs, func(v, w records.Version) int { return w.Compare(v) })
	// npm prefers what "latest" says to anything newer in the range.
	if v, ok := c.tagVersion("latest"); ok {
		if i := slices.Index(vs, v); i > 0 {
			vs = slices.Insert(slices.Delete(vs, i, i+1), 0, v)
		}
	}
	return vs
}

func (c *nameClaims) only(v records.Version) []records.Version {
	if !slices.Contains(c.versions, v) {
		return nil
	}
	return []records.Version{v}
}

// latest prefers what the tag says, then older versions, so that a tag whose
// version is frozen or has not arrived yet never leads to a newer one.
func (c *nameClaims) latest() []records.Version {
	v, ok := c.tagVersion("latest")
	if !ok {
		return c.versions
	}
	var vs []records.Version
	for _, w := range c.versions {
		if w.Compare(v) <= 0 {
			vs = append(vs, w)
		}
	}
	if i := slices.Index(vs, v); i > 0 {
		vs = slices.Insert(slices.Delete(vs, i, i+1), 0, v)
	}
	return vs
}

// A choice is the outcome of looking at candidates in order.
type choice struct {
	version   records.Version // "" when none is trusted
	decision  trust.Decision
	notices   trust.VersionNotices
	unchecked []trust.Verdict // of a version before it
	skipped   []Skipped       // conflicts, equivocations, and what is held or yanked before it
}

// choose takes the first candidate that is trusted, and neither held nor yanked.
// One that is asked for by its number may be yanked or in its cooldown.
func (c *nameClaims) choose(candidates []records.Version, exact bool) choice {
	var ch choice
	for _, v := range candidates {
		d := c.Decide(v, c.claims[v])
		switch d.State {
		case trust.Trusted:
			notices := c.Notices(d, c.notices)
			if d.Hold == trust.Backdated || !exact && (d.Hold != trust.NotHeld || len(notices.Yanked) > 0) {
				ch.skipped = append(ch.skipped, Skipped{v, d, notices.Yanked})
				continue
			}
			ch.version, ch.decision, ch.notices = v, d, notices
			return ch
		case trust.Conflict, trust.Equivocation:
			ch.skipped = append(ch.skipped, Skipped{v, d, nil})
		case trust.Untrusted:
			if ch.unchecked == nil {
				ch.unchecked = d.Unchecked()
			}
		}
	}
	return ch
}
