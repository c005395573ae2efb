package guard

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/npm/osv"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

var (
	noon   = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	module = cid.MustParse("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
	other  = cid.MustParse("bafkreicn3pjjtfzvhrdkkzxyvvaxq5uhqc4kdyhnnvzfkpdcbjdv3xhdru")
)

// given are advisories by the package that they are about.
type given map[string][]osv.Advisory

func (g given) About(name string) ([]osv.Advisory, error) { return g[name], nil }
func (g given) State() (string, error)                    { return "", nil }

func about(id, name string, malware bool, severity osv.Severity) osv.Advisory {
	return osv.Advisory{ID: id, Summary: "line\none", Malware: malware, Severity: severity, Affected: []osv.Affected{{Name: name, Versions: []string{"1.0.0"}}}}
}

// TestRelease holds what is let through, and why what is not is not
// (SPEC Q70, Q71 and Q72).
func TestRelease(t *testing.T) {
	const hour = time.Hour
	file := "min-age 2d\npin pinned 1.0.0 " + module.String() + "\n"
	advisories := given{
		"bad":    {about("GHSA-1", "bad", false, osv.Critical), about("MAL-1", "bad", true, osv.Critical)},
		"weak":   {about("GHSA-2", "weak", false, osv.Moderate), about("GHSA-3", "weak", false, osv.High)},
		"pinned": {about("MAL-2", "pinned", true, osv.Critical)},
	}
	for _, c := range []struct {
		name      string
		published time.Duration // before noon; 0 for not said
		seen      time.Duration
		module    cid.Cid
		from      osv.Severity
		want      Kind
		why       string
	}{
		{"old", 1000 * hour, 0, cid.Undef, 0, "", ""},
		{"old", 48 * hour, 0, cid.Undef, 0, "", ""},
		{"new", 47 * hour, 0, cid.Undef, 0, TooNew, "it came out 47h ago, and line 1 of your trust file says min-age 2d"},
		{"seen", 1 * hour, 72 * hour, cid.Undef, 0, "", ""}, // the registry says that it is younger than it can be
		{"unsaid", 0, 47 * hour, cid.Undef, 0, TooNew, "47h"},
		{"unsaid", 0, 49 * hour, cid.Undef, 0, "", ""},
		{"bad", 1000 * hour, 0, cid.Undef, 0, Malware, "MAL-1 says that it is malware (line one)"},
		{"weak", 1000 * hour, 0, cid.Undef, 0, "", ""},
		{"weak", 1000 * hour, 0, cid.Undef, osv.High, Advisory, "GHSA-3 says that it has a vulnerability of severity high"},
		{"weak", 1000 * hour, 0, cid.Undef, osv.Critical, "", ""},
		{"pinned", hour, 0, cid.Undef, osv.Low, "", ""},
		{"pinned", hour, 0, module, osv.Low, "", ""},
		{"pinned", hour, 0, other, osv.Low, Pinned, "line 2 of your trust file pins " + module.String()},
	} {
		parsed, err := trust.Parse([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		g := New(Config{Trust: func() (*trust.Policy, error) { return parsed, nil }, Advisories: advisories, From: c.from, Now: func() time.Time { return noon }})
		judge, err := g.Judge(c.name)
		if err != nil {
			t.Fatal(err)
		}
		r := &Release{Name: c.name, Version: "1.0.0", Seen: noon.Add(-c.seen), Module: c.module}
		if c.published > 0 {
			r.Published = noon.Add(-c.published)
		}
		got := judge.Release(r)
		switch {
		case got == nil && c.want == "":
		case got == nil || got.Kind != c.want || !strings.Contains(got.Why, c.why) || got.Typed == "":
			t.Errorf("%+v: %+v", c, got)
		}
		if got != nil && got.Kind == TooNew && !got.Until.Equal(r.Since().Add(48*hour)) {
			t.Errorf("%s: until %v", c.name, got.Until)
		}
		if another := judge.Release(&Release{Name: c.name, Version: records.Version("2.0.0"), Published: noon.Add(-1000 * hour), Seen: noon}); another != nil {
			t.Errorf("%s 2.0.0: %+v", c.name, another)
		}
	}
}

// TestKeysDecideAlone: what a line gives to a key no registry speaks for, so that a public
// package never answers for one of a team (SPEC Q75).
func TestKeysDecideAlone(t *testing.T) {
	const key = "key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA "
	for _, c := range []struct {
		file, name string
		line       string // "" for let through
	}{
		{"", "@acme/x", ""},
		{key + "@acme/*\n", "@acme/x", "line 1"},
		{key + "@acme/*\n", "@other/x", ""},
		{key + "left-pad\n", "left-pad", "line 1"},
		{key + "left-*\n", "left-pad", "line 1"},
		{key + "left-pad\n", "left-pads", ""},
		{key + "*\n", "left-pad", ""}, // speaks of no name
		{key + "*\n" + strings.ReplaceAll(key, "A", "B") + "left-pad\n", "left-pad", "line 2"},
		{key + "@acme/* until=2026-11-28\n", "@acme/x", ""},
		{key + "@acme/* until=2026-11-29\n", "@acme/x", "line 1"},
		{key + "@acme/*\npin @acme/x 1.0.0 " + module.String() + "\n", "@acme/x", ""},
	} {
		parsed, err := trust.Parse([]byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		judge, err := New(Config{Trust: func() (*trust.Policy, error) { return parsed, nil }, Advisories: given{}, Now: func() time.Time { return noon }}).Judge(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got := judge.Release(&Release{Name: c.name, Version: "1.0.0", Seen: noon})
		if (got == nil) != (c.line == "") || got != nil && (got.Kind != Authority || !strings.HasPrefix(got.Why, c.line) || !strings.Contains(got.Typed, "es add "+c.name)) {
			t.Errorf("%q, %s: %+v", c.file, c.name, got)
		}
	}
}

// TestState: what the user writes changes it, and what cannot be read is an error.
func TestState(t *testing.T) {
	file, failure := &trust.Policy{}, error(nil)
	g := New(Config{Trust: func() (*trust.Policy, error) { return file, failure }, Advisories: given{}, Now: func() time.Time { return noon }})
	state := func() string {
		t.Helper()
		s, err := g.State()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	if state() != before {
		t.Error("it changes by itself")
	}
	file = file.Clone()
	if err := file.SetMinAge(time.Hour); err != nil {
		t.Fatal(err)
	}
	if state() == before {
		t.Error("a line more is the same")
	}
	failure = errors.New("line 1")
	if _, err := g.State(); err == nil {
		t.Error("a trust file that cannot be read is none")
	}
	if _, err := g.Judge("x"); err == nil {
		t.Error("a trust file that cannot be read lets through")
	}
}

// TestRegistriesAndKeys: the most specific line decides who speaks for a name; a key and a
// registry that are as specific both do (SPEC Q75 and Q76).
func TestRegistriesAndKeys(t *testing.T) {
	const key = "0123456789ABCDEF0123456789ABCDEF01234567"
	for _, c := range []struct {
		text, name   string
		line         int // of the key that speaks alone
		needRegistry bool
	}{
		{"key " + key + " *\n", "left", 0, false},
		{"key " + key + " left\n", "left", 1, false},
		{"key " + key + " left until=2026-11-28\n", "left", 0, false},
		{"npm * registry=r unsigned=yes\n", "left", 0, true},
		{"npm lef* registry=r unsigned=yes\nkey " + key + " left*\n", "left", 2, false},
		{"npm left registry=r unsigned=yes until=2026-11-28\n", "left", 0, false},
		{"npm right registry=r unsigned=yes\n", "left", 0, false},
		{"npm * registry=r unsigned=yes\nkey " + key + " *\n", "left", 0, true},
		{"npm * registry=r unsigned=yes\nkey " + key + " lef*\n", "left", 2, false},
		{"npm lef* registry=r unsigned=yes\nkey " + key + " lef*\n", "left", 0, true},
		{"npm @a/* registry=r unsigned=yes\nkey " + key + " @a/b\n", "@a/b", 2, false},
		{"npm @a/b registry=r unsigned=yes\nkey " + key + " @a/*\n", "@a/b", 0, true},
	} {
		file, err := trust.Parse([]byte(c.text))
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		g := New(Config{Trust: func() (*trust.Policy, error) { return file, nil }, Advisories: given{}, Now: func() time.Time { return noon }})
		j, err := g.Judge(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if j.closed.Line != c.line || j.NeedsRegistry() != c.needRegistry {
			t.Errorf("%q, %s: line %d alone, registry %v", c.text, c.name, j.closed.Line, j.NeedsRegistry())
		}
	}
}
