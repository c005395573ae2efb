package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/everythingstays/es/trust"
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
		(&app{out: &cut, columns: columns}).columnsOf(rows, 1, nil)
		(&app{out: &whole}).columnsOf(rows, 1, nil)
		if n := strings.Count(cut.String(), "\n"); n != len(rows) {
			t.Fatalf("%d rows take %d lines", len(rows), n)
		}
		for line := range strings.Lines(cut.String()) {
			if n := textWidth(strings.TrimSuffix(line, "\n")); n > columns {
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

// Colours and bold matches are for terminals that show them.
func TestSearchColours(t *testing.T) {
	list := []hitJSON{{Name: "left-pad", Version: "1.0.0", UID: "Ada", Description: "PADS on the left, \u65e5\u672c\u8a9e " + strings.Repeat("and on ", 20), State: trust.Trusted, Keys: 3}}
	show := func(columns int, colour bool) string {
		var out bytes.Buffer
		(&app{out: &out, columns: columns, colour: colour}).printHits(list, "Pad left")
		return out.String()
	}
	got := show(80, true)
	want := fmt.Sprintf("%s*%s  %sleft%s-%spad%s  1.0.0  Ada and 2 more  %sPAD%sS on the %sleft%s, ", green, plain, bold, plain, bold, plain, bold, plain, bold, plain)
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "…\n") {
		t.Errorf("got  %q\nwant %q...", got, want)
	}
	for _, columns := range []int{0, 80} {
		if got := show(columns, false); strings.Contains(got, "\x1b") || strings.Contains(got, "…") != (columns > 0) {
			t.Errorf("without colours, %d columns: %q", columns, got)
		}
	}
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
