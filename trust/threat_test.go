package trust_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// The tests of this file are rows of the threat table, as far as decisions go.

const orders = 10_000

// TestThreat10WrongSoftware is dependency confusion: of 100 names in a scope that
// the user gave one key, a broadly trusted key gets none, whatever it publishes,
// delegates, nominates or endorses, and it stops none either.
func TestThreat10WrongSoftware(t *testing.T) {
	const good, broad, minted, heir = 1, 2, 3, 4
	p := parse(t, key(broad, "* depth=3 follow=yes")+key(good, "@acme/*"))
	for i := range 100 {
		w := &world{Name: records.Name(fmt.Sprintf("@acme/tool-%d", i)), Version: "99.0.0", Now: noon}
		for _, attacker := range []int{broad, minted, heir} {
			w.Claims = append(w.Claims, says(attacker, "evil"), endorses(attacker, "evil"))
		}
		w.delegates(broad, minted, 2, records.Scope(w.Name), "@acme/*", "*").delegates(minted, heir, 1, "*").succeeds(heir, broad)
		w.withProject(key(broad, string(w.Name)) + key(minted, string(w.Name)))
		d := w.decide(t, p)
		if d.State != trust.Untrusted {
			t.Fatalf("%s: %v", w.Name, d.State)
		}
		for _, c := range d.Claims {
			if c.Effect == trust.Counts {
				t.Fatalf("%s: a claim by %s counts", w.Name, c.Author)
			}
		}
		w.Claims = append(w.Claims, says(good, "right"))
		if d := w.decide(t, p); d.State != trust.Trusted || d.Module != moduleCID("right") || d.Signer != testKey(good) {
			t.Fatalf("%s: with a release by the key of the scope: %v", w.Name, d.State)
		}
	}
}

// TestThreat11ExtraneousDependencies is that the record which names the
// dependencies is never a stranger's about a module that a key which decides
// released, and that without such a release there is none at all.
func TestThreat11ExtraneousDependencies(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	for i := range 100 {
		decider := r.IntN(100)
		p := parse(t, key(decider, "left-pad"))
		w := about("left-pad", endorses(decider, "X"))
		for k := range 100 {
			if k != decider {
				w.Claims = append(w.Claims, says(k, "X"))
			}
		}
		if d := w.decide(t, p); d.State != trust.Untrusted || d.Record.Defined() {
			t.Fatalf("%d: endorsed only: %v, record %s", i, d.State, d.Record)
		}
		w.Claims = append(w.Claims, says(decider, "X"))
		for _, text := range []string{"", "pin left-pad 1.0.0 " + modX + "\n"} {
			d := w.decide(t, parse(t, key(decider, "left-pad")+text))
			if d.State != trust.Trusted || d.Signer != testKey(decider) {
				t.Fatalf("%d: the record of %s is used, not that of %s", i, d.Signer, testKey(decider))
			}
		}
	}
}

// TestThreat12Equivocation is that one key with two modules freezes the version,
// in whatever order they come, and though others agree with one of them.
func TestThreat12Equivocation(t *testing.T) {
	w := about("left-pad", says(1, "X"), says(1, "Y"), says(2, "X"), says(3, "X"), says(4, "Z"), endorses(2, "X"))
	w.delegates(2, 5, 0, "*").succeeds(6, 3)
	p := parse(t, key(1, "*")+key(2, "* depth=1")+key(3, "* follow=yes")+"threshold 2 *\n")
	inOneState(t, w, p, trust.Equivocation)
}

// TestThreat13Conflict is that two keys of equal standing with a module each stop
// the version, in whatever order they come, and whatever their records' times.
func TestThreat13Conflict(t *testing.T) {
	w := about("left-pad", says(1, "X"), says(2, "Y"), says(3, "Z"), seen(says(4, "X"), day), endorses(5, "Y"))
	w.delegates(2, 5, 0, "*")
	inOneState(t, w, parse(t, key(1, "left-*")+key(2, "left-* depth=1")+key(3, "*")), trust.Conflict)
}

func inOneState(t *testing.T, w *world, p *trust.Policy, want trust.State) {
	t.Helper()
	r := rand.New(rand.NewPCG(12, 13))
	in, claims := w.inputs(t, p), w.claims(t)
	first := in.Evaluator().Decide(w.Name, w.Version, claims)
	if first.State != want {
		t.Fatalf("%v, want %v", first.State, want)
	}
	for range orders {
		again := in
		again.Facts = shuffled(r, in.Facts)
		if d := again.Evaluator().Decide(w.Name, w.Version, shuffle(r, claims)); !reflect.DeepEqual(d, first) {
			t.Fatalf("in another order\ngot  %+v\nwant %+v", d, first)
		}
		if d := again.Evaluator().Decide(w.Name, w.Version, aged(r, claims)); d.State != want {
			t.Fatalf("at other times: %v", d.State)
		}
	}
}

// TestThreat16KeyCompromise is that one stolen key of three, two of which must
// agree, lets nothing in, with whatever it signs and however many keys it makes;
// and that nothing that it signed resolves after a hard revocation.
func TestThreat16KeyCompromise(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 0))
	two := parse(t, key(1, "left-* depth=2 follow=yes")+key(2, "left-* depth=2 follow=yes")+key(3, "left-*")+"threshold 2 left-*\n")
	one := parse(t, key(1, "left-* depth=2 follow=yes"))
	alone := 0
	for i := range 1000 {
		w := about("left-pad", says(1, "evil"))
		g := &generator{Rand: r, scopes: []string{"*", "left-*", "left-pad"}, keys: 8}
		minted := func() int { return 10 + g.key() }
		stolen := func() int { return []int{1, minted()}[g.IntN(2)] }
		for range 12 {
			switch from := stolen(); g.IntN(5) {
			case 0:
				w.Claims = append(w.Claims, says(from, "evil"))
			case 1:
				w.Claims = append(w.Claims, endorses(from, "evil"))
			case 2:
				if to := minted(); to != from {
					w.delegates(from, to, g.IntN(4), records.Scope(g.scope()))
				}
			case 3:
				if to := minted(); to != from {
					w.succeeds(to, from)
				}
			case 4:
				// Halves that the others never answer.
				w.nominates(from, 2).accepts(from, 3)
			}
		}
		if d := w.decide(t, two); d.State != trust.Untrusted {
			t.Fatalf("attack %d: %v", i, d.State)
		}
		if w.decide(t, one).State == trust.Trusted {
			alone++
		}
		revoke(w, 1)
		if d := w.decide(t, one); d.State == trust.Trusted || len(d.By) > 0 {
			t.Fatalf("attack %d after the revocation: %v", i, d.State)
		}
	}
	if alone < 900 {
		t.Errorf("only %d of the attacks work where one key is enough", alone)
	}
}

// revoke makes invalid all that a key signed.
func revoke(w *world, author int) {
	for i := range w.Claims {
		if w.Claims[i].Author == testKey(author) {
			w.Claims[i].Invalid = "revoked"
		}
	}
	for i := range w.Delegations {
		if w.Delegations[i].Author == testKey(author) {
			w.Delegations[i].Invalid = "revoked"
		}
	}
	w.invalidSuccessions(author)
}

// TestThreat17Backdating is that of 100 records with dates before the end of a
// key and first seen long after, none is used unasked, and that all of those are
// which came in time.
func TestThreat17Backdating(t *testing.T) {
	p := parse(t, key(1, "*"))
	r := rand.New(rand.NewPCG(17, 0))
	for i := range 100 {
		end := noon.Add(-time.Duration(20+r.IntN(400)) * day)
		c := says(1, fmt.Sprint("forged ", i))
		c.Ended, c.Time = end, end.Add(-time.Duration(1+r.IntN(100_000))*time.Minute)
		c.FirstSeen = end.Add(7*day + time.Duration(1+r.IntN(10_000))*time.Minute)
		if d := about("left-pad", c).decide(t, p); d.State != trust.Trusted || d.Hold != trust.Backdated {
			t.Fatalf("%d: %v, hold %q", i, d.State, d.Hold)
		}
		c.FirstSeen = end.Add(7*day - time.Duration(r.IntN(10_000))*time.Minute)
		if d := about("left-pad", c).decide(t, p); d.State != trust.Trusted || d.Hold != trust.NotHeld {
			t.Fatalf("%d, in time: %v, hold %q", i, d.State, d.Hold)
		}
	}
}

// TestThreat19CountedTwice is that one signer is one voice towards a threshold of
// two, with any number of records, lines, delegates and successors.
func TestThreat19CountedTwice(t *testing.T) {
	var w world = *about("left-pad")
	for i := range 50 {
		c := says(1, "X")
		c.Record = recordCID(fmt.Sprint("again ", i)).String()
		w.Claims = append(w.Claims, c, says(1, "X"), endorses(1, "X"))
	}
	for k := 10; k < 20; k++ {
		w.Claims = append(w.Claims, says(k, "X"))
		w.delegates(1, k, 0, "*")
	}
	w.Claims = append(w.Claims, says(2, "X"))
	w.succeeds(2, 1)
	text := key(1, "* depth=1 follow=yes") + key(1, "* left-*") + key(1, "left-pad depth=3") + key(2, "left-pad") + "threshold 2 *\n"
	d := w.decide(t, parse(t, text))
	if d.State != trust.Untrusted {
		t.Fatalf("%v by %d keys", d.State, len(d.By))
	}
	w.Claims = append(w.Claims, says(3, "X"))
	if d := w.decide(t, parse(t, text+key(3, "left-pad"))); d.State != trust.Trusted || d.Voices != 2 {
		t.Fatalf("with a second signer: %v, %d voices", d.State, d.Voices)
	}
}
