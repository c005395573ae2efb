package ingest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// renewed is a key with a self-signature for each of many renewals: whoever leaves
// some out has another valid block of it.
type renewed struct {
	t      *testing.T
	entity *openpgp.Entity
	uid    *openpgp.Identity
	secret *sign.SecretKey
	parts  [][]byte // valid blocks of the key, all different
}

const renewals = 14

func newRenewed(t *testing.T) *renewed {
	t.Helper()
	begin := time.Now().AddDate(-2, 0, 0)
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return begin }}
	e, err := openpgp.NewEntity("Author", "", "author@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	uid := e.Identities["Author <author@example.org>"]
	for i := 1; i < renewals; i++ {
		first := uid.SelfCertifications[0].Packet
		s := &packet.Signature{Version: 4, SigType: packet.SigTypePositiveCert, PubKeyAlgo: first.PubKeyAlgo, Hash: first.Hash,
			CreationTime: begin.AddDate(0, i, 0), IssuerKeyId: &e.PrimaryKey.KeyId, IssuerFingerprint: e.PrimaryKey.Fingerprint,
			FlagsValid: true, FlagSign: true, FlagCertify: true}
		if err := s.SignUserId(uid.UserId.Id, e.PrimaryKey, e.PrivateKey, config); err != nil {
			t.Fatal(err)
		}
		uid.SelfCertifications = append(uid.SelfCertifications, &packet.VerifiableSignature{Packet: s})
	}
	var b bytes.Buffer
	if err := e.SerializePrivate(&b, config); err != nil {
		t.Fatal(err)
	}
	secret, err := sign.ReadSecretKey(b.Bytes(), func() ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	return &renewed{t: t, entity: e, uid: uid, secret: secret}
}

// part is the key with those of the self-signatures that the mask has.
func (r *renewed) part(mask int) *sign.Key {
	r.t.Helper()
	var b bytes.Buffer
	if err := r.entity.PrimaryKey.Serialize(&b); err != nil {
		r.t.Fatal(err)
	}
	if err := r.uid.UserId.Serialize(&b); err != nil {
		r.t.Fatal(err)
	}
	for i, s := range r.uid.SelfCertifications {
		if mask&(1<<i) == 0 {
			continue
		}
		if err := s.Packet.Serialize(&b); err != nil {
			r.t.Fatal(err)
		}
	}
	k, err := sign.ReadKey(b.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

func (r *renewed) whole() *sign.Key { return r.part(1<<renewals - 1) }

// revoked is the whole key with a hard revocation.
func (r *renewed) revoked() []byte {
	r.t.Helper()
	k, err := r.secret.Revoke(sign.Compromised, "", time.Now())
	if err == nil {
		k, err = r.whole().Merge(k)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return k.Block()
}

func (r *renewed) frame(key []byte, at time.Time, version string) []byte {
	r.t.Helper()
	v, err := sign.Sign(r.t.Context(), r.secret, &records.Record{Author: r.secret.Key().Fingerprint(), Time: at.Unix(), Body: testRelease(version, someModule(len(version)))})
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := records.EncodeFrame(records.Frame{Key: key, Envelope: v.Envelope()})
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// used uses up what the peers of some addresses may have looked at, and tries to
// use up the author's rate, with what is public of the author: 5,520 blocks of the
// key.
func (r *renewed) used(to *receiver) {
	for mask := 1; len(r.parts) < 5520; mask++ {
		r.parts = append(r.parts, r.part(mask).Block())
	}
	for i, b := range r.parts {
		to.push(KeyBlock, b, fmt.Sprint(i/460))
	}
}

// TestThreat57KeyBlocks sends a node thousands of valid forms of a trusted author's
// key, all of one address: the author's next release and the revocation of the
// key, each alone and with the other, are taken from that address all the same.
// SPEC N160 and N161.
func TestThreat57KeyBlocks(t *testing.T) {
	r := newRenewed(t)
	author := r.secret.Key().Fingerprint()
	whole, revoked := r.whole().Block(), r.revoked()
	first := r.frame(whole, time.Now(), "1.0.0")
	taken := func(t *testing.T, trusted bool) *receiver {
		to := newReceiver(t)
		to.origin = "here"
		if trusted {
			to.trusts("key %s left-pad", author)
		}
		if got := to.push(Frame, first, "author"); got != accept {
			t.Fatalf("the first release: outcome %s", got)
		}
		return to
	}
	isRevoked := func(to *receiver) bool {
		_, ok := to.key(author).Revocation()
		return ok
	}
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprintf("trusted=%v", trusted), func(t *testing.T) {
			to := taken(t, trusted)
			r.used(to)
			want := accept
			if !trusted {
				want = ignore // a stranger shares with whoever is behind the same address
			}
			if got := to.push(Frame, r.frame(whole, time.Now(), "1.0.10"), "author"); got != want {
				t.Errorf("the next release: outcome %s", got)
			}
			if got := to.push(KeyBlock, revoked, "author"); got != accept || !isRevoked(to) {
				t.Errorf("the revocation: outcome %s", got)
			}
			if got := to.push(KeyBlock, revoked, "author"); got != ignore {
				t.Errorf("the revocation again: outcome %s", got)
			}
		})
	}
	for name, frame := range map[string][]byte{
		"with a known record":  r.frame(revoked, time.Now(), "1.0.0"),
		"with an old record":   r.frame(revoked, time.Now().AddDate(0, -1, 0), "0.1.0"),
		"with a record behind": r.frame(revoked, time.Now(), "1.0.100"),
	} {
		t.Run(name, func(t *testing.T) {
			to := taken(t, true)
			for range redundantBurst {
				to.quota.takeRedundant("here", to.now)
			}
			if got := to.push(Frame, frame, "author"); got != accept || !isRevoked(to) {
				t.Errorf("outcome %s, revoked %v", got, isRevoked(to))
			}
			if got := to.push(Frame, frame, "author"); got != ignore {
				t.Errorf("again: outcome %s", got)
			}
		})
	}
}

// TestThreat57OldRecords repeats more old records of a trusted author than the
// author's rate allows. The node that never had them takes some, and the author's
// next release. SPEC N160.
func TestThreat57OldRecords(t *testing.T) {
	r := newRenewed(t)
	whole := r.whole().Block()
	to := newReceiver(t)
	to.origin = "here"
	to.trusts("key %s left-pad", r.secret.Key().Fingerprint())
	const many = redundantBurst + 100
	for i := range many {
		to.frame(r.frame(whole, time.Now().AddDate(0, 0, -2), fmt.Sprintf("0.%d.0", i)))
	}
	if n := to.count(); n < redundantBurst || n > many-50 {
		t.Errorf("%d of %d old records are stored", n, many)
	}
	if l, ok := to.quota.authors.Peek(r.secret.Key().Fingerprint()); ok && l.TokensAt(to.now) < followedBurst {
		t.Errorf("%v of the author's rate is left", l.TokensAt(to.now))
	}
	if got := to.frame(r.frame(whole, time.Now(), "1.0.0")); got != accept {
		t.Errorf("the next release: outcome %s", got)
	}
}

// TestThreat57Strangers has one address send records by ever new authors: those of
// strangers elsewhere are taken meanwhile, and key blocks that are passed on do
// not count against records. SPEC N160.
func TestThreat57Strangers(t *testing.T) {
	q, now := newQuota(), time.Now()
	taken := 0
	for i := range 10_000 {
		f, err := records.FingerprintFromBytes(fmt.Appendf(nil, "%020d", i))
		if err != nil {
			t.Fatal(err)
		}
		if q.takeRecord(f, "one", false, now) {
			taken++
		}
		q.takeRelayedKey("one", now)
	}
	if taken != senderStrangersBurst {
		t.Errorf("%d records were taken from one address, want %d", taken, senderStrangersBurst)
	}
	f, err := records.FingerprintFromBytes(bytes.Repeat([]byte{7}, 20))
	if err != nil {
		t.Fatal(err)
	}
	if !q.takeRecord(f, "another", false, now) || !q.takeRelayedKey("another", now) {
		t.Error("one address has used up what others may send")
	}
	for i := range 3 * maxSenders {
		q.takeRedundant(fmt.Sprint(i), now)
	}
	if n := q.senders.Len(); n > maxSenders {
		t.Errorf("%d addresses are remembered", n)
	}
}
