package trust_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// notices are in the worlds of vectors that are about them.
type noticeStatement struct {
	statement
	Name  records.Name `json:"name"`
	Kind  string       `json:"kind"`
	Range string       `json:"range,omitempty"`
	About string       `json:"about,omitempty"` // a record
	Fixed string       `json:"fixed,omitempty"`
	Text  string       `json:"text"`
}

// notes adds a notice about left-pad; a later one of an author has the higher seq.
func (w *world) notes(author int, kind, rng, text string) *world {
	s := w.state(author)
	s.Seq = int64(len(w.Notices))
	s.Record = recordCID(fmt.Sprint("notice ", author, len(w.Notices))).String()
	w.Notices = append(w.Notices, noticeStatement{statement: s, Name: "left-pad", Kind: kind, Range: rng, Text: text})
	return w
}

// note changes the last notice.
func (w *world) note(change func(*noticeStatement)) *world {
	change(&w.Notices[len(w.Notices)-1])
	return w
}

// show describes a decision and what notices are about the version, each by its number.
func (w world) show(t *testing.T, p *trust.Policy) string {
	t.Helper()
	d := w.decide(t, p)
	text := showDecision(d)
	if len(w.Notices) == 0 {
		return text
	}
	var all []trust.Notice
	numbers := map[string]int{}
	for i, n := range w.Notices {
		one := trust.Notice{Statement: n.trust(t), Name: n.Name, Kind: n.Kind, Range: n.Range, Fixed: n.Fixed, Text: n.Text}
		if n.About != "" {
			one.About = decodeCID(t, n.About)
		}
		numbers[one.Record.String()] = i + 1
		all = append(all, one)
	}
	a := w.inputs(t, p).Evaluator().Notices(d, all)
	var lines []string
	for _, group := range []struct {
		what string
		list []trust.Notice
	}{{"deprecated", a.Deprecated}, {"yanked", a.Yanked}, {"advisory", a.Advisories}, {"stranger", a.Strangers}} {
		for _, n := range group.list {
			lines = append(lines, fmt.Sprintf("notice %d %s\n", numbers[n.Record.String()], group.what))
		}
	}
	slices.Sort(lines)
	return text + strings.Join(lines, "")
}

func noticeVectors() []vector {
	line, pin := key(1, "left-pad"), "pin left-pad 1.0.0 "+modX+"\n"
	v := func(file, expect, spec, comment, text string, w *world) vector {
		return decisionVector("notice-"+file, expect, spec, comment, text, w)
	}
	x1, x2 := says(1, "X"), says(2, "X")
	trusts := func() *world { return about("left-pad", x1) }
	both := func() *world { return about("left-pad", x1, x2) }
	of := func(c claim) func(*noticeStatement) {
		return func(n *noticeStatement) { n.Range, n.About = "", c.Record }
	}
	yank, advisory := records.Yanked, records.Advisory
	return []vector{
		v("decider", "trusted", "T43", "by a key that decides", line, trusts().notes(1, records.Deprecated, "*", "d")),
		v("stranger", "trusted", "T43", "by a stranger", line, trusts().notes(2, yank, "*", "y")),
		v("stranger-released", "trusted", "T43", "by a stranger who released the same module", line, both().notes(2, yank, "*", "y")),
		v("pinned-author", "trusted", "T43", "by the author of the release that a pin uses", pin, about("left-pad", x2).notes(2, yank, "*", "y")),
		v("pinned-stranger", "trusted", "T43", "by the author of another release of a pinned module", line+pin, both().notes(2, yank, "*", "y")),
		v("untrusted", "untrusted", "T43", "by the author of a version that is not trusted", "", about("left-pad", x2).notes(2, yank, "*", "y")),
		v("denied", "trusted", "T43", "by a denied key", line+"deny "+k2+"\n", both().notes(2, yank, "*", "y")),
		v("newest", "trusted", "T43", "of two about the same the newer counts", line, trusts().notes(1, yank, "*", "old").notes(1, yank, "*", "new")),
		v("retracted", "trusted", "T43", "an empty text retracts", line, trusts().notes(1, yank, "*", "y").notes(1, yank, "*", "")),
		v("retracted-other", "trusted", "T43", "and about the same alone: the range is another", line, trusts().notes(1, yank, "*", "y").notes(1, yank, "1.0.0", "")),
		v("other-kind", "trusted", "T43", "one of another kind takes the place of none", line, trusts().notes(1, yank, "*", "y").notes(1, records.Deprecated, "*", "d")),
		v("invalid", "trusted", "T23 T43", "a signature that does not count", line, trusts().notes(1, yank, "*", "y").note(func(n *noticeStatement) { n.Invalid = "revoked" })),
		v("backdated", "trusted", "T110", "a backdated one that warns counts", line, trusts().notes(1, yank, "*", "y").note(func(n *noticeStatement) { n.Backdated = true })),
		v("backdated-retracts", "trusted", "T110", "and one that retracts does not", line, trusts().notes(1, yank, "*", "y").notes(1, yank, "*", "").note(func(n *noticeStatement) { n.Backdated = true })),
		v("silenced", "trusted", "T33 T43", "a key that names two modules still decides about notices", line+key(2, "left-pad"),
			about("left-pad", x1, endorses(2, "X"), endorses(2, "Y")).notes(2, yank, "*", "y")),
		v("other-version", "trusted", "T44", "its range does not hold the version", line, trusts().notes(1, yank, ">1.0.0", "y")),
		v("no-range", "trusted", "T44", "a range that cannot be read holds no version", line, trusts().notes(1, yank, "?", "y")),
		v("other-name", "trusted", "T44", "about another name", line, trusts().notes(1, yank, "*", "y").note(func(n *noticeStatement) { n.Name = "left-pads" })),
		v("record", "trusted", "T44", "about the release that is used", line, trusts().notes(1, yank, "", "y").note(of(x1))),
		v("record-stranger", "trusted", "T44", "about a stranger's release of the same module", line, both().notes(1, yank, "", "y").note(of(x2))),
		v("record-other", "trusted", "T44", "about a record that is no release of it", line, trusts().notes(1, yank, "", "y").note(of(says(1, "Z")))),
		v("fixed", "trusted", "T44", "an advisory that the version fixes", line, trusts().notes(1, advisory, "*", "a").note(func(n *noticeStatement) { n.Fixed = ">=1.0.0" })),
		v("not-fixed", "trusted", "T44", "an advisory that a later version fixes", line, trusts().notes(1, advisory, "*", "a").note(func(n *noticeStatement) { n.Fixed = ">1.0.0" })),
	}
}
