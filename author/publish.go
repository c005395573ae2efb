package author

import (
	"context"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// Scan lists the files of a package directory that would be published, but for those of
// homes. It is a *PrivateError for a package that is not to be, and of package modules a
// *SecretError for secrets and a *RuleError for files that no module can have.
func Scan(dir string, homes ...string) (*modules.FileSet, error) {
	set, err := modules.Scan(dir, homes...)
	if err != nil {
		return nil, err
	}
	if set.Package.Private {
		return nil, &PrivateError{set.Package.String()}
	}
	return set, nil
}

// PublishOptions say which tag moves to the version.
type PublishOptions struct {
	Tag   string  // by the user of the command; "" for none
	Usual []Asked // what asks for one where the user does not: the first that has one counts
}

// Asked is a tag and who asks for it, such as npm's configuration.
type Asked struct{ Tag, By string }

// tag is the tag that is asked for, or "".
func (o PublishOptions) tag() (string, error) {
	for _, t := range append([]Asked{{o.Tag, "--tag"}}, o.Usual...) {
		if t.Tag == "" {
			continue
		}
		if err := records.CheckTag(t.Tag); err != nil {
			return "", &TagError{By: t.By, Err: err}
		}
		return t.Tag, nil
	}
	return "", nil
}

// A Publication is a module on its way to being released.
type Publication struct {
	*Author
	module *modules.Module
	o      PublishOptions

	releases []index.Release // of the name, before this one
	before   cid.Cid         // the record, where the module was released before
}

// Prepare checks that the module may be released as its version. It is a *PublishedError or
// *FrozenError where the key has released it as another one, a *LatestError where latest would
// move backwards unasked, a *TagError for what is no tag, and a *RecordError where the release
// does not fit into a record.
func (a *Author) Prepare(ctx context.Context, m *modules.Module, o PublishOptions) (*Publication, error) {
	p := &Publication{Author: a, module: m, o: o}
	return p, p.check(ctx)
}

// ReleasedBefore reports whether the key has released this module as this version.
func (p *Publication) ReleasedBefore() bool { return p.before.Defined() }

func (p *Publication) about() string { return fmt.Sprintf("%s@%s", p.module.Name, p.module.Version) }

// check refuses what cannot be signed, or would move latest unasked.
func (p *Publication) check(ctx context.Context) error {
	if err := p.read(ctx); err != nil {
		return err
	}
	tag, err := p.o.tag()
	if err != nil || p.ReleasedBefore() {
		return err
	}
	if tag == "" {
		if err := p.checkLatest(ctx); err != nil {
			return err
		}
	}
	r, err := p.next(ctx, p.module.Release())
	if err != nil {
		return err
	}
	if _, err := records.Encode(r); err != nil {
		return &RecordError{About: p.about(), Err: err}
	}
	return nil
}

// read finds what was released under the name before, and whether this module was.
func (p *Publication) read(ctx context.Context) error {
	m := p.module
	var err error
	if p.releases, err = p.index.Releases(ctx, m.Name); err != nil {
		return err
	}
	var same []index.Release
	var all []cid.Cid
	for _, r := range p.releases {
		if r.Author == p.Fingerprint() && r.Body.Version == m.Version && !slices.Contains(all, r.Body.Module) {
			same, all = append(same, r), append(all, r.Body.Module)
		}
	}
	p.before = cid.Undef
	switch {
	case len(same) > 1:
		return &FrozenError{Name: m.Name, Version: m.Version, Author: p.Fingerprint(), Modules: all}
	case len(same) == 1 && all[0] != m.CID:
		return &PublishedError{Name: m.Name, Version: m.Version, Author: p.Fingerprint(), Before: all[0], Now: m.CID}
	case len(same) == 1:
		p.before = same[0].ID
	}
	return nil
}

// Released is what came of a publication.
type Released struct {
	Signed
	Tag string // that moved to the version; "" for none
}

// Sign signs the release and its tags while nobody else in this home signs, and stores them.
// What was released before is not signed again, and moves no tag but the one that the user
// asks for.
func (p *Publication) Sign(ctx context.Context) (Released, error) {
	if p.ReleasedBefore() && p.o.Tag == "" {
		made, err := p.again(ctx, p.before)
		return Released{Signed: made}, err
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return Released{}, err
	}
	defer unlock()
	if err := p.check(ctx); err != nil { // somebody may have been faster
		return Released{}, err
	}
	asked, err := p.o.tag()
	if err != nil {
		return Released{}, err
	}
	if p.ReleasedBefore() {
		made, err := p.again(ctx, p.before)
		if err != nil || asked == "" {
			return Released{Signed: made}, err
		}
		tag, err := p.moveTags(ctx, asked)
		return Released{made, tag}, err
	}
	made, err := p.sign(ctx, p.module.Release())
	if err != nil {
		return Released{}, err
	}
	tag, err := p.moveTags(ctx, asked)
	return Released{made, tag}, err
}

// checkLatest refuses to move latest to a pre-release or to an older version unasked,
// as npm 11 does. While there are pre-releases alone, none of them moves it.
func (p *Publication) checkLatest(ctx context.Context) error {
	m := p.module
	refused := &LatestError{Name: m.Name, Version: m.Version}
	if m.Version.Prerelease() != "" {
		tags, err := p.ownTags(ctx, m.Name)
		if err != nil {
			return err
		}
		if tags["latest"] != "" || p.highest(p.releases, anyVersion) != "" {
			return refused
		}
		return nil
	}
	dropped, err := p.dropped(ctx, m.Name)
	if err != nil {
		return err
	}
	refused.Highest = p.highest(p.releases, func(v records.Version) bool { return v != m.Version && !dropped(v) })
	if refused.Highest != "" && refused.Highest.Compare(m.Version) > 0 {
		return refused
	}
	return nil
}

// moveTags points tags at the new version as npm's publish does: latest moves unless another
// tag was asked for, and then latest stays where it was. Without any tag record the highest
// version is the latest, so none is written until that would be wrong. It returns the tag
// that moved to the version.
func (p *Publication) moveTags(ctx context.Context, asked string) (string, error) {
	m := p.module
	current, err := p.ownTags(ctx, m.Name)
	if err != nil {
		return "", err
	}
	want := map[string]records.Version{}
	latest, tagged := current["latest"]
	before := p.highest(p.releases, func(v records.Version) bool { return v != m.Version })
	switch {
	case asked != "" && asked != "latest":
		want[asked] = m.Version
		if !tagged && before != "" {
			want["latest"] = before
		}
	case tagged || asked == "latest":
		want["latest"] = m.Version
	case before != "" && before.Compare(m.Version) > 0:
		want["latest"] = m.Version
	}
	if want["latest"] == latest {
		delete(want, "latest")
	}
	moved := ""
	for _, tag := range latestLast(want) {
		if current[tag] == want[tag] {
			continue
		}
		if _, err := p.sign(ctx, &records.Tag{Name: m.Name, Tag: tag, Version: want[tag]}); err != nil {
			return "", fmt.Errorf("%s is published, but not its tag %s: %w", p.about(), tag, err)
		}
		if want[tag] == m.Version {
			moved = tag
		}
	}
	return moved, nil
}

// latestLast returns the tags, latest at the end.
func latestLast(m map[string]records.Version) []string {
	var tags []string
	for t := range m {
		if t != "latest" {
			tags = append(tags, t)
		}
	}
	if _, ok := m["latest"]; ok {
		tags = append(tags, "latest")
	}
	return tags
}

func anyVersion(records.Version) bool { return true }

// highest returns the highest final version of the key's releases for which counts holds.
func (a *Author) highest(releases []index.Release, counts func(records.Version) bool) records.Version {
	var highest records.Version
	for _, r := range releases {
		v := r.Body.Version
		if r.Author == a.Fingerprint() && v.Prerelease() == "" && counts(v) && (highest == "" || highest.Compare(v) < 0) {
			highest = v
		}
	}
	return highest
}

// dropped returns which versions of the name the key has yanked or deprecated.
func (a *Author) dropped(ctx context.Context, name records.Name) (func(records.Version) bool, error) {
	notices, err := a.index.Notices(ctx, name)
	if err != nil {
		return nil, err
	}
	var ranges []npmrange.Range
	for _, n := range notices {
		if n.Author != a.Fingerprint() || n.Body.Text == "" || n.Body.Range == "" || n.Body.NoticeOf != records.Yanked && n.Body.NoticeOf != records.Deprecated {
			continue
		}
		if r, err := npmrange.Parse(n.Body.Range); err == nil {
			ranges = append(ranges, r)
		}
	}
	return func(v records.Version) bool {
		return slices.ContainsFunc(ranges, func(r npmrange.Range) bool { return r.Match(v) })
	}, nil
}

// ownTags returns the tags that the key gives versions of the name; those that it took
// away are not there.
func (a *Author) ownTags(ctx context.Context, name records.Name) (map[string]records.Version, error) {
	all, err := a.index.Tags(ctx, name)
	if err != nil {
		return nil, err
	}
	own := map[string]records.Version{}
	for _, t := range all {
		if t.Author == a.Fingerprint() && t.Invalid == "" && t.Body.Version != "" {
			own[t.Body.Tag] = t.Body.Version
		}
	}
	return own, nil
}
