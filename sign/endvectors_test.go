package sign

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// signV3 makes the body of a version 3 signature over data.
func (f *forger) signV3(kind byte, t uint32, data ...[]byte) []byte {
	tail := binary.BigEndian.AppendUint32([]byte{kind}, t)
	digest := openpgp.DigestOf(crypto.SHA256, append(data, tail)...)
	body := append([]byte{3, 5}, tail...)
	body = append(body, f.fpr[12:]...)
	return append(append(body, f.algo, 8, digest[0], digest[1]), f.numbers(crypto.SHA256, digest)...)
}

// endVectors are keys from elsewhere whose owners say that they end, or are not for
// signing, in ways that a block cannot hold or that are easily passed over. Those that
// are about which of the owner's words count (SPEC S170, S171 and S173) are refused by
// what these say.
func endVectors(t *testing.T, f, s *forger) []vector {
	P, main := f.primary(), f.main(keyTime)
	read := func(name, expect, spec, comment string, want []byte, parts ...[]byte) vector {
		v := vector{"ends-" + name, expect, spec, comment, map[string][]byte{"export.hex": subs(parts...)}}
		if want != nil {
			v.sections["merged.hex"] = want
		}
		return v
	}
	refused := func(name, spec, comment string, parts ...[]byte) vector {
		return read(name, "key-block-error", spec, comment, nil, parts...)
	}
	uid := func(name string, hash byte, t uint32, more ...[]byte) []byte {
		return subs(uidPacket(name), sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: hash, hashed: f.selfSubs(t, more...)}, f.hashed(), uidHashed(name))))
	}
	ends := uint32Sub(openpgp.SubpacketKeyExpiration, 86400)
	revoked := f.revoke(recTime)
	photo := openpgp.AppendPacket(nil, openpgp.PacketUserAttribute, []byte{1, 2})
	photoCert := sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: f.selfSubs(recTime, ends)}, f.hashed(), certified(0xd1, []byte{1, 2})))
	long := uidPacket(strings.Repeat("x", 300))
	unknown := openpgp.AppendPacket(nil, 60, []byte{0})
	stranger, late := newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4")
	late.created = 4_102_444_800
	late.key(late.algo, late.body[6:])
	bindAt := func(t uint32, hash byte, flags byte, more ...[]byte) []byte {
		cross := s.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(t), s.issuer())}, f.hashed(), s.hashed())
		h := subs(made(t), f.issuer(), sub(openpgp.SubpacketKeyFlags, flags), sub(openpgp.SubpacketEmbeddedSignature, cross...), subs(more...))
		return sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hash: hash, hashed: h}, f.hashed(), s.hashed()))
	}
	bind, bindLater := f.bind(s, keyTime), func(hash byte, flags byte, more ...[]byte) []byte { return bindAt(recTime, hash, flags, more...) }
	revokeUID := func(name string, hash byte, t uint32) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignatureCertRevocation, hash: hash, hashed: subs(made(t), f.issuer())}, f.hashed(), uidHashed(name)))
	}
	weakRevocation := func(by *forger, hash byte) []byte {
		return sigPacket(by.sign(forged{kind: openpgp.SignatureKeyRevocation, hash: hash, hashed: subs(made(recTime), by.issuer())}, f.hashed()))
	}
	revoker := sub(12, append([]byte{0x80, stranger.algo}, stranger.fpr...)...)
	list := []vector{
		read("after-user-id", "ok", "S150", "a key revocation behind the user id", subs(P, revoked, main), P, main, revoked),
		read("after-attribute", "ok", "S150", "a key revocation behind a photo", subs(P, revoked, main), P, main, photo, revoked),
		read("after-long-user-id", "ok", "S150", "a key revocation behind a user id of 300 bytes", subs(P, revoked, main), P, long, revoked, main),
		read("after-unknown", "ok", "S150", "a key revocation behind a packet of an unknown type", subs(P, revoked, main), P, unknown, revoked, main),
		read("after-subkey", "ok", "S150", "a key revocation behind a subkey", subs(P, revoked, main, s.subkey(), bind), P, main, s.subkey(), revoked, bind),
		refused("v3-revocation", "S150", "a key revocation of version 3", P, sigPacket(f.signV3(openpgp.SignatureKeyRevocation, recTime, f.hashed())), main),
		read("v3-stranger", "ok", "S150", "a stranger's key revocation of version 3", subs(P, main), P, sigPacket(stranger.signV3(openpgp.SignatureKeyRevocation, recTime, f.hashed())), main),
		refused("md5-revocation", "S150", "a key revocation with MD5", P, weakRevocation(f, 1), main),
		refused("unknown-hash-revocation", "S150", "a key revocation with a hash that es cannot compute", P, weakRevocation(f, 3), main),
		read("unknown-hash-stranger", "ok", "S150", "a stranger's key revocation with a hash that es cannot compute", subs(P, main), P, weakRevocation(stranger, 3), main),
		read("bogus-revocation", "ok", "S150", "a key revocation with SHA-1 in the owner's name that does not verify", subs(P, main),
			P, sigPacket(stranger.sign(forged{kind: openpgp.SignatureKeyRevocation, hash: 2, hashed: subs(made(recTime), f.issuer())}, f.hashed())), main),
		refused("revoker", "S150", "a revocation by a key that the owner named as a revoker",
			P, weakRevocation(stranger, 8), f.direct(subs(made(keyTime), f.issuer(), revoker)), main),
		refused("v3-subkey-revocation", "S150", "a subkey revocation of version 3", P, main, s.subkey(), bind, sigPacket(f.signV3(openpgp.SignatureSubkeyRevocation, recTime, f.hashed(), s.hashed()))),
		read("subkey-revocation-elsewhere", "ok", "S150", "a subkey revocation that stands behind the user id", subs(P, main, s.subkey(), f.revokeSubkey(s, recTime), bind), P, main, f.revokeSubkey(s, recTime), s.subkey(), bind),
		refused("sha1-subkey-revocation", "S150", "a subkey revocation with SHA-1", P, main, s.subkey(), bind,
			sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyRevocation, hash: 2, hashed: subs(made(recTime), f.issuer())}, f.hashed(), s.hashed()))),

		refused("newer-sha1", "S151", "the newer of two certifications ends the key, with SHA-1", P, main, uid(testUID, 2, recTime, ends)),
		refused("newer-that-expires", "S151", "the newer certification has an end of its own", P, main, uid(testUID, 8, recTime, uint32Sub(openpgp.SubpacketExpirationTime, 60))),
		refused("newer-sha1-flags", "S151", "the newer certification takes signing from the key, with SHA-1", P, main,
			uidPacket(testUID), sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: 2, hashed: subs(made(recTime), f.issuer(), sub(openpgp.SubpacketKeyFlags, 1))}, f.hashed(), uidHashed(testUID)))),
		read("newer-sha1-same", "ok", "S151", "a newer certification with SHA-1 that says nothing worse", subs(P, main), P, main, uid(testUID, 2, recTime)),
		read("older-sha1", "ok", "S151", "an older certification ended the key, with SHA-1", subs(P, f.main(recTime)), P, f.main(recTime), uid(testUID, 2, keyTime, ends)),
		read("other-user-id", "ok", "S151", "a user id that is not the main one has the newest certification, which ends the key: both stay",
			subs(P, uid("A", 8, keyTime, sub(openpgp.SubpacketPrimaryUserID, 1)), uid("B", 8, recTime, ends)), P, uid("A", 8, keyTime, sub(openpgp.SubpacketPrimaryUserID, 1)), uid("B", 8, recTime, ends)),
		refused("older-user-id", "S151", "an older certification of another user id ends the key, which GnuPG heeds", P, uid("A", 8, recTime), uid("B", 8, keyTime, ends)),
		read("user-id-taken-back", "ok", "S173", "a user id that was taken back ended the key", subs(P, uid("A", 8, recTime)), P, uid("A", 8, recTime), uid("B", 8, keyTime, ends), revokeUID("B", 8, recTime)),
		read("user-id-taken-back-sha1", "key-block-error", "S42", "the only user id was taken back, with SHA-1", nil, P, uid("A", 8, keyTime), revokeUID("A", 2, recTime)),
		refused("attribute", "S151", "a photo has the newest certification, which ends the key", P, main, photo, photoCert),
		refused("long-user-id", "S151", "a user id of 300 bytes has the newest certification, which ends the key", P, main,
			uid(strings.Repeat("x", 300), 8, recTime, ends)),
		refused("direct-sha1", "S151", "a direct-key signature ends the key, with SHA-1", P,
			sigPacket(f.sign(forged{kind: openpgp.SignatureDirectKey, hash: 2, hashed: subs(made(recTime), f.issuer(), ends)}, f.hashed())), main),
		refused("newer-sha1-binding", "S151", "the newer binding ends the subkey, with SHA-1", P, main, s.subkey(), bind, bindLater(2, 2, ends)),
		refused("sooner-sha1-binding", "S151", "a binding ends the subkey after two days, and a newer one with SHA-1 after one", P, main, s.subkey(),
			bindAt(keyTime, 8, 2, uint32Sub(openpgp.SubpacketKeyExpiration, 2*86400)), bindLater(2, 2, ends)),
		refused("newer-binding-flags", "S152", "the newer binding is not for signing", P, main, s.subkey(), bind, bindLater(8, 0x0c)),
		read("newer-binding", "ok", "S152", "the newer binding ends the subkey, and both stay", subs(P, main, s.subkey(), bind, bindLater(8, 2, ends)), P, main, s.subkey(), bind, bindLater(8, 2, ends)),
	}
	at := func(uid string, hash byte, t uint32, more ...[]byte) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: hash, hashed: subs(made(t), f.issuer(), subs(more...))}, f.hashed(), uidHashed(uid)))
	}
	flags := func(v byte) []byte { return sub(openpgp.SubpacketKeyFlags, v) }
	first := sub(openpgp.SubpacketPrimaryUserID, 1)
	expired := sigPacket(f.sign(forged{kind: openpgp.SignatureCertRevocation, hashed: subs(made(recTime), f.issuer(), uint32Sub(openpgp.SubpacketExpirationTime, 60))}, f.hashed(), uidHashed("B")))
	list = append(list,
		read("older-critical", "ok", "S170", "an older certification ended the key, with a critical subpacket", subs(P, f.main(recTime)), P, f.main(recTime), at(testUID, 8, keyTime, flags(3), ends, criticalSub(100, 1))),
		read("astray-same", "ok", "S171", "a certification that stands behind another user id and says nothing worse", subs(P, uid("B", 8, recTime)),
			P, uid("A", 8, keyTime), uid("B", 8, recTime), at("A", 8, keyTime+1, flags(3))),
		refused("v3-certification", "S151", "the newest certification is of version 3, and so has no key flags", P, main, sigPacket(f.signV3(openpgp.SignaturePositiveCert, recTime, f.hashed(), uidHashed(testUID)))),
		refused("v3-binding", "S152", "the newest binding is of version 3, and so has no key flags", P, main, s.subkey(), bind, sigPacket(f.signV3(openpgp.SignatureSubkeyBinding, recTime, f.hashed(), s.hashed()))),
		refused("version-5", "S151", "a certification of a version that es cannot read", P, main, sigPacket([]byte{5, openpgp.SignaturePositiveCert, f.algo, 8, 0, 0, 0, 0})),
		refused("two-flags", "S151", "the newest certification has key flags twice, once without signing", P, main, at(testUID, 8, recTime, flags(3), flags(1), flags(3))),
		refused("hidden-by-critical", "S151", "a certification with SHA-1 takes signing from the key, and a newer one that not all programs heed gives it back", P, main,
			at(testUID, 2, recTime, flags(1)), at(testUID, 8, recTime+1, flags(3), criticalSub(100, 1))),
		refused("main-by-sha1", "S151", "a certification with SHA-1 makes another user id the main one, which is not for signing", P, uid("A", 8, recTime),
			uidPacket("B"), at("B", 2, keyTime, flags(1), first)),
		refused("hidden-by-sha1", "S151", "a user id with key flags twice, once without signing, and a newer certification with SHA-1, is the main one", P, uid("A", 8, keyTime),
			uidPacket("B"), at("B", 8, keyTime+1, flags(3), flags(1)), at("B", 2, recTime, flags(3))),
		refused("subkey-twice", "S171", "a signing subkey stands in the key twice, and GnuPG heeds the first, which is not for signing", P, main, s.subkey(),
			sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(keyTime), f.issuer(), flags(0x20))}, f.hashed(), s.hashed())), s.subkey(), bindLater(8, 2)),
		refused("astray", "S151", "the newest certification ends the key, and stands behind another user id", P, uid("A", 8, keyTime), uid("B", 8, keyTime), at("A", 8, recTime, flags(3), ends)),
		refused("binding-astray", "S151", "the newest binding ends the subkey, and stands behind the user id", P, main, bindLater(8, 2, ends), s.subkey(), bind),
		refused("user-id-behind-subkey", "S36", "the only user id stands behind a subkey", P, s.subkey(), bind, main),
		refused("user-id-behind-subkey-ends", "S151", "a user id behind a subkey has the newest certification, which ends the key", P, main, s.subkey(), bind, uid("B", 8, recTime, ends)),
		refused("future", "S172", "a certification of 2100 hides that the key has ended", P, uid(testUID, 8, keyTime, ends), at(testUID, 8, 4_102_444_800, flags(3))),
		refused("future-key", "S172", "a key of 2100", late.primary(), uidPacket(testUID), late.cert(testUID, late.selfSubs(4_102_444_800))),
		refused("user-id-taken-back-weakly", "S151", "a user id ended the key, and was taken back with SHA-1", P, uid("A", 8, recTime), uid("B", 8, recTime-1, ends), revokeUID("B", 2, recTime)),
		refused("user-id-taken-back-for-a-time", "S151", "a user id ended the key, and was taken back for a minute", P, uid("A", 8, recTime), uid("B", 8, recTime-1, ends), expired),
		refused("user-id-taken-back-at-once", "S151", "a user id ended the key, and was taken back in the same second", P, uid("A", 8, recTime), uid("B", 8, recTime-1, ends), revokeUID("B", 8, recTime-1)),
		refused("end-or-none", "S151", "a user id has two certifications of one second, one of them without an end, and another user id has ended the key, which GnuPG heeds", P,
			uid("A", 8, keyTime, ends), uid("B", 8, recTime), at("B", 8, recTime, flags(3), uint32Sub(openpgp.SubpacketKeyExpiration, 2_000_000_000))),
		refused("retired-later", "S172", "a key that retires in 2100", P, f.revoke(4_102_444_800, 3), main),
		refused("subkey-retired-later", "S172", "a subkey that retires in 2100: GnuPG counts that at once", P, main, s.subkey(), f.revokeSubkey(s, 4_102_444_800, 3), bind),
		read("compromised-later", "ok", "S172", "a hard revocation of 2100, which counts at once", subs(P, f.revoke(4_102_444_800), main), P, f.revoke(4_102_444_800), main),
		refused("binding-local", "S152", "the newest binding is not exportable, and GnuPG keeps none then", P, main, s.subkey(), bind, bindLater(8, 2, sub(openpgp.SubpacketExportable, 0))),
		refused("binding-without-cross", "S152", "the newest binding has no cross-signature", P, main, s.subkey(), bind,
			sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: subs(made(recTime), f.issuer(), flags(2))}, f.hashed(), s.hashed()))),
	)
	cert := armorText(t, "PGP PUBLIC KEY BLOCK", revoked)
	list = append(list,
		read("two-armors", "ok", "S47", "a key and its revocation certificate, armored one after the other", subs(P, revoked, main),
			bytes.Join([][]byte{armorText(t, "PGP PUBLIC KEY BLOCK", subs(P, main)), cert}, []byte("a note between\n"))),
		refused("damaged-armor", "S31", "a key and then armor that is cut off", armorText(t, "PGP PUBLIC KEY BLOCK", subs(P, main)), cert[:bytes.Index(cert, []byte("\n\n"))+2+64+1+20]),
	)
	v6 := newForger(t, "ed25519-v6")
	v6UID := func(uid string, t uint32, subpackets ...[]byte) []byte {
		return subs(uidPacket(uid), sigPacket(v6.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: subs(made(t), v6.issuer(), subs(subpackets...))}, v6.hashed(), uidHashed(uid))))
	}
	list = append(list, refused("v6-direct-astray", "S151", "the newest direct-key signature of a v6 key has no key flags, and stands behind the user id",
		v6.primary(), v6.main(keyTime), v6UID("A", keyTime, flags(3)), v6.direct(subs(made(recTime), v6.issuer()))))
	list = append(list, refused("v6-other-main", "S151", "the newest user id of a v6 key was taken back in the same second, and the other one says that the key is not for signing",
		v6.primary(), v6.main(keyTime), v6UID("A", keyTime, flags(1)), v6UID("B", recTime, flags(3)),
		sigPacket(v6.sign(forged{kind: openpgp.SignatureCertRevocation, hashed: subs(made(recTime), v6.issuer())}, v6.hashed(), uidHashed("B")))))
	return append(list, refused("v6-user-id", "S151", "a v6 key whose user id's SHA-1 certification ends it", v6.primary(), v6.main(keyTime), uidPacket(testUID),
		sigPacket(v6.sign(forged{kind: openpgp.SignaturePositiveCert, hash: 2, hashed: v6.selfSubs(recTime, ends)}, v6.hashed(), uidHashed(testUID)))))
}

func armorText(t testing.TB, kind string, b []byte) []byte {
	t.Helper()
	text, err := openpgp.Armor(kind, b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
