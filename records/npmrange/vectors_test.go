package npmrange_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// section returns a file of a vector below testdata/npmrange.
func section(t testing.TB, vector, name string) string {
	t.Helper()
	v := vectors.Read(t, "../../testdata/npmrange/"+vector)[0]
	if !v.Has(name) {
		t.Fatalf("%s has no %s", vector, name)
	}
	return v.File(name)
}

// A verdict is one line of testdata/npmrange/node-semver.js.
type verdict struct {
	text     string
	held     *[]records.Version // nil when text is no range
	withPre  *[]records.Version
	versions []records.Version
}

func parseVerdict(t testing.TB, line string) verdict {
	t.Helper()
	var v verdict
	if err := json.Unmarshal([]byte(line), &[]any{&v.text, &v.held, &v.withPre, &v.versions}); err != nil {
		t.Fatal(err)
	}
	return v
}

// check compares what both parsers make of the text with the verdict.
func (v verdict) check() error {
	for name, parser := range map[string]struct {
		parse func(string) (npmrange.Range, error)
		want  *[]records.Version
	}{"Parse": {npmrange.Parse, v.held}, "ParsePrerelease": {npmrange.ParsePrerelease, v.withPre}} {
		r, err := parser.parse(v.text)
		if (err != nil) != (parser.want == nil) {
			return fmt.Errorf("%s(%q): %v, node-semver holds %v", name, v.text, err, parser.want)
		}
		for _, version := range v.versions {
			if got := r.Match(version); err == nil && got != slices.Contains(*parser.want, version) {
				return fmt.Errorf("%s(%q) holds %s: %v", name, v.text, version, got)
			}
		}
	}
	return nil
}

// TestAsNodeSemver holds this package against what node-semver said of generated
// ranges.
func TestAsNodeSemver(t *testing.T) {
	n := 0
	for line := range strings.Lines(section(t, "node-semver.txtar", "ranges.json")) {
		if err := parseVerdict(t, line).check(); err != nil {
			t.Error(err)
		}
		n++
	}
	if n < 400 {
		t.Errorf("there are %d ranges", n)
	}
}

// TestRangeVectors are the ranges that readers disagree about.
func TestRangeVectors(t *testing.T) {
	for line := range strings.Lines(section(t, "ranges.txtar", "ranges")) {
		var text string
		quoted, verdicts, _ := strings.Cut(strings.TrimSpace(line), " => ")
		if err := json.Unmarshal([]byte(quoted), &text); err != nil {
			t.Fatal(err)
		}
		r, err := npmrange.Parse(text)
		if none := verdicts == "none"; (err != nil) != none {
			t.Errorf("%s: %v, want %s", quoted, err, verdicts)
			continue
		} else if none {
			continue
		}
		for v := range strings.FieldsSeq(verdicts) {
			if got := r.Match(records.Version(v[1:])); got != (v[0] == '+') {
				t.Errorf("%s holds %s: %v", quoted, v[1:], got)
			}
		}
	}
}

// TestConstraintVectors are what may stand behind NAME@.
func TestConstraintVectors(t *testing.T) {
	kinds := map[npmrange.Kind]string{npmrange.Latest: "latest", npmrange.Version: "version", npmrange.InRange: "range", npmrange.Tag: "tag"}
	for line := range strings.Lines(section(t, "constraints.txtar", "constraints")) {
		var text string
		quoted, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		if err := json.Unmarshal([]byte(quoted), &text); err != nil {
			t.Fatal(err)
		}
		c, err := npmrange.ParseConstraint(text)
		got := strings.TrimSpace(kinds[c.Kind] + " " + string(c.Version) + c.Tag)
		if err != nil {
			got = "none"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", quoted, got, want)
		}
	}
}

// FuzzConstraint: reading ends, whatever is read; white space around it says
// nothing, and no tag can be taken for a range.
func FuzzConstraint(f *testing.F) {
	for line := range strings.Lines(section(f, "ranges.txtar", "ranges")) {
		quoted, _, _ := strings.Cut(line, " => ")
		var text string
		if err := json.Unmarshal([]byte(quoted), &text); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	versions := []records.Version{"1.2.3", "1.2.3-rc.1", "0.0.0-0", "2.0.0"}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := npmrange.ParseConstraint(s)
		again, errAgain := npmrange.ParseConstraint(" " + s + "\t")
		if len(s)+2 <= npmrange.MaxRange && ((err == nil) != (errAgain == nil) || c.Kind != again.Kind) {
			t.Errorf("%q is %v, and with space %v", s, c, again)
		}
		r, err := npmrange.Parse(s)
		if records.CheckTag(s) == nil && (err == nil || c.Kind != npmrange.Tag) {
			t.Errorf("the tag %q is also a range or a version", s)
		}
		if err != nil {
			return
		}
		pre, err := npmrange.ParsePrerelease(s)
		if err != nil {
			t.Errorf("%q is a range only without pre-releases: %v", s, err)
		}
		for _, v := range versions {
			if r.Match(v) && !pre.Match(v) {
				t.Errorf("%q holds %s only without pre-releases", s, v)
			}
		}
	})
}

// longTexts are the longest of the kinds that make pattern matchers slow.
func longTexts() []string {
	var texts []string
	for _, unit := range []string{"0", "1", " ", "v", "=", "v ", "~", "~ ", "^", "1.", "x.", "<", "> ", "-", " - ", "+a", "*", "1||", "|", "1.2.3-a.", "0.0.0-0 ", "1 "} {
		texts = append(texts, strings.Repeat(unit, npmrange.MaxRange/len(unit)))
	}
	return texts
}

// TestThreat44ParseIsBounded: what is read grows with the text alone.
func TestThreat44ParseIsBounded(t *testing.T) {
	for _, text := range longTexts() {
		if n := testing.AllocsPerRun(1, func() { _, _ = npmrange.ParseConstraint(text) }); n > 12*npmrange.MaxRange {
			t.Errorf("%.20q... takes %v allocations", text, n)
		}
		if _, err := npmrange.Parse(text + "1234567890"); err == nil {
			t.Errorf("%.20q... is longer than the limit and is read", text)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, text := range append(longTexts(), "^1.2.3") {
		b.Run(fmt.Sprintf("%.8q", text), func(b *testing.B) {
			for range b.N {
				_, _ = npmrange.ParseConstraint(text)
			}
		})
	}
}
