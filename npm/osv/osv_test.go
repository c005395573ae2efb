package osv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
)

func advisory(ranges string) string {
	return fmt.Sprintf(`{"schema_version": "1.7.3", "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-1"], "modified": "2026-01-02T00:00:00Z",
		"summary": "bad", "details": "long", "database_specific": {"severity": "MODERATE"},
		"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
		"references": [{"type": "WEB", "url": "https://a.example"}, {"type": "ADVISORY", "url": "https://b.example"}],
		"affected": [
			{"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]},
			{"package": {"ecosystem": "npm", "name": "@es/x"}, %s}]}`, ranges)
}

func TestAffects(t *testing.T) {
	semver := func(events string) string { return `"ranges": [{"type": "SEMVER", "events": [` + events + `]}]` }
	for _, c := range []struct{ name, ranges, in, out string }{
		{"all before a fix", semver(`{"introduced": "0"}, {"fixed": "1.2.3"}`), "0.0.1 1.2.3-rc.1 1.2.2", "1.2.3 1.2.4 2.0.0"},
		{"up to the last", semver(`{"introduced": "1.0.0"}, {"last_affected": "1.2.3"}`), "1.0.0 1.2.3", "0.9.9 1.0.0-rc.1 1.2.4"},
		{"without an end", semver(`{"introduced": "2.0.0"}`), "2.0.0 99.0.0", "1.9.9"},
		{"two spans, unsorted", semver(`{"fixed": "2.1.0"}, {"introduced": "2.0.0"}, {"fixed": "1.0.5"}, {"introduced": "0"}`),
			"1.0.4 2.0.9", "1.0.5 1.9.0 2.1.0"},
		{"from the moment of a fix", semver(`{"introduced": "0"}, {"fixed": "1.0.0"}, {"introduced": "1.0.0"}, {"fixed": "1.1.0"}`), "0.9.0 1.0.0", "1.1.0"},
		{"build metadata", semver(`{"introduced": "1.0.0+a"}, {"fixed": "1.1.0+b"}`), "1.0.0", "1.1.0"},
		{"listed", `"versions": ["1.0.0", "1.1.0"]`, "1.0.0 1.1.0", "1.0.1"},
		{"listed or in a span", `"versions": ["3.0.0"], "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.0"}]}]`,
			"0.1.0 3.0.0", "1.0.0"},
		{"commits", `"ranges": [{"type": "GIT", "repo": "r", "events": [{"introduced": "0"}]}]`, "", "1.0.0"},
	} {
		a, err := Parse([]byte(advisory(c.ranges)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for want, list := range map[bool]string{true: c.in, false: c.out} {
			for v := range strings.FieldsSeq(list) {
				if a.Affects("@es/x", records.Version(v)) != want {
					t.Errorf("%s: about %s is %t", c.name, v, !want)
				}
			}
		}
		if a.Affects("x", "0.5.0") {
			t.Errorf("%s: about another ecosystem's x", c.name)
		}
		if a.Severity != Moderate || a.URL != "https://b.example" || a.Summary != "bad" || a.Malware {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
}

func TestMalware(t *testing.T) {
	for _, text := range []string{
		`{"id": "MAL-2026-1", "details": "steals tokens\nmore", "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}]}`,
		`{"id": "GHSA-x", "aliases": ["MAL-2026-1"], "details": "steals tokens", "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0"]}]}`,
	} {
		a, err := Parse([]byte(text))
		if err != nil || !a.Malware || a.Severity != Critical || a.Summary != "steals tokens" || !a.Affects("x", "1.0.0") {
			t.Errorf("%+v, %v", a, err)
		}
	}
	a, err := Parse([]byte(`{"id": "MAL-1", "withdrawn": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1.0.0"]}]}`))
	if err != nil || a.Affects("x", "1.0.0") {
		t.Errorf("withdrawn: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"HTML", "<html>", "read advisory"},
		{"no id", `{"summary": "x"}`, "no id"},
		{"a list", `[]`, "read advisory"},
		{"a version that is none", advisory(`"ranges": [{"type": "SEMVER", "events": [{"introduced": "one"}]}]`), "one"},
		{"an end without a beginning", advisory(`"ranges": [{"type": "SEMVER", "events": [{"fixed": "1.0.0"}]}]`), "begins nowhere"},
		{"no name", `{"id": "a", "affected": [{"package": {"ecosystem": "npm"}}]}`, "no name"},
		{"too long", strings.Repeat(" ", MaxFile) + "{}", "limit"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(advisory(`"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.0"}]}]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			return
		}
		for _, affected := range a.Affected {
			a.Affects(affected.Name, "1.0.0")
		}
	})
}
