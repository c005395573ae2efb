package index

import (
	"context"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

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

func (x *Index) claimed(ctx context.Context, name records.Name, view *trust.View) (*claimed, error) {
	ruling, err := view.Ruling(ctx, name)
	if err != nil {
		return nil, err
	}
	return x.claimedBy(ctx, name, ruling, nil)
}

// claimedBy reads what these authors say of a name, or everybody.
func (x *Index) claimedBy(ctx context.Context, name records.Name, ruling *trust.Ruling, authors []records.Fingerprint) (*claimed, error) {
	c := &claimed{Ruling: ruling, name: name, authors: authors, claims: map[records.Version][]trust.Claim{}}
	some, args := c.among("releases.author")
	rows, err := x.r.QueryContext(ctx, `SELECT version, releases.author, module, id, void, time, first_seen
		FROM releases JOIN records ON num = record WHERE name = ?`+some, args...)
	if err != nil {
		return nil, x.explain("find releases", err)
	}
	defer rows.Close()
	for rows.Next() {
		var v records.Version
		var author fingerprint
		var module, id link
		var void string
		var at, seen int64
		if err := rows.Scan(&v, &author, &module, &id, &void, &at, &seen); err != nil {
			return nil, x.explain("find releases", err)
		}
		if c.claims[v] == nil {
			c.versions = append(c.versions, v)
		}
		c.claims[v] = append(c.claims[v], trust.Claim{
			Author: author.Fingerprint, Module: module.Cid, Record: id.Cid, Void: void, Time: unix(at), FirstSeen: time.UnixMilli(seen).UTC()})
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find releases", err)
	}
	if err := x.addEndorsements(ctx, c); err != nil {
		return nil, err
	}
	slices.SortFunc(c.versions, func(v, w records.Version) int { return compareNewest(w, v) })
	if err := x.addEnds(ctx, c); err != nil {
		return nil, err
	}
	if c.notices, err = x.notices(ctx, c); err != nil {
		return nil, err
	}
	c.tags, err = x.tagged(ctx, c)
	return c, err
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
	late := x.lateness()
	for _, claims := range c.claims {
		for i := range claims {
			claim := &claims[i]
			if !c.Decides(claim.Author) {
				continue
			}
			var err error
			if claim.Ended, claim.Followed, err = late.of(ctx, claim.Author, claim.Record, claim.FirstSeen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *Index) tagged(ctx context.Context, c *claimed) ([]tagged, error) {
	some, args := c.among("tags.author")
	rows, err := x.r.QueryContext(ctx, `SELECT tag, version, id, tags.author, seq, time, first_seen
		FROM tags JOIN records ON num = record WHERE name = ? AND void = ''`+some, args...)
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
	late := x.lateness()
	best := map[string]tagged{}
	for _, t := range all {
		if c.Decides(t.Author) {
			if isLate, err := late.is(ctx, t.Meta); err != nil {
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
	ruling, err := view.Ruling(ctx, name)
	if err != nil {
		return Resolution{}, err
	}
	deciders, err := x.inCrowd(ctx, name, ruling)
	if err != nil {
		return Resolution{}, err
	}
	if len(deciders) > 0 {
		c, err := x.claimedBy(ctx, name, ruling, deciders)
		if err != nil {
			return Resolution{}, err
		}
		// What others say chooses no version; why none is chosen takes all of it.
		if r, ok, err := x.resolve(ctx, c, constraint); ok || err != nil {
			return r, err
		}
	}
	c, err := x.claimedBy(ctx, name, ruling, nil)
	if err != nil {
		return Resolution{}, err
	}
	r, ok, err := x.resolve(ctx, c, constraint)
	if err == nil && !ok {
		err = x.refusal(ctx, c, constraint)
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
	if c.claims[v] == nil {
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
			if d.Hold == trust.Late || !exact && (d.Hold != trust.NotHeld || len(notices.Yanked) > 0) {
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

// refusal says why none of the candidates was chosen.
func (x *Index) refusal(ctx context.Context, c *claimed, constraint string) error {
	want, err := parseConstraint(constraint)
	if err != nil {
		return err
	}
	candidates := c.candidates(want)
	ch := c.choose(candidates, want.Kind == npmrange.Version)
	if len(ch.skipped) > 0 {
		s := ch.skipped[0]
		switch s.Decision.State {
		case trust.Trusted:
			return &HeldError{Name: c.name, Version: s.Version, Decision: s.Decision, Yanked: s.Yanked}
		case trust.Conflict:
			return &ConflictError{Name: c.name, Version: s.Version, Decision: s.Decision}
		}
		e := &EquivocationError{Name: c.name, Version: s.Version, Decision: s.Decision}
		for _, v := range s.Decision.Claims {
			if v.Effect == trust.Equivocating {
				e.Author = v.Author
				break
			}
		}
		return e
	}
	missing := &NotFoundError{Name: c.name, Constraint: constraint, Have: c.trusted()}
	if len(candidates) == 0 && want.Kind == npmrange.Tag {
		missing.Tag = want.Tag
		var given bool
		if missing.Tagged, given = c.tagVersion(want.Tag); !given {
			candidates = c.strangersTag(want.Tag)
		}
	}
	candidates = slices.DeleteFunc(slices.Clone(candidates), func(v records.Version) bool {
		d := c.Decide(v, c.claims[v])
		if d.State == trust.Unknown && missing.Void == nil {
			missing.Void = &d
		}
		return d.State == trust.Unknown
	})
	if len(candidates) == 0 {
		return missing
	}
	e := &UntrustedError{Name: c.name, Constraint: constraint, Version: candidates[0]}
	e.Decision = c.Decide(e.Version, c.claims[e.Version])
	e.Signers, err = x.signers(ctx, c, candidates)
	if err != nil {
		return err
	}
	return e
}

// strangersTag returns the versions that somebody gave the tag, that somebody
// released, and that trust does not let in.
func (c *claimed) strangersTag(tag string) []records.Version {
	var vs []records.Version
	for _, t := range c.tags {
		if t.tag == tag && c.claims[t.version] != nil && !slices.Contains(vs, t.version) && c.Decide(t.version, c.claims[t.version]).State != trust.Trusted {
			vs = append(vs, t.version)
		}
	}
	slices.SortFunc(vs, func(v, w records.Version) int { return compareNewest(w, v) })
	return vs
}

// trusted returns the versions that trust lets in, newest first.
func (c *claimed) trusted() []records.Version {
	var vs []records.Version
	for _, v := range c.versions {
		if c.Decide(v, c.claims[v]).State == trust.Trusted {
			vs = append(vs, v)
		}
	}
	return vs
}

// maxSigners bounds the list of keys in an UntrustedError: keys cost nothing.
const maxSigners = 100

// signers lists who released the candidates, as far as their signatures count.
func (x *Index) signers(ctx context.Context, c *claimed, candidates []records.Version) ([]Signer, error) {
	n := map[records.Fingerprint]map[records.Version]cid.Cid{}
	for _, v := range candidates {
		for _, claim := range c.claims[v] {
			if claim.Void != "" {
				continue
			}
			if n[claim.Author] == nil {
				n[claim.Author] = map[records.Version]cid.Cid{}
			}
			n[claim.Author][v] = claim.Module
		}
	}
	var ss []Signer
	for _, f := range sortedFingerprints(n) {
		if len(ss) == maxSigners {
			break
		}
		s := Signer{Key: f, Releases: len(n[f])}
		key, err := x.Key(ctx, f)
		if err != nil {
			return nil, err
		}
		if key != nil {
			s.UserID = key.UserID()
		}
		ss = append(ss, s)
	}
	return ss, nil
}

// Info returns everything known of a name, or a *NotFoundError.
func (x *Index) Info(ctx context.Context, name records.Name, view *trust.View) (Info, error) {
	c, err := x.claimed(ctx, name, view)
	if err != nil {
		return Info{}, err
	}
	if len(c.versions) == 0 {
		return Info{}, &NotFoundError{Name: name}
	}
	releases, err := x.Releases(ctx, name)
	if err != nil {
		return Info{}, err
	}
	info := Info{Name: name}
	for _, v := range c.versions {
		vi := VersionInfo{Version: v, Decision: c.Decide(v, c.claims[v])}
		vi.Notices = c.Notices(vi.Decision, c.notices)
		for _, r := range releases {
			if r.Body.Version == v {
				vi.Releases = append(vi.Releases, r)
			}
		}
		info.Versions = append(info.Versions, vi)
	}
	if ch := c.choose(c.latest(), false); ch.version != "" {
		info.Latest = ch.version
	}
	if info.Tags, err = x.Tags(ctx, name); err != nil {
		return Info{}, err
	}
	if info.Notices, err = x.Notices(ctx, name); err != nil {
		return Info{}, err
	}
	info.Endorsements, err = x.Endorsements(ctx, name)
	return info, err
}
