package sign

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// keyReadings are key blocks; see readings_test.go.
func keyReadings(t *testing.T) []vector {
	var list []vector
	f := newForger(t, "eddsa-v4")
	P, uid := f.primary(), uidPacket(testUID)
	add := func(name, expect, spec, comment string, parts ...[]byte) {
		list = append(list, vector{name, expect, spec, comment, map[string][]byte{"key.hex": subs(parts...)}})
	}
	cert := func(more ...[]byte) []byte { return f.cert(testUID, f.selfSubs(keyTime, more...)) }
	twice := f.twoEach()
	for _, kind := range []byte{2, 3, 4, 9, 16, 25, 27, 28, 29, 32, 33} {
		add(fmt.Sprintf("self-twice-%d", kind), "key-block-error", "S38", fmt.Sprintf("has a self-signature with two subpackets of type %d", kind), P, uid, cert(twice[kind]))
	}
	for _, c := range []struct {
		name, expect, spec, comment string
		sub                         []byte
	}{
		{"self-lifetime-size", "key-block-error", "S38", "has a key expiration time of three bytes", sub(9, 1, 2, 3)},
		{"self-expiration-size", "key-block-error", "S38", "has an expiration time of five bytes", sub(3, 0, 0, 0, 0, 0)},
		{"self-exportable-size", "key-block-error", "S38", "has an exportable subpacket of two bytes", sub(4, 1, 1)},
		{"self-exportable-empty", "key-block-error", "S38", "has an empty exportable subpacket", sub(4)},
		{"self-primary-size", "key-block-error", "S38", "has a primary user id subpacket of two bytes", sub(25, 1, 1)},
		{"self-subpacket-empty", "key-block-error", "S38", "has a subpacket without a type", []byte{0}},
		{"self-subpacket-cut", "key-block-error", "S38", "has a subpacket that ends early", []byte{9, 100, 0}},
		{"self-reason-empty", "key-block-error", "S38", "has an empty revocation reason", sub(29)},
		{"ok-self-expiration-zero", "ok", "S38", "has an expiration time of 0, which is none", uint32Sub(3, 0)},
		{"ok-self-embedded", "ok", "S38", "has an embedded signature where none is looked for", sub(32, 1, 2, 3)},
		{"ok-self-exportable", "ok", "S38", "says that it is exportable", sub(4, 1)},
		{"ok-self-issuer", "ok", "S37", "names another issuer, which says nothing", sub(openpgp.SubpacketIssuerKeyID, 1, 2, 3, 4, 5, 6, 7, 8)},
		{"ok-self-critical", "ok", "S38", "has every critical subpacket that may be passed over",
			subs(criticalSub(11, 9), criticalSub(21, 8), criticalSub(22, 1), criticalSub(23, 0x80), criticalSub(24, 'x'), criticalSub(26, 'x'), criticalSub(28, 'x'), criticalSub(30, 1), criticalSub(34, 2), criticalSub(39, 9, 2))},
	} {
		add(c.name, c.expect, c.spec, c.comment, P, uid, cert(c.sub))
	}
	certOf := func(h ...[]byte) []byte { return f.cert(testUID, subs(h...)) }
	add("ok-self-subpacket-length", "ok", "S39", "has the length of a hashed subpacket in five octets", P, uid, certOf(longSub(2, made(keyTime)[2:]...), f.issuer(), sub(27, 3)))
	add("ok-self-flags-two-octets", "ok", "S38", "has key flags of two octets", P, uid, certOf(made(keyTime), f.issuer(), sub(27, 3, 4)))
	add("ok-self-flags-empty", "ok", "S38", "has empty key flags, which are none", P, uid, certOf(made(keyTime), f.issuer(), sub(27)))
	add("self-created-size", "key-block-error", "S38", "has a creation time of five bytes", P, uid, certOf(sub(2, 0, 0, 0, 0, 0), f.issuer(), sub(27, 3)))
	add("ok-user-id-empty", "ok", "S35", "has an empty user id", P, uidPacket(""), f.cert("", f.selfSubs(keyTime)))
	add("ok-user-id-256", "ok", "S35", "has a user id of 256 bytes", P, uidPacket(strings.Repeat("u", 256)), f.cert(strings.Repeat("u", 256), f.selfSubs(keyTime)))

	v6 := newForger(t, "ed25519-v6")
	old := sigPacket(v6.sign(forged{version: 4, kind: openpgp.SignatureDirectKey, hashed: v6.selfSubs(keyTime + 1)}, v6.hashed()))
	add("self-version", "key-block-error", "S37", "has a self-signature of version 4, and the key has version 6", v6.primary(), v6.main(keyTime), old)
	salted := sigPacket(v6.sign(forged{kind: openpgp.SignatureDirectKey, hashed: v6.selfSubs(keyTime), salt: make([]byte, 32)}, v6.hashed()))
	add("self-salt-size", "key-block-error", "S37", "has a self-signature with a salt of another hash's size", v6.primary(), salted)
	tagged := sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: f.selfSubs(keyTime), tamper: func(s *openpgp.Signature) { s.HashTag = []byte{s.HashTag[0] ^ 1, s.HashTag[1]} }}, f.hashed(), uidHashed(testUID)))
	add("self-hash-tag", "key-block-error", "S37", "has a self-signature with a wrong hash tag", P, uid, tagged)
	list = append(list, crossReadings(t)...)
	list = append(list, choiceReadings(t)...)
	list = append(list, cutReadings(t)...)
	return append(list, limitReadings(t)...)
}

// crossReadings are about the cross-signature of a binding.
func crossReadings(t *testing.T) []vector {
	var list []vector
	f, s, p := newForger(t, "eddsa-v4"), newForger(t, "ed25519-v4"), newForger(t, "p256-v4")
	body := func(s *forger, x forged, subpackets ...[]byte) []byte {
		x.kind, x.hashed = openpgp.SignaturePrimaryBinding, subs(made(keyTime), s.issuer(), subs(subpackets...))
		return s.sign(x, f.hashed(), s.hashed())
	}
	within := func(s *forger, cross []byte) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), subFlagsSign(), sub(32, cross...))}, f.hashed(), s.hashed()))
	}
	beside := func(s *forger, unhashed ...[]byte) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), subFlagsSign()), unhashed: subs(unhashed...)}, f.hashed(), s.hashed()))
	}
	add := func(name, expect, spec, comment string, s *forger, binding []byte) {
		list = append(list, vector{"cross-" + name, expect, spec, comment, map[string][]byte{"key.hex": subs(f.primary(), f.main(keyTime), s.subkey(), binding)}})
	}
	wrongTag := func(s *openpgp.Signature) { s.HashTag = []byte{s.HashTag[0] ^ 1, s.HashTag[1]} }
	high := raiseBodyS(t, body(p, forged{}))
	refused := "key-block-error"
	add("hash-tag", refused, "S41", "the cross-signature has a wrong hash tag", s, within(s, body(s, forged{tamper: wrongTag})))
	add("type", refused, "S41", "the cross-signature is a binding", s, within(s, s.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), s.issuer())}, f.hashed(), s.hashed())))
	add("sha1", refused, "S41", "the cross-signature has SHA-1", s, within(s, body(s, forged{hash: 2})))
	add("expires", refused, "S41", "the cross-signature expires", s, within(s, body(s, forged{}, uint32Sub(3, 9))))
	add("critical", refused, "S41", "the cross-signature has an unknown critical subpacket", s, within(s, body(s, forged{}, criticalSub(100))))
	add("critical-notation", refused, "S41", "the cross-signature has a critical notation", s, within(s, body(s, forged{}, notationSub(0x80, true, "a@example.com", "b"))))
	add("no-time", refused, "S41", "the cross-signature has no creation time", s, within(s, s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: s.issuer()}, f.hashed(), s.hashed())))
	add("cut", refused, "S41", "the cross-signature is cut off", s, within(s, body(s, forged{})[:40]))
	add("other-primary", refused, "S41", "the cross-signature is over another primary key", s, within(s, s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), s.issuer())}, p.hashed(), s.hashed())))
	add("ok-unhashed", "ok", "S41", "a cross-signature among the hashed subpackets has an unhashed one itself", s, within(s, body(s, forged{unhashed: sub(16, s.fpr[12:]...)})))
	add("ok-high-s", "ok", "S41", "a cross-signature among the hashed subpackets has the higher s", p, within(p, high))
	add("ok-padded", "ok", "S41", "a cross-signature among the hashed subpackets has a number with a leading zero", p, within(p, padMPI(body(p, forged{}))))
	add("ok-beside", "ok", "S39", "a cross-signature that is not among the hashed subpackets", s, beside(s, sub(32, body(s, forged{})...)))
	add("beside-high-s", refused, "S39", "the unhashed cross-signature has the higher s", p, beside(p, sub(32, high...)))
	add("beside-padded", refused, "S39", "the unhashed cross-signature has a number with a leading zero", p, beside(p, sub(32, padMPI(body(p, forged{}))...)))
	add("beside-unhashed", refused, "S39", "the unhashed cross-signature has an unhashed subpacket", s, beside(s, sub(32, body(s, forged{unhashed: sub(16, s.fpr[12:]...)})...)))
	add("beside-critical", refused, "S39", "the unhashed cross-signature's subpacket is critical", s, beside(s, criticalSub(32, body(s, forged{})...)))
	add("beside-length", refused, "S39", "the unhashed cross-signature's length has five octets", s, beside(s, longSub(32, body(s, forged{})...)))
	add("beside-more", refused, "S39", "there is an unhashed issuer key id beside the cross-signature", s, beside(s, sub(16, f.fpr[12:]...), sub(32, body(s, forged{})...)))
	add("beside-twice", refused, "S39", "there are two unhashed cross-signatures", s, beside(s, sub(32, body(s, forged{})...), sub(32, body(s, forged{hash: 9})...)))
	add("beside-too", refused, "S39", "there is a cross-signature among the hashed subpackets, and one beside them", s,
		sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), subFlagsSign(), sub(32, body(s, forged{})...)), unhashed: sub(32, body(s, forged{})...)}, f.hashed(), s.hashed())))
	add("beside-cut", refused, "S41", "the unhashed subpackets end early", s, beside(s, []byte{200}))

	v6, s6 := newForger(t, "ed25519-v6"), newForger(t, "ed25519-v6")
	cross := s6.sign(forged{version: 4, kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), s6.issuer())}, v6.hashed(), s6.hashed())
	binding := sigPacket(v6.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), v6.issuer(), subFlagsSign(), sub(32, cross...))}, v6.hashed(), s6.hashed()))
	salted := s6.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), s6.issuer()), salt: make([]byte, 32)}, v6.hashed(), s6.hashed())
	other := sigPacket(v6.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), v6.issuer(), subFlagsSign(), sub(32, salted...))}, v6.hashed(), s6.hashed()))
	list = append(list, vector{"cross-salt-size", refused, "S41", "the cross-signature has a salt of another hash's size",
		map[string][]byte{"key.hex": subs(v6.primary(), v6.main(keyTime), s6.subkey(), other)}})
	return append(list, vector{"cross-version", refused, "S41", "the cross-signature has version 4, and the keys have version 6",
		map[string][]byte{"key.hex": subs(v6.primary(), v6.main(keyTime), s6.subkey(), binding)}})
}

// raiseBodyS puts the other of ECDSA's two values for s into a signature's body.
func raiseBodyS(t *testing.T, body []byte) []byte {
	t.Helper()
	s, err := openpgp.ParseSignature(body)
	if err != nil {
		t.Fatal(err)
	}
	s.Numbers = [][]byte{s.Numbers[0], negateS(s.Numbers[1])}
	return s.AppendBody(nil, nil)
}

// choiceReadings are about which user id of a key from elsewhere stays.
func choiceReadings(t *testing.T) []vector {
	f := newForger(t, "eddsa-v4")
	P := f.primary()
	primary := sub(openpgp.SubpacketPrimaryUserID, 1)
	uid := func(name string, t uint32, more ...[]byte) []byte {
		return subs(uidPacket(name), f.cert(name, f.selfSubs(t, more...)))
	}
	read := func(name, comment string, want []byte, parts ...[]byte) vector {
		return vector{"read-" + name, "ok", "S47", comment, map[string][]byte{"export.hex": subs(parts...), "merged.hex": subs(P, want)}}
	}
	cases := []vector{
		read("two-primary", "of two user ids that say primary the one certified last stays", uid("B", keyTime+9, primary), P, uid("A", keyTime, primary), uid("B", keyTime+9, primary)),
		read("same-second", "of two user ids certified in one second the first by bytes stays", uid("A", keyTime), P, uid("B", keyTime), uid("A", keyTime)),
		read("two-primary-same-second", "of two user ids that say primary since one second the first by bytes stays", uid("A", keyTime, primary), P, uid("B", keyTime, primary), uid("A", keyTime, primary), uid("C", keyTime+1)),
		read("primary-no-more", "a user id whose newest certification does not say primary any more", uid("B", keyTime+1), P, uid("B", keyTime+1), uidPacket("A"), f.cert("A", f.selfSubs(keyTime-9, primary)), f.cert("A", f.selfSubs(keyTime-8))),
		read("unknown-packets", "packets of other types are passed over", uid("A", keyTime), P, openpgp.AppendPacket(nil, openpgp.PacketTrust, []byte{1}), uid("A", keyTime), openpgp.AppendPacket(nil, 60, []byte{1, 2})),
	}
	partial := append([]byte{0xcd, 0xe1, 'a', 'b'}, 1, 'c') // two bytes, and then one more
	return append(cases,
		vector{"read-partial-length", "key-block-error", "S31", "a packet of partial length", map[string][]byte{"export.hex": subs(P, partial, uid("A", keyTime))}},
		vector{"read-no-key", "key-block-error", "S32", "a file that begins with a signature", map[string][]byte{"export.hex": f.revoke(recTime)}},
		vector{"read-empty-after-marker", "key-block-error", "S32", "a file with a marker and no key", map[string][]byte{"export.hex": openpgp.AppendPacket(nil, openpgp.PacketMarker, []byte("PGP"))}},
		vector{"read-not-a-key", "key-block-error", "S47", "a file that is neither armored nor binary", map[string][]byte{"export.hex": []byte("Hello\n")}},
		vector{"read-message", "key-block-error", "S47", "an armored message", map[string][]byte{"export.hex": armorText(t, "PGP MESSAGE", subs(P, uid("A", keyTime)))}},
		vector{"read-rsa-2048", "key-block-error", "S33", "a key of a size that es does not take", map[string][]byte{"export.hex": weakRSA(t)[0].sections["key.hex"]}},
		vector{"read-third-party-cut", "ok", "S47", "a third party's certification that cannot be read", map[string][]byte{
			"export.hex": subs(P, uid("A", keyTime), thirdPartyCut(t, f, "A")), "merged.hex": subs(P, uid("A", keyTime))}})
}

// thirdPartyCut is a certification that names its issuer and has no numbers.
func thirdPartyCut(t *testing.T, f *forger, uid string) []byte {
	other := newForger(t, "eddsa-v4")
	other.numbers = func(crypto.Hash, []byte) []byte { return nil }
	return sigPacket(other.sign(forged{kind: openpgp.SignatureGenericCert, hashed: other.selfSubs(keyTime)}, f.hashed(), uidHashed(uid)))
}

// limitReadings are about what a block has no room for.
func limitReadings(t *testing.T) []vector {
	f, s := newForger(t, "ed25519-v4"), newForger(t, "ed25519-v4")
	P, uid := f.primary(), uidPacket(testUID)
	merge := func(name, spec, comment string, a, b, want []byte) vector {
		return vector{"merge-" + name, "ok", spec, comment, map[string][]byte{"key.hex": a, "other.hex": b, "merged.hex": want}}
	}
	// So many revocations that nothing else fits: of the others the newest of each kind stay.
	var hard [][]byte
	for i := range 70 {
		hard = append(hard, f.revoke(keyTime+uint32(i), 2))
	}
	direct := func(t uint32) []byte { return f.direct(f.selfSubs(t)) }
	bind := subs(s.subkey(), f.bind(s, keyTime))
	revoked := mustRead(t, P, subs(hard...), f.main(keyTime))
	rest := subs(P, direct(keyTime), direct(keyTime+1), uid, f.cert(testUID, f.selfSubs(keyTime)), f.cert(testUID, f.selfSubs(keyTime+1)), bind)
	all := mustMerge(t, revoked, mustParse(t, rest))
	// Parts before another have exactly B bytes, and one more.
	const budget = 14336 - (38 + 3) - 4*(68+512) - 518 - 1180
	cert := func(t uint32, fill int) []byte {
		return f.cert(testUID, f.selfSubs(t, notationSub(0x80, false, "n", strings.Repeat("x", fill))))
	}
	size := func(fill int) int { return len(cert(keyTime, fill)) + len(testUID) + 3 }
	fill := func(total int) [][]byte {
		var certs [][]byte
		at := uint32(keyTime + 1000)
		for left := total; left > 0; at++ {
			n := 100
			if left < 2*size(100) {
				for n = 0; size(n) < left && n < 450; n++ {
				}
				if size(n) > left {
					n--
				}
			}
			certs = append(certs, cert(at, n))
			left -= size(n)
			if left > 0 && left < size(0) {
				t.Fatalf("%d bytes are left", left)
			}
		}
		return certs
	}
	oldest := f.cert(testUID, f.selfSubs(keyTime))
	exact, over := fill(budget), fill(budget+1)
	list := []vector{
		merge("always", "S44", "so many revocations that nothing else fits: the newest direct-key signature and certification stay", revoked.Block(), rest, all.Block()),
		merge("exact", "S44", "the parts before the last have as many bytes as they may", subs(P, uid, subs(exact...)), subs(P, uid, oldest), subs(P, uid, oldest, subs(exact...))),
		merge("exact-over", "S44", "the parts before the last have one byte more than they may", subs(P, uid, subs(over...)), subs(P, uid, oldest), subs(P, uid, subs(over...))),
		{"too-many-exact", "key-block-error", "S44", "holds a part that has no room any more", map[string][]byte{"key.hex": subs(P, uid, oldest, subs(over...))}},
	}
	// Of two cross-signatures for one binding the longer stays, and of two that are as
	// long the last by bytes. All three bindings must have one form but for that.
	blockWith := func(binding []byte) []byte { return subs(P, f.main(keyTime), s.subkey(), binding) }
	short, long := f.bindOutside(s, keyTime, "b"), f.bindOutside(s, keyTime, "aa")
	one, two := f.bindOutside(s, keyTime, "a"), f.bindOutside(s, keyTime, "b")
	if bytes.Compare(one, two) > 0 {
		one, two = two, one
	}
	list = append(list,
		merge("cross-longest", "S45", "of two cross-signatures for one binding the longer stays", blockWith(long), blockWith(short), blockWith(long)),
		merge("cross-last", "S45", "of two cross-signatures of one length the last by bytes stays", blockWith(two), blockWith(one), blockWith(two)),
		vector{"cross-two-bindings", "key-block-error", "S43", "has a binding with each of two cross-signatures", map[string][]byte{"key.hex": blockWith(subs(slices.Concat(short, long)))}})
	return list
}
