package ui

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// No row of a table is wider than the terminal, whatever is in it, and none is cut where
// there is no terminal.
func TestTableFits(t *testing.T) {
	words := []string{"left-pad", "日本語のパッケージ", "é́́́", "🎉🎉", "1.0.0", "", "a long description of what the module does, and for whom", "says Ada <ada@example.org> and 12 more"}
	w := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		rows := make([][]string, 1+w.IntN(5))
		for i := range rows {
			rows[i] = []string{[]string{"*", "-", "!"}[w.IntN(3)]}
			for range w.IntN(6) {
				rows[i] = append(rows[i], strings.Repeat(words[w.IntN(len(words))], 1+w.IntN(3)))
			}
		}
		columns := 20 + w.IntN(100)
		var cut, whole bytes.Buffer
		(&Streams{Out: &cut, Columns: columns}).ColumnsOf(rows, 1, nil)
		(&Streams{Out: &whole}).ColumnsOf(rows, 1, nil)
		if n := strings.Count(cut.String(), "\n"); n != len(rows) {
			t.Fatalf("%d rows take %d lines", len(rows), n)
		}
		for line := range strings.Lines(cut.String()) {
			if n := TextWidth(strings.TrimSuffix(line, "\n")); n > columns {
				t.Fatalf("%d columns on a terminal of %d: %q", n, columns, line)
			}
		}
		for _, r := range rows {
			for _, cell := range r {
				if !strings.Contains(whole.String(), cell) {
					t.Fatalf("%q is not in %q", cell, whole.String())
				}
			}
		}
	}
}

func TestShowsColours(t *testing.T) {
	for _, c := range []struct {
		noColor, term string
		want          bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}, {"", "", false}} {
		env := map[string]string{"NO_COLOR": c.noColor, "TERM": c.term}
		if got := showsColours(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("NO_COLOR=%q TERM=%q: %v", c.noColor, c.term, got)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, words := range map[int64][2]string{1: {"day", "1 day"}, 2: {"day", "2 days"}, 3: {"dependency", "3 dependencies"}, 4: {"key", "4 keys"}, 5: {"copy", "5 copies"}} {
		if got := Plural(n, words[0]); got != words[1] {
			t.Errorf("%q, want %q", got, words[1])
		}
	}
}
