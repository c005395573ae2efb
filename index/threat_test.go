package index_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// resolvable counts the names tool-0, tool-1, ... of n that resolve to anything.
func resolvable(t *testing.T, x *index.Index, n int, ev *trust.Evaluator) (count int) {
	t.Helper()
	for i := range n {
		if _, err := resolve.New(x).Resolve(t.Context(), toolName(i), "", ev); err == nil {
			count++
		}
	}
	return count
}

func toolName(i int) records.Name { return records.Name(fmt.Sprintf("tool-%d", i)) }

// TestThreat16StolenKey is that of 1,000 releases by one stolen key of three, two of
// which must agree, none resolves, however it repeats and endorses them and whatever
// keys it makes; and that after a hard revocation none does where one key is enough.
func TestThreat16StolenKey(t *testing.T) {
	const count = 1000
	x := open(t)
	a, b, c := newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "cyn")
	minted := newAuthor(t, "minted")
	var said []index.Item
	say := func(items ...index.Item) {
		if said = append(said, items...); len(said) >= 500 {
			add(t, x, said...)
			said = nil
		}
	}
	say(a.says(&records.Delegate{To: minted.fpr(), Scopes: []records.Scope{"*", "tool-*"}, Depth: 3, Until: start.AddDate(1, 0, 0).Unix()}),
		a.says(&records.Successor{To: minted.fpr()}), minted.says(&records.Successor{From: a.fpr()}))
	for i := range count {
		say(a.says(release(toolName(i), "1.0.0", "evil")))
		switch i % 4 {
		case 0:
			say(a.says(release(toolName(i), "1.0.0", "evil")))
		case 1:
			say(a.says(&records.Endorse{Name: toolName(i), Version: "1.0.0", Module: module("evil"), Claim: records.Reviewed}))
		case 2:
			say(minted.says(release(toolName(i), "1.0.0", "evil")))
		}
	}
	add(t, x, said...)
	text := ""
	for _, who := range []*author{a, b, c} {
		text += fmt.Sprintf("key %s tool-* depth=2 follow=yes\n", who.fpr())
	}
	two := func() *trust.Evaluator { return believe(t, x, text+"threshold 2 tool-*\n", start) }
	one := func() *trust.Evaluator { return believe(t, x, text, start) }
	if n := resolvable(t, x, count, two()); n != 0 {
		t.Errorf("%d of %d releases by one key of three resolve", n, count)
	}
	if n := resolvable(t, x, count, one()); n != count {
		t.Errorf("%d of %d releases resolve where one key is enough", n, count)
	}
	add(t, x, b.says(release(toolName(7), "1.0.0", "evil")))
	if n := resolvable(t, x, count, two()); n != 1 {
		t.Errorf("%d releases resolve where another key signed one of them too", n)
	}
	if _, _, err := x.AddKey(t.Context(), a.revoked(packet.KeyCompromised, start.AddDate(0, 6, 0))); err != nil {
		t.Fatal(err)
	}
	if n := resolvable(t, x, count, two()); n != 0 {
		t.Errorf("%d releases resolve after the revocation by two keys", n)
	}
	if n := resolvable(t, x, count, one()); n != 1 { // that of the other key
		t.Errorf("%d releases resolve after the revocation, one is another key's", n)
	}
}

// TestThreat18Stripping is SPEC X2 and S45: a revocation that was seen once stays,
// though a peer offers the key without it a hundred times, alone and with records,
// and though the index is opened anew each time.
func TestThreat18Stripping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	a := newAuthor(t, "ann")
	before, after := a.says(release("left-pad", "1.0.0", "X")), a.says(release("left-pad", "1.1.0", "X"))
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, x, before)
	if _, _, err := x.AddKey(t.Context(), a.revoked(packet.KeyCompromised, start)); err != nil {
		t.Fatal(err)
	}
	revoked := 0
	for i := range 100 {
		if i%2 == 0 {
			offer(t, x, after)
		} else if _, changed, err := x.AddKey(t.Context(), a.key); err != nil || changed {
			t.Fatalf("offer %d: changed %t, %v", i, changed, err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if x, err = index.Open(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		_, resolves := resolve.New(x).Resolve(t.Context(), "left-pad", "", trusting(t, a))
		stored := must[bool](t)(x.Has(t.Context(), after.Verified.ID()))
		if isRevoked(must[*sign.Key](t)(x.Key(t.Context(), a.fpr()))) && resolves != nil && !stored {
			revoked++
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if revoked != 100 {
		t.Errorf("revoked %d times of 100", revoked)
	}
}

// TestThreat19Subkeys is SPEC T34: a key with ten signing subkeys, each of which
// signs five times, is one voice of two.
func TestThreat19Subkeys(t *testing.T) {
	x := open(t)
	config := func(i int) *packet.Config {
		return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
			Time: func() time.Time { return start.Add(time.Duration(i-60) * time.Minute) }}
	}
	entity, err := openpgp.NewEntity("Ann", "", "ann@example.com", config(0))
	if err != nil {
		t.Fatal(err)
	}
	var a *author
	by := map[records.Fingerprint]int{}
	for i := range 10 {
		if err := entity.AddSigningSubkey(config(1 + i)); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := entity.SerializePrivateWithoutSigning(&b, nil); err != nil {
			t.Fatal(err)
		}
		secret, err := sign.ReadSecretKey(b.Bytes(), nil) // signs with its newest subkey
		if err != nil {
			t.Fatal(err)
		}
		if a == nil {
			a = &author{t: t, now: start}
		}
		a.secret, a.key = secret, secret.Key()
		for range 5 {
			it := a.says(release("left-pad", "1.0.0", "X"))
			by[it.Verified.SigningKey()]++
			add(t, x, it)
		}
	}
	if len(by) != 10 || by[a.fpr()] != 0 {
		t.Fatalf("signed by %v", by)
	}
	b := newAuthor(t, "bob")
	text := fmt.Sprintf("key %s *\nkey %s left-pad\nkey %s left-pad\nthreshold 2 left-pad\n", a.fpr(), a.fpr(), b.fpr())
	d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", "1.0.0", believe(t, x, text, start)))
	if d.State != trust.Untrusted || len(d.Claims) != 50 {
		t.Errorf("50 signatures by ten subkeys: %v with %d claims", d.State, len(d.Claims))
	}
	if _, err := resolve.New(x).Resolve(t.Context(), "left-pad", "1.0.0", believe(t, x, text, start)); err == nil {
		t.Error("it resolves")
	}
	add(t, x, b.says(release("left-pad", "1.0.0", "X")))
	if _, err := resolve.New(x).Resolve(t.Context(), "left-pad", "1.0.0", believe(t, x, text, start)); err != nil {
		t.Errorf("with a second key: %v", err)
	}
}
