package trust_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/everythingstays/es/records"
)

var day = 24 * time.Hour

// state makes a statement of its own record; a later one of an author has the
// higher seq.
func (w *world) state(author int) statement {
	n := len(w.Delegations) + len(w.Successions)
	return statement{Author: testKey(author), Record: recordCID(fmt.Sprint("statement ", author, n)).String(), Seq: int64(n), Time: noon.Add(-30 * day)}
}

// delegates adds a delegation for ninety days.
func (w *world) delegates(from, to, depth int, scopes ...records.Scope) *world {
	slices.Sort(scopes)
	d := delegation{statement: w.state(from), To: testKey(to), Scopes: scopes, Depth: depth}
	if len(scopes) > 0 {
		d.Until = noon.Add(60 * day)
	}
	w.Delegations = append(w.Delegations, d)
	return w
}

// last changes the last delegation.
func (w *world) last(change func(*delegation)) *world {
	change(&w.Delegations[len(w.Delegations)-1])
	return w
}

// nominates adds the old key's half of a succession, accepts the new key's.
func (w *world) nominates(from, to int) *world {
	key := testKey(to)
	w.Successions = append(w.Successions, succession{statement: w.state(from), To: &key})
	return w
}

func (w *world) accepts(to, from int) *world {
	key := testKey(from)
	w.Successions = append(w.Successions, succession{statement: w.state(to), From: &key})
	return w
}

// backdatedSuccessions makes what the key says of successions backdated.
func (w *world) backdatedSuccessions(by int) *world {
	for i := range w.Successions {
		if w.Successions[i].Author == testKey(by) {
			w.Successions[i].Backdated = true
		}
	}
	return w
}

// succeeds adds both halves.
func (w *world) succeeds(to, from int) *world { return w.nominates(from, to).accepts(to, from) }

// invalidSuccessions is what a hard revocation of a key does to its halves.
func (w *world) invalidSuccessions(author int) *world {
	for i := range w.Successions {
		if s := &w.Successions[i]; s.Author == testKey(author) {
			s.Invalid = "revoked"
		}
	}
	return w
}

func (w *world) withProject(text string) *world { w.Project = text; return w }

func endorses(author int, module string) claim {
	return claim{
		Author: testKey(author), Module: moduleCID(module).String(), Endorse: records.Reviewed,
		Record: recordCID(fmt.Sprint("endorse", author, module)).String(),
	}
}

// seen says when a claim came.
func seen(c claim, ago time.Duration) claim {
	c.FirstSeen = noon.Add(-ago)
	c.Time = c.FirstSeen
	return c
}

// dated says that the key that signed ended, and when the record says it was made.
func dated(c claim, ended, made time.Duration) claim {
	c.Ended, c.Time = noon.Add(-ended), noon.Add(-made)
	return c
}

// followed says that the author's log goes on from the record.
func followed(c claim) claim {
	c.Followed = true
	return c
}

func key(n int, rest string) string { return "key " + testKey(n).String() + " " + rest + "\n" }

func decisionVector(file, expect, spec, comment, text string, w *world) vector {
	return vector{file: file, expect: expect, spec: spec, comment: comment, text: text, world: w}
}

func projectVectors() []vector {
	bad := func(file, comment, text string) vector {
		return vector{file: file, expect: "project-error", spec: "T27", comment: comment, text: text}
	}
	v := func(file, expect, comment, text, project string, w *world) vector {
		return decisionVector(file, expect, "T28", comment, text, w.withProject(project))
	}
	return []vector{
		bad("project-star", "a project's file lets nobody speak for all names", key(1, "left-pad *")),
		bad("project-key-short", "a key as short as in no file", "key ABCDEF left-pad\n"),
		bad("project-depth", "nor lets a key name others", key(1, "left-pad depth=1")),
		bad("project-follow", "nor follows one", key(1, "left-pad follow=yes")),
		bad("project-deny", "to deny a key could settle a conflict", key(1, "left-pad")+"deny "+k2+"\n"),
		bad("project-threshold", "a threshold of one could lower the user's", "threshold 1 left-pad\n"),
		bad("project-pin", "a pin needs no key", "# no\npin left-pad 1.0.0 "+modX+"\n"),
		bad("project-min-age", "a min-age could be shorter than the user's", "min-age 0h\n"),
		v("project-key", "trusted", "a project's file lets in a key for names that the user's own says nothing about", key(2, "right-pad"), key(1, "left-pad"), about("left-pad", says(1, "X"))),
		v("project-outside", "untrusted", "and for no other name", "", key(1, "left-pad"), about("left-pads", says(1, "X"))),
		v("project-broad-line", "untrusted", "a scope of the user's goes first, even the broadest", key(2, "*"), key(1, "left-pad"), about("left-pad", says(1, "X"))),
		v("project-narrow-line", "trusted", "and the key that it names decides", key(2, "left-*"), key(1, "left-pad"), about("left-pad", says(1, "X"), says(2, "Y"))),
		v("project-line-over", "untrusted", "a line that is over too", key(2, "* until=2027-01-01"), key(1, "left-pad"), about("left-pad", says(1, "X"))),
		v("project-line-denied", "untrusted", "and one of a denied key", key(2, "left-*")+"deny "+k2+"\n", key(1, "left-pad"), about("left-pad", says(1, "X"))),
		v("project-denied", "denied", "a denied key stays denied", "deny "+k1+"\n", key(1, "left-pad"), about("left-pad", says(1, "X"))),
		v("project-own", "conflict", "the user's own keys decide beside the project's", "", key(1, "left-pad"), about("left-pad", says(1, "X"), says(2, "Y")).own(2)),
		v("project-threshold-met", "trusted", "with an own key there are two voices", "threshold 2 *\n", key(1, "left-pad"), about("left-pad", says(1, "X"), says(2, "X")).own(2)),
		v("project-threshold-kept", "untrusted", "all keys of a project's file are one voice", "threshold 2 *\n", key(1, "left-pad")+key(2, "left-pad"), about("left-pad", says(1, "X"), says(2, "X"))),
		v("project-most-specific", "untrusted", "its most specific scope decides alone as well", "", key(1, "left-*")+key(2, "left-pad"), about("left-pad", says(1, "X"))),
		v("project-until", "untrusted", "its lines end", "", key(1, "left-pad until=2027-01-01"), about("left-pad", says(1, "X"))),
		v("project-pinned", "trusted", "the user's pin decides", "pin left-pad 1.0.0 "+modY+"\n", key(1, "left-pad"), about("left-pad", says(1, "X"), says(2, "Y"))),
	}
}

func successionVectors() []vector {
	v := func(file, expect, comment, text string, w *world) vector {
		return decisionVector(file, expect, "T29", comment, text, w)
	}
	follow := key(1, "left-pad follow=yes")
	return []vector{
		v("follow", "trusted", "a successor decides by a line that follows", follow, about("left-pad", says(2, "X")).succeeds(2, 1)),
		v("follow-no", "untrusted", "and by no other; the user is told", key(1, "left-pad"), about("left-pad", says(2, "X")).succeeds(2, 1)),
		v("follow-both", "conflict", "the old key goes on to decide", follow, about("left-pad", says(1, "Y"), says(2, "X")).succeeds(2, 1)),
		v("follow-old-half", "untrusted", "the old key alone makes nobody its successor", follow, about("left-pad", says(2, "X")).nominates(1, 2)),
		v("follow-new-half", "untrusted", "nor does the new key alone", follow, about("left-pad", says(2, "X")).accepts(2, 1)),
		v("follow-revoked", "untrusted", "a key that was revoked hard names nobody", follow, about("left-pad", says(2, "X")).succeeds(2, 1).invalidSuccessions(1)),
		decisionVector("follow-backdated", "untrusted", "T110", "a succession of which the old key's half may have been dated back", follow, about("left-pad", says(2, "X")).succeeds(2, 1).backdatedSuccessions(1)),
		v("follow-fork", "untrusted", "of two successors neither is followed", follow, about("left-pad", says(2, "X")).succeeds(2, 1).succeeds(3, 1)),
		v("follow-fork-denied", "trusted", "a denied one is none", follow+"deny "+k3+"\n", about("left-pad", says(2, "X")).succeeds(2, 1).succeeds(3, 1)),
		v("follow-chain", "trusted", "a successor's successor", follow, about("left-pad", says(3, "X")).succeeds(2, 1).succeeds(3, 2)),
		v("follow-chain-denied", "untrusted", "a denied key passes nothing on", follow+"deny "+k2+"\n", about("left-pad", says(3, "X")).succeeds(2, 1).succeeds(3, 2)),
		v("follow-root-denied", "untrusted", "nor does the line of one", follow+"deny "+k1+"\n", about("left-pad", says(2, "X")).succeeds(2, 1)),
		v("follow-loop", "trusted", "two keys that succeed each other", follow, about("left-pad", says(2, "X")).succeeds(2, 1).succeeds(1, 2)),
		v("follow-over", "untrusted", "a line that is over passes nothing on", key(1, "left-pad follow=yes until=2027-01-01"), about("left-pad", says(2, "X")).succeeds(2, 1)),
		v("follow-depth", "trusted", "a successor may delegate where the line's key may", key(1, "left-pad follow=yes depth=1"),
			about("left-pad", says(3, "X")).succeeds(2, 1).delegates(2, 3, 0, "left-*")),
		v("follow-delegate", "untrusted", "the successor of a delegate has nothing", key(1, "left-pad follow=yes depth=2"),
			about("left-pad", says(3, "X")).delegates(1, 2, 1, "left-*").succeeds(3, 2)),
	}
}

func delegationVectors() []vector {
	v := func(file, expect, comment, text string, w *world) vector {
		return decisionVector(file, expect, "T30", comment, text, w)
	}
	one, two := key(1, "left-* depth=1"), key(1, "left-* depth=2")
	asks := func() *world { return about("left-pad", says(2, "X")) }
	return []vector{
		v("delegate", "trusted", "a delegate decides beside the key of the line", one, asks().delegates(1, 2, 0, "left-pad")),
		v("delegate-beside", "conflict", "and takes the name from nobody", one, about("left-pad", says(1, "Y"), says(2, "X")).delegates(1, 2, 0, "left-pad")),
		v("delegate-no-depth", "untrusted", "a line without depth lets its key name nobody", key(1, "left-*"), asks().delegates(1, 2, 3, "left-pad")),
		v("delegate-scope", "untrusted", "a delegation holds within its scopes", one, asks().delegates(1, 2, 0, "left-over", "right-*")),
		v("delegate-line-scope", "untrusted", "and within those of the line", one, about("right", says(2, "X")).delegates(1, 2, 0, "*")),
		v("delegate-second", "trusted", "two in a row", two, about("left-pad", says(3, "X")).delegates(1, 2, 1, "left-*").delegates(2, 3, 0, "*")),
		v("delegate-second-scope", "untrusted", "the scopes of both must hold the name", two, about("left-over", says(3, "X")).delegates(1, 2, 1, "left-pad").delegates(2, 3, 0, "*")),
		v("delegate-second-line", "untrusted", "the line allows one", one, about("left-pad", says(3, "X")).delegates(1, 2, 3, "*").delegates(2, 3, 0, "*")),
		v("delegate-second-depth", "untrusted", "the first allows none after it", two, about("left-pad", says(3, "X")).delegates(1, 2, 0, "*").delegates(2, 3, 0, "*")),
		v("delegate-two-ways", "trusted", "a longer way may lead further", key(1, "left-* depth=3"),
			about("left-pad", says(4, "X")).delegates(1, 3, 0, "*").delegates(1, 2, 2, "*").delegates(2, 3, 1, "*").delegates(3, 4, 0, "*")),
		v("delegate-loop", "trusted", "loops add nothing", key(1, "left-* depth=3"), asks().delegates(1, 2, 3, "*").delegates(2, 1, 3, "*")),
		v("delegate-until", "untrusted", "from the second until on it is over", one, asks().delegates(1, 2, 0, "*").last(func(d *delegation) { d.Until = noon })),
		v("delegate-until-before", "trusted", "a second before it is not", one, asks().delegates(1, 2, 0, "*").last(func(d *delegation) { d.Until = noon.Add(time.Second) })),
		v("delegate-taken-back", "untrusted", "without scopes it takes back", one, asks().delegates(1, 2, 0, "*").delegates(1, 2, 0)),
		v("delegate-newest", "untrusted", "the newest counts, not the one that came last", one,
			asks().delegates(1, 2, 0, "right").last(func(d *delegation) { d.Seq = 9 }).delegates(1, 2, 0, "left-pad")),
		v("delegate-newest-time", "untrusted", "with the same seq the one with the later time", one,
			asks().delegates(1, 2, 0, "right").last(func(d *delegation) { d.Seq, d.Time = 1, noon.Add(-day) }).delegates(1, 2, 0, "left-pad")),
		v("delegate-invalid", "untrusted", "a signature that does not count", one, asks().delegates(1, 2, 0, "*").last(func(d *delegation) { d.Invalid = "revoked" })),
		v("delegate-invalid-newest", "trusted", "and then the one before it counts", one,
			asks().delegates(1, 2, 0, "*").delegates(1, 2, 0).last(func(d *delegation) { d.Invalid = "expired" })),
		v("delegate-retracted", "untrusted", "a record that its author took back", one, asks().delegates(1, 2, 0, "*").last(func(d *delegation) { d.Retracted = true })),
		decisionVector("delegate-backdated", "untrusted", "T110", "a delegation that may have been dated back", one, asks().delegates(1, 2, 0, "*").last(func(d *delegation) { d.Backdated = true })),
		decisionVector("delegate-backdated-before", "trusted", "T110", "and then the one before it counts", one,
			asks().delegates(1, 2, 0, "*").delegates(1, 2, 0, "right").last(func(d *delegation) { d.Backdated = true })),
		decisionVector("delegate-backdated-takes-back", "untrusted", "T110", "one that takes back counts whenever it comes", one,
			asks().delegates(1, 2, 0, "*").delegates(1, 2, 0).last(func(d *delegation) { d.Backdated = true })),
		v("delegate-denied", "denied", "a denied key receives nothing", one+"deny "+k2+"\n", asks().delegates(1, 2, 0, "*")),
		v("delegate-denied-between", "untrusted", "and passes nothing on", two+"deny "+k2+"\n", about("left-pad", says(3, "X")).delegates(1, 2, 1, "*").delegates(2, 3, 0, "*")),
		v("delegate-denied-root", "untrusted", "nor does the key of a line", one+"deny "+k1+"\n", asks().delegates(1, 2, 0, "*")),
		v("delegate-over", "untrusted", "a line that is over passes nothing on", key(1, "left-* depth=1 until=2027-01-01"), asks().delegates(1, 2, 0, "*")),
		v("delegate-stranger", "untrusted", "a stranger's delegation", one, asks().delegates(3, 2, 3, "*")),
		v("delegate-own", "untrusted", "own keys have no depth", "", asks().own(1).delegates(1, 2, 3, "*")),
		decisionVector("delegate-confusion", "untrusted", "T15 T30", "a narrow delegation by a broadly trusted key is no line for the scope",
			key(1, "* depth=3")+key(3, "@acme/*"), about("@acme/x", says(1, "Y"), says(2, "Y")).delegates(1, 2, 3, "@acme/x")),
		decisionVector("delegate-confusion-beside", "trusted", "T15 T30", "nor a conflict with one",
			key(1, "* depth=3")+key(3, "@acme/*"), about("@acme/x", says(2, "Y"), says(3, "X")).delegates(1, 2, 3, "@acme/x")),
	}
}

func voiceVectors() []vector {
	v := decisionVector
	two := "threshold 2 *\n"
	return []vector{
		v("endorse-threshold", "trusted", "T32", "a release and an endorsement are two voices", key(1, "*")+key(2, "*")+two, about("left-pad", says(1, "X"), endorses(2, "X"))),
		v("endorse-alone", "untrusted", "T32", "an endorsement lets nothing in alone", key(1, "*"), about("left-pad", endorses(1, "X"), says(2, "X"))),
		v("endorse-two-alone", "untrusted", "T32", "nor do two", key(1, "*")+key(2, "*")+two, about("left-pad", endorses(1, "X"), endorses(2, "X"), says(3, "X"))),
		v("endorse-conflict", "conflict", "T32 T21", "an endorsement of another module is a conflict", key(1, "*")+key(2, "*"), about("left-pad", says(1, "X"), endorses(2, "Y"))),
		v("endorse-stranger", "trusted", "T32 T42", "a stranger's counts for nothing and is shown", key(1, "*"), about("left-pad", says(1, "X"), endorses(2, "X"), endorses(3, "Y"))),
		v("endorse-retracted", "untrusted", "T32", "one that was taken back takes no part", key(1, "*")+key(2, "*")+two,
			about("left-pad", says(1, "X"), func() claim { c := endorses(2, "X"); c.Retracted = true; return c }())),
		v("endorse-twice", "untrusted", "T32 T34", "a key that releases and endorses is one voice", key(1, "*")+two, about("left-pad", says(1, "X"), endorses(1, "X"))),
		v("endorse-contradicts", "trusted", "T33", "a key that endorses two modules says nothing, and freezes nothing", key(1, "*")+key(2, "*"),
			about("left-pad", says(1, "X"), endorses(2, "X"), endorses(2, "Y"))),
		v("endorse-contradicts-own", "untrusted", "T33", "nor does one that releases one and endorses another", key(1, "*"), about("left-pad", says(1, "X"), endorses(1, "Y"))),
		v("endorse-equivocation", "equivocation", "T22 T33", "two releases are an equivocation whatever else is endorsed", key(1, "*"), about("left-pad", says(1, "X"), says(1, "Y"), endorses(1, "X"))),
		v("voices-delegates", "untrusted", "T34", "two delegates of one key are one voice", key(1, "* depth=1")+two,
			about("left-pad", says(2, "X"), says(3, "X")).delegates(1, 2, 0, "*").delegates(1, 3, 0, "*")),
		v("voices-delegate-and-root", "untrusted", "T34", "and so are a key and its delegate", key(1, "* depth=1")+two, about("left-pad", says(1, "X"), says(2, "X")).delegates(1, 2, 0, "*")),
		v("voices-shared-delegate", "untrusted", "T34", "a delegate of two keys is one voice", key(1, "* depth=1")+key(2, "* depth=1")+two,
			about("left-pad", says(3, "X")).delegates(1, 3, 0, "*").delegates(2, 3, 0, "*")),
		v("voices-pairs", "trusted", "T34", "two roots and two signers, of whom one may take either", key(1, "* depth=1")+key(2, "* depth=1")+two,
			about("left-pad", says(3, "X"), says(4, "X")).delegates(1, 3, 0, "*").delegates(2, 3, 0, "*").delegates(1, 4, 0, "*")),
		v("voices-rotated", "untrusted", "T34", "a key and its successor are one voice, though both have lines", key(1, "*")+key(2, "*")+two, about("left-pad", says(1, "X"), says(2, "X")).succeeds(2, 1)),
		v("voices-rotated-loop", "untrusted", "T34", "also when each succeeds the other", key(1, "*")+key(2, "*")+two,
			about("left-pad", says(1, "X"), says(2, "X")).succeeds(2, 1).succeeds(1, 2)),
		v("voices-rotated-both", "untrusted", "T34", "two keys with one successor are one voice", key(1, "*")+key(2, "*")+two,
			about("left-pad", says(1, "X"), says(2, "X")).succeeds(3, 1).succeeds(3, 2)),
		v("voices-half", "trusted", "T34", "half a succession joins nothing", key(1, "*")+key(2, "*")+two, about("left-pad", says(1, "X"), says(2, "X")).nominates(1, 2)),
		v("voices-lines", "untrusted", "T34", "two lines of one key are one voice", key(1, "*")+key(1, "* depth=1")+two, about("left-pad", says(1, "X"))),
		v("record-of-decider", "trusted", "T35", "of a pinned module the record by a key that decides is used", key(3, "*")+key(1, "*")+"pin left-pad 1.0.0 "+modX+"\n",
			about("left-pad", says(2, "X"), says(1, "X"), says(4, "X"))),
	}
}

func holdVectors() []vector {
	v := func(file, spec, comment, text string, w *world) vector {
		return decisionVector(file, "trusted", spec, comment, text, w)
	}
	young := "min-age 3d\n"
	backdated := func(author int) claim { return dated(seen(says(author, "X"), 2*day), 30*day, 60*day) }
	return []vector{
		v("hold-young", "T41", "known for two days of three", key(1, "*")+young, about("left-pad", seen(says(1, "X"), 2*day))),
		v("hold-old", "T41", "known for three", key(1, "*")+young, about("left-pad", seen(says(1, "X"), 3*day))),
		v("hold-stranger", "T41", "that a stranger released it before does not make it old", key(1, "*")+young, about("left-pad", seen(says(1, "X"), day), seen(says(2, "X"), 9*day))),
		v("hold-threshold", "T41", "it is known since the second of two came", key(1, "*")+key(2, "*")+"threshold 2 *\n"+young,
			about("left-pad", seen(says(1, "X"), 9*day), seen(says(2, "X"), day))),
		v("hold-release", "T41", "and since the release came", key(1, "*")+key(2, "*")+young, about("left-pad", seen(endorses(1, "X"), 9*day), seen(says(2, "X"), day))),
		v("hold-own", "T41", "the user's own release is not held", young, about("left-pad", seen(says(1, "X"), day)).own(1)),
		v("hold-pinned", "T41", "nor a pinned version", young+"pin left-pad 1.0.0 "+modX+"\n", about("left-pad", seen(says(1, "X"), day))),
		v("hold-clock", "T41", "a clock that was set back makes nothing old", key(1, "*")+young, about("left-pad", seen(says(1, "X"), -9*day))),
		v("backdated", "T40", "dated before the end of its key and seen long after", key(1, "*"), about("left-pad", backdated(1))),
		v("backdated-week", "T40", "seven days after is not long", key(1, "*"), about("left-pad", dated(seen(says(1, "X"), 23*day), 30*day, 60*day))),
		v("backdated-in-time", "T40", "seen before the end", key(1, "*"), about("left-pad", dated(seen(says(1, "X"), 40*day), 30*day, 60*day))),
		v("backdated-followed", "T40", "the author's log goes on from it", key(1, "*"), about("left-pad", followed(backdated(1)))),
		v("backdated-other", "T40", "another key that decides is enough", key(1, "*")+key(2, "*"), about("left-pad", backdated(1), seen(says(2, "X"), day))),
		v("backdated-threshold", "T40", "of two voices one is backdated", key(1, "*")+key(2, "*")+"threshold 2 *\n", about("left-pad", backdated(1), seen(says(2, "X"), 9*day))),
		v("equivocated-elsewhere", "T42", "a key that equivocated about another version", key(1, "*"),
			func() *world {
				w := about("left-pad", says(1, "X"))
				w.Equivocated = []records.Fingerprint{testKey(1)}
				return w
			}()),
	}
}
