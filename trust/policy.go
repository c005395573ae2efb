package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/authority"
	"github.com/everythingstays/es/trust/internal/word"
)

// Limits of a trust file.
const (
	MaxFile      = 1 << 20       // bytes
	MaxLine      = 4 << 10       // bytes, without its end
	MaxLabel     = word.MaxLabel // bytes of a label
	MaxThreshold = 32
)

// A Policy is a parsed trust file. It remembers every byte: Bytes returns what was
// parsed, except for the lines that a method changed. The zero value is an empty
// file. A Policy must not be changed while something else reads it.
type Policy struct {
	bom   string // a byte order mark, or ""
	lines []line
	eol   string // for added lines
}

// A line is one physical line, whatever it says.
type line struct {
	raw    string // with its end
	tokens []word.Token
	word   string // the first token; "" when blank or a comment
	stmt   any    // Entry, Authority, Denial, Threshold, Pin, MinAge; nil for anything else
}

// Entry is a "key" line: the key may speak for the names in the scopes.
type Entry struct {
	Fingerprint records.Fingerprint
	Scopes      []records.Scope
	Label       string
	Depth       int       // how many delegations in a row may start at the key
	Until       time.Time // midnight UTC at the start of the last day; zero for ever
	Follow      bool      // the key's successors have what the line gives
	Imports     bool      // the key's own word is enough for releases with an origin
	Line        int       // 1 is the first; ignored by AddKey
}

// Expired reports whether the entry's last day is over at now.
func (e Entry) Expired(now time.Time) bool { return word.IsOver(e.Until, now) }

// Denial is a "deny" line: the key never counts, whatever else is said of it.
type Denial struct {
	Fingerprint records.Fingerprint
	Label       string
	Line        int
}

// Threshold is a "threshold" line: in Scope, Keys different voices must agree.
type Threshold struct {
	Keys  int
	Scope records.Scope
	Line  int
}

// Pin is a "pin" line: the user has decided what this name and version is.
type Pin struct {
	Name    records.Name
	Version records.Version
	Module  cid.Cid
	Line    int
}

// MinAge is a "min-age" line: a version is known for so long before it is chosen
// unasked.
type MinAge struct {
	Age  time.Duration
	Line int
}

// SyntaxError says which line of a trust file cannot be read, and what to write
// instead.
type SyntaxError struct {
	Line int
	Word string // the line's first word
	Text string
	Raw  string // the line
	Path string // of the file, where it was read from one
}

func (e *SyntaxError) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("trust file: line %d: %s", e.Line, e.Text)
	}
	return fmt.Sprintf("trust file: line %d: %s: %s", e.Line, e.Word, e.Text)
}

// Parse reads a trust file. A line that starts with a known word and cannot be
// understood is a *SyntaxError, since a trust line that is silently passed over
// is a hole; a line that starts with an unknown word is kept and reported by
// Warnings.
func Parse(b []byte) (*Policy, error) {
	p, broken := parsePartial(b)
	if len(broken) > 0 {
		return nil, broken[0]
	}
	return p, nil
}

// survey reads a trust file as far as it can be read, and says which lines cannot. What
// it returns is for showing and mending the file: no decision is made by a file with a
// line that cannot be read, since that line may deny.
func parsePartial(b []byte) (p *Policy, broken []*SyntaxError) {
	if len(b) > MaxFile {
		return &Policy{}, []*SyntaxError{{Line: 1, Text: fmt.Sprintf("the file has %d bytes, the limit is %d", len(b), MaxFile)}}
	}
	bom, text := regularfile.CutBOM(b)
	p = &Policy{bom: string(bom), eol: "\n"}
	n := 0
	for raw := range strings.Lines(string(text)) {
		n++
		if n == 1 && strings.HasSuffix(raw, "\r\n") {
			p.eol = "\r\n"
		}
		l, err := parseLine(raw)
		if err != nil {
			err.Line, err.Raw, l.stmt, l.tokens = n, strings.TrimRight(raw, "\r\n"), nil, nil
			broken = append(broken, err)
		}
		p.lines = append(p.lines, l)
	}
	if err := p.checkWhole(); err != nil {
		err.Raw = strings.TrimRight(p.lines[err.Line-1].raw, "\r\n")
		broken = append(broken, err)
	}
	return p, broken
}

// checkWhole finds lines that contradict one another.
func (p *Policy) checkWhole() *SyntaxError {
	thresholds := map[records.Scope]int{}
	pins := map[string]Pin{}
	age := 0
	for i, l := range p.lines {
		n := i + 1
		switch s := l.stmt.(type) {
		case Threshold:
			if first := thresholds[s.Scope]; first != 0 {
				return &SyntaxError{Line: n, Word: l.word, Text: fmt.Sprintf("scope %s has a threshold on line %d already; keep one of the two", s.Scope, first)}
			}
			thresholds[s.Scope] = n
		case Pin:
			at := string(s.Name) + "@" + string(s.Version)
			if first, ok := pins[at]; ok {
				return &SyntaxError{Line: n, Word: l.word, Text: fmt.Sprintf("%s is pinned on line %d already; keep one of the two", at, first.Line)}
			}
			s.Line = n
			pins[at] = s
		case MinAge:
			if age != 0 {
				return &SyntaxError{Line: n, Word: l.word, Text: fmt.Sprintf("line %d says min-age already; keep one of the two", age)}
			}
			age = n
		}
	}
	return nil
}

// Bytes returns the file.
func (p *Policy) Bytes() []byte {
	var b strings.Builder
	b.WriteString(p.bom)
	for _, l := range p.lines {
		b.WriteString(l.raw)
	}
	return []byte(b.String())
}

// Entries returns the "key" lines in the order of the file.
func (p *Policy) Entries() []Entry {
	return statements(p, func(s *Entry, line int) { s.Line = line })
}

// Authorities returns the "npm" lines in the order of the file.
func (p *Policy) Authorities() []authority.Authority {
	return statements(p, func(s *authority.Authority, line int) { s.Line = line })
}

// Denials returns the "deny" lines in the order of the file.
func (p *Policy) Denials() []Denial {
	return statements(p, func(s *Denial, line int) { s.Line = line })
}

// Thresholds returns the "threshold" lines in the order of the file.
func (p *Policy) Thresholds() []Threshold {
	return statements(p, func(s *Threshold, line int) { s.Line = line })
}

// Pins returns the "pin" lines in the order of the file.
func (p *Policy) Pins() []Pin {
	return statements(p, func(s *Pin, line int) { s.Line = line })
}

// statements returns those of one kind in the order of the file, numbered by their lines.
func statements[T any](p *Policy, number func(s *T, line int)) []T {
	var all []T
	for i, l := range p.lines {
		if s, ok := l.stmt.(T); ok {
			number(&s, i+1)
			all = append(all, s)
		}
	}
	return all
}

// MinAge returns the "min-age" line, if there is one.
func (p *Policy) MinAge() (MinAge, bool) {
	for i, l := range p.lines {
		if a, ok := l.stmt.(MinAge); ok {
			a.Line = i + 1
			return a, true
		}
	}
	return MinAge{}, false
}

// Denied reports whether a "deny" line names the key.
func (p *Policy) Denied(key records.Fingerprint) bool {
	for _, l := range p.lines {
		if d, ok := l.stmt.(Denial); ok && d.Fingerprint == key {
			return true
		}
	}
	return false
}

// Label returns the first label that the file gives the key, and "" without one.
func (p *Policy) Label(key records.Fingerprint) string {
	for _, l := range p.lines {
		switch s := l.stmt.(type) {
		case Entry:
			if s.Fingerprint == key && s.Label != "" {
				return s.Label
			}
		case Denial:
			if s.Fingerprint == key && s.Label != "" {
				return s.Label
			}
		case authority.Authority:
			if s.Label != "" && slices.Contains(s.Fingerprints(), key) {
				return s.Label
			}
		}
	}
	return ""
}

// Warnings describes, in the order of the file, the lines that have less effect
// than a reader may think: unknown words, and keys that are denied as well.
func (p *Policy) Warnings() []string {
	var ws []string
	warn := func(i int, format string, args ...any) {
		ws = append(ws, fmt.Sprintf("line %d: ", i+1)+fmt.Sprintf(format, args...))
	}
	for i, l := range p.lines {
		switch s := l.stmt.(type) {
		case Entry:
			if p.Denied(s.Fingerprint) {
				warn(i, "the key is denied as well, and deny decides")
			}
		case authority.Authority:
			for n, key := range s.Fingerprints() {
				if p.Denied(key) {
					warn(i, "key %d of the line, %s, is denied as well, and deny decides", n+1, key)
				}
			}
		case nil:
			if l.word != "" {
				warn(i, "%.40q is not a word this version of es knows; the line is kept and has no effect", l.word)
			}
		}
	}
	return ws
}
