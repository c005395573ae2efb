package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// troublesome returns items that depend on each other, by a followed author, her
// delegate, two strangers, of whom one's key is revoked, and a denied author.
func troublesome(t *testing.T, now time.Time) (items []Item, isForged map[string]bool, trustFile string) {
	isForged = map[string]bool{}
	alice, bob, carol, dave, eve := newAuthor(t), newAuthor(t), newAuthor(t), newAuthor(t), newAuthor(t)
	push := func(k Kind, data []byte) {
		peer := fmt.Sprint(len(items) % 3)
		items = append(items, Item{Kind: k, Data: data, Source: Source{Peer: peer, Origin: peer}})
	}
	frame := func(a *author, age time.Duration, version string, module int) []byte {
		return a.frame(a.sign(now.Add(-age), testRelease(version, someModule(module))))
	}
	push(Frame, alice.frame(alice.sign(now, &records.Delegate{To: bob.fingerprint(), Scopes: []records.Scope{"*"}, Until: now.Add(time.Hour).Unix()})))
	for i, a := range []*author{alice, bob, carol, dave} {
		fresh := frame(a, 0, "1.0.0", i)
		push(Frame, fresh)
		push(Frame, fresh)
		push(Frame, frame(a, 30*time.Hour, "0.1.0", i)) // stored of those who are followed by then
		push(Frame, frame(a, -time.Hour, "2.0.0", i))
		push(KeyBlock, a.block())
		forged := bytes.Clone(fresh)
		forged[len(forged)-1] ^= 1
		isForged[string(forged)] = true
		push(Frame, forged)
		push(Frame, frameOf(t, eve.block(), a.sign(now, testRelease("3.0.0", someModule(i))).Envelope()))
	}
	for i := range 3 { // a proof, and one more
		push(Frame, frame(dave, 0, "4.0.0", 10+i))
	}
	revoked, err := eve.secret.Revoke(sign.Compromised, "", now)
	if err != nil {
		t.Fatal(err)
	}
	push(KeyBlock, revoked.Block())
	push(Frame, frame(eve, 0, "1.0.0", 1))
	push(Frame, frame(eve, 0, "1.1.0", 1))
	push(Frame, frameOf(t, revoked.Block(), eve.sign(now, testRelease("1.2.0", someModule(2))).Envelope()))
	push(Frame, []byte("frame"))
	push(KeyBlock, []byte("key block"))
	return items, isForged, fmt.Sprintf("key %s * depth=1\ndeny %s", alice.fingerprint(), carol.fingerprint())
}

// SPEC N270. What comes in batches, however it is cut, becomes what it becomes one by
// one: verdicts, records, keys, and whom the node follows.
func TestBatchLikeOneByOne(t *testing.T) {
	runs := 5
	if full {
		runs = 100
	}
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 1))
		now := time.Now()
		items, isForged, file := troublesome(t, now)
		random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		become := func(most int) (got []verdict, sum records.Sum, told []index.Outcome, received [3]int64) {
			r := newReceiver(t)
			r.now = now
			r.trusts("%s", file)
			for rest := items; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(most))
				results, err := r.Batch(t.Context(), rest[:n])
				if err != nil {
					t.Fatal(err)
				}
				for _, result := range results {
					got = append(got, verdictOf(result))
				}
				rest = rest[n:]
			}
			sum, err := r.index.Sum(t.Context(), records.Range{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range received {
				received[i] = r.Received(fmt.Sprint(i))
			}
			return got, sum, r.told, received
		}
		want, wantSum, wantTold, wantReceived := become(1)
		for _, most := range []int{5, 2 * len(items)} {
			got, sum, told, received := become(most)
			for i := range got {
				caught := isForged[string(items[i].Data)] && got[i] == reject // beside the record that it copies
				if got[i] != want[i] && !caught {
					t.Errorf("seed %d, at most %d in a batch: item %d of %d: %s, want %s", seed, most, i, len(items), got[i], want[i])
				}
			}
			if sum != wantSum || !slices.Equal(told, wantTold) || received != wantReceived {
				t.Errorf("seed %d, at most %d in a batch: %d elements, told of %v, counted %v; want %d, %v, %v",
					seed, most, sum.Count, told, received, wantSum.Count, wantTold, wantReceived)
			}
		}
	}
}

// SPEC N37 and N43. The key block of a delegate is one of a followed author, also when
// nothing else has come since the node began.
func TestDelegatesKeyBlock(t *testing.T) {
	alice, bob := newAuthor(t), newAuthor(t)
	r := newReceiver(t)
	r.trusts("key %s * depth=1", alice.fingerprint())
	r.add(alice.sign(r.now, &records.Delegate{To: bob.fingerprint(), Scopes: []records.Scope{"*"}, Until: r.now.Add(time.Hour).Unix()}), alice.secret.Key(), index.Source{})
	if got := r.push(KeyBlock, bob.block(), "12D3"); got != accept || r.key(bob.fingerprint()) == nil {
		t.Errorf("outcome %s, known %v", got, r.key(bob.fingerprint()) != nil)
	}
}

// withSubkey is an author with a signing subkey of their own and one that was stolen:
// the secret of the first alone, of both, and the key block that revokes the second.
func withSubkey(t *testing.T) (owner *author, thief sign.Signer, revoked *sign.Key) {
	t.Helper()
	config := func(i int) *packet.Config {
		return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
			Time: func() time.Time { return time.Now().Add(time.Duration(i-60) * time.Minute) }}
	}
	e, err := openpgp.NewEntity("Ann", "", "ann@example.com", config(0))
	if err != nil {
		t.Fatal(err)
	}
	secret := func() *sign.SecretKey {
		var b bytes.Buffer
		if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
			t.Fatal(err)
		}
		k, err := sign.ReadSecretKey(b.Bytes(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if err := e.AddSigningSubkey(config(1)); err != nil {
		t.Fatal(err)
	}
	one := secret()
	if err := e.AddSigningSubkey(config(2)); err != nil {
		t.Fatal(err)
	}
	both := secret() // signs with the newest
	if err := e.Subkeys[len(e.Subkeys)-1].Revoke(packet.KeyCompromised, "", config(3)); err != nil {
		t.Fatal(err)
	}
	return &author{t, one}, both, secret().Key()
}

// SPEC N34 and X2. A record that came with the signature of a stolen subkey, which has
// been revoked since, is taken from gossip with the signature of its owner.
func TestSignedAgain(t *testing.T) {
	owner, thief, revoked := withSubkey(t)
	r := newReceiver(t)
	v := owner.sign(r.now, testRelease("1.0.0", someModule(0)))
	stolen, err := sign.Sign(t.Context(), thief, v.Record())
	if err != nil || stolen.ID() != v.ID() || stolen.SigningKey() == v.SigningKey() {
		t.Fatal("not another signature of the same record", err)
	}
	if got := r.frame(frameOf(t, thief.Key().Block(), stolen.Envelope())); got != accept {
		t.Fatalf("the thief's: %s", got)
	}
	if got := r.push(KeyBlock, revoked.Block(), "12D3"); got != accept {
		t.Fatalf("the revocation: %s", got)
	}
	counts := func() bool {
		n, err := r.index.Sum(t.Context(), records.ElementRange(records.RecordElement(owner.fingerprint(), v.ID())))
		if err != nil {
			t.Fatal(err)
		}
		return n.Count == 1
	}
	if counts() {
		t.Fatal("the thief's signature counts still")
	}
	if got := r.frame(frameOf(t, revoked.Block(), stolen.Envelope())); got != ignore || counts() {
		t.Errorf("the thief's again: %s", got)
	}
	if got := r.frame(frameOf(t, revoked.Block(), v.Envelope())); got != accept || !counts() {
		t.Errorf("the owner's: %s, counts %v", got, counts())
	}
	if got := r.frame(frameOf(t, revoked.Block(), v.Envelope())); got != ignore || r.count() != 1 {
		t.Errorf("the owner's again: %s; %d records", got, r.count())
	}
}

// What the index cannot take is refused, and is nobody's fault; it is said once.
func TestIndexFails(t *testing.T) {
	a, r := newAuthor(t), newReceiver(t)
	var log bytes.Buffer
	r.cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	var items []Item
	for i := range 3 {
		items = append(items, Item{Kind: Frame, Data: a.frame(a.sign(r.now, testRelease("1.0.0", someModule(i)))), Source: Source{Peer: "12D3"}})
	}
	if err := r.index.Close(); err != nil {
		t.Fatal(err)
	}
	results, err := r.Batch(t.Context(), items)
	if err == nil || len(results) != len(items) || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%v, %v; logged %q", results, err, log.String())
	}
	for i, result := range results {
		if got := verdictOf(result); got != ignore {
			t.Errorf("item %d: %s", i, got)
		}
	}
	if _, err := r.pull(new(Session), a.keyItem()); err == nil || errors.As(err, new(*MalformedError)) {
		t.Errorf("a session: %v", err)
	}
}
