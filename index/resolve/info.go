package resolve

import (
	"context"
	"slices"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
	"github.com/everythingstays/es/trust"
)

// How much Info returns unless all is asked for: keys and records cost nothing.
const (
	maxDecided = 20 // versions that are decided about
	maxShown   = 10 // of anything else
	maxByOne   = 3  // releases by one key that does not decide
)

// Info returns what is known of the versions of a name that the constraint takes, as in
// Resolve: what decides first, and of what others say a little, unless all is set. The
// error may be a *NotFoundError or a *ConstraintError.
func (x *Resolver) Info(ctx context.Context, name records.Name, constraint string, evaluator *trust.Evaluator, all bool) (Info, error) {
	c, err := x.nameClaims(ctx, name, evaluator)
	if err != nil {
		return Info{}, err
	}
	info := Info{Name: name}
	if ch := c.choose(c.latest(), false); ch.version != "" {
		info.Latest = ch.version
	}
	b := &infoBuilder{x: x, c: c, evaluator: evaluator, all: all, Info: &info}
	if b.wanted, err = x.wanted(ctx, c, constraint); err != nil {
		return Info{}, err
	}
	for _, step := range []func(context.Context) error{b.addDecided, b.addUndecided, b.decide, b.addStatements} {
		if err := step(ctx); err != nil {
			return Info{}, err
		}
	}
	return info, nil
}

// VersionFor returns the version that a constraint stands for when somebody asks about it:
// what Resolve chooses or, where it chooses none, what is claimed that fits.
func (x *Resolver) VersionFor(ctx context.Context, name records.Name, constraint string, evaluator *trust.Evaluator) (records.Version, error) {
	r, err := x.Resolve(ctx, name, constraint, evaluator)
	return standsFor(r, err)
}

func standsFor(r Resolution, err error) (records.Version, error) {
	switch e := err.(type) {
	case nil:
		return r.Version, nil
	case *UntrustedError:
		return e.Version, nil
	case *UncheckedError:
		return e.Version, nil
	case *ConflictError:
		return e.Version, nil
	case *HeldError:
		return e.Version, nil
	case *EquivocationError:
		return e.Version, nil
	case *NotFoundError:
		if e.Invalid != nil {
			return e.Invalid.Version, nil
		}
	}
	return "", err
}

// wanted returns the versions that a constraint takes, of all that anybody released.
func (x *Resolver) wanted(ctx context.Context, c *nameClaims, constraint string) (map[records.Version]bool, error) {
	all, err := x.released(ctx, c)
	if err != nil {
		return nil, err
	}
	versions := all.versions
	missing := &NotFoundError{Name: c.name, Constraint: constraint}
	if constraint != "" {
		want, err := parseConstraint(constraint)
		if err != nil {
			return nil, err
		}
		versions = all.candidates(want)
		if want.Kind == npmrange.Tag {
			missing.Tag = want.Tag
			if versions, err = x.taggedVersions(ctx, c, all, want, versions); err != nil {
				return nil, err
			}
		}
	}
	if len(versions) == 0 {
		missing.Have = c.trusted()
		return nil, missing
	}
	wanted := make(map[records.Version]bool, len(versions))
	for _, v := range versions {
		wanted[v] = true
	}
	return wanted, nil
}

// taggedVersions returns the version that a tag stands for: what is trusted, else what it is
// for those who decide, else for others.
func (x *Resolver) taggedVersions(ctx context.Context, c, all *nameClaims, want npmrange.Constraint, versions []records.Version) (_ []records.Version, err error) {
	if len(versions) == 0 {
		versions, err = x.othersTag(ctx, all, want.Tag)
	} else if ch := c.choose(c.candidates(want), false); ch.version != "" {
		return []records.Version{ch.version}, nil
	}
	return versions[:min(len(versions), 1)], err
}

// A infoBuilder gathers an Info.
type infoBuilder struct {
	*Info
	x         *Resolver
	c         *nameClaims
	evaluator *trust.Evaluator
	wanted    map[records.Version]bool
	all       bool
}

// limit is n, or no limit.
func (b *infoBuilder) limit(n, have int) int {
	if b.all {
		return have
	}
	return min(n, have)
}

// addDecided adds the versions about which keys that decide, or a pin, say something.
func (b *infoBuilder) addDecided(ctx context.Context) error {
	var versions []records.Version
	pinned := map[records.Version]bool{}
	for _, p := range b.c.Pinned() {
		pinned[p.Version] = true
	}
	for _, v := range b.c.versions {
		if b.wanted[v] && (pinned[v] || slices.ContainsFunc(b.c.claims[v], func(c trust.Claim) bool { return b.c.Decides(c.Author) })) {
			versions = append(versions, v)
		}
	}
	shown := versions[:b.limit(maxDecided, len(versions))]
	b.Omitted.Decided = len(versions) - len(shown)
	for _, v := range shown {
		vi := VersionInfo{Version: v}
		for _, claim := range b.c.claims[v] {
			if claim.Endorse != "" || !b.c.Decides(claim.Author) {
				continue
			}
			r, err := b.x.index.Release(ctx, claim.Record)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(vi.Releases, func(have index.Release) bool { return have.ID == r.ID }) {
				vi.Releases = append(vi.Releases, r)
			}
		}
		b.Versions = append(b.Versions, vi)
	}
	return nil
}

// addUndecided adds the first and newest of what keys say that do not decide.
func (b *infoBuilder) addUndecided(ctx context.Context) error {
	claimants, err := b.x.claimants(ctx, b.Name, b.evaluator, func(v records.Version) bool { return b.wanted[v] })
	if err != nil {
		return err
	}
	b.Keys = len(claimants)
	if b.Claimants, err = b.x.describe(ctx, claimants); err != nil {
		return err
	}
	room := maxShown
	for _, c := range claimants {
		if c.decides() {
			continue
		}
		n := 0
		if c.Record.Defined() && room > 0 || b.all {
			if n, err = b.show(ctx, c, min(room, maxByOne)); err != nil {
				return err
			}
		}
		room -= n
		if b.all {
			continue
		}
		if b.Omitted.Claims += c.Releases - n; n == 0 {
			b.Omitted.Keys++
		}
	}
	if len(claimants) == 0 { // no signature counts any more
		return b.addInvalid(ctx)
	}
	return nil
}

// show adds the newest releases by one key, at most limit.
func (b *infoBuilder) show(ctx context.Context, c Claimant, limit int) (shown int, err error) {
	all, err := b.x.releasesBy(ctx, b.Name, c.Key)
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(r index.ReleaseRow) bool { return !b.wanted[r.Version] })
	all = all[:b.limit(limit, len(all))]
	for _, r := range all {
		if err := b.add(ctx, r); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// addInvalid adds releases over which no signature counts.
func (b *infoBuilder) addInvalid(ctx context.Context) error {
	all, err := b.x.index.ReleaseRows(ctx, index.Filter{Name: b.Name})
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r index.ReleaseRow) bool { return r.Invalid == "" || !b.wanted[r.Version] || b.c.Decides(r.Author) })
	shown := all[:b.limit(maxShown, len(all))]
	for _, r := range shown {
		if err := b.add(ctx, r); err != nil {
			return err
		}
	}
	b.Omitted.Claims += len(all) - len(shown)
	return nil
}

func (b *infoBuilder) add(ctx context.Context, r index.ReleaseRow) error {
	release, err := b.x.index.Release(ctx, r.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(b.Versions, func(vi VersionInfo) bool { return vi.Version == r.Version })
	if i < 0 {
		i = len(b.Versions)
		b.Versions = append(b.Versions, VersionInfo{Version: r.Version})
	}
	b.Versions[i].Releases = append(b.Versions[i].Releases, release)
	return nil
}

// decide adds what each version is.
func (b *infoBuilder) decide(ctx context.Context) error {
	var versions []records.Version
	for _, vi := range b.Versions {
		versions = append(versions, vi.Version)
	}
	c := b.c
	if c.authors != nil {
		var err error
		if c, err = b.x.nameClaims(ctx, b.Name, b.evaluator, versions...); err != nil {
			return err
		}
	}
	for i := range b.Versions {
		vi := &b.Versions[i]
		vi.Decision = c.Decide(vi.Version, c.claims[vi.Version])
		vi.Notices = c.Notices(vi.Decision, c.notices)
	}
	return nil
}

// addStatements adds tags, notices and endorsements.
func (b *infoBuilder) addStatements(ctx context.Context) error {
	tags, err := b.statements(ctx, "tag")
	if err != nil {
		return err
	}
	notices, err := b.statements(ctx, "notice")
	if err != nil {
		return err
	}
	endorsements, err := b.statements(ctx, "endorse")
	if err != nil {
		return err
	}
	b.Tags, b.Notices, b.Endorsements = index.TagsOf(tags), index.NoticesOf(notices), index.EndorsementsOf(endorsements)
	return nil
}

// statements returns the records of a kind about the name: those by keys that decide,
// then some of the others', and counts the rest.
func (b *infoBuilder) statements(ctx context.Context, kind string) ([]index.Statement, error) {
	total, err := b.x.index.CountAbout(ctx, kind, b.Name) // invalid ones too, since no record is read for it
	if err != nil || total == 0 {
		return nil, err
	}
	var said, others []index.Statement
	if len(b.c.authors) > 0 {
		said, err = b.x.index.StatementsAbout(ctx, kind, index.Filter{Name: b.Name, Authors: b.c.authors, Valid: true})
		if err != nil {
			return nil, err
		}
	}
	read := b.x.LargeName + maxShown
	if b.all {
		read = total
	}
	all, err := b.x.index.StatementsAbout(ctx, kind, index.Filter{Name: b.Name, Valid: true, Limit: read})
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		switch {
		case !b.c.Decides(s.Author):
			others = append(others, s)
		case b.c.authors == nil:
			said = append(said, s)
		}
	}
	shown := others[:b.limit(maxShown, len(others))]
	if len(shown) < len(others) || total > len(all) {
		b.Omitted.Other += max(0, total-len(said)-len(shown))
	}
	return append(said, shown...), nil
}
