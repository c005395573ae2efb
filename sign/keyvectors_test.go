package sign

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// keyVectors makes one vector for each rule that a key block can break, and for
// reading and merging.
func keyVectors(t *testing.T) []vector {
	var list []vector
	add := func(name, expect, spec, comment string, parts ...[]byte) {
		list = append(list, vector{name, expect, spec, comment, map[string][]byte{"key.hex": subs(parts...)}})
	}
	for _, kind := range testKinds {
		f := newForger(t, kind)
		add("ok-"+kind, "ok", "S33", "a minimal "+kind+" key", f.block())
	}
	f, s := newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4")
	add("ok-everything", "ok", "S43", "revocation, direct-key signature, two user ids, a subkey that is revoked",
		mustRead(t, f.primary(), f.revoke(recTime, 3), f.direct(f.selfSubs(keyTime)), f.main(keyTime), s.subkey(), f.bind(s, keyTime), f.revokeSubkey(s, recTime)).Block())
	for _, c := range badBlocks(t, f, s) {
		add(c.name, "key-block-error", c.spec, c.comment, c.block)
	}
	list = append(list, badPrimaries(t)...)
	list = append(list, weakPrimaries(t)...)
	list = append(list, keyReadings(t)...)
	list = append(list, readVectors(t, f, s)...)
	list = append(list, endVectors(t, f, s)...)
	list = append(list, revocationVectors(t)...)
	return append(list, mergeVectors(t)...)
}

// revocationVectors join a key block with a revocation certificate alone.
func revocationVectors(t *testing.T) []vector {
	f, other := newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4")
	P, main, hard := f.primary(), f.main(keyTime), f.revoke(recTime, 2)
	return []vector{
		{"revocation-alone", "ok", "S48", "a revocation certificate, made while the secret was there",
			map[string][]byte{"key.hex": subs(P, main), "certificate.hex": hard, "merged.hex": subs(P, hard, main)}},
		{"revocation-of-another", "key-block-error", "S48", "the revocation certificate of another key",
			map[string][]byte{"key.hex": other.block(), "certificate.hex": hard}},
	}
}

type blockCase struct {
	name, spec, comment string
	block               []byte
}

func badBlocks(t *testing.T, f, s *forger) []blockCase {
	P, M, v6 := f.primary(), f.main(keyTime), newForger(t, "ed25519-v6")
	cert := func(t uint32, more ...[]byte) []byte { return f.cert(testUID, f.selfSubs(t, more...)) }
	uid := uidPacket(testUID)
	stranger := newForger(t, "eddsa-v4")
	third := sigPacket(stranger.sign(forged{kind: openpgp.SignatureGenericCert, hashed: stranger.selfSubs(keyTime)}, f.hashed(), uidHashed(testUID)))
	p, _, _ := openpgp.NextPacket(P)
	var many [][]byte
	for i := range 100 {
		many = append(many, cert(keyTime+uint32(i)))
	}
	unsorted := [][]byte{cert(keyTime + 1), cert(keyTime)}
	lower := newForger(t, "p256-v4")
	cross := s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), s.issuer())}, f.hashed(), s.hashed())
	wrongCross := stranger.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), s.issuer())}, f.hashed(), s.hashed())
	bind := func(h []byte, unhashed []byte) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), h), unhashed: unhashed}, f.hashed(), s.hashed()))
	}
	signFlag := sub(openpgp.SubpacketKeyFlags, 0x02)
	return []blockCase{
		{"size", "S30", "is larger than 14 KiB", subs(P, M, bytes.Repeat([]byte{0}, records.MaxKeyBlock))},
		{"empty", "S31", "is empty", nil},
		{"armored", "S31", "is armored", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")},
		{"header-old", "S31", "has an old-format packet header", subs(append([]byte{0x98, byte(len(p.Body))}, p.Body...), M)},
		{"header-long", "S31", "has a packet length in five octets", subs(binary.BigEndian.AppendUint32([]byte{0xc6, 255}, uint32(len(p.Body))), p.Body, M)},
		{"cut", "S31", "is cut off", subs(P, M)[:len(P)+len(M)-1]},
		{"signature-malformed", "S31", "has a signature of version 3", subs(P, uid, sigPacket([]byte{3, 0, 0, 0, 0, 0}))},
		{"subkey-first", "S32", "begins with a subkey", subs(f.subkey(), M)},
		{"two-keys", "S32", "holds two keys", subs(P, M, stranger.primary(), stranger.main(keyTime))},
		{"subkey-version", "S33", "has a v6 subkey under a v4 key", subs(P, M, v6.subkey(), f.bind(v6, keyTime))},
		{"attribute", "S34", "has a user attribute (a photo)", subs(P, M, openpgp.AppendPacket(nil, openpgp.PacketUserAttribute, []byte{1, 2}))},
		{"marker", "S34", "has a marker packet", subs(P, M, openpgp.AppendPacket(nil, openpgp.PacketMarker, []byte("PGP")))},
		{"user-id-long", "S35", "has a user id of 257 bytes", subs(P, uidPacket(strings.Repeat("u", 257)), f.cert(strings.Repeat("u", 257), f.selfSubs(keyTime)))},
		{"misplaced-cert", "S36", "has a certification before any user id", subs(P, cert(keyTime), M)},
		{"misplaced-binding", "S36", "has a binding before any subkey", subs(P, M, f.bind(s, keyTime))},
		{"misplaced-revocation", "S36", "has a key revocation after a user id", subs(P, M, f.revoke(recTime))},
		{"third-party", "S37", "has a certification by a stranger", subs(P, M, third)},
		{"weak-hash", "S37", "has a self-signature with SHA-1", subs(P, uid, sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: 2, hashed: f.selfSubs(keyTime)}, f.hashed(), uidHashed(testUID))))},
		{"other-user-id", "S37", "has a certification of another user id", subs(P, uidPacket("Somebody Else"), cert(keyTime))},
		{"self-expires", "S38", "has a self-signature that expires by itself", subs(P, uid, cert(keyTime, uint32Sub(openpgp.SubpacketExpirationTime, 9)))},
		{"self-local", "S38", "has a self-signature that is not for export", subs(P, uid, cert(keyTime, sub(openpgp.SubpacketExportable, 0)))},
		{"self-critical-notation", "S38", "has a self-signature with a critical notation", subs(P, uid, cert(keyTime, notationSub(0x80, true, "a@example.com", "b")))},
		{"self-critical-unknown", "S38", "has a self-signature with an unknown critical subpacket", subs(P, uid, cert(keyTime, criticalSub(101)))},
		{"self-no-time", "S38", "has a self-signature without a creation time", subs(P, uid, f.cert(testUID, subs(f.issuer(), sub(openpgp.SubpacketKeyFlags, 3))))},
		{"self-two-lifetimes", "S38", "has a self-signature with two key lifetimes", subs(P, uid, cert(keyTime, uint32Sub(openpgp.SubpacketKeyExpiration, 1), uint32Sub(openpgp.SubpacketKeyExpiration, 2)))},
		{"self-unhashed", "S39", "has a self-signature with an unhashed subpacket", subs(P, uid, sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: f.selfSubs(keyTime), unhashed: sub(openpgp.SubpacketIssuerKeyID, f.fpr[12:]...)}, f.hashed(), uidHashed(testUID))))},
		{"self-high-s", "S39", "has a self-signature with the higher s", raiseSelfS(t, lower)},
		{"self-large", "S40", "has a self-signature of more than 580 bytes", subs(P, uid, cert(keyTime, notationSub(0x80, false, "proof@example.com", strings.Repeat("x", 500))))},
		{"binding-no-cross", "S41", "has a signing subkey that did not agree to be one", subs(P, M, s.subkey(), bind(signFlag, nil))},
		{"binding-adopted", "S41", "has a signing subkey with another key's agreement", subs(P, M, s.subkey(), bind(subs(signFlag, sub(openpgp.SubpacketEmbeddedSignature, wrongCross...)), nil))},
		{"binding-not-signing", "S41", "binds a subkey that is not for signing", subs(P, M, s.subkey(), bind(subs(sub(openpgp.SubpacketKeyFlags, 0x0c), sub(openpgp.SubpacketEmbeddedSignature, cross...)), nil))},
		{"no-self-signature", "S42", "has a primary key and no more", P},
		{"v4-direct-only", "S42", "is a v4 key without a certified user id", subs(P, f.direct(f.selfSubs(keyTime)))},
		{"v6-no-direct", "S42", "is a v6 key without a direct-key signature", subs(v6.primary(), uid, v6.cert(testUID, v6.selfSubs(keyTime)))},
		{"order-signatures", "S43", "has its self-signatures in the wrong order", subs(P, uid, subs(unsorted...))},
		{"order-revocation", "S43", "has a direct-key signature before the revocation", subs(P, f.direct(f.selfSubs(keyTime)), f.revoke(recTime), M)},
		{"twice", "S43", "has a self-signature twice", twiceCert(P, M, uid)},
		{"user-id-bare", "S43", "has a user id that nothing certifies", subs(P, uidPacket("A"), M)},
		{"subkey-bare", "S43", "has a subkey that nothing binds", subs(P, M, s.subkey())},
		{"too-many", "S44", "has more self-signatures than fit", subs(append([][]byte{P, uid}, many[:81]...)...)},
	}
}

func twiceCert(primary, main, uid []byte) []byte {
	return subs(primary, main, main[len(uid):])
}

// raiseSelfS forges a P-256 key whose self-signature has the higher s.
func raiseSelfS(t *testing.T, f *forger) []byte {
	t.Helper()
	uid := uidPacket(testUID)
	p, _, err := openpgp.NextPacket(f.main(keyTime)[len(uid):])
	if err != nil {
		t.Fatal(err)
	}
	s, err := openpgp.ParseSignature(p.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.Numbers = [][]byte{s.Numbers[0], negateS(s.Numbers[1])}
	return subs(f.primary(), uid, sigPacket(s.AppendBody(nil, nil)))
}

// badPrimaries are keys of kinds, sizes and encodings that es does not take.
func badPrimaries(t *testing.T) []vector {
	var list []vector
	add := func(name, comment string, version, algo byte, material []byte) {
		f := newForger(t, "eddsa-v4")
		f.version = version
		f.key(algo, material)
		list = append(list, vector{name, "key-block-error", "S33", comment, map[string][]byte{"key.hex": subs(f.primary(), f.main(keyTime))}})
	}
	n3072, n2048 := testRSA(t, "rsa3072").N.Bytes(), testRSA(t, "rsa2048").N.Bytes()
	e := []byte{1, 0, 1}
	rsaMaterial := func(n, e []byte) []byte { return openpgp.AppendMPI(openpgp.AppendMPI(nil, n), e) }
	add("rsa-sign-only", "RSA sign-only", 4, 3, rsaMaterial(n3072, e))
	add("dsa", "DSA", 4, 17, rsaMaterial(n3072, e))
	add("ed448", "Ed448", 6, 28, n2048[:57])
	add("version-5", "version 5", 5, openpgp.AlgorithmEd25519, append([]byte{0, 0, 0, 32}, n2048[:32]...))
	add("version-3", "version 3", 3, openpgp.AlgorithmRSA, rsaMaterial(n3072, e))
	return list
}

// readVectors show how a key from elsewhere becomes a minimal one.
func readVectors(t *testing.T, f, s *forger) []vector {
	P, uid := f.primary(), uidPacket(testUID)
	read := func(name, expect, spec, comment string, want []byte, parts ...[]byte) vector {
		v := vector{name, expect, spec, comment, map[string][]byte{"export.hex": subs(parts...)}}
		if want != nil {
			v.sections["merged.hex"] = want
		}
		return v
	}
	main := f.main(keyTime)
	stranger := newForger(t, "eddsa-v4")
	third := sigPacket(stranger.sign(forged{kind: openpgp.SignatureGenericCert, hashed: stranger.selfSubs(keyTime)}, f.hashed(), uidHashed(testUID)))
	bogus := sigPacket(stranger.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: f.selfSubs(recTime)}, f.hashed(), uidHashed(testUID)))
	photo := openpgp.AppendPacket(nil, openpgp.PacketUserAttribute, []byte{1, 2})
	enc := newForger(t, "ed25519-v4")
	encBind := sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), sub(openpgp.SubpacketKeyFlags, 0x0c))}, f.hashed(), enc.hashed()))
	older := subs(uidPacket("Old Name"), f.cert("Old Name", f.selfSubs(keyTime)))
	newer := subs(uidPacket("New Name"), f.cert("New Name", f.selfSubs(keyTime+9)))
	primary := subs(uidPacket("Primary Name"), f.cert("Primary Name", f.selfSubs(keyTime+1, sub(openpgp.SubpacketPrimaryUserID, 1))))
	revokeUID := func(uid string, t uint32) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignatureCertRevocation, hashed: subs(made(t), f.issuer())}, f.hashed(), uidHashed(uid)))
	}
	sha1Rev := sigPacket(f.sign(forged{kind: openpgp.SignatureKeyRevocation, hash: 2, hashed: subs(made(recTime), f.issuer())}, f.hashed()))
	sha1Self := sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: 2, hashed: f.selfSubs(keyTime)}, f.hashed(), uidHashed(testUID)))
	cross := s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), s.issuer()), unhashed: sub(openpgp.SubpacketIssuerKeyID, s.fpr[12:]...)}, f.hashed(), s.hashed())
	gpgBind := func(unhashed ...[]byte) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), sub(openpgp.SubpacketKeyFlags, 2)), unhashed: subs(unhashed...)}, f.hashed(), s.hashed()))
	}
	noReason := f.revoke(recTime)
	all := subs(uid, f.cert(testUID, f.selfSubs(keyTime)), f.cert(testUID, f.selfSubs(keyTime+9)), s.subkey(), f.revokeSubkey(s, recTime, 1), f.bind(s, keyTime), f.bind(s, keyTime+9))
	return []vector{
		read("read-minimal", "ok", "S47", "a minimal key reads as itself", subs(P, main), P, main),
		read("read-minimal-older", "ok", "S380", "minimal is not the newest alone: older signatures and a revoked subkey stay", subs(P, all), P, all),
		read("read-drops", "ok", "S47", "strangers' and bogus certifications, a photo and an encryption subkey are dropped",
			subs(P, main), P, main, third, bogus, photo, enc.subkey(), encBind),
		read("read-newest-user-id", "ok", "S47", "of two user ids the one certified last stays", subs(P, newer), P, older, newer),
		read("read-primary-user-id", "ok", "S47", "of several user ids the primary one stays", subs(P, primary), P, older, newer, primary),
		read("read-user-id-taken-back", "ok", "S47", "a user id that its owner took back does not stay", subs(P, older), P, older, newer, revokeUID("New Name", recTime)),
		read("read-all-taken-back", "key-block-error", "S42", "every user id was taken back", nil, P, newer, revokeUID("New Name", recTime)),
		read("read-unhashed-cross", "ok", "S39", "the cross-signature stays where gpg puts it, in the unhashed area, and alone",
			subs(P, main, s.subkey(), gpgBind(sub(openpgp.SubpacketEmbeddedSignature, stripUnhashed(cross)...))),
			P, main, s.subkey(), gpgBind(sub(openpgp.SubpacketIssuerKeyID, f.fpr[12:]...), sub(openpgp.SubpacketEmbeddedSignature, cross...))),
		read("read-sha1", "key-block-error", "S37", "the only self-signature has SHA-1", nil, P, uid, sha1Self),
		read("read-sha1-revocation", "key-block-error", "S150", "a revocation with SHA-1 is not passed over", nil, P, sha1Rev, main),
		read("read-revoked", "ok", "S47", "a revocation stays", subs(P, noReason, main), P, noReason, main, third),
		read("read-two-keys", "key-block-error", "S32", "a file with two keys", nil, P, main, stranger.primary(), stranger.main(keyTime)),
	}
}

func stripUnhashed(body []byte) []byte {
	s, err := openpgp.ParseSignature(body)
	if err != nil {
		panic(err)
	}
	return s.AppendBody(nil, nil)
}

func mergeVectors(t *testing.T) []vector {
	f, s := newForger(t, "ed25519-v4"), newForger(t, "p256-v4")
	P, main := f.primary(), f.main(keyTime)
	renewed := f.cert(testUID, f.selfSubs(recTime))
	merge := func(name, comment string, a, b, want []byte) vector {
		return vector{name, "ok", "S45", comment, map[string][]byte{"key.hex": a, "other.hex": b, "merged.hex": want}}
	}
	soft, hard := f.revoke(keyTime+5, 3), f.revoke(recTime, 2)
	bind := f.bind(s, keyTime)
	var first, second, all [][]byte
	for i := range 100 {
		c := f.cert(testUID, f.selfSubs(keyTime+uint32(i)))
		if i%2 == 0 {
			first = append(first, c)
		} else {
			second = append(second, c)
		}
		all = append(all, c)
	}
	uid := uidPacket(testUID)
	a, b := mustRead(t, append([][]byte{P, uid}, first...)...), mustRead(t, append([][]byte{P, uid}, second...)...)
	over := mustRead(t, append([][]byte{P, uid}, all...)...)
	other := newForger(t, "ed25519-v4")
	return []vector{
		merge("merge-same", "a block with itself", subs(P, main), subs(P, main), subs(P, main)),
		merge("merge-revocation", "a block without its revocation does not undo it", subs(P, hard, main), subs(P, main), subs(P, hard, main)),
		merge("merge-revocations", "two revocations stay", subs(P, hard, main), subs(P, soft, main), subs(P, soft, hard, main)),
		merge("merge-subkey", "a subkey and a renewal", subs(P, main, s.subkey(), bind), subs(P, main, renewed), subs(P, main, renewed, s.subkey(), bind)),
		merge("merge-user-ids", "two user ids", subs(P, uidPacket("B"), certOnce(f, "B")), subs(P, uidPacket("A"), certOnce(f, "A")),
			subs(P, uidPacket("A"), certOnce(f, "A"), uidPacket("B"), certOnce(f, "B"))),
		{"merge-over-limit", "ok", "S44", "a union that does not fit keeps the newest", map[string][]byte{"key.hex": a.Block(), "other.hex": b.Block(), "merged.hex": over.Block()}},
		{"merge-other-key", "key-block-error", "S46", "another key", map[string][]byte{"key.hex": subs(P, main), "other.hex": other.block()}},
	}
}

func certOnce(f *forger, uid string) []byte { return f.cert(uid, f.selfSubs(keyTime)) }
