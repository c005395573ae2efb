package author

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// SignStatement signs one statement, after Check, and stores it. What the key says already, in the same
// words, is not signed again.
func (a *Author) SignStatement(ctx context.Context, body records.Body) (Signed, error) {
	if err := a.Check(ctx, body); err != nil {
		return Signed{}, err
	}
	if n, ok := body.(*records.Notice); ok {
		stands, err := a.standing(ctx, n)
		if err != nil {
			return Signed{}, err
		}
		if i := slices.IndexFunc(stands, func(s index.Notice) bool { return sameNotice(s.Body, n) }); i >= 0 {
			return a.again(ctx, stands[i].ID)
		}
	}
	return a.sign(ctx, body)
}

// Check returns why signing the statement would say nothing: a *NotSaidError where it takes
// back what was not said, an *UnknownVersionError where it is about a version that nobody
// has released. A body that it does not know is an error: a new one needs a line here.
func (a *Author) Check(ctx context.Context, body records.Body) error {
	switch b := body.(type) {
	case *records.Tag:
		if b.Version != "" {
			return knownVersion(ctx, a.index, b.Name, b.Version)
		}
		tags, err := a.ownTags(ctx, b.Name)
		if err != nil || tags[b.Tag] != "" {
			return err
		}
		return &NotSaidError{Author: a.Fingerprint(), Body: b}
	case *records.Notice:
		if b.Text != "" {
			return nil
		}
		return a.checkRetraction(ctx, b)
	case *records.Delegate:
		if len(b.Scopes) > 0 {
			return nil
		}
		return a.checkDelegated(ctx, b)
	case *records.Endorse:
		all, err := claimedModules(ctx, a.index, b.Name, b.Version)
		if err == nil && !slices.Contains(all, b.Module) {
			err = &UnknownVersionError{Name: b.Name, Version: b.Version, Module: b.Module}
		}
		return err
	case *records.Release, *records.Successor, *records.Heartbeat:
		return nil
	}
	return fmt.Errorf("there is no check of a record of the kind %q", body.Kind())
}

// standing returns the key's notices about the name that are of n's kind and not taken back;
// those about one record are left out.
func (a *Author) standing(ctx context.Context, n *records.Notice) ([]index.Notice, error) {
	all, err := a.index.Notices(ctx, n.Name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(o index.Notice) bool {
		return o.Author != a.Fingerprint() || o.Body.NoticeOf != n.NoticeOf || o.Body.Record.Defined() || o.Body.Text == ""
	}), nil
}

func sameNotice(a, b *records.Notice) bool {
	return a.Range == b.Range && a.Text == b.Text && a.Severity == b.Severity && a.Fixed == b.Fixed && slices.Equal(a.Refs, b.Refs)
}

// checkRetraction fails where the key has no notice that n would take back.
func (a *Author) checkRetraction(ctx context.Context, n *records.Notice) error {
	stands, err := a.standing(ctx, n)
	if err != nil {
		return err
	}
	var ranges []string
	for _, o := range stands {
		if o.Body.Range == n.Range {
			return nil
		}
		ranges = append(ranges, o.Body.Range)
	}
	return &NotSaidError{Author: a.Fingerprint(), Body: n, Ranges: ranges}
}

// checkDelegated fails where nothing is delegated to the key.
func (a *Author) checkDelegated(ctx context.Context, d *records.Delegate) error {
	all, err := a.index.Statements(ctx, a.Fingerprint(), "delegate")
	if err != nil {
		return err
	}
	var newest *index.Statement
	for i := range all {
		s := &all[i]
		if o, ok := s.Record.Body.(*records.Delegate); ok && o.To == d.To && s.Invalid == "" && (newest == nil || s.Newer(newest.Meta)) {
			newest = s
		}
	}
	if newest != nil && len(newest.Record.Body.(*records.Delegate).Scopes) > 0 {
		return nil
	}
	return &NotSaidError{Author: a.Fingerprint(), Body: d}
}

// knownVersion fails for a version that nobody has released.
func knownVersion(ctx context.Context, x Statements, name records.Name, v records.Version) error {
	all, err := x.ReleasesOf(ctx, name, v)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(r index.Release) bool { return r.Invalid == "" }) {
		return nil
	}
	return &UnknownVersionError{Name: name, Version: v}
}

// claimedModules returns the modules that a version is released as, sorted by their text.
func claimedModules(ctx context.Context, x Statements, name records.Name, v records.Version) ([]cid.Cid, error) {
	if err := knownVersion(ctx, x, name, v); err != nil {
		return nil, err
	}
	releases, err := x.ReleasesOf(ctx, name, v)
	if err != nil {
		return nil, err
	}
	var all []cid.Cid
	for _, r := range releases {
		if r.Invalid == "" && !slices.Contains(all, r.Body.Module) {
			all = append(all, r.Body.Module)
		}
	}
	slices.SortFunc(all, func(a, b cid.Cid) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

// TheModule returns the one module that a version is released as, or an *AmbiguousError.
func TheModule(ctx context.Context, x Statements, name records.Name, v records.Version) (cid.Cid, error) {
	all, err := claimedModules(ctx, x, name, v)
	if err != nil {
		return cid.Undef, err
	}
	if len(all) > 1 {
		return cid.Undef, &AmbiguousError{Name: name, Version: v, Modules: all}
	}
	return all[0], nil
}

// Reach returns how many releases of a name are known, and which versions of them a notice
// about the range is about, sorted.
func Reach(ctx context.Context, x Releases, name records.Name, rng string) (known int, about []records.Version, err error) {
	r, err := npmrange.Parse(rng)
	if err != nil {
		return 0, nil, err
	}
	all, err := x.Releases(ctx, name)
	if err != nil {
		return 0, nil, err
	}
	for _, c := range all {
		if r.Match(c.Body.Version) && !slices.Contains(about, c.Body.Version) {
			about = append(about, c.Body.Version)
		}
	}
	slices.SortFunc(about, records.Version.Compare)
	return len(all), about, nil
}

// LatestAmong returns what "latest" stands for by what the key says, where a yank of the
// range takes that version away, and "" where it does not; left is the version that a range
// finds then, or "".
func (a *Author) LatestAmong(ctx context.Context, name records.Name, rng string) (latest, left records.Version, err error) {
	about, err := npmrange.Parse(rng)
	if err != nil {
		return "", "", err
	}
	releases, err := a.index.Releases(ctx, name)
	if err != nil {
		return "", "", err
	}
	tags, err := a.ownTags(ctx, name)
	if err != nil {
		return "", "", err
	}
	latest, tagged := tags["latest"]
	if !tagged {
		latest = a.highest(releases, anyVersion)
	}
	if latest == "" || !about.Match(latest) {
		return "", "", nil
	}
	dropped, err := a.dropped(ctx, name)
	if err != nil {
		return "", "", err
	}
	left = a.highest(releases, func(v records.Version) bool { return !about.Match(v) && !dropped(v) && v.Compare(latest) < 0 })
	return latest, left, nil
}

// Withdrawn returns the ranges under which the key says of a version that it is yanked, or
// deprecated: what is published as it, or tagged, is so from the beginning.
func (a *Author) Withdrawn(ctx context.Context, kind string, name records.Name, v records.Version) ([]string, error) {
	stands, err := a.standing(ctx, &records.Notice{Name: name, NoticeOf: kind})
	if err != nil {
		return nil, err
	}
	var ranges []string
	for _, n := range stands {
		if r, err := npmrange.Parse(n.Body.Range); err == nil && r.Match(v) && !slices.Contains(ranges, n.Body.Range) {
			ranges = append(ranges, n.Body.Range)
		}
	}
	return ranges, nil
}
