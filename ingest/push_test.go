package ingest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// The outcome table of the specification, row by row. SPEC N31, N32, N33 and N35.
func TestOutcomes(t *testing.T) {
	alice, bob := newAuthor(t), newAuthor(t)
	at := func(d time.Duration) []byte {
		return alice.frame(alice.sign(time.Now().Add(d), testRelease("1.0.0", someModule(0))))
	}
	fresh := at(0)
	f, err := records.DecodeFrame(fresh)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(key, envelope []byte) []byte { return frameOf(t, key, envelope) }
	env, err := records.DecodeEnvelope(f.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	resigned := alice.sign(time.Unix(env.Record.Time, 0), testRelease("1.0.0", someModule(1)))
	forged, err := records.EncodeEnvelope(env.RecordBytes, resigned.Signature())
	if err != nil {
		t.Fatal(err)
	}
	old, err := records.DecodeFrame(at(-25 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	oldForged := bytes.Clone(old.Envelope)
	oldForged[len(oldForged)-1] ^= 1
	trustAlice := func(r *receiver) { r.trusts("key %s left-pad", alice.fingerprint()) }
	denyAlice := func(r *receiver) { r.trusts("deny %s", alice.fingerprint()) }
	own := func(r *receiver) { r.own = append(r.own, alice.fingerprint()) }
	spent := func(r *receiver) {
		for range strangerBurst {
			r.quota.takeRecord(alice.fingerprint(), "", false, r.now)
		}
	}
	manyStrangers := func(r *receiver) {
		for i := range strangersBurst {
			f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
			if err != nil {
				t.Fatal(err)
			}
			r.quota.takeRecord(f, fmt.Sprint(i), false, r.now)
		}
	}
	seen := func(r *receiver) { r.frame(fresh) }
	both := func(fs ...func(*receiver)) func(*receiver) {
		return func(r *receiver) {
			for _, f := range fs {
				f(r)
			}
		}
	}
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }

	for _, c := range []struct {
		rule, name string
		prepare    func(*receiver)
		frame      []byte
		want       verdict
		stored     bool
	}{
		{"N32", "new, by a stranger", nil, fresh, accept, true},
		{"N32", "new, by a trusted key", trustAlice, fresh, accept, true},
		{"N33", "nothing", nil, []byte{}, reject, false},
		{"N33", "no frame", nil, []byte("hello"), reject, false},
		{"N33", "cut short", nil, cut(fresh, 1), reject, false},
		{"N33", "too long", nil, append(bytes.Clone(fresh), 0), reject, false},
		{"N33", "no key block", nil, frame([]byte("key"), f.Envelope), reject, false},
		{"N33", "no envelope", nil, frame(f.Key, []byte("envelope")), reject, false},
		{"N33", "another's key block", nil, frame(bob.block(), f.Envelope), reject, false},
		{"N33", "signature of another record", nil, frame(f.Key, forged), reject, false},
		{"N34", "known", seen, fresh, ignore, true},
		{"N31", "not verified when old, by a stranger", nil, frame(f.Key, oldForged), ignore, false},
		{"N33", "verified when old, trusted", trustAlice, frame(f.Key, oldForged), reject, false},
		{"N31", "23 hours old", nil, at(-23 * time.Hour), accept, true},
		{"N31", "25 hours old, by a stranger", nil, at(-25 * time.Hour), ignore, false},
		{"N31", "25 hours old, trusted", trustAlice, at(-25 * time.Hour), ignore, true},
		{"N31", "9 minutes ahead", nil, at(9 * time.Minute), accept, true},
		{"N31", "11 minutes ahead, by a stranger", nil, at(11 * time.Minute), ignore, false},
		{"N31", "11 minutes ahead, trusted", trustAlice, at(11 * time.Minute), ignore, true},
		{"N30", "author above the rate", spent, fresh, ignore, false},
		{"N30", "trusted author above the rate of strangers", both(trustAlice, spent), fresh, accept, true},
		{"N30", "strangers above their rate", manyStrangers, fresh, ignore, false},
		{"N30", "strangers above their rate, trusted", both(manyStrangers, trustAlice), fresh, accept, true},
		{"N30", "strangers above their rate, own key", both(manyStrangers, own), fresh, accept, true},
		{"N35", "denied", denyAlice, fresh, ignore, false},
	} {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			r := newReceiver(t)
			if c.prepare != nil {
				c.prepare(r)
			}
			if got := r.frame(c.frame); got != c.want {
				t.Errorf("outcome %s, want %s", got, c.want)
			}
			if got := r.count() == 1; got != c.stored {
				t.Errorf("stored: %v, want %v", got, c.stored)
			}
		})
	}
}

// SPEC N34. Whoever repeats an author's records uses up nothing of the author's.
func TestRepeatsAreFree(t *testing.T) {
	alice := newAuthor(t)
	r := newReceiver(t)
	first := alice.frame(alice.sign(time.Now(), testRelease("1.0.0", someModule(0))))
	var copies []Item
	for range 2 * strangerBurst {
		copies = append(copies, Item{Kind: Frame, Data: first, Source: Source{Peer: "12D3"}})
	}
	r.pushAll(copies...)
	for range 2 * strangerBurst {
		r.frame(first)
	}
	if got := r.frame(alice.frame(alice.sign(time.Now(), testRelease("1.0.1", someModule(1))))); got != accept {
		t.Errorf("the next record: outcome %s", got)
	}
}

// SPEC N36. An equivocation is spread once; what follows about that version is not.
func TestEquivocationOutcomes(t *testing.T) {
	alice := newAuthor(t)
	r := newReceiver(t)
	want := []verdict{accept, accept, ignore}
	for i := range 3 {
		v := alice.sign(time.Now(), testRelease("1.0.0", someModule(i)))
		if got := r.frame(alice.frame(v)); got != want[i] {
			t.Errorf("module %d: outcome %s, want %s", i, got, want[i])
		}
	}
	if n := r.Received("12D3"); n != 3 {
		t.Errorf("%d records are counted as new, want 3", n)
	}
	if told := r.told; len(told) != 2 || told[0] != index.Stored || told[1] != index.Equivocation {
		t.Errorf("told of %v", told)
	}
}

// SPEC N37. Key blocks: news of a known key is kept and spread, strangers' keys are
// only passed on.
func TestKeyOutcomes(t *testing.T) {
	alice := newAuthor(t)
	block := alice.block()
	offer := func(r *receiver, b []byte) verdict { return r.push(KeyBlock, b, "") }
	known := func(r *receiver) bool { return r.key(alice.fingerprint()) != nil }
	r := newReceiver(t)
	if got := offer(r, block); got != accept || known(r) {
		t.Errorf("a stranger's key: outcome %s, known %v", got, known(r))
	}
	if got := offer(r, []byte("key")); got != reject {
		t.Errorf("no key block: outcome %s", got)
	}
	if got := offer(r, append(bytes.Clone(block), block...)); got != reject {
		t.Errorf("two key blocks: outcome %s", got)
	}
	r.trusts("key %s left-pad", alice.fingerprint())
	if got := offer(r, block); got != accept || !known(r) {
		t.Errorf("a trusted key: outcome %s, known %v", got, known(r))
	}
	if got := offer(r, block); got != ignore {
		t.Errorf("a key that is known: outcome %s", got)
	}
}

// SPEC N38. Own announcements come from the index; nothing else leaves this node as its own.
func TestLocalOutcomes(t *testing.T) {
	a, r := newAuthor(t), newReceiver(t)
	// However old it is.
	v := a.sign(time.Now().Add(-30*time.Minute), testRelease("1.0.0", someModule(0)))
	it := Item{Kind: Frame, Data: a.frame(v), Source: Source{Own: true}}
	if got := r.pushAll(it)[0]; got != ignore {
		t.Errorf("a record that is not stored: outcome %s", got)
	}
	r.add(v, a.secret.Key(), index.Source{Own: true})
	if got := r.pushAll(it)[0]; got != accept {
		t.Errorf("a stored record: outcome %s", got)
	}
}

// Nothing malformed, changed or brought with a foreign key gets in, and
// whoever sends it is to blame.
func TestThreat1HostileFrames(t *testing.T) {
	rounds, foreign := 1000, 100
	if full {
		rounds, foreign = 10_000, 1000
	}
	random := rand.New(rand.NewPCG(1, 2))
	alice := newAuthor(t)
	good := alice.frame(alice.sign(time.Now(), testRelease("1.0.0", someModule(0))))
	f, err := records.DecodeFrame(good)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	outcomes := map[verdict]int{}
	offer := func(b []byte) {
		o := r.frame(b)
		outcomes[o]++
		if o == accept {
			t.Fatalf("accepted %x", b)
		}
	}
	for range rounds { // cut, doubled, spliced, random
		b := bytes.Clone(good)
		switch random.IntN(4) {
		case 0:
			b = b[:random.IntN(len(b))]
		case 1:
			at := random.IntN(len(b))
			b = append(b[:at:at], append([]byte{byte(random.Uint32())}, b[at:]...)...)
		case 2:
			from, to := random.IntN(len(b)), random.IntN(len(b))
			n := copy(b[to:], good[from:min(len(good), from+1+random.IntN(64))])
			if bytes.Equal(b, good) || n == 0 {
				continue
			}
		case 3:
			b = make([]byte, random.IntN(2*len(good)))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
		}
		offer(b)
	}
	for range rounds {
		b := bytes.Clone(good)
		at := len(good) - len(f.Envelope) + random.IntN(len(f.Envelope)) // in the envelope
		b[at] ^= 1 << random.IntN(8)
		offer(b)
	}
	var strangers []*sign.Key
	for range 10 {
		k, err := sign.NewSecretKey("Mallory", "m@example.org", time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, k.Key())
	}
	for i := range foreign {
		b, err := records.EncodeFrame(records.Frame{Key: strangers[i%len(strangers)].Block(), Envelope: f.Envelope})
		if err != nil {
			t.Fatal(err)
		}
		offer(b)
	}
	if n := r.count(); n != 0 {
		t.Errorf("%d records are stored", n)
	}
	if outcomes[reject] < rounds {
		t.Errorf("outcomes %v: few were rejected", outcomes)
	}
	t.Logf("outcomes %v", outcomes)
	// Whoever sent all that has used up what may be asked of this node.
	if got := r.push(Frame, good, "12D4"); got != accept {
		t.Errorf("the good record after all that, by another peer: outcome %s", got)
	}
}

// SPEC N30
func TestQuota(t *testing.T) {
	q := newQuota()
	now := time.Now()
	a, err := records.FingerprintFromBytes(bytes.Repeat([]byte{1}, 20))
	if err != nil {
		t.Fatal(err)
	}
	spend := func(trusted bool, step time.Duration, most int) (n int) {
		for range most {
			now = now.Add(step)
			if q.takeRecord(a, "", trusted, now) {
				n++
			}
		}
		return n
	}
	if n := spend(false, time.Second, 1000); n != 102 { // 1,000 s give 2.8 more
		t.Errorf("a stranger had %d records taken at once, want 102", n)
	}
	if n := spend(false, 6*time.Minute, 100); n != 100 {
		t.Errorf("a stranger had %d of 100 records taken at 10 an hour", n)
	}
	if n := spend(true, 0, 10_000); n != followedBurst {
		t.Errorf("a trusted key had %d records taken at once, want %d", n, followedBurst)
	}
	if n := spend(true, 3600*time.Millisecond, 1000); n < 999 {
		t.Errorf("a trusted key had %d of 1,000 records taken at 1,000 an hour", n)
	}
	q, now = newQuota(), now.Add(time.Hour)
	taken := 0
	for i := range 10_000 {
		f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Millisecond)
		if q.takeRecord(f, fmt.Sprint(i%100), false, now) {
			taken++
		}
	}
	if want := strangersBurst + 10*strangersRate; taken < int(want)-1 || taken > int(want)+1 {
		t.Errorf("10,000 strangers in 10 s had %d records taken, want %v", taken, want)
	}
	for i := range 3 * maxAuthors {
		f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
		if err != nil {
			t.Fatal(err)
		}
		q.takeRecord(f, fmt.Sprint(i), true, now)
	}
	if n := q.authors.Len(); n > maxAuthors {
		t.Errorf("%d authors are remembered, want at most %d", n, maxAuthors)
	}
}
