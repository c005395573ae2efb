package cli

import (
	"errors"
	"fmt"
	"strings"
)

// A refusal is an error that is told in a fixed block: what was refused, what
// speaks for and against it with every value in full, what that may mean, and
// what to type next.
type refusal struct {
	kind    string // of refusals.go, for programs: "conflict"
	about   string // what was refused: "left-pad@1.3.0"
	facts   []fact
	meaning string // lines of text
	next    []string
	code    int
	err     error
}

// A fact is one line of a refusal. Its value may be untrusted.
type fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func (r *refusal) add(label, format string, args ...any) {
	r.facts = append(r.facts, fact{label, safe(fmt.Sprintf(format, args...))})
}

// block writes the refusal for people; every line but the first is indented.
func (r *refusal) block() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(strings.ReplaceAll(r.kind, "-", " ")), safe(r.about))
	width := 0
	for _, f := range r.facts {
		width = max(width, len(f.Label))
	}
	for _, f := range r.facts {
		fmt.Fprintf(&b, "    %-*s  %s\n", width, f.Label, f.Value)
	}
	b.WriteByte('\n')
	for line := range strings.Lines(r.meaning) {
		fmt.Fprintf(&b, "    %s\n", strings.TrimSuffix(line, "\n"))
	}
	return b.String()
}

// errorJSON is what a command prints with --json when it fails without having
// printed anything else.
type errorJSON struct {
	Error struct {
		Exit    int      `json:"exit"`
		Message string   `json:"message"`
		Refused string   `json:"refused,omitempty"` // the kind of refusal
		About   string   `json:"about,omitempty"`
		Facts   []fact   `json:"facts,omitempty"`
		Meaning string   `json:"meaning,omitempty"`
		Next    []string `json:"next,omitempty"` // what to type
	} `json:"error"`
}

func describeError(err error, code int, hints []string) errorJSON {
	var j errorJSON
	e := &j.Error
	e.Exit, e.Message, e.Next = code, message(err), hints
	var r *refusal
	if errors.As(err, &r) {
		e.Refused, e.About, e.Facts, e.Meaning = r.kind, safe(r.about), r.facts, strings.ReplaceAll(r.meaning, "\n", " ")
	}
	return j
}
