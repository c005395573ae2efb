package index_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// withSubkey is an author with two signing subkeys, of which the second can be
// stolen: the secret of the first alone, of both, and the key block that takes the
// second one back.
func withSubkey(t *testing.T) (owner *author, thief sign.Signer, revoked *sign.Key) {
	t.Helper()
	config := func(i int) *packet.Config {
		return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
			Time: func() time.Time { return start.Add(time.Duration(i-60) * time.Minute) }}
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
		return must[*sign.SecretKey](t)(sign.ReadSecretKey(b.Bytes(), nil))
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
	return &author{t: t, secret: one, key: both.Key(), now: start}, both, secret().Key()
}

// TestX2SignedAgain shows SPEC X2 where a record has two signatures that differ: a
// thief of a subkey signs the owner's record again, and some hear that first. When
// the subkey is revoked, the record has not become the thief's: it is asked for
// again, and its other signature counts, in every order.
func TestX2SignedAgain(t *testing.T) {
	owner, thief, revoked := withSubkey(t)
	first := owner.says(release("left-pad", "1.0.0", "X"))
	next := owner.says(release("left-pad", "1.1.0", "X"))
	again := func(it index.Item) index.Item {
		it.Verified = must[sign.Verified](t)(sign.Sign(t.Context(), thief, it.Verified.Record()))
		return it
	}
	stolen := again(first)
	if stolen.Verified.ID() != first.Verified.ID() || stolen.Verified.SigningKey() == first.Verified.SigningKey() {
		t.Fatal("not another signature of the same record")
	}
	element := records.RecordElement(owner.fpr(), first.Verified.ID())
	steps := []func(*index.Index){
		func(x *index.Index) { offer(t, x, stolen); offer(t, x, again(next)) },
		func(x *index.Index) { offer(t, x, first) },
		func(x *index.Index) { offer(t, x, next) },
		func(x *index.Index) {
			if _, _, err := x.AddKey(t.Context(), revoked); err != nil {
				t.Fatal(err)
			}
		},
	}
	var want records.Sum
	stranger := false
	orders(len(steps), func(p []int) {
		stranger = !stranger
		first.Source.Stranger, next.Source.Stranger, stolen.Source.Stranger = stranger, stranger, stranger
		x := openAt(t, filepath.Join(t.TempDir(), "index"))
		for _, i := range p {
			steps[i](x)
		}
		// A peer that has the owner's own is asked for what is missing here.
		ask := []records.Element{element, records.RecordElement(owner.fpr(), next.Verified.ID())}
		missing := must[[]records.Element](t)(x.Missing(t.Context(), ask))
		if slices.Contains(missing, ask[0]) {
			offer(t, x, first)
		}
		if slices.Contains(missing, ask[1]) {
			offer(t, x, next)
		}
		if left := must[[]records.Element](t)(x.Missing(t.Context(), ask)); len(left) > 0 {
			t.Fatalf("%v: %d records are missing still", p, len(left))
		}
		for _, version := range []records.Version{"1.0.0", "1.1.0"} {
			d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", version, trusting(t, owner)))
			if d.State != trust.Trusted {
				t.Fatalf("%v: %s is %v: %s", p, version, d.State, d.Reason)
			}
		}
		seq, prev, err := authorlog.New(x).Head(t.Context(), owner.fpr())
		if err != nil || seq != 2 || len(prev) != 1 || prev[0] != next.Verified.ID() {
			t.Fatalf("%v: the head is %d after %v, %v", p, seq, prev, err)
		}
		sum := must[records.Sum](t)(x.Sum(t.Context(), records.Range{}))
		if want.Count == 0 {
			want = sum
		}
		if sum != want {
			t.Fatalf("%v: another set", p)
		}
		if err := fsck.Check(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		// What nobody can sign any more is not asked for.
		all := must[*sign.Key](t)(owner.revoked(packet.KeyCompromised, start), nil)
		if _, _, err := x.AddKey(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		if missing := must[[]records.Element](t)(x.Missing(t.Context(), ask)); len(missing) > 0 {
			t.Fatalf("%v: %d records of a revoked key are missing", p, len(missing))
		}
	})
}
