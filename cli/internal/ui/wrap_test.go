package ui

import (
	"bytes"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	cid := "bafybeidm4ugcsdxgpjva6t3m6oneu6lqxbueux4b4khbyoxfwyn7k3nyxy"
	for _, c := range []struct {
		line    string
		columns int
		want    string
	}{
		{"es: nothing to do", 17, "es: nothing to do"},
		{"es: nothing to do", 16, "es: nothing to\n    do"},
		{"es: nothing to do", 0, "es: nothing to do"},
		{"es: the module " + cid + " is here", 30, "es: the module\n    " + cid + "\n    is here"},
		{"  two  spaces stay", 80, "  two  spaces stay"},
		{"es: \u65e5\u672c \u8a9e", 9, "es: \u65e5\u672c\n    \u8a9e"},
	} {
		if got := wrap(c.line, c.columns); got != c.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.line, c.columns, got, c.want)
		}
	}
}

// TestMessagesWrap is that notes, warnings and errors fit into the terminal, whatever is in
// them; hints are commands to copy, and no terminal is no limit.
func TestMessagesWrap(t *testing.T) {
	long := strings.Repeat("a word or two ", 20)
	for _, columns := range []int{0, 40, 80} {
		var b bytes.Buffer
		s := &Streams{Err: &b, ErrColumns: columns}
		s.Note("%s", long)
		s.Warn("of %d columns: %s", columns, long)
		s.Fail(errorText(long), ExitFailed, nil)
		n := 0
		for line := range strings.Lines(b.String()) {
			n++
			if w := TextWidth(strings.TrimSuffix(line, "\n")); columns > 0 && w > columns {
				t.Errorf("%d columns on a terminal of %d: %q", w, columns, line)
			}
			if !strings.HasPrefix(line, "es: ") && !strings.HasPrefix(line, wrapIndent) {
				t.Errorf("%q looks like a message of its own", line)
			}
		}
		if (n > 3) != (columns > 0) {
			t.Errorf("%d columns: %d lines", columns, n)
		}
		b.Reset()
		s.Hint("%s", long)
		if strings.Count(b.String(), "\n") != 1 {
			t.Errorf("a hint is broken: %q", &b)
		}
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }

// TestResultsWrap is that words among results, and facts of a refusal, are broken between them.
func TestResultsWrap(t *testing.T) {
	var b bytes.Buffer
	s := &Streams{Out: &b, Columns: 40}
	s.Linef("reach     unknown from outside; meets peers by the %s", "local network")
	if got, want := b.String(), "reach     unknown from outside; meets\n    peers by the local network\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r := &Refusal{Kind: "first-use", About: "1 key", Meaning: "It is new."}
	r.Add("key", "3F2A (ada, says Ada <ada@example.org>)")
	want := "FIRST USE: 1 key\n    key  3F2A (ada, says Ada\n        <ada@example.org>)\n\n    It is new.\n"
	if got := r.Block(30); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := r.Block(0); strings.Count(got, "\n") != 4 {
		t.Errorf("without a terminal: %q", got)
	}
}
