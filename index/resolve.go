package index

import (
	"context"
	"slices"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
	"github.com/everythingstays/es/trust"
)

// A name with its claims and tags is enough to choose a version.
type claimed struct {
	*trust.Ruling
	name     records.Name
	authors  []records.Fingerprint // whose records were read; nil for everybody's
	versions []records.Version     // newest first
	claims   map[records.Version][]trust.Claim
	tags     []tagged
	notices  []trust.Notice
	late     *lateness
}

// tagged is an author's newest record about a tag.
type tagged struct {
	Meta
	tag     string
	version records.Version
}

// compareNewest orders versions as someone who wants the newest does: a
// pre-release comes before every final version.
func compareNewest(v, w records.Version) int {
	if vp, wp := v.Prerelease() != "", w.Prerelease() != ""; vp != wp {
		if vp {
			return -1
		}
		return 1
	}
	return v.Compare(w)
}

// claimed reads what is said of a name: everything or, where a crowd speaks of it, what
// decides, and what is said about some versions.
func (x *Index) claimed(ctx context.Context, name records.Name, view *trust.View, about ...records.Version) (*claimed, error) {
	ruling, err := view.Ruling(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &claimed{Ruling: ruling, name: name, claims: map[records.Version][]trust.Claim{}, late: x.lateness()}
	deciders, crowded, err := x.inCrowd(ctx, name, ruling)
	if err != nil {
		return nil, err
	}
	if crowded {
		c.authors = append([]records.Fingerprint{}, deciders...)
	}
	some, args := c.among("releases.author")
	if err := x.addClaims(ctx, c, "name = ?"+some, args...); err != nil {
		return nil, err
	}
	if err := x.addEndorsements(ctx, c); err != nil {
		return nil, err
	}
	if crowded {
		if err := x.addOthers(ctx, c, about); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.versions, func(v, w records.Version) int { return compareNewest(w, v) })
	if err := x.addEnds(ctx, c); err != nil {
		return nil, err
	}
	if c.notices, err = x.notices(ctx, c); err != nil {
		return nil, err
	}
	some, args = c.among("tags.author")
	c.tags, err = x.tagged(ctx, c, "name = ?"+some, args...)
	return c, err
}

// addClaims adds the releases that a condition selects.
func (x *Index) addClaims(ctx context.Context, c *claimed, condition string, args ...any) error {
	rows, err := x.r.QueryContext(ctx, `SELECT version, releases.author, module, id, void, time, first_seen
		FROM releases JOIN records ON num = record WHERE `+condition, args...)
	if err != nil {
		return x.explain("find releases", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v records.Version
		var author fingerprint
		var module, id link
		var void string
		var at, seen int64
		if err := rows.Scan(&v, &author, &module, &id, &void, &at, &seen); err != nil {
			return x.explain("find releases", err)
		}
		if _, known := c.claims[v]; !known {
			c.versions = append(c.versions, v)
		}
		c.claims[v] = append(c.claims[v], trust.Claim{
			Author: author.Fingerprint, Module: module.Cid, Record: id.Cid, Void: void, Time: unix(at), FirstSeen: time.UnixMilli(seen).UTC()})
	}
	if err := rows.Err(); err != nil {
		return x.explain("find releases", err)
	}
	return nil
}

// addEndorsements adds those of versions that somebody has released.
func (x *Index) addEndorsements(ctx context.Context, c *claimed) error {
	vouched, err := x.vouched(ctx, c)
	if err != nil {
		return err
	}
	if c.authors != nil {
		if err := x.addVersions(ctx, c, vouched); err != nil {
			return err
		}
	}
	for v, claims := range vouched {
		if _, released := c.claims[v]; released {
			c.claims[v] = append(c.claims[v], claims...)
		}
	}
	return nil
}

// addEnds fills in when the keys of those ended who decide. Others are not looked
// at: there may be any number of them.
func (x *Index) addEnds(ctx context.Context, c *claimed) error {
	for _, claims := range c.claims {
		for i := range claims {
			claim := &claims[i]
			if !c.Decides(claim.Author) {
				continue
			}
			var err error
			if claim.Ended, claim.Followed, err = c.late.of(ctx, claim.Author, claim.Record, claim.FirstSeen); err != nil {
				return err
			}
		}
	}
	return nil
}

// tagged returns, of the tags that a condition selects, each author's newest about each.
func (x *Index) tagged(ctx context.Context, c *claimed, condition string, args ...any) ([]tagged, error) {
	rows, err := x.r.QueryContext(ctx, `SELECT tag, version, id, tags.author, seq, time, first_seen
		FROM tags JOIN records ON num = record WHERE void = '' AND `+condition, args...)
	if err != nil {
		return nil, x.explain("find tags", err)
	}
	defer rows.Close()
	var all []tagged
	for rows.Next() {
		var t tagged
		var id link
		var author fingerprint
		var seconds, seen int64
		if err := rows.Scan(&t.tag, &t.version, &id, &author, &t.Seq, &seconds, &seen); err != nil {
			return nil, x.explain("find tags", err)
		}
		t.ID, t.Author, t.Time, t.FirstSeen = id.Cid, author.Fingerprint, unix(seconds), time.UnixMilli(seen).UTC()
		all = append(all, t)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find tags", err)
	}
	best := map[string]tagged{}
	for _, t := range all {
		if c.Decides(t.Author) {
			if isLate, err := c.late.is(ctx, t.Meta); err != nil {
				return nil, err
			} else if isLate {
				continue
			}
		}
		k := t.tag + "\x00" + t.Author.String()
		if old, ok := best[k]; !ok || compareAge(t.Meta, old.Meta) > 0 {
			best[k] = t
		}
	}
	ts := make([]tagged, 0, len(best))
	for _, t := range best {
		if t.version != "" { // a record without a version takes the tag away ([X3])
			ts = append(ts, t)
		}
	}
	return ts, nil
}

// tagVersion returns the version that the tag stands for: the newest one that an
// author who decides about the name gave it.
func (c *claimed) tagVersion(tag string) (records.Version, bool) {
	var best records.Version
	for _, t := range c.tags {
		if t.tag == tag && c.Decides(t.Author) && (best == "" || compareNewest(t.version, best) > 0) {
			best = t.version
		}
	}
	return best, best != ""
}

// Resolve chooses a version. The constraint is a version, a tag, an npm range, or
// empty for the newest: what the tag "latest" says, or an older version while that
// one cannot be had; without the tag the highest version that is not a
// pre-release. Only versions that trust lets in are chosen. The error is
// a *ConstraintError, *NotFoundError, *UntrustedError, *ConflictError or
// *EquivocationError when the question, and not the store, is the cause.
func (x *Index) Resolve(ctx context.Context, name records.Name, constraint string, view *trust.View) (Resolution, error) {
	c, err := x.claimed(ctx, name, view)
	if err != nil {
		return Resolution{}, err
	}
	r, ok, err := x.resolve(ctx, c, constraint)
	if err == nil && !ok {
		err = x.refusal(ctx, c, constraint, view)
	}
	return r, err
}

// resolve reports whether a version is chosen.
func (x *Index) resolve(ctx context.Context, c *claimed, constraint string) (r Resolution, ok bool, err error) {
	want, err := parseConstraint(constraint)
	if err != nil {
		return Resolution{}, false, err
	}
	ch := c.choose(c.candidates(want), want.Kind == npmrange.Version)
	if ch.version == "" {
		return Resolution{}, false, nil
	}
	r = Resolution{Version: ch.version, Decision: ch.decision, Skipped: ch.skipped, Notices: ch.notices}
	r.Release, err = x.Release(ctx, ch.decision.Record)
	return r, err == nil, err
}

// Decide says what name@version is for the view.
func (x *Index) Decide(ctx context.Context, name records.Name, version records.Version, view *trust.View) (trust.Decision, error) {
	d, _, err := x.About(ctx, name, version, view)
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
func (c *claimed) candidates(want npmrange.Constraint) []records.Version {
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

func (c *claimed) only(v records.Version) []records.Version {
	if !slices.Contains(c.versions, v) {
		return nil
	}
	return []records.Version{v}
}

// latest prefers what the tag says, then older versions, so that a tag whose
// version is frozen or has not arrived yet never leads to a newer one.
func (c *claimed) latest() []records.Version {
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
	version  records.Version // "" when none is trusted
	decision trust.Decision
	notices  trust.Applying
	skipped  []Skipped // conflicts, equivocations, and what is held or yanked before it
}

// choose takes the first candidate that is trusted, and neither held nor yanked.
// One that is asked for by its number may be yanked or in its cooldown.
func (c *claimed) choose(candidates []records.Version, exact bool) choice {
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
		}
	}
	return ch
}
