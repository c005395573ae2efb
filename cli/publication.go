package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// publication makes and stores the records of one publish.
type publication struct {
	statements
	set    *modules.FileSet
	module *modules.Module
	name   records.Name
	claims []index.Release // of the name, before this publish
	done   published       // the release, where it was made before; otherwise undefined
}

// read finds what was released under the name before, and whether this module was.
func (p *publication) read(ctx context.Context) error {
	var err error
	if p.claims, err = p.home.Index().Releases(ctx, p.name); err != nil {
		return err
	}
	var before []index.Release
	var all []cid.Cid
	for _, c := range p.claims {
		if c.Author == p.own.Fingerprint() && c.Body.Version == p.module.Version && !slices.Contains(all, c.Body.Module) {
			before, all = append(before, c), append(all, c.Body.Module)
		}
	}
	switch {
	case len(before) > 1:
		return frozenBefore(p.module, before)
	case len(before) == 1 && before[0].Body.Module != p.module.CID:
		return publishedBefore(p.module, before[0])
	case len(before) == 1:
		envelope, _, err := p.home.Index().Envelope(ctx, before[0].ID)
		if err != nil {
			return err
		}
		p.done = published{before[0].ID, records.EnvelopeID(envelope)}
	}
	return nil
}

// check refuses what cannot be signed, or would move latest unasked.
func (p *publication) check(ctx context.Context, o publishOptions) error {
	tag, err := p.askedTag(o)
	if err != nil || p.done.ID.Defined() {
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
		return coded(exitFailed, fmt.Errorf("the record of %s@%s cannot be made: %w", p.name, p.module.Version, err),
			"a record holds what package.json says of dependencies, programs and keywords: bundle some, or split the package")
	}
	return nil
}

// askedTag is the tag that the user, npm or the author asks for, or "".
func (p *publication) askedTag(o publishOptions) (string, error) {
	for _, t := range []struct{ tag, by string }{
		{o.tag, "--tag"}, {p.app.npmConfig("tag"), "npm_config_tag"}, {p.set.Package.PublishConfig().Tag, "publishConfig of package.json"},
	} {
		if t.tag == "" {
			continue
		}
		if err := records.CheckTag(t.tag); err != nil {
			return "", coded(exitFailed, fmt.Errorf("%s: %w", t.by, err))
		}
		return t.tag, nil
	}
	return "", nil
}

// checkLatest refuses to move latest to a pre-release or to an older version unasked,
// as npm 11 does. While there are pre-releases alone, none of them moves it.
func (p *publication) checkLatest(ctx context.Context) error {
	m := p.module
	if m.Version.Prerelease() != "" {
		tags, err := p.ownTags(ctx)
		if err != nil {
			return err
		}
		if tags["latest"] != "" || p.highest(func(records.Version) bool { return true }) != "" {
			return tagNeeded(m, "", "next")
		}
		return nil
	}
	dropped, err := p.dropped(ctx)
	if err != nil {
		return err
	}
	highest := p.highest(func(v records.Version) bool { return v != m.Version && !dropped(v) })
	if highest != "" && highest.Compare(m.Version) > 0 {
		return tagNeeded(m, highest, "v"+strings.SplitN(string(m.Version), ".", 2)[0]+"-lts")
	}
	return nil
}

// dropped returns which versions the key has yanked or deprecated.
func (p *publication) dropped(ctx context.Context) (func(records.Version) bool, error) {
	notices, err := p.home.Index().Notices(ctx, p.name)
	if err != nil {
		return nil, err
	}
	var ranges []npmrange.Range
	for _, n := range notices {
		if n.Author != p.own.Fingerprint() || n.Body.Text == "" || n.Body.Range == "" || n.Body.NoticeOf != records.Yanked && n.Body.NoticeOf != records.Deprecated {
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

// highest returns the highest final version that the key released and that counts.
func (p *publication) highest(counts func(records.Version) bool) records.Version {
	var highest records.Version
	for _, c := range p.claims {
		v := c.Body.Version
		if c.Author == p.own.Fingerprint() && v.Prerelease() == "" && counts(v) && (highest == "" || highest.Compare(v) < 0) {
			highest = v
		}
	}
	return highest
}

// signAll signs the release and its tags, while nobody else in this home does.
func (p *publication) signAll(ctx context.Context, o publishOptions) (release published, tag string, err error) {
	if p.done.ID.Defined() && o.tag == "" { // what was there before moves no tag
		p.app.note("%s@%s was published before with these contents; announcing it again", p.name, p.module.Version)
		p.made = append(p.made, p.done.ID)
		return p.done, "", nil
	}
	unlock, err := p.hold(ctx)
	if err != nil {
		return published{}, "", err
	}
	defer unlock()
	if err := p.read(ctx); err != nil { // somebody may have been faster
		return published{}, "", err
	}
	if err := p.check(ctx, o); err != nil {
		return published{}, "", err
	}
	release = p.done
	if release.ID.Defined() {
		p.app.note("%s@%s was published before with these contents; announcing it again", p.name, p.module.Version)
		p.made = append(p.made, release.ID)
	} else if release, err = p.sign(ctx, p.module.Release()); err != nil {
		return published{}, "", err
	}
	asked, err := p.askedTag(o)
	if err != nil || p.done.ID.Defined() && asked == "" {
		return release, "", err
	}
	tag, err = p.tags(ctx, asked)
	return release, tag, err
}

// tags points tags at the new version as npm's publish does: latest moves
// unless another tag was asked for, and then latest stays where it was. Without
// any tag record the highest version is the latest, so none is written until
// that would be wrong.
func (p *publication) tags(ctx context.Context, asked string) (string, error) {
	m := p.module
	current, err := p.ownTags(ctx)
	if err != nil {
		return "", err
	}
	want := map[string]records.Version{}
	latest, tagged := current["latest"]
	before := p.highest(func(v records.Version) bool { return v != m.Version })
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
	for _, tag := range sortedTags(want) {
		if current[tag] == want[tag] {
			continue
		}
		if _, err := p.sign(ctx, &records.Tag{Name: m.Name, Tag: tag, Version: want[tag]}); err != nil {
			return "", fmt.Errorf("%s@%s is published, but not its tag %s: %w", m.Name, m.Version, tag, err)
		}
		if want[tag] == m.Version {
			moved = tag
		}
	}
	return moved, nil
}

func sortedTags(m map[string]records.Version) []string {
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

// ownTags returns the tags that the key gives versions of the name; those that it took
// away are not there.
func (p *publication) ownTags(ctx context.Context) (map[string]records.Version, error) {
	all, err := p.home.Index().Tags(ctx, p.name)
	if err != nil {
		return nil, err
	}
	own := map[string]records.Version{}
	for _, t := range all {
		if t.Author == p.own.Fingerprint() && t.Void == "" && t.Body.Version != "" {
			own[t.Body.Tag] = t.Body.Version
		}
	}
	return own, nil
}

// publishedBefore refuses to sign another module as a version that the key
// released.
func publishedBefore(m *modules.Module, before index.Release) error {
	r := &refusal{kind: alreadyPublished, code: exitFailed, about: fmt.Sprintf("%s@%s", m.Name, m.Version)}
	r.err = fmt.Errorf("%s was published before with other contents", r.about)
	r.add("before", "%s", before.Body.Module)
	r.add("now", "%s", m.CID)
	r.add("key", "%s", before.Author)
	r.meaning = meanings[alreadyPublished] + "\nNothing was signed or published."
	r.next = []string{"raise the version in package.json and publish that"}
	return r
}

// frozenBefore refuses to publish a version that the key has released as different
// modules.
func frozenBefore(m *modules.Module, before []index.Release) error {
	r := &refusal{kind: frozen, code: exitIntegrity, about: fmt.Sprintf("%s@%s", m.Name, m.Version)}
	r.err = fmt.Errorf("%s is frozen: your key signed different modules as this version", r.about)
	for _, b := range before {
		r.add("module", "%s", b.Body.Module)
	}
	r.add("key", "%s", before[0].Author)
	r.meaning = meanings[frozen] + "\nNothing was signed or published."
	r.next = []string{"raise the version in package.json and publish that", "es why " + r.about + " --proof proof writes both records"}
	return r
}

// tagNeeded refuses to make a version the latest unasked; highest is empty for a
// pre-release.
func tagNeeded(m *modules.Module, highest records.Version, example string) error {
	r := &refusal{kind: needsTag, code: exitFailed, about: fmt.Sprintf("%s@%s", m.Name, m.Version), meaning: meanings[needsTag]}
	r.err = errors.New(r.about + " is a pre-release, and would become latest")
	if highest != "" {
		r.err = fmt.Errorf("%s is older than %s, which you published, and would become latest", r.about, highest)
		r.add("highest", "%s", highest)
	} else {
		r.add("because", "it is a pre-release, and no tag was given")
	}
	r.next = []string{"es publish --tag " + example + " leaves latest where it is", "es publish --tag latest moves latest to " + string(m.Version)}
	return r
}
