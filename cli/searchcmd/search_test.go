package searchcmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/trust"
)

// Colours and bold matches are for terminals that show them.
func TestSearchColours(t *testing.T) {
	list := []hitJSON{{Name: "left-pad", Version: "1.0.0", UID: "Ada", Description: "PADS on the left, \u65e5\u672c\u8a9e " + strings.Repeat("and on ", 20), State: trust.Trusted, Keys: 3}}
	show := func(columns int, colour bool) string {
		var out bytes.Buffer
		printHits(cli.New(&ui.Streams{Out: &out, Columns: columns, Colour: colour}, nil), list, "Pad left")
		return out.String()
	}
	got := show(80, true)
	bold := func(text string) string { return ui.Coloured(ui.Bold, text) }
	want := ui.Coloured(ui.Green, "*") + "  " + bold("left") + "-" + bold("pad") + "  1.0.0  Ada and 2 more  " + bold("PAD") + "S on the " + bold("left") + ", "
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "…\n") {
		t.Errorf("got  %q\nwant %q...", got, want)
	}
	for _, columns := range []int{0, 80} {
		if got := show(columns, false); strings.Contains(got, "\x1b") || strings.Contains(got, "…") != (columns > 0) {
			t.Errorf("without colours, %d columns: %q", columns, got)
		}
	}
}
