package index

import (
	"context"
	"slices"
	"time"

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
func (x *Index) Info(ctx context.Context, name records.Name, constraint string, view *trust.View, all bool) (Info, error) {
	c, err := x.claimed(ctx, name, view)
	if err != nil {
		return Info{}, err
	}
	info := Info{Name: name}
	if ch := c.choose(c.latest(), false); ch.version != "" {
		info.Latest = ch.version
	}
	b := &briefing{x: x, c: c, view: view, all: all, Info: &info}
	if b.wanted, err = x.wanted(ctx, c, constraint); err != nil {
		return Info{}, err
	}
	for _, step := range []func(context.Context) error{b.decided, b.others, b.decide, b.said} {
		if err := step(ctx); err != nil {
			return Info{}, err
		}
	}
	return info, nil
}

// Takes returns the version that a constraint stands for when somebody asks about it:
// what Resolve chooses or, where it chooses none, what is claimed that fits.
func (x *Index) Takes(ctx context.Context, name records.Name, constraint string, view *trust.View) (records.Version, error) {
	r, err := x.Resolve(ctx, name, constraint, view)
	return standsFor(r, err)
}

func standsFor(r Resolution, err error) (records.Version, error) {
	switch e := err.(type) {
	case nil:
		return r.Version, nil
	case *UntrustedError:
		return e.Version, nil
	case *ConflictError:
		return e.Version, nil
	case *HeldError:
		return e.Version, nil
	case *EquivocationError:
		return e.Version, nil
	case *NotFoundError:
		if e.Void != nil {
			return e.Void.Version, nil
		}
	}
	return "", err
}

// wanted returns the versions that a constraint takes, of all that anybody released.
func (x *Index) wanted(ctx context.Context, c *claimed, constraint string) (map[records.Version]bool, error) {
	all, err := x.released(ctx, c)
	if err != nil {
		return nil, err
	}
	versions := all.versions
	if constraint != "" {
		want, err := parseConstraint(constraint)
		if err != nil {
			return nil, err
		}
		versions = all.candidates(want)
		if want.Kind == npmrange.Tag {
			if versions, err = x.tagMeant(ctx, c, all, want, versions); err != nil {
				return nil, err
			}
		}
	}
	if len(versions) == 0 {
		return nil, &NotFoundError{Name: c.name, Constraint: constraint, Have: c.trusted()}
	}
	wanted := make(map[records.Version]bool, len(versions))
	for _, v := range versions {
		wanted[v] = true
	}
	return wanted, nil
}

// tagMeant returns the version that a tag stands for: what trust lets in, else what it is
// for those who decide, else for others.
func (x *Index) tagMeant(ctx context.Context, c, all *claimed, want npmrange.Constraint, versions []records.Version) (_ []records.Version, err error) {
	if len(versions) == 0 {
		versions, err = x.strangersTag(ctx, all, want.Tag)
	} else if ch := c.choose(c.candidates(want), false); ch.version != "" {
		return []records.Version{ch.version}, nil
	}
	return versions[:min(len(versions), 1)], err
}

// A briefing gathers an Info.
type briefing struct {
	*Info
	x      *Index
	c      *claimed
	view   *trust.View
	wanted map[records.Version]bool
	all    bool
}

// limit is n, or no limit.
func (b *briefing) limit(n, have int) int {
	if b.all {
		return have
	}
	return min(n, have)
}

// decided adds the versions about which keys that decide, or a pin, say something.
func (b *briefing) decided(ctx context.Context) error {
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
			r, err := b.x.Release(ctx, claim.Record)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(vi.Releases, func(have Release) bool { return have.ID == r.ID }) {
				vi.Releases = append(vi.Releases, r)
			}
		}
		b.Versions = append(b.Versions, vi)
	}
	return nil
}

// others adds the first and newest of what keys say that do not decide.
func (b *briefing) others(ctx context.Context) error {
	claimants, err := b.x.claimants(ctx, b.Name, b.view, func(v records.Version) bool { return b.wanted[v] })
	if err != nil {
		return err
	}
	b.Keys = len(claimants)
	if b.Claimants, err = b.x.introduce(ctx, claimants); err != nil {
		return err
	}
	room := maxShown
	for _, c := range claimants {
		if c.decides() {
			continue
		}
		n := 0
		if c.newest > 0 && room > 0 || b.all {
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
		return b.showVoid(ctx)
	}
	return nil
}

// show adds the newest releases by one key, at most limit.
func (b *briefing) show(ctx context.Context, c Claimant, limit int) (shown int, err error) {
	all, err := b.x.releasesBy(ctx, b.Name, c.Key)
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(r brief) bool { return !b.wanted[r.version] })
	all = all[:b.limit(limit, len(all))]
	for _, r := range all {
		if err := b.add(ctx, r); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// showVoid adds releases over which no signature counts.
func (b *briefing) showVoid(ctx context.Context) error {
	all, err := b.x.briefs(ctx, "name = ? AND void <> '' ORDER BY num", string(b.Name))
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r brief) bool { return !b.wanted[r.version] || b.c.Decides(r.author) })
	shown := all[:b.limit(maxShown, len(all))]
	for _, r := range shown {
		if err := b.add(ctx, r); err != nil {
			return err
		}
	}
	b.Omitted.Claims += len(all) - len(shown)
	return nil
}

func (b *briefing) add(ctx context.Context, r brief) error {
	all, err := b.x.statements(ctx, "find record", "SELECT "+statementColumns+" FROM records WHERE num = ?", r.num)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(b.Versions, func(vi VersionInfo) bool { return vi.Version == r.version })
	if i < 0 {
		i = len(b.Versions)
		b.Versions = append(b.Versions, VersionInfo{Version: r.version})
	}
	b.Versions[i].Releases = append(b.Versions[i].Releases, releasesOf(all)...)
	return nil
}

// decide adds what each version is.
func (b *briefing) decide(ctx context.Context) error {
	var versions []records.Version
	for _, vi := range b.Versions {
		versions = append(versions, vi.Version)
	}
	c := b.c
	if c.authors != nil {
		var err error
		if c, err = b.x.claimed(ctx, b.Name, b.view, versions...); err != nil {
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

// said adds tags, notices and endorsements.
func (b *briefing) said(ctx context.Context) error {
	tags, err := b.statements(ctx, "tags", "tag")
	if err != nil {
		return err
	}
	notices, err := b.statements(ctx, "remarks", "notice")
	if err != nil {
		return err
	}
	endorsements, err := b.statements(ctx, "remarks", "endorse")
	if err != nil {
		return err
	}
	b.Tags, b.Notices, b.Endorsements = tagsOf(tags), noticesOf(notices), endorsementsOf(endorsements)
	return nil
}

// statements returns the records of a kind about the name, which a table lists: those by
// keys that decide, then some of the others', and counts the rest.
func (b *briefing) statements(ctx context.Context, table, kind string) ([]Statement, error) {
	const op = "list what is said"
	of := " ON num = record WHERE name = ? AND records.kind = ? AND void = ''"
	args := []any{string(b.Name), kind}
	count, counted := "SELECT count(*) FROM "+table+" WHERE name = ?", args[:1]
	if table == "remarks" {
		count, counted = count+" AND kind = ?", args
	}
	var total int // void ones too, since no record is read for it
	if err := b.x.r.QueryRowContext(ctx, count, counted...).Scan(&total); err != nil {
		return nil, b.x.explain(op, err)
	}
	if total == 0 {
		return nil, nil
	}
	var said, others []Statement
	if len(b.c.authors) > 0 {
		some, authors := b.c.among("records.author")
		var err error
		// By author, so that the others' are not even looked at.
		said, err = b.x.statements(ctx, op, "SELECT "+statementColumns+" FROM records CROSS JOIN "+table+of+some+" ORDER BY num",
			slices.Concat(args, authors[1:])...)
		if err != nil {
			return nil, err
		}
	}
	read := b.x.crowd + maxShown
	if b.all {
		read = total
	}
	all, err := b.x.statements(ctx, op, "SELECT "+statementColumns+" FROM "+table+" JOIN records"+of+" ORDER BY num LIMIT ?", append(args, read)...)
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

// A brief is what the tables say of a release without its record.
type brief struct {
	num     int64
	author  records.Fingerprint
	version records.Version
	seen    time.Time // when it came here; zero from listed
}

// releasesBy returns an author's releases of a name that count, the newest first.
func (x *Index) releasesBy(ctx context.Context, name records.Name, author records.Fingerprint) ([]brief, error) {
	all, err := x.briefs(ctx, "name = ? AND releases.author = ? AND void = '' ORDER BY num", string(name), author.Bytes())
	slices.SortStableFunc(all, func(a, b brief) int { return compareNewest(b.version, a.version) })
	return all, err
}

func (x *Index) briefs(ctx context.Context, condition string, args ...any) ([]brief, error) {
	rows, err := x.r.QueryContext(ctx, "SELECT num, releases.author, version, first_seen FROM releases JOIN records ON num = record WHERE "+condition, args...)
	if err != nil {
		return nil, x.explain("find releases", err)
	}
	defer rows.Close()
	var all []brief
	for rows.Next() {
		var r brief
		var author fingerprint
		var seen int64
		if err := rows.Scan(&r.num, &author, &r.version, &seen); err != nil {
			return nil, x.explain("find releases", err)
		}
		r.author, r.seen = author.Fingerprint, time.UnixMilli(seen).UTC()
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find releases", err)
	}
	return all, nil
}
