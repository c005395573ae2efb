package index_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// believe is the evaluator of a trust file at a time, with all that the index knows.
func believe(t *testing.T, x *index.Index, text string, now time.Time) *trust.Evaluator {
	t.Helper()
	p, err := trust.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return trust.Inputs{User: p, Now: now, Load: authorlog.New(x).Facts}.Evaluator()
}

// What keys say of keys decides, and what was taken back does not.
func TestFactsDecide(t *testing.T) {
	ctx := t.Context()
	x := open(t)
	root, delegate, heir := newAuthor(t, "root"), newAuthor(t, "delegate"), newAuthor(t, "heir")
	until := start.AddDate(1, 0, 0).Unix()
	add(t, x, delegate.says(release("left-pad", "1.0.0", "by the delegate")), heir.says(release("right-pad", "1.0.0", "by the heir")))
	line := "key " + root.fpr().String() + " * depth=1 follow=yes\n"
	state := func(name records.Name) trust.State {
		t.Helper()
		return must[trust.Decision](t)(resolve.New(x).Decide(ctx, name, "1.0.0", believe(t, x, line, start))).State
	}
	if s := state("left-pad"); s != trust.Untrusted {
		t.Errorf("before it was delegated: %v", s)
	}
	grant := root.says(&records.Delegate{To: delegate.fpr(), Scopes: []records.Scope{"left-*"}, Until: until})
	add(t, x, grant)
	if s := state("left-pad"); s != trust.Trusted {
		t.Errorf("delegated: %v", s)
	}
	if s := state("right-pad"); s != trust.Untrusted {
		t.Errorf("outside of what was delegated: %v", s)
	}
	add(t, x, root.says(&records.Successor{To: heir.fpr()}))
	if s := state("right-pad"); s != trust.Untrusted {
		t.Errorf("one half of a succession: %v", s)
	}
	add(t, x, heir.says(&records.Successor{From: root.fpr()}))
	if s := state("right-pad"); s != trust.Trusted {
		t.Errorf("succeeded: %v", s)
	}
	add(t, x, root.says(&records.Notice{Name: "left-pad", Record: grant.Verified.ID(), NoticeOf: records.Yanked, Text: "a mistake"}))
	if s := state("left-pad"); s != trust.Untrusted {
		t.Errorf("taken back: %v", s)
	}
	add(t, x, root.says(&records.Notice{Name: "left-pad", Record: grant.Verified.ID(), NoticeOf: records.Yanked}))
	if s := state("left-pad"); s != trust.Trusted {
		t.Errorf("the taking back taken back: %v", s)
	}
	merged, _, err := x.AddKey(ctx, root.revoked(packet.KeyCompromised, start.Add(time.Hour)))
	if err != nil || !isRevoked(merged) {
		t.Fatal(err)
	}
	if l, r := state("left-pad"), state("right-pad"); l != trust.Untrusted || r != trust.Untrusted {
		t.Errorf("after a hard revocation: %v and %v", l, r)
	}
}

// An endorsement is a voice, until it is taken back.
func TestEndorsementsCount(t *testing.T) {
	ctx := t.Context()
	x := open(t)
	ada, bob := newAuthor(t, "ada"), newAuthor(t, "bob")
	line := "key " + ada.fpr().String() + " hello\nkey " + bob.fpr().String() + " hello\nthreshold 2 hello\n"
	state := func() trust.State {
		t.Helper()
		return must[trust.Decision](t)(resolve.New(x).Decide(ctx, "hello", "1.0.0", believe(t, x, line, start))).State
	}
	add(t, x, ada.says(release("hello", "1.0.0", "m")))
	if s := state(); s != trust.Untrusted {
		t.Errorf("one voice: %v", s)
	}
	vote := bob.says(&records.Endorse{Name: "hello", Version: "1.0.0", Module: module("m"), Claim: records.Reviewed})
	add(t, x, vote)
	if s := state(); s != trust.Trusted {
		t.Errorf("two voices: %v", s)
	}
	add(t, x, bob.says(&records.Notice{Name: "hello", Record: vote.Verified.ID(), NoticeOf: records.Yanked, Text: "I had not looked"}))
	if s := state(); s != trust.Untrusted {
		t.Errorf("one voice taken back: %v", s)
	}
	claims, _, err := resolve.New(x).Claims(ctx, "hello", "1.0.0", believe(t, x, "key "+ada.fpr().String()+" hello\n", start))
	if err != nil || len(claims) != 2 || !slices.ContainsFunc(claims, func(c trust.Claim) bool { return c.Author == bob.fpr() && c.Retracted }) {
		t.Errorf("for who does not believe bob yet: %+v, %v", claims, err)
	}
}

// SPEC T41 and T45. What is yanked or new is passed over, and taken when it is asked
// for by its number.
func TestResolvePassesOver(t *testing.T) {
	ctx := t.Context()
	x := open(t)
	ada := newAuthor(t, "ada")
	add(t, x, ada.says(release("hello", "1.0.0", "1")), ada.says(release("hello", "1.1.0", "2")), ada.says(release("hello", "1.2.0", "3")))
	line := "key " + ada.fpr().String() + " hello\n"
	chosen := func(constraint, text string, now time.Time) records.Version {
		t.Helper()
		r, err := resolve.New(x).Resolve(ctx, "hello", constraint, believe(t, x, text, now))
		if errors.As(err, new(*resolve.HeldError)) {
			return "held"
		}
		if err != nil {
			t.Fatal(err)
		}
		return r.Version
	}
	add(t, x, ada.says(&records.Notice{Name: "hello", Range: "1.2.0", NoticeOf: records.Yanked, Text: "broken"}))
	for constraint, want := range map[string]records.Version{"": "1.1.0", "^1.0.0": "1.1.0", "1.2.0": "1.2.0", ">=1.2.0 <1.3.0": "held"} {
		if got := chosen(constraint, line, start); got != want {
			t.Errorf("%q chooses %s, want %s", constraint, got, want)
		}
	}
	r := must[resolve.Resolution](t)(resolve.New(x).Resolve(ctx, "hello", "1.2.0", believe(t, x, line, start)))
	if len(r.Notices.Yanked) != 1 || r.Notices.Yanked[0].Text != "broken" {
		t.Errorf("notices: %+v", r.Notices)
	}
	// 1.0.0 to 1.2.0 came at start; 1.3.0 two days later.
	late := ada.says(release("hello", "1.3.0", "4"))
	late.Source.At = start.Add(48 * time.Hour)
	add(t, x, late)
	waits := line + "min-age 3d\n"
	for _, c := range []struct {
		constraint string
		after      time.Duration
		want       records.Version
	}{{"", 24 * time.Hour, "held"}, {"1.0.0", 24 * time.Hour, "1.0.0"}, {"", 80 * time.Hour, "1.1.0"}, {"", 130 * time.Hour, "1.3.0"}, {"1.3.0", 80 * time.Hour, "1.3.0"}} {
		if got := chosen(c.constraint, waits, start.Add(c.after)); got != c.want {
			t.Errorf("%q after %v chooses %s, want %s", c.constraint, c.after, got, c.want)
		}
	}
}

// SPEC T40. What a retired key is said to have signed, and came long after its end,
// waits for the user. A key that never ended is never late.
func TestResolveHoldsLate(t *testing.T) {
	ctx := t.Context()
	x := open(t)
	ada := newAuthor(t, "ada")
	early, late := ada.says(release("hello", "1.0.0", "1")), ada.says(release("hello", "1.1.0", "2"))
	late.Source.At = start.Add(60 * 24 * time.Hour)
	add(t, x, early, late)
	line := "key " + ada.fpr().String() + " hello\n"
	now := start.Add(90 * 24 * time.Hour)
	if r := must[resolve.Resolution](t)(resolve.New(x).Resolve(ctx, "hello", "1.1.0", believe(t, x, line, now))); r.Decision.Hold != trust.NotHeld {
		t.Errorf("held: %v", r.Decision.Hold)
	}
	if _, _, err := x.AddKey(ctx, ada.revoked(packet.KeyRetired, start.Add(24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	var held *resolve.HeldError
	if _, err := resolve.New(x).Resolve(ctx, "hello", "1.1.0", believe(t, x, line, now)); !errors.As(err, &held) || held.Decision.Hold != trust.Backdated {
		t.Errorf("late: %v", err)
	}
	if r := must[resolve.Resolution](t)(resolve.New(x).Resolve(ctx, "hello", "", believe(t, x, line, now))); r.Version != "1.0.0" {
		t.Errorf("chooses %s, want 1.0.0", r.Version)
	}
	pinned := line + "pin hello 1.1.0 " + module("2").String() + "\n"
	if r := must[resolve.Resolution](t)(resolve.New(x).Resolve(ctx, "hello", "1.1.0", believe(t, x, pinned, now))); r.Version != "1.1.0" {
		t.Errorf("pinned: %s", r.Version)
	}
}

// SPEC T40 is about the key that signed: a subkey that was replaced holds up what it is
// said to have signed, and not what its successor or the primary key sign.
func TestResolveHoldsLateBySubkey(t *testing.T) {
	ctx := t.Context()
	x := open(t)
	at := func(d time.Duration) *packet.Config {
		return &packet.Config{Algorithm: packet.PubKeyAlgoEd25519, Time: func() time.Time { return start.Add(d) }}
	}
	e, err := openpgp.NewEntity("ada", "", "ada@example.com", at(-time.Hour))
	if err == nil {
		e.Subkeys = nil
		err = e.AddSigningSubkey(at(-time.Hour))
	}
	if err != nil {
		t.Fatal(err)
	}
	ada := &author{t: t, now: start}
	ada.take(e)
	early, late := ada.says(release("hello", "1.0.0", "1")), ada.says(release("hello", "1.1.0", "2"))
	if early.Verified.SigningKey() == ada.fpr() {
		t.Fatal("signed by the primary key")
	}
	forged := ada.at(1, []cid.Cid{early.Verified.ID()}, release("hello", "1.5.0", "5"))
	if err := e.Subkeys[0].Revoke(packet.KeySuperseded, "", at(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := e.AddSigningSubkey(at(24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	ada.now = start.Add(25 * time.Hour)
	ada.take(e)
	next := ada.says(release("hello", "1.2.0", "3"))
	for _, it := range []*index.Item{&late, &forged, &next} {
		it.Source.At = start.AddDate(0, 2, 0)
	}
	line := "key " + ada.fpr().String() + " hello\n"
	check := func(when string, want map[string]trust.Hold) {
		t.Helper()
		for v, hold := range want {
			d := must[trust.Decision](t)(resolve.New(x).Decide(ctx, "hello", records.Version(v), believe(t, x, line, start.AddDate(0, 3, 0))))
			if d.State != trust.Trusted || d.Hold != hold {
				t.Errorf("%s: %s is %v and held %v, want %v", when, v, d.State, d.Hold, hold)
			}
		}
	}
	heads := func(when string, want ...cid.Cid) {
		t.Helper()
		_, prev, err := authorlog.New(x).Head(ctx, ada.fpr())
		if err != nil || !slices.Equal(prev, want) {
			t.Errorf("%s: the next record names %v, %v; want %v", when, prev, err, want)
		}
	}
	late.Key, forged.Key = ada.key, ada.key
	add(t, x, late, forged)
	both := []cid.Cid{late.Verified.ID(), forged.Verified.ID()}
	slices.SortFunc(both, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	heads("with late records alone", both...)
	add(t, x, early)
	check("before the log goes on", map[string]trust.Hold{"1.0.0": trust.NotHeld, "1.1.0": trust.Backdated, "1.5.0": trust.Backdated})
	// The new key has seen 1.1.0 and goes on from there; 1.5.0 it has not seen.
	add(t, x, next)
	check("after that", map[string]trust.Hold{"1.0.0": trust.NotHeld, "1.1.0": trust.NotHeld, "1.2.0": trust.NotHeld, "1.5.0": trust.Backdated})
	heads("with a live record", next.Verified.ID())
	if n := ada.at(4, []cid.Cid{forged.Verified.ID()}, release("hello", "1.6.0", "6")); true {
		n.Source.At = start.AddDate(0, 2, 0)
		add(t, x, n)
	}
	check("when the author vouches for it", map[string]trust.Hold{"1.5.0": trust.NotHeld})
}
