package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// newJudge makes a judge whose clock stands still.
func newJudge(t *testing.T) (*judge, *time.Time) {
	now := time.Now()
	h := testHome(t)
	return &judge{
		home: h, index: h.Index(), log: slog.New(slog.DiscardHandler), quota: newQuota(),
		now:    func() time.Time { return now },
		stored: func(context.Context, sign.Verified, index.Outcome) {},
	}, &now
}

func (j *judge) judgeFrame(t *testing.T, data []byte) gossip.Outcome {
	t.Helper()
	return j.accept(t.Context(), gossip.Message{Topic: gossip.TopicRecords, Data: data, From: "12D3"})
}

func (j *judge) count(t *testing.T) int64 {
	t.Helper()
	c, err := j.index.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.Records
}

func testRelease(version string, module cid.Cid) *records.Release {
	return &records.Release{Name: "left-pad", Version: records.Version(version), Module: module, Size: 1, Files: 1}
}

func someModule(i int) cid.Cid {
	c, _ := block("module %d", i)
	return cid.NewCidV1(cid.DagProtobuf, c.Hash())
}

// The outcome table of the specification, row by row. SPEC N31, N32, N33 and N35.
func TestOutcomes(t *testing.T) {
	ctx := t.Context()
	alice, bob := newAuthor(t, testHome(t)), newAuthor(t, testHome(t))
	at := func(d time.Duration) []byte {
		return alice.frame(alice.sign(time.Now().Add(d), testRelease("1.0.0", someModule(0))))
	}
	fresh := at(0)
	f, err := records.DecodeFrame(fresh)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(key, envelope []byte) []byte {
		b, err := records.EncodeFrame(records.Frame{Key: key, Envelope: envelope})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
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
	trustAlice := func(j *judge) {
		edit := func(f *trust.File) error {
			_, err := f.AddKey(trust.Entry{Fingerprint: alice.key.Key().Fingerprint(), Scopes: []records.Scope{"left-pad"}})
			return err
		}
		if err := trust.Update(j.home.TrustPath(), edit); err != nil {
			t.Fatal(err)
		}
	}
	denyAlice := func(j *judge) {
		text := fmt.Sprintf("deny %s\n", alice.key.Key().Fingerprint())
		if err := atomicfile.Replace(j.home.TrustPath(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	own := func(j *judge) {
		b, err := alice.key.Marshal(nil)
		if err == nil {
			_, err = j.home.AddKey(ctx, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spent := func(j *judge) {
		for range untrustedBurst {
			j.quota.take(alice.key.Key().Fingerprint(), "", false, j.now())
		}
	}
	crowd := func(j *judge) {
		for i := range strangersBurst {
			f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
			if err != nil {
				t.Fatal(err)
			}
			j.quota.take(f, fmt.Sprint(i), false, j.now())
		}
	}
	seen := func(j *judge) { j.judgeFrame(t, fresh) }
	both := func(fs ...func(*judge)) func(*judge) {
		return func(j *judge) {
			for _, f := range fs {
				f(j)
			}
		}
	}
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }

	for _, c := range []struct {
		rule, name string
		prepare    func(*judge)
		frame      []byte
		want       gossip.Outcome
		stored     bool
	}{
		{"N32", "new, by a stranger", nil, fresh, gossip.Accept, true},
		{"N32", "new, by a trusted key", trustAlice, fresh, gossip.Accept, true},
		{"N33", "nothing", nil, []byte{}, gossip.Reject, false},
		{"N33", "no frame", nil, []byte("hello"), gossip.Reject, false},
		{"N33", "cut short", nil, cut(fresh, 1), gossip.Reject, false},
		{"N33", "too long", nil, append(bytes.Clone(fresh), 0), gossip.Reject, false},
		{"N33", "no key block", nil, frame([]byte("key"), f.Envelope), gossip.Reject, false},
		{"N33", "no envelope", nil, frame(f.Key, []byte("envelope")), gossip.Reject, false},
		{"N33", "another's key block", nil, frame(bob.key.Key().Block(), f.Envelope), gossip.Reject, false},
		{"N33", "signature of another record", nil, frame(f.Key, forged), gossip.Reject, false},
		{"N34", "known", seen, fresh, gossip.Ignore, true},
		{"N31", "not verified when old, by a stranger", nil, frame(f.Key, oldForged), gossip.Ignore, false},
		{"N33", "verified when old, trusted", trustAlice, frame(f.Key, oldForged), gossip.Reject, false},
		{"N31", "23 hours old", nil, at(-23 * time.Hour), gossip.Accept, true},
		{"N31", "25 hours old, by a stranger", nil, at(-25 * time.Hour), gossip.Ignore, false},
		{"N31", "25 hours old, trusted", trustAlice, at(-25 * time.Hour), gossip.Ignore, true},
		{"N31", "9 minutes ahead", nil, at(9 * time.Minute), gossip.Accept, true},
		{"N31", "11 minutes ahead, by a stranger", nil, at(11 * time.Minute), gossip.Ignore, false},
		{"N31", "11 minutes ahead, trusted", trustAlice, at(11 * time.Minute), gossip.Ignore, true},
		{"N30", "author above the rate", spent, fresh, gossip.Ignore, false},
		{"N30", "trusted author above the rate of strangers", both(trustAlice, spent), fresh, gossip.Accept, true},
		{"N30", "strangers above their rate", crowd, fresh, gossip.Ignore, false},
		{"N30", "strangers above their rate, trusted", both(crowd, trustAlice), fresh, gossip.Accept, true},
		{"N30", "strangers above their rate, own key", both(crowd, own), fresh, gossip.Accept, true},
		{"N35", "denied", denyAlice, fresh, gossip.Ignore, false},
	} {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			j, _ := newJudge(t)
			if c.prepare != nil {
				c.prepare(j)
			}
			if got := j.judgeFrame(t, c.frame); got != c.want {
				t.Errorf("outcome %d, want %d", got, c.want)
			}
			if got := j.count(t) == 1; got != c.stored {
				t.Errorf("stored: %v, want %v", got, c.stored)
			}
		})
	}
}

// SPEC N34. Whoever repeats an author's records uses up nothing of the author's.
func TestRepeatsAreFree(t *testing.T) {
	alice := newAuthor(t, testHome(t))
	j, _ := newJudge(t)
	first := alice.frame(alice.sign(time.Now(), testRelease("1.0.0", someModule(0))))
	for range 2 * untrustedBurst {
		j.judgeFrame(t, first)
	}
	if got := j.judgeFrame(t, alice.frame(alice.sign(time.Now(), testRelease("1.0.1", someModule(1))))); got != gossip.Accept {
		t.Errorf("the next record: outcome %d", got)
	}
}

// SPEC N36. An equivocation is spread once; what follows about that version is not.
func TestEquivocationOutcomes(t *testing.T) {
	alice := newAuthor(t, testHome(t))
	j, _ := newJudge(t)
	var told []index.Outcome
	j.stored = func(_ context.Context, _ sign.Verified, o index.Outcome) { told = append(told, o) }
	want := []gossip.Outcome{gossip.Accept, gossip.Accept, gossip.Ignore}
	for i := range 3 {
		v := alice.sign(time.Now(), testRelease("1.0.0", someModule(i)))
		if got := j.judgeFrame(t, alice.frame(v)); got != want[i] {
			t.Errorf("module %d: outcome %d, want %d", i, got, want[i])
		}
	}
	if len(told) != 2 || told[0] != index.Stored || told[1] != index.Equivocation {
		t.Errorf("told of %v", told)
	}
}

// SPEC N37. Key blocks: news of a known key is kept and spread, strangers' keys are
// only passed on.
func TestKeyOutcomes(t *testing.T) {
	ctx := t.Context()
	alice := newAuthor(t, testHome(t))
	block := alice.key.Key().Block()
	offer := func(j *judge, b []byte) gossip.Outcome {
		return j.accept(ctx, gossip.Message{Topic: gossip.TopicKeys, Data: b})
	}
	known := func(j *judge) bool {
		k, err := j.index.Key(ctx, alice.key.Key().Fingerprint())
		return k != nil && err == nil
	}
	j, _ := newJudge(t)
	if got := offer(j, block); got != gossip.Accept || known(j) {
		t.Errorf("a stranger's key: outcome %d, known %v", got, known(j))
	}
	if got := offer(j, []byte("key")); got != gossip.Reject {
		t.Errorf("no key block: outcome %d", got)
	}
	if got := offer(j, append(bytes.Clone(block), block...)); got != gossip.Reject {
		t.Errorf("two key blocks: outcome %d", got)
	}
	if err := atomicfile.Replace(j.home.TrustPath(), fmt.Appendf(nil, "key %s left-pad\n", alice.key.Key().Fingerprint())); err != nil {
		t.Fatal(err)
	}
	if got := offer(j, block); got != gossip.Accept || !known(j) {
		t.Errorf("a trusted key: outcome %d, known %v", got, known(j))
	}
	if got := offer(j, block); got != gossip.Ignore {
		t.Errorf("a key that is known: outcome %d", got)
	}
}

// SPEC N38. Own announcements come from the index; nothing else leaves this node as its own.
func TestLocalOutcomes(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	j := &judge{home: a.home, index: a.home.Index(), log: slog.New(slog.DiscardHandler), now: time.Now, quota: newQuota()}
	// However old it is.
	v := a.sign(time.Now().Add(-30*time.Minute), testRelease("1.0.0", someModule(0)))
	m := gossip.Message{Topic: gossip.TopicRecords, Data: a.frame(v), Local: true}
	if got := j.accept(ctx, m); got != gossip.Ignore {
		t.Errorf("a record that is not stored: outcome %d", got)
	}
	a.store(v)
	if got := j.accept(ctx, m); got != gossip.Accept {
		t.Errorf("a stored record: outcome %d", got)
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
	alice := newAuthor(t, testHome(t))
	good := alice.frame(alice.sign(time.Now(), testRelease("1.0.0", someModule(0))))
	f, err := records.DecodeFrame(good)
	if err != nil {
		t.Fatal(err)
	}
	j, _ := newJudge(t)
	outcomes := map[gossip.Outcome]int{}
	offer := func(b []byte) {
		o := j.judgeFrame(t, b)
		outcomes[o]++
		if o == gossip.Accept {
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
	if n := j.count(t); n != 0 {
		t.Errorf("%d records are stored", n)
	}
	if outcomes[gossip.Reject] < rounds {
		t.Errorf("outcomes %v: few were rejected", outcomes)
	}
	t.Logf("outcomes %v", outcomes)
	if got := j.judgeFrame(t, good); got != gossip.Accept {
		t.Errorf("the good record after all that: outcome %d", got)
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
			if q.take(a, "", trusted, now) {
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
	if n := spend(true, 0, 10_000); n != trustedBurst {
		t.Errorf("a trusted key had %d records taken at once, want %d", n, trustedBurst)
	}
	if n := spend(true, 3600*time.Millisecond, 1000); n < 999 {
		t.Errorf("a trusted key had %d of 1,000 records taken at 1,000 an hour", n)
	}
	q, now = newQuota(), now.Add(time.Hour)
	crowd := 0
	for i := range 10_000 {
		f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Millisecond)
		if q.take(f, fmt.Sprint(i%100), false, now) {
			crowd++
		}
	}
	if want := strangersBurst + 10*strangersRate; crowd < int(want)-1 || crowd > int(want)+1 {
		t.Errorf("10,000 strangers in 10 s had %d records taken, want %v", crowd, want)
	}
	for i := range 3 * maxBuckets {
		f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
		if err != nil {
			t.Fatal(err)
		}
		q.take(f, fmt.Sprint(i), true, now)
	}
	if n := len(q.authors); n > maxBuckets {
		t.Errorf("%d authors are remembered, want at most %d", n, maxBuckets)
	}
}
