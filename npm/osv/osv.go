// Package osv reads advisories in the OSV format (1.6 and 1.7) about npm's packages:
// which versions they are about, how bad it is, and whether it is malware. Who gave
// a file vouches for it; nothing in it is signed.
package osv

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/records"
)

// MaxFile is how many bytes one advisory may have.
const MaxFile = 4 << 20

// Severity is how bad an advisory says it is, worse ones greater.
type Severity uint8

const (
	Unknown Severity = iota
	Low
	Moderate
	High
	Critical
)

var severities = [...]string{"unknown", "low", "moderate", "high", "critical"}

func (s Severity) String() string { return severities[s] }

// ParseSeverity reads the name of a severity; "medium" is moderate.
func ParseSeverity(s string) (Severity, bool) {
	s = strings.ToLower(s)
	if s == "medium" {
		return Moderate, true
	}
	i := slices.Index(severities[:], s)
	return Severity(max(i, 0)), i > 0
}

// An Advisory is news about versions of packages.
type Advisory struct {
	ID        string
	Aliases   []string
	Summary   string
	Published time.Time
	Modified  time.Time
	Withdrawn bool // its author takes it back
	Malware   bool // the package is itself an attack
	Severity  Severity
	Vector    string // CVSS, version 3 or 4
	URL       string
	Affected  []Affected
}

// Affected says which versions of a package an advisory is about.
type Affected struct {
	Name     string
	Versions []string // these
	Spans    []Span   // and those in these
}

// A Span is versions from Introduced on, up to and without Fixed or up to and with
// Last. The empty Introduced is before all versions; without an end it has none.
type Span struct {
	Introduced, Fixed, Last records.Version
}

func (s *Span) holds(v records.Version) bool {
	switch {
	case s.Introduced != "" && v.Compare(s.Introduced) < 0:
		return false
	case s.Fixed != "":
		return v.Compare(s.Fixed) < 0
	case s.Last != "":
		return v.Compare(s.Last) <= 0
	}
	return true
}

// Affects reports whether the advisory is about this version.
func (a *Advisory) Affects(name string, v records.Version) bool {
	if a.Withdrawn {
		return false
	}
	for i := range a.Affected {
		f := &a.Affected[i]
		if f.Name != name {
			continue
		}
		if slices.Contains(f.Versions, string(v)) || slices.ContainsFunc(f.Spans, func(s Span) bool { return s.holds(v) }) {
			return true
		}
	}
	return false
}

type document struct {
	ID        string    `json:"id"`
	Aliases   []string  `json:"aliases"`
	Summary   string    `json:"summary"`
	Details   string    `json:"details"`
	Published time.Time `json:"published"`
	Modified  time.Time `json:"modified"`
	Withdrawn time.Time `json:"withdrawn"`
	Severity  []struct {
		Type  string `json:"type"`
		Score string `json:"score"`
	} `json:"severity"`
	References []struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"references"`
	Affected []affectedDoc  `json:"affected"`
	Specific jsontext.Value `json:"database_specific"`
}

type affectedDoc struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Versions []string   `json:"versions"`
	Ranges   []rangeDoc `json:"ranges"`
}

type rangeDoc struct {
	Type   string `json:"type"`
	Events []struct {
		Introduced string `json:"introduced"`
		Fixed      string `json:"fixed"`
		Last       string `json:"last_affected"`
		Limit      string `json:"limit"`
	} `json:"events"`
}

// Parse reads one advisory. What it says of other ecosystems is passed over; one
// that is not about npm at all has no Affected. A version or a range that cannot be
// read is an error: whom it is about would be unknown.
func Parse(b []byte) (*Advisory, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("read advisory: %d bytes, the limit is %d", len(b), MaxFile)
	}
	var d document
	if err := json.Unmarshal(b, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("read advisory: %v", err)
	}
	if d.ID == "" {
		return nil, errors.New("read advisory: it has no id")
	}
	a := &Advisory{
		ID: d.ID, Aliases: d.Aliases, Summary: d.Summary, Published: d.Published, Modified: d.Modified, Withdrawn: !d.Withdrawn.IsZero(),
		Malware: strings.HasPrefix(d.ID, "MAL-") || slices.ContainsFunc(d.Aliases, func(s string) bool { return strings.HasPrefix(s, "MAL-") }),
	}
	if a.Summary == "" {
		a.Summary, _, _ = strings.Cut(d.Details, "\n")
	}
	a.rate(&d)
	for i := range d.Affected {
		f, err := readAffected(&d.Affected[i])
		if err != nil {
			return nil, fmt.Errorf("read advisory %q: %w", a.ID, err)
		}
		if f != nil {
			a.Affected = append(a.Affected, *f)
		}
	}
	return a, nil
}

// rate takes the severity that the database names, else the CVSS vector's words.
func (a *Advisory) rate(d *document) {
	var specific struct {
		Severity string `json:"severity"`
	}
	if len(d.Specific) > 0 && json.Unmarshal(d.Specific, &specific) == nil {
		a.Severity, _ = ParseSeverity(specific.Severity)
	}
	for _, s := range d.Severity {
		if strings.HasPrefix(s.Type, "CVSS_") {
			a.Vector = s.Score
		}
	}
	if a.Malware {
		a.Severity = Critical
	}
	for _, r := range d.References {
		if a.URL == "" || r.Type == "ADVISORY" {
			a.URL = r.URL
		}
	}
}

func readAffected(d *affectedDoc) (*Affected, error) {
	if d.Package.Ecosystem != "npm" {
		return nil, nil
	}
	if d.Package.Name == "" {
		return nil, errors.New("a package has no name")
	}
	f := &Affected{Name: d.Package.Name, Versions: d.Versions}
	for i := range d.Ranges {
		spans, err := readSpans(&d.Ranges[i])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.Name, err)
		}
		f.Spans = append(f.Spans, spans...)
	}
	return f, nil
}

// readSpans makes spans of a range's events, which are sorted by version first.
func readSpans(d *rangeDoc) ([]Span, error) {
	if d.Type != "SEMVER" && d.Type != "ECOSYSTEM" {
		return nil, nil // GIT: commits, not versions
	}
	type event struct {
		at   records.Version
		kind int
	}
	const (
		introduced = iota
		fixed
		last
	)
	var events []event
	for _, e := range d.Events {
		for kind, text := range []string{e.Introduced, e.Fixed, e.Last} {
			switch {
			case text == "":
			case text == "0":
				events = append(events, event{"", kind})
			default:
				number, _, _ := strings.Cut(text, "+") // build metadata decides no order
				v, err := records.ParseVersion(number)
				if err != nil {
					return nil, err
				}
				events = append(events, event{v, kind})
			}
		}
	}
	slices.SortStableFunc(events, func(x, y event) int {
		switch {
		case x.at == y.at:
			return y.kind - x.kind
		case x.at == "":
			return -1
		case y.at == "":
			return 1
		}
		return x.at.Compare(y.at)
	})
	var spans []Span
	open := false
	for _, e := range events {
		switch {
		case e.kind == introduced && !open:
			spans, open = append(spans, Span{Introduced: e.at}), true
		case e.kind == fixed && open:
			spans[len(spans)-1].Fixed, open = e.at, false
		case e.kind == last && open:
			spans[len(spans)-1].Last, open = e.at, false
		}
	}
	if len(spans) == 0 && len(d.Events) > 0 {
		return nil, errors.New("a range that begins nowhere")
	}
	return spans, nil
}

// Range writes the versions of a package that the advisory is about, as npm's ranges are
// written.
func (a *Advisory) Range(name string) string {
	var parts []string
	for i := range a.Affected {
		f := &a.Affected[i]
		if f.Name != name {
			continue
		}
		parts = append(parts, f.Versions...)
		for _, s := range f.Spans {
			parts = append(parts, s.text())
		}
	}
	return strings.Join(parts, " || ")
}

func (s *Span) text() string {
	var parts []string
	if s.Introduced != "" {
		parts = append(parts, ">="+string(s.Introduced))
	}
	switch {
	case s.Fixed != "":
		parts = append(parts, "<"+string(s.Fixed))
	case s.Last != "":
		parts = append(parts, "<="+string(s.Last))
	case s.Introduced == "":
		parts = append(parts, "*")
	}
	return strings.Join(parts, " ")
}
