package ui

import (
	"errors"
	"fmt"
	"strings"
)

// A Refusal is an error that is told in a fixed block: what was refused, what
// speaks for and against it with every value in full, what that may mean, and
// what to type next.
type Refusal struct {
	Kind    string // for programs: "conflict"; docs/refusals.md lists them
	About   string // what was refused: "left-pad@1.3.0"
	Facts   []Fact
	Meaning string // lines of text
	Next    []string
	Code    int // the exit code
	Err     error
}

// A Fact is one line of a refusal. Its value may be untrusted.
type Fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Add adds a fact.
func (r *Refusal) Add(label, format string, args ...any) {
	r.Facts = append(r.Facts, Fact{label, Safe(fmt.Sprintf(format, args...))})
}

// Block writes the refusal for people, for a terminal with so many columns or, with 0, any;
// every line but the first is indented.
func (r *Refusal) Block(columns int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(strings.ReplaceAll(r.Kind, "-", " ")), Safe(r.About))
	width := 0
	for _, f := range r.Facts {
		width = max(width, len(f.Label))
	}
	for _, f := range r.Facts {
		b.WriteString(wrap(fmt.Sprintf("    %-*s  %s", width, f.Label, f.Value), columns) + "\n")
	}
	b.WriteByte('\n')
	for line := range strings.Lines(r.Meaning) {
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
		Facts   []Fact   `json:"facts,omitempty"`
		Meaning string   `json:"meaning,omitempty"`
		Next    []string `json:"next,omitempty"` // what to type
	} `json:"error"`
}

func describeError(err error, code int, hints []string) errorJSON {
	var j errorJSON
	e := &j.Error
	e.Exit, e.Message, e.Next = code, Message(err), hints
	var r *Refusal
	if errors.As(err, &r) {
		e.Refused, e.About, e.Facts, e.Meaning = r.Kind, Safe(r.About), r.Facts, strings.ReplaceAll(r.Meaning, "\n", " ")
	}
	return j
}
