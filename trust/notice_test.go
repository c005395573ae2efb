package trust_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func notice(author int, kind, rng, text string, seq int64) trust.Notice {
	return trust.Notice{
		Statement: trust.Statement{Author: testKey(author), Seq: seq, Time: noon, Record: recordCID(fmt.Sprint("notice", author, kind, rng, text, seq))},
		Name:      "left-pad", Kind: kind, Range: rng, Text: text,
	}
}

func texts(a trust.VersionNotices) string {
	var s []string
	for kind, list := range map[string][]trust.Notice{"deprecated": a.Deprecated, "yanked": a.Yanked, "advisory": a.Advisories, "stranger": a.Strangers} {
		for _, n := range list {
			s = append(s, kind+" "+n.Text)
		}
	}
	slices.Sort(s)
	return strings.Join(s, ", ")
}

// TestNotices is who may say something about a version, and about which.
// SPEC T43, T44 and T45.
func TestNotices(t *testing.T) {
	line, pin := key(1, "left-pad"), "pin left-pad 1.0.0 "+modX+"\n"
	fixed := notice(1, records.Advisory, "*", "a", 1)
	fixed.Fixed = "1.0.0"
	open := fixed
	open.Fixed = "1.0.1"
	about := func(n trust.Notice, c claim, t *testing.T) trust.Notice {
		n.Range, n.About = "", decodeCID(t, c.Record)
		return n
	}
	invalid := notice(1, records.Yanked, "*", "y", 1)
	invalid.Invalid = "revoked"
	back := notice(1, records.Yanked, "*", "y", 1)
	back.Retracted = true
	other := notice(1, records.Yanked, "*", "y", 1)
	other.Name = "left-pads"
	x1, x2 := says(1, "X"), says(2, "X")
	for _, c := range []struct {
		what, text string
		claims     []claim
		notices    []trust.Notice
		want       string
	}{
		{"by a key that decides", line, []claim{x1}, []trust.Notice{notice(1, records.Deprecated, "*", "d", 1)}, "deprecated d"},
		{"of another version", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "1.0.1", "y", 1)}, ""},
		{"with a range that nobody can read", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "?", "y", 1)}, ""},
		{"with a range that ends with nothing or anything", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "2.0.0 ||", "y", 1)}, "yanked y"},
		{"with a range that begins with nothing or anything", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "|| ^2.0.0", "y", 1)}, "yanked y"},
		{"with a range that ends with a space", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "2 || ", "y", 1)}, "yanked y"},
		{"with a version that begins with a zero", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "01.0.0", "y", 1)}, ""},
		{"of another name", line, []claim{x1}, []trust.Notice{other}, ""},
		{"by a stranger", line, []claim{x1}, []trust.Notice{notice(2, records.Yanked, "*", "y", 1)}, "stranger y"},
		{"by a stranger who released the same", line, []claim{x1, x2}, []trust.Notice{notice(2, records.Yanked, "*", "y", 1)}, "stranger y"},
		{"by the author of a pinned release", pin, []claim{x2}, []trust.Notice{notice(2, records.Deprecated, "*", "d", 1)}, "deprecated d"},
		{"by a stranger beside a pinned release of a key that decides", line + pin, []claim{x1, x2}, []trust.Notice{notice(2, records.Yanked, "*", "y", 1)}, "stranger y"},
		{"by the author of a version that is not trusted", "", []claim{x2}, []trust.Notice{notice(2, records.Yanked, "*", "y", 1)}, "yanked y"},
		{"by a denied key", line + "deny " + k2 + "\n", []claim{x1, x2}, []trust.Notice{notice(2, records.Yanked, "*", "y", 1)}, ""},
		{"the newest", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "*", "new", 2), notice(1, records.Yanked, "*", "old", 1)}, "yanked new"},
		{"taken back", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "*", "y", 1), notice(1, records.Yanked, "*", "", 2)}, ""},
		{"taken back for another range", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "*", "y", 1), notice(1, records.Yanked, "1.0.0", "", 2)}, "yanked y"},
		{"of two kinds", line, []claim{x1}, []trust.Notice{notice(1, records.Yanked, "*", "y", 1), notice(1, records.Deprecated, "*", "d", 2)}, "deprecated d, yanked y"},
		{"invalid", line, []claim{x1}, []trust.Notice{invalid}, ""},
		{"retracted", line, []claim{x1}, []trust.Notice{back}, ""},
		{"an advisory that is fixed", line, []claim{x1}, []trust.Notice{fixed}, ""},
		{"an advisory that is fixed later", line, []claim{x1}, []trust.Notice{open}, "advisory a"},
		{"about the record", line, []claim{x1}, []trust.Notice{about(notice(1, records.Yanked, "", "y", 1), x1, t)}, "yanked y"},
		{"about a stranger's record", line, []claim{x1, x2}, []trust.Notice{about(notice(1, records.Yanked, "", "y", 1), x2, t)}, ""},
		{"about another record", line, []claim{x1}, []trust.Notice{about(notice(1, records.Yanked, "", "y", 1), says(1, "Z"), t)}, ""},
	} {
		w := world{Name: "left-pad", Version: "1.0.0", Now: noon, Claims: c.claims}
		evaluator := w.inputs(t, parse(t, c.text)).Evaluator()
		d := evaluator.Decide(w.Name, w.Version, w.claims(t))
		if got := texts(evaluator.Notices(d, c.notices)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

// TestNoticesInAnyOrder asks about many notices in many orders.
func TestNoticesInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	evaluator := parseView(t, key(1, "*")+key(2, "*"), nil)
	d := evaluator.Decide("left-pad", "1.0.0", []trust.Claim{{Author: testKey(1), Module: moduleCID("X"), Record: recordCID("X")}})
	var all []trust.Notice
	for i := range 60 {
		kind := []string{records.Deprecated, records.Yanked, records.Advisory}[r.IntN(3)]
		all = append(all, notice(1+r.IntN(3), kind, []string{"*", "1.0.0", "2.0.0"}[r.IntN(3)], []string{"", "a", "b"}[r.IntN(3)], int64(i/6)))
	}
	want := evaluator.Notices(d, all)
	if len(want.Yanked) == 0 || len(want.Strangers) == 0 {
		t.Fatalf("nothing to permute: %+v", want)
	}
	for range 100 {
		if got := evaluator.Notices(d, shuffle(r, all)); !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
}
