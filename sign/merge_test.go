package sign

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// permutations calls f with every order of 0..n-1.
func permutations(n int, f func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var permute func(int)
	permute = func(k int) {
		if k == n {
			f(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			permute(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	permute(0)
}

func TestMergeInEveryOrder(t *testing.T) {
	f, s := newForger(t, "eddsa-v4"), newForger(t, "p256-v4")
	P, main, uid := f.primary(), f.main(keyTime), uidPacket(testUID)
	blocks := []*Key{
		mustRead(t, P, main),
		mustRead(t, P, f.revoke(recTime, 3), main),
		mustRead(t, P, f.revoke(recTime+5, 2), f.main(recTime)),
		mustRead(t, P, main, s.subkey(), f.bind(s, keyTime)),
		mustRead(t, P, uidPacket("Other Name"), f.cert("Other Name", f.selfSubs(recTime)), s.subkey(), f.revokeSubkey(s, recTime)),
		mustRead(t, P, uid, f.cert(testUID, f.selfSubs(keyTime+1)), f.cert(testUID, f.selfSubs(keyTime+2))),
	}
	var want []byte
	permutations(len(blocks), func(order []int) {
		k := blocks[order[0]]
		for _, i := range order[1:] {
			k = mustMerge(t, k, blocks[i])
		}
		if want == nil {
			want = k.Block()
			mustParse(t, want)
		}
		if !bytes.Equal(k.Block(), want) {
			t.Fatalf("order %v gives another block", order)
		}
		if r, ok := k.Revocation(); !ok || !r.Hard {
			t.Fatalf("order %v lost the revocation", order)
		}
	})
	// Association: any two partial unions join to the same.
	permutations(4, func(order []int) {
		left := mustMerge(t, mustMerge(t, blocks[order[0]], blocks[order[1]]), mustMerge(t, blocks[order[2]], blocks[order[3]]))
		right := mustMerge(t, blocks[order[0]], mustMerge(t, blocks[order[1]], mustMerge(t, blocks[order[2]], blocks[order[3]])))
		if !bytes.Equal(left.Block(), right.Block()) {
			t.Fatalf("order %v does not associate", order)
		}
	})
}

func mustMerge(t *testing.T, a, b *Key) *Key {
	t.Helper()
	k, err := a.Merge(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Where a union exceeds the limit, it is still one union whatever the order, and
// what was sent with a revocation stays revoked.
func TestMergeOverLimit(t *testing.T) {
	for _, kind := range []string{"ed25519-v4", "rsa4096-v4", "ed25519-v6"} {
		t.Run(kind, func(t *testing.T) {
			f := newForger(t, kind)
			k := mustParse(t, f.block())
			pool := elementPool(t, f)
			r := rand.New(rand.NewPCG(7, 7))
			dropped := 0
			for range 400 {
				a, b, c := sample(r, pool), sample(r, pool), sample(r, pool)
				all := openpgp.Limit(k.primary, openpgp.Union(a, b, c))
				left := openpgp.Limit(k.primary, openpgp.Union(openpgp.Limit(k.primary, openpgp.Union(openpgp.Limit(k.primary, a), openpgp.Limit(k.primary, b))), openpgp.Limit(k.primary, c)))
				right := openpgp.Limit(k.primary, openpgp.Union(openpgp.Limit(k.primary, openpgp.Union(openpgp.Limit(k.primary, c), openpgp.Limit(k.primary, b))), openpgp.Limit(k.primary, a)))
				block := openpgp.EncodeBlock(k.primary, all)
				if !bytes.Equal(block, openpgp.EncodeBlock(k.primary, left)) || !bytes.Equal(block, openpgp.EncodeBlock(k.primary, right)) {
					t.Fatal("the union depends on the order")
				}
				if len(block) > records.MaxKeyBlock {
					t.Fatalf("block has %d bytes", len(block))
				}
				if len(all) < len(openpgp.Union(a, b, c)) {
					dropped++
				}
				checkNotRevived(t, k, openpgp.Union(a, b, c), all)
			}
			if dropped == 0 {
				t.Error("no union exceeded the limit")
			}
		})
	}
}

// checkNotRevived checks that what kept elements say is revoked is what all said.
func checkNotRevived(t *testing.T, k *Key, all, kept []*openpgp.Element) {
	t.Helper()
	full, small := &Key{primary: k.primary, elements: all}, &Key{primary: k.primary, elements: kept}
	if f, s := full.revocation(nil), small.revocation(nil); f != s {
		t.Fatal("the primary key's worst revocation was dropped")
	}
	for _, e := range kept {
		if e.Role == openpgp.RoleSubkeyBinding && full.revocation(e.Subkey) != small.revocation(e.Subkey) {
			t.Fatal("a subkey lost its worst revocation and kept its binding")
		}
	}
}

// elementPool makes elements of all roles and many sizes.
func elementPool(t *testing.T, f *forger) []*openpgp.Element {
	t.Helper()
	primary := mustParse(t, f.block()).primary
	var pool []*openpgp.Element
	add := func(uid *string, subkey *openpgp.PublicKey, packets ...[]byte) {
		for _, b := range packets {
			p, _, err := openpgp.NextPacket(b)
			if err != nil {
				t.Fatal(err)
			}
			e, rule, err := openpgp.ParseElement(primary, uid, subkey, p.Body)
			if err != nil {
				t.Fatalf("%s: %v", rule, err)
			}
			pool = append(pool, e)
		}
	}
	for i := range 14 {
		at := keyTime + uint32(i%7)
		uid := strings.Repeat("u", 1+i*17)
		fill := notationSub(0x80, false, "n@example.com", strings.Repeat("x", i*25))
		add(&uid, nil, f.cert(uid, f.selfSubs(at, fill)))
		add(nil, nil, f.direct(f.selfSubs(at, fill)))
		kind := "ed25519-v4"
		switch {
		case f.version == 6:
			kind = "ed25519-v6"
		case i%3 == 0:
			kind = "rsa4096-v4"
		}
		s := newForger(t, kind)
		sub, err := openpgp.ParsePublicKey(s.body)
		if err != nil {
			t.Fatal(err)
		}
		add(nil, sub, f.bind(s, at, fill))
		if i%3 == 1 {
			for _, note := range []string{"", "b", strings.Repeat("a", 300)} {
				add(nil, sub, f.bindOutside(s, at, note))
			}
		}
		if i%4 == 0 {
			add(nil, sub, f.revokeSubkey(s, at, byte(i%4)), f.revokeSubkey(s, at+1, 3))
		}
		if i%6 == 0 {
			add(nil, nil, f.revoke(at, byte(i%4)))
		}
	}
	return pool
}

func sample(r *rand.Rand, pool []*openpgp.Element) []*openpgp.Element {
	var s []*openpgp.Element
	for _, e := range pool {
		if r.IntN(3) == 0 {
			s = append(s, e)
		}
	}
	return s
}

// TestThreat18Stripping is SPEC S45: a peer that serves a key without its revocation,
// a hundred times, undoes nothing.
func TestThreat18Stripping(t *testing.T) {
	f := newForger(t, "ed25519-v6")
	env := envelope(t, f, f, forged{})
	revoked, bare := mustRead(t, f.primary(), f.revoke(recTime-1, 1), f.main(keyTime)), mustParse(t, f.block())
	k := revoked
	for i := range 100 {
		a, b := bare, k
		if i%2 == 1 {
			a, b = k, bare
		}
		k = mustParse(t, mustMerge(t, a, b).Block())
		if _, err := Open(env, ring(k)); !isProblem(err, Revoked) {
			t.Fatalf("revoked key: %v", err)
		}
	}
	if !bytes.Equal(k.Block(), revoked.Block()) {
		t.Error("the block changed")
	}
}

// What subkeys signed counts while the block has their bindings (SPEC.md section 6.5),
// so replacing subkeys must not crowd out the old ones soon.
func TestReplacedSubkeysFit(t *testing.T) {
	for _, c := range []struct {
		primary, subkey string
		most            int
	}{
		{"eddsa-v4", "eddsa-v4", 20},
		{"rsa4096-v4", "eddsa-v4", 5},
		{"rsa4096-v4", "rsa4096-v4", 3},
	} {
		f := newForger(t, c.primary)
		parts := [][]byte{f.primary(), f.main(keyTime)}
		var all []*forger
		for i := range c.most {
			s := newForger(t, c.subkey)
			s.created = keyTime + uint32(i) // with RSA, one secret with several dates is several subkeys
			s.key(s.algo, bytes.Clone(s.body[6:]))
			all = append(all, s)
			parts = append(parts, s.subkey())
			if i+1 < c.most {
				parts = append(parts, f.revokeSubkey(s, keyTime+uint32(i)+1, 1))
			}
			parts = append(parts, f.bind(s, keyTime+uint32(i)))
		}
		k := mustRead(t, parts...)
		for i, s := range all {
			if k.signingSubkey(s.fingerprint()) == nil {
				t.Errorf("%s with %d of %s: subkey %d is lost", c.primary, c.most, c.subkey, i)
			}
		}
	}
}

// SPEC S43 and S45. Whoever has the secret of a subkey alone can make any number of
// cross-signatures. They do not displace other elements: a binding is one, however
// many there are for it.
func TestCrossSignatureFlood(t *testing.T) {
	f, old, stolen := newForger(t, "eddsa-v4"), newForger(t, "ed25519-v4"), newForger(t, "ed25519-v4")
	bare := subs(f.primary(), f.main(keyTime), old.subkey(), f.bind(old, keyTime+1))
	outside := func(note string) *Key {
		return mustRead(t, bare, stolen.subkey(), f.bindOutside(stolen, keyTime+2, note))
	}
	var all []*Key
	for i := range 60 {
		all = append(all, outside(strings.Repeat(string(rune('a'+i%26)), 10*(i%40))))
	}
	join := func(keys []*Key) *Key {
		k := keys[0]
		for _, other := range keys[1:] {
			k = mustMerge(t, k, other)
		}
		return mustParse(t, k.Block())
	}
	k := join(all)
	r := rand.New(rand.NewPCG(8, 8))
	for range 20 {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if again := join(all); !bytes.Equal(again.Block(), k.Block()) {
			t.Fatal("the block depends on the order")
		}
	}
	if len(k.elements) != 3 {
		t.Errorf("the block has %d elements, want 3", len(k.elements))
	}
	for _, signer := range []*forger{old, stolen} {
		if _, err := Open(envelope(t, f, signer, forged{}), ring(k)); err != nil {
			t.Errorf("signed by a subkey: %v", err)
		}
	}
	// Two of them in one block are one too many.
	var two []byte
	for _, note := range []string{"b", "aa"} {
		for _, e := range outside(note).elements {
			if e.Role == openpgp.RoleSubkeyBinding && bytes.Equal(e.Subkey.Body, stolen.body) {
				two = append(two, e.Packet...)
			}
		}
	}
	block := subs(bare, stolen.subkey(), two)
	if _, err := ParseKey(block); !hasRule(err, "S43") {
		t.Errorf("a binding with two cross-signatures: %v", err)
	}
	if got := mustRead(t, block); len(got.elements) != 3 {
		t.Errorf("read with %d elements", len(got.elements))
	}
}

// SPEC S46. That a node knows another key with the same fingerprint is nobody's fault:
// were it a verdict about bytes, who makes such a pair could turn honest peers, each of
// which knows one of them, against each other.
func TestMergeSameFingerprint(t *testing.T) {
	f, g := newForger(t, "ed25519-v4"), newForger(t, "ed25519-v4")
	a, b := mustParse(t, f.block()), mustParse(t, g.block())
	if _, err := a.Merge(b); !hasRule(err, "S46") || isProblem(err, DifferentOwner) {
		t.Errorf("another key: %v", err)
	}
	b.primary.Fingerprint = a.primary.Fingerprint // what a collision of SHA-1 gives
	if _, err := a.Merge(b); !isProblem(err, DifferentOwner) {
		t.Errorf("another key with the same fingerprint: %v", err)
	}
}
