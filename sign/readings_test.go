package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// The vectors of this file are about rules that can be read in two ways, or that an
// implementation can leave out and pass all others.

// longSub is sub with its length in five octets.
func longSub(kind byte, body ...byte) []byte {
	return subs(binary.BigEndian.AppendUint32([]byte{255}, uint32(len(body)+1)), []byte{kind}, body)
}

// twoEach adds to a good set of subpackets each of those that occur once at most.
func (f *forger) twoEach() map[byte][]byte {
	uint32s := []byte{0, 0, 0, 0}
	return map[byte][]byte{
		openpgp.SubpacketCreationTime:      made(keyTime),
		openpgp.SubpacketExpirationTime:    subs(sub(3, uint32s...), sub(3, uint32s...)),
		openpgp.SubpacketExportable:        subs(sub(4, 1), sub(4, 1)),
		openpgp.SubpacketKeyExpiration:     subs(sub(9, uint32s...), sub(9, uint32s...)),
		openpgp.SubpacketIssuerKeyID:       subs(sub(16, f.fpr[12:]...), sub(16, f.fpr[12:]...)),
		openpgp.SubpacketPrimaryUserID:     subs(sub(25, 1), sub(25, 1)),
		openpgp.SubpacketKeyFlags:          sub(27, 3),
		openpgp.SubpacketSignerUserID:      subs(sub(28, 'x'), sub(28, 'x')),
		openpgp.SubpacketRevocationReason:  subs(sub(29, 1), sub(29, 1)),
		openpgp.SubpacketEmbeddedSignature: subs(sub(32, 1), sub(32, 1)),
		openpgp.SubpacketIssuerFingerprint: f.issuer(),
	}
}

// signReadings are envelopes.
func signReadings(t *testing.T) []vector {
	var list []vector
	add := func(name, expect, spec, comment string, key, env []byte) {
		list = append(list, describe(t, vector{name, expect, spec, comment, map[string][]byte{"envelope.cbor.hex": env, "key.hex": key}}))
	}
	f := newForger(t, "eddsa-v4")
	stamp, who, what := made(recTime), f.issuer(), contextSub("es/1/heartbeat")
	id := sub(openpgp.SubpacketIssuerKeyID, f.fpr[12:]...)
	for _, c := range []struct {
		name, expect, spec, comment string
		hashed                      []byte
	}{
		{"ok-subpacket-length", "ok", "S2", "has the length of a subpacket in five octets", subs(longSub(2, stamp[2:]...), who, what)},
		{"created-short", "signature-error", "S7", "has a creation time of three bytes", subs(sub(2, 1, 2, 3), who, what)},
		{"issuer-key-id-twice", "signature-error", "S7", "has two issuer key ids, both right", subs(stamp, who, what, id, id)},
		{"signer-user-id-twice", "signature-error", "S7", "has two signer's user ids", subs(stamp, who, what, sub(28, 'x'), sub(28, 'x'))},
		{"subpacket-empty", "signature-error", "S7", "has a subpacket without a type", subs(stamp, who, what, []byte{0})},
		{"notation-cut", "signature-error", "S7", "has a notation that is shorter than it says", subs(stamp, who, what, sub(20, 0, 0, 0, 0, 0, 9, 0, 9, 'x'))},
		{"notation-empty", "signature-error", "S7", "has a notation without sizes", subs(stamp, who, what, sub(20, 0, 0, 0, 0))},
		{"notation-trailing", "signature-error", "S7", "has a salt with a byte after its value", subs(stamp, who, what, sub(20, append([]byte{0, 0, 0, 0, 0, byte(len(saltNotation)), 0, 0}, saltNotation+"x"...)...))},
		{"salt-critical", "signature-error", "S9", "has a critical salt", subs(stamp, who, what, notationSub(0, true, saltNotation, "a"))},
		{"salt-flags", "signature-error", "S9", "has a salt that is human-readable", subs(stamp, who, what, notationSub(0x80, false, saltNotation, "a"))},
		{"issuer-length", "signature-error", "S7", "names a v4 key by 32 bytes", subs(stamp, what, sub(33, append([]byte{4}, make([]byte, 32)...)...))},
		{"issuer-empty", "signature-error", "S7", "has an empty issuer fingerprint", subs(stamp, what, sub(33))},
	} {
		add(c.name, c.expect, c.spec, c.comment, f.block(), envelope(t, f, f, forged{hashed: c.hashed}))
	}
	v6 := newForger(t, "ed25519-v6")
	add("v6-key-id", "signature-error", "S7", "v6 with an issuer key id", v6.block(),
		envelope(t, v6, v6, forged{hashed: subs(v6.recordSubs(recTime), sub(openpgp.SubpacketIssuerKeyID, v6.fpr[:8]...))}))
	list = append(list, arithmeticReadings(t)...)
	list = append(list, numberReadings(t)...)
	list = append(list, subkeyReadings(t)...)
	return append(list, primaryReadings(t)...)
}

// arithmeticReadings are signatures that a laxer verification takes.
func arithmeticReadings(t *testing.T) []vector {
	var list []vector
	add := func(name, expect, spec, comment string, key, env []byte) {
		list = append(list, describe(t, vector{name, expect, spec, comment, map[string][]byte{"envelope.cbor.hex": env, "key.hex": key}}))
	}
	for _, kind := range []string{"ed25519-v4", "eddsa-v4"} {
		f := newForger(t, kind)
		block, good := f.block(), f.numbers
		f.numbers = func(h crypto.Hash, d []byte) []byte {
			b := good(h, d)
			if f.algo == openpgp.AlgorithmEd25519 {
				return append(b[:32:32], addOrder(b[32:])...)
			}
			first := firstNumber(b)
			second := make([]byte, 32) // an MPI has no zeros before it
			copy(second[32-len(b[first+2:]):], b[first+2:])
			return openpgp.AppendMPI(b[:first:first], addOrder(second))
		}
		add("s-above-order-"+kind, "signature-error", "S16", "has s plus the order of the group, which verifies where that is not looked at", block, envelope(t, f, f, forged{}))
	}
	order8, err := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{version: 4, created: keyTime}
	f.key(openpgp.AlgorithmEd25519, order8)
	f.numbers = func(crypto.Hash, []byte) []byte { return identitySignature() }
	var block []byte
	at := uint32(keyTime)
	for ; block == nil; at++ {
		if _, err := ParseKey(subs(f.primary(), f.main(at))); err == nil {
			block = subs(f.primary(), f.main(at))
		}
	}
	k := mustParse(t, block)
	for at := uint32(recTime); ; at++ {
		env := envelope(t, f, f, forged{hashed: f.recordSubs(at)})
		if _, err := Open(env, ring(k)); hasRule(err, "S16") {
			add("ed25519-cofactor", "signature-error", "S16", "holds only when both sides are multiplied by the cofactor", block, env)
			return list
		}
	}
}

// addOrder returns the little-endian scalar s plus the order of Ed25519's group.
func addOrder(s []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	v := slices.Clone(s)
	slices.Reverse(v)
	sum := new(big.Int).Add(new(big.Int).SetBytes(v), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return sum
}

// identitySignature has the identity for R and 0 for s: it holds for a key that is the
// identity, whatever is signed.
func identitySignature() []byte {
	b := make([]byte, 64)
	b[0] = 1
	return b
}

// subkeyReadings are about what ends a subkey.
func subkeyReadings(t *testing.T) []vector {
	var list []vector
	f, s := newForger(t, "eddsa-v4"), newForger(t, "ed25519-v4")
	env := envelope(t, f, s, forged{})
	add := func(name, expect, spec, comment string, parts ...[]byte) {
		list = append(list, describe(t, vector{name, expect, spec, comment,
			map[string][]byte{"envelope.cbor.hex": env, "key.hex": mustRead(t, append([][]byte{f.primary()}, parts...)...).Block()}}))
	}
	life := uint32Sub(openpgp.SubpacketKeyExpiration, recTime-keyTime)
	main, subkey, bind := f.main(keyTime), s.subkey(), f.bind(s, keyTime)
	add("subkey-primary-compromised", "key-error", "S21", "signed by a subkey, and the primary key was compromised later", f.revoke(recTime+100, 2), main, subkey, bind)
	add("subkey-primary-retired", "key-error", "S22", "signed by a subkey, in the second in which the primary key was retired", f.revoke(recTime, 3), main, subkey, bind)
	add("ok-subkey-primary-retired-later", "ok", "S22", "signed by a subkey, a second before the primary key was retired", f.revoke(recTime+1, 3), main, subkey, bind)
	add("subkey-primary-expired", "key-error", "S23", "signed by a subkey, in the second in which the primary key expired", f.main(keyTime, life), subkey, bind)
	certify := f.cert(testUID, subs(made(keyTime), f.issuer(), sub(openpgp.SubpacketKeyFlags, 1)))
	add("ok-subkey-primary-certifies", "ok", "S24", "signed by a subkey, and the primary key may certify only", uidPacket(testUID), certify, subkey, bind)
	add("subkey-two-bindings", "key-error", "S27", "the subkey has two newest bindings of one second, one without an end", main, subkey, bind, f.bind(s, keyTime, life))
	add("subkey-revoked-and-bound-again", "key-error", "S26", "the subkey was bound again after it was retired", main, subkey, f.revokeSubkey(s, keyTime+1, 3), bind, f.bind(s, keyTime+2))

	for _, c := range []struct {
		name, comment    string
		primary, subkey_ uint32
	}{
		{"older-than-subkey", "was made a second before the subkey that signed", keyTime, recTime + 1},
		{"older-than-primary", "was made by a subkey a second before the primary key", recTime + 1, keyTime},
	} {
		f, s := newForger(t, "eddsa-v4"), newForger(t, "ed25519-v4")
		f.created, s.created = c.primary, c.subkey_
		f.key(f.algo, f.body[6:])
		s.key(s.algo, s.body[6:])
		list = append(list, describe(t, vector{c.name, "signature-error", "S13", c.comment, map[string][]byte{
			"envelope.cbor.hex": envelope(t, f, s, forged{}),
			"key.hex":           mustRead(t, f.primary(), f.main(recTime+2), s.subkey(), f.bind(s, recTime+2)).Block()}}))
	}
	return list
}

// primaryReadings are about the certifications that say when the primary key signs.
func primaryReadings(t *testing.T) []vector {
	var list []vector
	f := newForger(t, "eddsa-v4")
	env := envelope(t, f, f, forged{})
	uid := uidPacket(testUID)
	cert := func(t uint32, more ...[]byte) []byte {
		return f.cert(testUID, subs(made(t), f.issuer(), subs(more...)))
	}
	signs, certifies := sub(openpgp.SubpacketKeyFlags, 3), sub(openpgp.SubpacketKeyFlags, 1)
	add := func(name, expect, spec, comment string, certs ...[]byte) {
		slices.SortFunc(certs, func(a, b []byte) int { return bytes.Compare(a[6:], b[6:]) })
		k := subs(f.primary(), uid, subs(certs...))
		if _, err := ParseKey(k); err != nil {
			slices.Reverse(certs)
			k = subs(f.primary(), uid, subs(certs...))
			mustParse(t, k)
		}
		list = append(list, describe(t, vector{name, expect, spec, comment, map[string][]byte{"envelope.cbor.hex": env, "key.hex": k}}))
	}
	add("flags-missing", "key-error", "S24", "the certification has no key flags", cert(keyTime))
	add("flags-second-octet", "key-error", "S24", "the key flags have the bit in their second octet", cert(keyTime, sub(openpgp.SubpacketKeyFlags, 1, 2)))
	add("flags-same-second", "key-error", "S24", "of two newest certifications of one second one has the flag", cert(keyTime, signs), cert(keyTime, certifies))
	add("ok-flags-oldest", "ok", "S24", "all certifications left are newer than the record, and the oldest has the flag", cert(recTime+1, signs), cert(recTime+2, certifies))
	add("flags-oldest", "key-error", "S24", "all certifications left are newer than the record, and the oldest lacks the flag", cert(recTime+1, certifies), cert(recTime+2, signs))
	life := uint32Sub(openpgp.SubpacketKeyExpiration, recTime-keyTime)
	add("expired-same-second", "key-error", "S23", "of two newest certifications of one second one ends the key", cert(keyTime, signs), cert(keyTime, signs, life))
	add("ok-lifetime-zero", "ok", "S23", "the key expiration time is 0, which means never", cert(keyTime, signs, uint32Sub(openpgp.SubpacketKeyExpiration, 0)))
	return list
}

// weakPrimaries are keys of which one thing is wrong, and which sign all the same.
func weakPrimaries(t *testing.T) []vector {
	var list []vector
	add := func(name, comment string, f *forger) {
		list = append(list, vector{name, "key-block-error", "S33", comment, map[string][]byte{"key.hex": subs(f.primary(), f.main(keyTime))}})
	}
	forge := func(version, algo byte, material []byte, numbers func(crypto.Hash, []byte) []byte) *forger {
		f := &forger{version: version, created: keyTime, numbers: numbers}
		f.key(algo, material)
		return f
	}
	identity := identitySignature()
	mpis := func(crypto.Hash, []byte) []byte {
		return openpgp.AppendMPI(openpgp.AppendMPI(nil, identity[:32]), identity[32:])
	}
	for name, point := range map[string]string{
		"sign-of-zero": "0100000000000000000000000000000000000000000000000000000000000080",
		"not-reduced":  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(point)
		if err != nil {
			t.Fatal(err)
		}
		add("ed25519-"+name, "a point of Ed25519 that RFC 8032 does not decode", forge(4, openpgp.AlgorithmEd25519, b, func(crypto.Hash, []byte) []byte { return identity }))
		add("eddsa-"+name, "a point of EdDSALegacy that RFC 8032 does not decode",
			forge(4, openpgp.AlgorithmEdDSALegacy, openpgp.AppendMPI(bytes.Clone(openpgp.OIDEd25519), append([]byte{0x40}, b...)), mpis))
	}
	legacy := newForger(t, "eddsa-v4")
	add("eddsa-v6", "EdDSALegacy in v6", forge(6, openpgp.AlgorithmEdDSALegacy, legacy.body[6:], legacy.numbers))
	ed := newForger(t, "ed25519-v4")
	add("trailing", "a byte after the key", forge(4, openpgp.AlgorithmEd25519, append(bytes.Clone(ed.body[6:]), 0), ed.numbers))
	v6 := newForger(t, "ed25519-v6")
	v6.setBody(append(binary.BigEndian.AppendUint32(bytes.Clone(v6.body[:6]), 33), v6.body[10:]...))
	add("v6-count", "a wrong count of key material", v6)
	return append(list, weakRSA(t)...)
}

// setBody sets the whole body of the key packet, and its fingerprint.
func (f *forger) setBody(body []byte) {
	f.key(f.algo, nil)
	f.body = body
	f.setFingerprint()
}

// weakRSA are keys of RSA and ECDSA.
func weakRSA(t *testing.T) []vector {
	var list []vector
	add := func(name, comment string, f *forger) {
		list = append(list, vector{name, "key-block-error", "S33", comment, map[string][]byte{"key.hex": subs(f.primary(), f.main(keyTime))}})
	}
	rsaForger := func(n, e, d *big.Int) *forger {
		f := &forger{version: 4, created: keyTime, numbers: func(h crypto.Hash, digest []byte) []byte {
			return openpgp.AppendMPI(nil, new(big.Int).Exp(pkcs1(h, digest, (n.BitLen()+7)/8), d, n).Bytes())
		}}
		f.key(openpgp.AlgorithmRSA, openpgp.AppendMPI(openpgp.AppendMPI(nil, n.Bytes()), e.Bytes()))
		return f
	}
	normal := big.NewInt(openpgp.RSAExponent)
	one := big.NewInt(1)
	phiOf := func(p, q *big.Int) *big.Int {
		return new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	}
	of := func(p, q, e *big.Int) *forger {
		return rsaForger(new(big.Int).Mul(p, q), e, new(big.Int).ModInverse(e, phiOf(p, q)))
	}
	k2048, k3072, k4096 := testRSA(t, "rsa2048"), testRSA(t, "rsa3072"), testRSA(t, "rsa4096")
	add("rsa-2048", "RSA with 2048 bits", of(k2048.Primes[0], k2048.Primes[1], normal))
	weak := testPrimes(t, "weak") // of 1536, 1536, 2049 and 3072 bits
	add("rsa-exponent-3", "RSA with the exponent 3", of(weak[0], weak[1], big.NewInt(3)))
	large := new(big.Int).Sub(phiOf(k3072.Primes[0], k3072.Primes[1]), one)
	add("rsa-exponent-large", "RSA with an exponent of 3072 bits", of(k3072.Primes[0], k3072.Primes[1], large))
	add("rsa-4097", "RSA with 4097 bits", of(weak[2], k4096.Primes[0], normal))
	add("rsa-even", "RSA with an even modulus", of(weak[3], big.NewInt(2), normal))
	f := newForger(t, "rsa3072-v4")
	n := k3072.N.Bytes()
	f.setBody(subs(f.body[:6], []byte{byte((len(n) + 1) * 8 >> 8), byte((len(n) + 1) * 8 & 0xff), 0}, n, openpgp.AppendMPI(nil, normal.Bytes())))
	add("rsa-padded", "RSA with a leading zero in the modulus", f)
	return append(list, weakECDSA(t)...)
}

// weakECDSA are keys on P-384, and with a point of order 2 that is not on P-256: whoever
// does not ask whether it is takes every signature of which u2 is even.
func weakECDSA(t *testing.T) []vector {
	var list []vector
	add := func(name, comment string, f *forger) {
		list = append(list, vector{name, "key-block-error", "S33", comment, map[string][]byte{"key.hex": subs(f.primary(), f.main(keyTime))}})
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := p384.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{version: 4, created: keyTime, numbers: func(_ crypto.Hash, d []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, p384, d)
		if err != nil {
			t.Fatal(err)
		}
		return openpgp.AppendMPI(openpgp.AppendMPI(nil, r.Bytes()), s.Bytes())
	}}
	f.key(openpgp.AlgorithmECDSA, openpgp.AppendMPI([]byte{5, 0x2b, 0x81, 0x04, 0x00, 0x22}, point))
	add("p384", "ECDSA on P-384", f)

	off := &forger{version: 4, created: keyTime, numbers: func(_ crypto.Hash, d []byte) []byte {
		n := elliptic.P256().Params().N
		z := new(big.Int).SetBytes(d)
		for {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			at, err := k.PublicKey.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			secret, err := k.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			r := new(big.Int).Mod(new(big.Int).SetBytes(at[1:33]), n)
			s := new(big.Int).ModInverse(new(big.Int).SetBytes(secret), n)
			s.Mod(s.Mul(s, z), n) // so that u1 is the secret
			u2 := new(big.Int).ModInverse(s, n)
			u2.Mod(u2.Mul(u2, r), n)
			if u2.Bit(0) == 0 && !openpgp.IsHighS(s.Bytes()) {
				return openpgp.AppendMPI(openpgp.AppendMPI(nil, r.Bytes()), s.Bytes())
			}
		}
	}}
	x := bytes.Repeat([]byte{5}, 32)
	off.key(openpgp.AlgorithmECDSA, openpgp.AppendMPI(bytes.Clone(openpgp.OIDP256), subs([]byte{4}, x, make([]byte, 32))))
	add("p256-off-curve", "a point that is not on P-256, with a signature that holds where that is not asked", off)
	return list
}

// pkcs1 pads a digest for RSA (RFC 8017 section 9.2), for moduli that Go refuses too.
func pkcs1(h crypto.Hash, digest []byte, size int) *big.Int {
	prefix, err := hex.DecodeString(map[crypto.Hash]string{crypto.SHA256: "3031300d060960864801650304020105000420"}[h])
	if err != nil || len(prefix) == 0 {
		panic("no prefix for the hash")
	}
	tail := append(prefix, digest...)
	b := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(tail))...)
	return new(big.Int).SetBytes(subs(b, []byte{0}, tail))
}
