package sign

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// cutReadings are keys and signatures that end early, or hold a byte too many.
func cutReadings(t *testing.T) []vector {
	var list []vector
	f, s := newForger(t, "eddsa-v4"), newForger(t, "ed25519-v4")
	P, main, uid := f.primary(), f.main(keyTime), uidPacket(testUID)
	add := func(name, spec, comment string, parts ...[]byte) {
		list = append(list, vector{name, "key-block-error", spec, comment, map[string][]byte{"key.hex": subs(parts...)}})
	}
	rsa, v6 := newForger(t, "rsa3072-v4"), newForger(t, "ed25519-v6")
	point := f.body[6+len(openpgp.OIDEd25519)+2:]
	head := func(algo byte) []byte { return append(bytes.Clone(f.body[:5]), algo) }
	p256 := newForger(t, "p256-v4")
	for _, c := range []struct {
		name, comment string
		signer        *forger
		body          []byte
	}{
		{"header", "five bytes", f, f.body[:5]},
		{"empty", "no bytes", f, nil},
		{"v6-count", "version 6 and no count of key material", v6, v6.body[:8]},
		{"ed25519", "31 bytes of a point", s, s.body[:len(s.body)-1]},
		{"rsa-modulus", "a modulus that is cut off", rsa, rsa.body[:100]},
		{"rsa-exponent", "an exponent that is cut off", rsa, rsa.body[:len(rsa.body)-1]},
		{"rsa-exponent-padded", "an exponent with a leading zero", rsa, subs(rsa.body[:len(rsa.body)-5], []byte{0, 25, 0, 1, 0, 1}[:2], []byte{0, 1, 0, 1})},
		{"p256-point", "a point of P-256 that is cut off", p256, p256.body[:len(p256.body)-1]},
		{"p256-padded", "a point of P-256 that counts a bit too many", p256, subs(p256.body[:6+len(openpgp.OIDP256)], []byte{2, 4}, p256.body[6+len(openpgp.OIDP256)+2:])},
		{"eddsa-point", "a point of EdDSALegacy that is cut off", f, f.body[:len(f.body)-1]},
		{"eddsa-padded", "a point of EdDSALegacy that counts a bit too many", f, subs(head(22), openpgp.OIDEd25519, []byte{1, 8}, point)},
		{"eddsa-prefix", "a point of EdDSALegacy without 0x40 in front", f, subs(head(22), openpgp.OIDEd25519, openpgp.AppendMPI(nil, append([]byte{0x41}, point[1:]...)))},
		{"eddsa-long", "a point of EdDSALegacy of 33 bytes", f, subs(head(22), openpgp.OIDEd25519, openpgp.AppendMPI(nil, append(bytes.Clone(point), 0)))},
	} {
		g := *c.signer
		g.setBody(c.body) // what it signs verifies for whoever takes the key
		add("cut-key-"+c.name, "S33", "a key with "+c.comment, g.primary(), g.main(keyTime))
	}
	add("trailing-unsigned", "S33", "a byte after the key that is not signed", openpgp.AppendPacket(nil, openpgp.PacketPublicKey, append(bytes.Clone(s.body), 0)), s.main(keyTime))
	add("subkey-rsa-2048", "S33", "a subkey of a size that es does not take", P, main, asSubkey(weakRSA(t)[0].sections["key.hex"]), f.bind(s, keyTime))

	cert := func(x forged) []byte {
		x.kind, x.hashed = openpgp.SignaturePositiveCert, f.selfSubs(keyTime)
		return f.sign(x, f.hashed(), uidHashed(testUID))
	}
	good := cert(forged{})
	five := append([]byte{5}, good[1:]...)
	for _, c := range []struct {
		name, spec, comment string
		body                []byte
	}{
		{"empty", "S31", "no bytes", nil},
		{"head", "S31", "three bytes", good[:3]},
		{"hashed", "S31", "hashed subpackets that are cut off", good[:20]},
		{"number", "S31", "a number that is cut off", good[:len(good)-1]},
		{"trailing", "S31", "a byte after its numbers", append(bytes.Clone(good), 0)},
		{"version-5", "S31", "version 5 and the form of version 4", five},
		{"algorithm", "S37", "the algorithm Ed25519, by a key of EdDSALegacy", legacyAs27(f)},
	} {
		add("cut-self-"+c.name, c.spec, "a self-signature with "+c.comment, P, uid, sigPacket(c.body))
	}
	// Ed25519 signatures have 64 bytes.
	for _, n := range []int{63, 65} {
		b := s.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: s.selfSubs(keyTime)}, s.hashed(), uidHashed(testUID))
		b = append(b, 0)[:len(b)+n-64]
		add(fmt.Sprintf("cut-self-ed25519-%d", n), "S31", fmt.Sprintf("a self-signature by Ed25519 of %d bytes", n), s.primary(), uid, sigPacket(b))
	}
	add("cut-packet-header", "S31", "a packet whose header is cut off", P, main, []byte{0xc2, 0xff, 0})
	add("cut-packet-type", "S31", "a byte that begins no packet", P, main, []byte{0, 0})
	return append(list, importReadings(t, f, s)...)
}

// asSubkey makes a subkey packet of the first packet of a block.
func asSubkey(block []byte) []byte {
	p, _, err := openpgp.NextPacket(block)
	if err != nil {
		panic(err)
	}
	return openpgp.AppendPacket(nil, openpgp.PacketPublicSubkey, p.Body)
}

// legacyAs27 is a self-signature by a key of EdDSALegacy in the form of Ed25519: the
// arithmetic is the same.
func legacyAs27(f *forger) []byte {
	// An MPI lacks the zeros in front of its number, which Ed25519 has.
	whole := func(b []byte) (number, rest []byte) {
		size := (int(b[0])<<8 + int(b[1]) + 7) / 8
		return append(make([]byte, 32-size), b[2:2+size]...), b[2+size:]
	}
	g := *f
	g.numbers = func(h crypto.Hash, d []byte) []byte {
		first, b := whole(f.numbers(h, d))
		second, _ := whole(b)
		return subs(first, second)
	}
	return g.sign(forged{algo: openpgp.AlgorithmEd25519, kind: openpgp.SignaturePositiveCert, hashed: f.selfSubs(keyTime)}, f.hashed(), uidHashed(testUID))
}

// importReadings are keys from elsewhere that hold something that cannot be read.
func importReadings(t *testing.T, f, s *forger) []vector {
	P, main := f.primary(), f.main(keyTime)
	refused := func(name, spec, comment string, parts ...[]byte) vector {
		return vector{"ends-" + name, "key-block-error", spec, comment, map[string][]byte{"export.hex": subs(parts...)}}
	}
	v3 := f.signV3(openpgp.SignatureKeyRevocation, recTime, f.hashed())
	other := newForger(t, "eddsa-v4").signV3(openpgp.SignatureKeyRevocation, recTime, f.hashed())
	long := subs([]byte{3, 6}, other[2:7], []byte{0}, other[7:])
	owner := sigPacket(f.sign(forged{kind: openpgp.SignatureSubkeyRevocation, hash: 3, hashed: subs(made(recTime), f.issuer())}, f.hashed(), s.hashed()))
	stranger := newForger(t, "eddsa-v4")
	strange := stranger.sign(forged{kind: openpgp.SignatureKeyRevocation, hashed: subs(made(recTime), stranger.issuer())}, f.hashed())
	var many [][]byte
	at := func(i uint32) []byte {
		return sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: f.selfSubs(keyTime + i)}, f.hashed(), uidHashed("Nobody")))
	}
	for i := range uint32(102) {
		many = append(many, uidPacket(fmt.Sprintf("U%d", i)), at(i))
	}
	cut := armorText(t, "PGP PUBLIC KEY BLOCK", subs(P, main))
	v6 := newForger(t, "ed25519-v6")
	v6UID := func(uid string, t uint32, more ...[]byte) []byte {
		return subs(uidPacket(uid), v6.cert(uid, v6.selfSubs(t, more...)))
	}
	long33 := openpgp.AppendMPI(nil, append([]byte{1}, make([]byte, 32)...))
	dropped := func(name string, f *forger, tamper func([]byte) []byte) vector {
		g := *f
		g.numbers = func(h crypto.Hash, d []byte) []byte { return tamper(f.numbers(h, d)) }
		good := f.block()
		bad := sigPacket(g.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: made(recTime)}, f.hashed(), uidHashed(testUID)))
		return vector{"read-" + name, "ok", "S47", "a certification with a number that is too long is dropped", map[string][]byte{
			"export.hex": subs(good, bad), "merged.hex": good}}
	}
	return []vector{
		refused("user-id-taken-back-salt", "S151", "a user id of a v6 key ended it, and was taken back with a salt of another hash's size",
			v6.primary(), v6.main(keyTime), v6UID("A", recTime), v6UID("B", recTime-1, uint32Sub(openpgp.SubpacketKeyExpiration, 86400)),
			sigPacket(v6.sign(forged{kind: openpgp.SignatureCertRevocation, hashed: subs(made(recTime), v6.issuer()), salt: make([]byte, 32)}, v6.hashed(), uidHashed("B")))),
		dropped("number-long-first", f, func(b []byte) []byte { return subs(long33, b[firstNumber(b):]) }),
		dropped("number-long-second", f, func(b []byte) []byte { return subs(b[:firstNumber(b)], long33) }),
		dropped("number-long-rsa", newForger(t, "rsa3072-v4"), func([]byte) []byte { return openpgp.AppendMPI(nil, bytes.Repeat([]byte{0xff}, 385)) }),
		refused("v3-cut", "S150", "a key revocation of version 3 that is cut off", P, sigPacket(v3[:10]), main),
		refused("v3-long-hashed", "S150", "a key revocation of version 3 whose form nobody knows", P, sigPacket(long), main),
		refused("subkey-revocation-unknown-hash", "S150", "a subkey revocation with a hash that es cannot compute", P, main, s.subkey(), f.bind(s, keyTime), owner),
		refused("many-misplaced", "S171", "more than 10,000 pairs of a certification and what it may be about", append([][]byte{P, main}, many...)...),
		{"ends-third-party-cut", "ok", "S150", "a third party's key revocation whose numbers are cut off", map[string][]byte{
			"export.hex": subs(P, sigPacket(strange[:len(strange)-1]), main), "merged.hex": subs(P, main)}},
		refused("armor-damaged", "S47", "armor with characters that are none of base64", bytes.Replace(cut, []byte("\n\n"), []byte("\n\n!!!!"), 1)),
		refused("armor-header", "S47", "armor without an empty line", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")),
		refused("file-large", "S47", "a file of more than 1 MiB", P, main, openpgp.AppendPacket(nil, 60, make([]byte, MaxKeyFile))),
		refused("secret-cut", "S33", "a secret key whose public half is cut off", openpgp.AppendPacket(nil, openpgp.PacketSecretKey, f.body[:20]), main),
		refused("old-indeterminate", "S31", "a packet of indeterminate length", P, main, []byte{0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9}),
	}
}

// firstNumber returns the length of the first of some MPIs, which is shorter than the
// others in one of 256 signatures.
func firstNumber(b []byte) int { return 2 + (int(b[0])<<8+int(b[1])+7)/8 }

// numberReadings are signatures whose numbers are too large.
func numberReadings(t *testing.T) []vector {
	var list []vector
	add := func(name, comment string, f *forger, tamper func([]byte) []byte) {
		good := f.numbers
		block := f.block()
		g := *f
		g.numbers = func(h crypto.Hash, d []byte) []byte { return tamper(good(h, d)) }
		list = append(list, describe(t, vector{name, "signature-error", "S11", comment, map[string][]byte{"envelope.cbor.hex": envelope(t, &g, &g, forged{}), "key.hex": block}}))
	}
	add("rsa-number-long", "has an RSA number of 4104 bits", newForger(t, "rsa4096-v4"), func([]byte) []byte {
		return openpgp.AppendMPI(nil, bytes.Repeat([]byte{0xff}, 513))
	})
	for _, kind := range []string{"eddsa-v4", "p256-v4"} {
		add("first-number-long-"+kind, "has a first number of 33 bytes", newForger(t, kind), func(b []byte) []byte {
			n := 2 + (int(binary.BigEndian.Uint16(b))+7)/8
			return append(openpgp.AppendMPI(nil, append([]byte{1}, make([]byte, 32)...)), b[n:]...)
		})
	}
	add("second-number-long-eddsa-v4", "has a second number of 33 bytes", newForger(t, "eddsa-v4"), func(b []byte) []byte {
		n := 2 + (int(binary.BigEndian.Uint16(b))+7)/8
		return openpgp.AppendMPI(b[:n:n], append([]byte{1}, make([]byte, 32)...))
	})
	return list
}
