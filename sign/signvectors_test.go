package sign

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// signVectors makes one vector for each way in which an envelope can be right,
// and each rule that it can break.
func signVectors(t *testing.T) []vector {
	var list []vector
	add := func(name, expect, spec, comment string, key, envelope []byte) {
		v := vector{name: name, expect: expect, spec: spec, comment: comment, sections: map[string][]byte{"envelope.cbor.hex": envelope}}
		if key != nil {
			v.sections["key.hex"] = key
		}
		list = append(list, describe(t, v))
	}
	for _, kind := range testKinds {
		f := newForger(t, kind)
		add("ok-"+kind, "ok", "S16", "signed by the primary key, "+kind, f.block(), envelope(t, f, f, forged{}))
	}
	f := newForger(t, "eddsa-v4")
	for _, c := range badForged(f) {
		add(c.name, "signature-error", c.spec, c.comment, f.block(), envelope(t, f, f, c.forged))
	}
	for _, c := range goodForged(f) {
		add(c.name, "ok", c.spec, c.comment, f.block(), envelope(t, f, f, c.forged))
	}
	good := envelope(t, f, f, forged{})
	for _, c := range badPackets(t, f, good) {
		add(c.name, "signature-error", c.spec, c.comment, f.block(), c.envelope)
	}
	add("unknown-key", "unknown-key", "S20", "nobody has the author's key yet", nil, good)
	list = append(list, otherKindVectors(t)...)
	list = append(list, policyVectors(t)...)
	list = append(list, signReadings(t)...)
	return append(list, goCryptoVectors(t)...)
}

type forgedCase struct {
	name, spec, comment string
	forged
}

func goodForged(f *forger) []forgedCase {
	return []forgedCase{
		{"ok-last-second", "S12", "signed 600 seconds after the record's time", forged{hashed: f.recordSubs(recTime + 600)}},
		{"ok-sha384", "S6", "SHA-384", forged{hash: 9}},
		{"ok-sha512", "S6", "SHA-512", forged{hash: 10}},
		{"ok-salt", "S9", "with go-crypto's salt notation", forged{hashed: subs(f.recordSubs(recTime), notationSub(0, false, saltNotation, "0123456789abcdef"))}},
		{"ok-key-id", "S7", "with an issuer key id and a signer's user id, signed", forged{hashed: subs(f.recordSubs(recTime), sub(openpgp.SubpacketIssuerKeyID, f.fpr[12:]...), sub(openpgp.SubpacketSignerUserID, 'x'))}},
	}
}

// badForged are signatures that verify by arithmetic and break one rule each.
func badForged(f *forger) []forgedCase {
	base, stamp, who, what := f.recordSubs(recTime), made(recTime), f.issuer(), contextSub("es/1/heartbeat")
	return []forgedCase{
		{"type-text", "S4", "a signature over text, which does not tell LF from CR LF", forged{kind: 1}},
		{"type-standalone", "S4", "a standalone signature", forged{kind: 2}},
		{"hash-sha1", "S6", "SHA-1", forged{hash: 2}},
		{"hash-sha224", "S6", "SHA-224", forged{hash: 11}},
		{"algorithm-dsa", "S5", "says DSA", forged{algo: 17}},
		{"algorithm-rsa-sign-only", "S5", "says RSA sign-only, which is deprecated", forged{algo: 3}},
		{"subpacket-expiration", "S7", "expires, so that nodes would come to differ", forged{hashed: subs(base, uint32Sub(openpgp.SubpacketExpirationTime, 86400))}},
		{"subpacket-policy", "S7", "has a policy URI", forged{hashed: subs(base, sub(26, []byte("https://example.com")...))}},
		{"subpacket-critical-unknown", "S7", "has an unknown critical subpacket", forged{hashed: subs(base, criticalSub(100))}},
		{"subpacket-recipient", "S7", "is meant for one recipient", forged{hashed: subs(base, sub(35, append([]byte{4}, f.fpr...)...))}},
		{"created-missing", "S7", "does not say when", forged{hashed: subs(who, what)}},
		{"created-twice", "S7", "says twice when", forged{hashed: subs(base, stamp)}},
		{"issuer-missing", "S7", "does not name its key", forged{hashed: subs(stamp, what)}},
		{"issuer-twice", "S7", "names its key twice", forged{hashed: subs(base, who)}},
		{"issuer-version", "S7", "names a key of version 5", forged{hashed: subs(stamp, what, sub(openpgp.SubpacketIssuerFingerprint, append([]byte{5}, f.fpr...)...))}},
		{"issuer-short", "S7", "names its key by half a fingerprint", forged{hashed: subs(stamp, what, sub(openpgp.SubpacketIssuerFingerprint, append([]byte{4}, f.fpr[:10]...)...))}},
		{"issuer-key-id-only", "S7", "names its key by key id alone", forged{hashed: subs(stamp, what, sub(openpgp.SubpacketIssuerKeyID, f.fpr[12:]...))}},
		{"issuer-key-id-differs", "S7", "has the key id of another key", forged{hashed: subs(base, sub(openpgp.SubpacketIssuerKeyID, 1, 2, 3, 4, 5, 6, 7, 8))}},
		{"subpacket-cut", "S7", "has a subpacket that ends early", forged{hashed: append(bytes.Clone(base), 9, 2, 0)}},
		{"context-missing", "S8", "has no context notation, as a signature over a file has", forged{hashed: subs(stamp, who)}},
		{"context-twice", "S8", "has the context notation twice", forged{hashed: subs(base, what)}},
		{"context-other-kind", "S8", "was made for a release", forged{hashed: subs(stamp, who, contextSub("es/1/release"))}},
		{"context-other-version", "S8", "was made for another version of es", forged{hashed: subs(stamp, who, contextSub("es/2/heartbeat"))}},
		{"context-critical", "S8", "has a critical context notation, which gpg calls bad", forged{hashed: subs(stamp, who, notationSub(0x80, true, ContextNotation, "es/1/heartbeat"))}},
		{"context-binary", "S8", "has a context notation that is not human-readable", forged{hashed: subs(stamp, who, notationSub(0, false, ContextNotation, "es/1/heartbeat"))}},
		{"context-elsewhere", "S9", "has another project's context notation", forged{hashed: subs(base, notationSub(0x80, false, "context@proton.ch", "mail"))}},
		{"salt-twice", "S9", "has two salts", forged{hashed: subs(base, notationSub(0, false, saltNotation, "a"), notationSub(0, false, saltNotation, "b"))}},
		{"salt-long", "S9", "has a salt of 33 bytes", forged{hashed: subs(base, notationSub(0, false, saltNotation, "012345678901234567890123456789012"))}},
		{"unhashed-key-id", "S10", "has an issuer key id that is not signed, as gpg leaves it", forged{unhashed: sub(openpgp.SubpacketIssuerKeyID, f.fpr[12:]...)}},
		{"unhashed-junk", "S10", "has a subpacket that anybody added", forged{unhashed: sub(100, 'x')}},
		{"time-before", "S12", "was signed a second before the record's time", forged{hashed: f.recordSubs(recTime - 1)}},
		{"time-after", "S12", "was signed 601 seconds after the record's time", forged{hashed: f.recordSubs(recTime + 601)}},
		{"hash-tag", "S15", "has a wrong hash tag", forged{tamper: func(s *openpgp.Signature) { s.HashTag = []byte{s.HashTag[0] ^ 1, s.HashTag[1]} }}},
	}
}

type packetCase struct {
	name, spec, comment string
	envelope            []byte
}

// badPackets are what can be done to a good envelope without the key.
func badPackets(t *testing.T, f *forger, good []byte) []packetCase {
	e, err := records.DecodeEnvelope(good)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := openpgp.NextPacket(e.Signature)
	if err != nil {
		t.Fatal(err)
	}
	with := func(sig []byte) []byte { return join(t, e.RecordBytes, sig) }
	flipped := bytes.Clone(e.Signature)
	flipped[len(flipped)-1] ^= 1
	stranger := newForger(t, "eddsa-v4")
	long := binary.BigEndian.AppendUint32([]byte{0xc2, 255}, uint32(len(p.Body)))
	list := []packetCase{
		{"header-old", "S2", "has an old-format packet header, as gpg writes it", with(append([]byte{0x88, byte(len(p.Body))}, p.Body...))},
		{"header-indeterminate", "S2", "has a header of indeterminate length", with(append([]byte{0x8b}, p.Body...))},
		{"header-long", "S2", "has its length in five octets", with(append(long, p.Body...))},
		{"packet-after", "S2", "has a marker packet after it", with(append(bytes.Clone(e.Signature), 0xca, 3, 'P', 'G', 'P'))},
		{"packet-before", "S2", "has a marker packet before it", with(append([]byte{0xca, 3, 'P', 'G', 'P'}, e.Signature...))},
		{"packet-twice", "S2", "is there twice", with(append(bytes.Clone(e.Signature), e.Signature...))},
		{"packet-stranger-first", "S2", "has a stranger's signature before it", with(append(sigPacket(stranger.sign(forged{hashed: stranger.recordSubs(recTime)}, e.RecordBytes)), e.Signature...))},
		{"packet-cut", "S2", "is cut off", with(e.Signature[:len(e.Signature)-1])},
		{"packet-empty", "S3", "is a signature packet without a body", with([]byte{0xc2, 0})},
		{"number-cut", "S2", "has a number that is cut off", with(sigPacket(p.Body[:len(p.Body)-1]))},
		{"packet-user-id", "S2", "is a user id packet", with(uidPacket(testUID))},
		{"version-3", "S3", "is of version 3", with(sigPacket(append([]byte{3}, p.Body[1:]...)))},
		{"version-6", "S3", "is of version 6 and the key of version 4", with(sigPacket(append([]byte{6}, p.Body[1:]...)))},
		{"mpi-padded", "S11", "has a number that counts a leading zero bit", with(sigPacket(padMPI(p.Body)))},
		{"bit-flip", "S16", "has one bit of its numbers flipped", with(flipped)},
	}
	other, err := records.Encode(&records.Record{Author: f.fingerprint(), Time: recTime, Body: &records.Heartbeat{Next: recTime + 86401}})
	if err != nil {
		t.Fatal(err)
	}
	return append(list,
		packetCase{"other-record", "S15", "is that of another record", join(t, other, e.Signature)},
		packetCase{"envelope-malformed", "S1", "the envelope has a byte too many", append(bytes.Clone(good), 0)})
}

// padMPI writes the last number of an EdDSA signature with one bit more.
func padMPI(body []byte) []byte {
	s, err := openpgp.ParseSignature(body)
	if err != nil {
		panic(err)
	}
	n := len(s.Numbers[1])
	head := body[:len(body)-2-n]
	bits := openpgp.BitLen(s.Numbers[1]) + 1
	v := s.Numbers[1]
	if bits > 8*n {
		v = append([]byte{0}, v...)
	}
	return append(append(bytes.Clone(head), byte(bits>>8), byte(bits)), v...)
}

// otherKindVectors are about keys of other kinds than most vectors use.
func otherKindVectors(t *testing.T) []vector {
	var list []vector
	add := func(name, expect, spec, comment string, key, envelope []byte) {
		list = append(list, describe(t, vector{name, expect, spec, comment, map[string][]byte{"envelope.cbor.hex": envelope, "key.hex": key}}))
	}
	p := newForger(t, "p256-v4")
	add("ecdsa-high-s", "signature-error", "S11", "has n-s for s, which verifies too", p.block(), raiseS(t, envelope(t, p, p, forged{})))

	v6 := newForger(t, "ed25519-v6")
	add("v6-salt-size", "signature-error", "S11", "v6 with a salt of 8 bytes, which is signed", v6.block(), envelope(t, v6, v6, forged{salt: make([]byte, 8)}))
	legacy := newForger(t, "eddsa-v4")
	legacy.version = 6
	rekey(t, legacy)
	add("v6-eddsa-legacy", "signature-error", "S5", "v6 with EdDSALegacy", v6.block(), envelope(t, v6, legacy, forged{}))

	a, b := newForger(t, "eddsa-v4"), newForger(t, "ed25519-v4")
	add("algorithm-mismatch", "signature-error", "S14", "an Ed25519 signature that names an EdDSALegacy key", a.block(),
		envelope(t, a, b, forged{hashed: a.recordSubs(recTime)}))
	young := newForger(t, "eddsa-v4")
	young.created = recTime + 1
	rekey(t, young)
	add("older-than-key", "signature-error", "S13", "was made a second before its key", subs(young.primary(), young.main(recTime+1)),
		envelope(t, young, young, forged{}))
	add("foreign-key", "signature-error", "S16", "names the author's key and is by another", a.block(),
		envelope(t, a, newForger(t, "eddsa-v4"), forged{hashed: a.recordSubs(recTime)}))
	return list
}

// rekey makes a new EdDSA key with the forger's creation time.
func rekey(t testing.TB, f *forger) {
	t.Helper()
	g := newForger(t, "eddsa-v4")
	k, err := openpgp.ParsePublicKey(g.body)
	if err != nil {
		t.Fatal(err)
	}
	f.numbers = g.numbers
	f.key(openpgp.AlgorithmEdDSALegacy, openpgp.AppendMPI(bytes.Clone(openpgp.OIDEd25519), append([]byte{0x40}, k.Ed25519...)))
}

// raiseS puts the other of ECDSA's two values for s into an envelope.
func raiseS(t testing.TB, env []byte) []byte {
	t.Helper()
	e, err := records.DecodeEnvelope(env)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := openpgp.NextPacket(e.Signature)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openpgp.ParseSignature(p.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.Numbers = [][]byte{s.Numbers[0], negateS(s.Numbers[1])}
	return join(t, e.RecordBytes, sigPacket(s.AppendBody(nil, nil)))
}

// policyVectors are good signatures by keys in all states.
func policyVectors(t *testing.T) []vector {
	var list []vector
	add := func(name, expect, spec, comment string, key []byte, env []byte) {
		list = append(list, describe(t, vector{name, expect, spec, comment, map[string][]byte{"envelope.cbor.hex": env, "key.hex": key}}))
	}
	f := newForger(t, "eddsa-v4")
	env := envelope(t, f, f, forged{})
	block := func(parts ...[]byte) []byte { return mustRead(t, append([][]byte{f.primary()}, parts...)...).Block() }

	reasons := map[byte]string{0: "for no reason", 1: "as superseded", 2: "as compromised", 3: "as retired"}
	for reason, words := range reasons {
		for when, at := range map[string]uint32{"before": recTime - 1, "then": recTime, "after": recTime + 1} {
			expect, rule := "key-error", "S21"
			if reason == 1 || reason == 3 {
				rule = "S22"
				if at > recTime {
					expect = "ok"
				}
			}
			add(fmt.Sprintf("revoked-%d-%s", reason, when), expect, rule,
				fmt.Sprintf("the key was revoked %s, %s (a second before or after, or in the same second)", words, when),
				block(f.revoke(at, reason), f.main(keyTime)), env)
		}
	}
	add("revoked-silently", "key-error", "S21", "the revocation gives no reason at all", block(f.revoke(recTime+1000), f.main(keyTime)), env)

	life := func(until uint32) []byte { return uint32Sub(openpgp.SubpacketKeyExpiration, until-keyTime) }
	add("expired", "key-error", "S23", "the key expired at the second of the signature", block(f.main(keyTime, life(recTime))), env)
	add("ok-expires-later", "ok", "S23", "the key expires a second after the signature", block(f.main(keyTime, life(recTime+1))), env)
	add("ok-renewed", "ok", "S23", "the key was renewed later, the newest self-signature counts",
		block(uidPacket(testUID), f.cert(testUID, f.selfSubs(keyTime, life(recTime-9))), f.cert(testUID, f.selfSubs(recTime+99, life(recTime+9999)))), env)
	add("expired-direct", "key-error", "S23", "a direct-key signature ends the key, the certification does not",
		block(f.direct(f.selfSubs(keyTime, life(recTime-9))), f.main(keyTime)), env)
	add("expired-certification", "key-error", "S23", "the certification ends the key, before the direct-key signature does",
		block(f.direct(f.selfSubs(keyTime, life(recTime+9999))), f.main(keyTime, life(recTime-9))), env)
	certify := subs(made(keyTime), f.issuer(), sub(openpgp.SubpacketKeyFlags, 1))
	add("certify-only", "key-error", "S24", "the primary key may certify only", block(uidPacket(testUID), f.cert(testUID, certify)), env)
	add("ok-flags-then", "ok", "S24", "the primary key may not sign any more, and might when it did",
		block(uidPacket(testUID), f.cert(testUID, f.selfSubs(keyTime)), f.cert(testUID, subs(made(recTime+5), f.issuer(), sub(openpgp.SubpacketKeyFlags, 1)))), env)
	add("ok-history-lost", "ok", "S24", "only a self-signature newer than the record is left", block(f.main(recTime+500)), env)
	return append(list, append(subkeyVectors(t), newerVectors(t)...)...)
}

func subkeyVectors(t *testing.T) []vector {
	var list []vector
	f, s := newForger(t, "p256-v4"), newForger(t, "ed25519-v4")
	env := envelope(t, f, s, forged{})
	add := func(name, expect, spec, comment string, parts ...[]byte) {
		all := append([][]byte{f.primary(), f.main(keyTime)}, parts...)
		list = append(list, describe(t, vector{name, expect, spec, comment,
			map[string][]byte{"envelope.cbor.hex": env, "key.hex": mustRead(t, all...).Block()}}))
	}
	life := uint32Sub(openpgp.SubpacketKeyExpiration, recTime-keyTime)
	add("ok-subkey", "ok", "S25", "signed by a signing subkey", s.subkey(), f.bind(s, keyTime))
	add("ok-subkey-bound-later", "ok", "S25", "the subkey's only binding left is newer", s.subkey(), f.bind(s, recTime+100))
	add("subkey-missing", "key-error", "S25", "the key block does not have the subkey yet")
	add("subkey-revoked", "key-error", "S26", "the subkey was compromised later", s.subkey(), f.bind(s, keyTime), f.revokeSubkey(s, recTime+100, 2))
	add("subkey-retired-before", "key-error", "S26", "the subkey was retired before", s.subkey(), f.bind(s, keyTime), f.revokeSubkey(s, recTime, 3))
	add("ok-subkey-retired-later", "ok", "S26", "the subkey was retired later", s.subkey(), f.bind(s, keyTime), f.revokeSubkey(s, recTime+1, 3))
	add("subkey-expired", "key-error", "S27", "the subkey was expired", s.subkey(), f.bind(s, keyTime, life))
	add("ok-subkey-renewed", "ok", "S27", "the subkey was renewed later", s.subkey(), f.bind(s, keyTime, life), f.bind(s, recTime+1))
	return list
}

// newerVectors are about Verified.Check with a block that arrives later.
func newerVectors(t *testing.T) []vector {
	f := newForger(t, "ed25519-v6")
	env, old := envelope(t, f, f, forged{}), f.block()
	mk := func(name, expect, spec, comment string, parts ...[]byte) vector {
		return describe(t, vector{name, expect, spec, comment, map[string][]byte{
			"envelope.cbor.hex": env, "key.hex": old, "newer.hex": mustRead(t, append([][]byte{f.primary()}, parts...)...).Block()}})
	}
	return []vector{
		mk("newer-compromised", "key-error", "S21", "a hard revocation takes back what counted", f.revoke(recTime+5000, 2), f.main(keyTime)),
		describe(t, vector{"newer-other-key", "key-error", "S20", "a block of another key says nothing about the author", map[string][]byte{
			"envelope.cbor.hex": env, "key.hex": old, "newer.hex": newForger(t, "ed25519-v6").block()}}),
		mk("newer-retired", "ok", "S22", "a soft revocation leaves what came before", f.revoke(recTime+5000, 3), f.main(keyTime)),
	}
}

// goCryptoVectors are made by another implementation than ours.
func goCryptoVectors(t *testing.T) []vector {
	var list []vector
	for _, c := range []struct {
		name   string
		config pgp.Config
	}{
		{"gocrypto-eddsa-v4", pgp.Config{Algorithm: pgp.PubKeyAlgoEdDSA, Curve: pgp.Curve25519}},
		{"gocrypto-ed25519-v4", pgp.Config{Algorithm: pgp.PubKeyAlgoEd25519}},
		{"gocrypto-ed25519-v6", pgp.Config{Algorithm: pgp.PubKeyAlgoEd25519, V6Keys: true}},
		{"gocrypto-p256-v4", pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP256}},
		{"gocrypto-p256-v6", pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP256, V6Keys: true}},
	} {
		e, sig, rec := goCryptoSign(t, c.config)
		var b bytes.Buffer
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		list = append(list, describe(t, vector{c.name, "ok", "S16", "key and signature made by go-crypto", map[string][]byte{
			"envelope.cbor.hex": join(t, rec, sig), "key.hex": mustRead(t, b.Bytes()).Block()}}))
	}
	return list
}

// goCryptoSign makes a key and a canonical signature with go-crypto's own calls.
func goCryptoSign(t testing.TB, config pgp.Config) (e *gocrypto.Entity, signature, record []byte) {
	t.Helper()
	config.Time = func() time.Time { return time.Unix(keyTime, 0) }
	e, err := gocrypto.NewEntity("Go Crypto", "", "go@example.com", &config)
	if err != nil {
		t.Fatal(err)
	}
	f, err := records.FingerprintFromBytes(e.PrimaryKey.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	record = heartbeatBytes(t, f)
	return e, goCryptoDetach(t, e, record, config), record
}

func goCryptoDetach(t testing.TB, e *gocrypto.Entity, record []byte, config pgp.Config) []byte {
	t.Helper()
	config.Time = func() time.Time { return time.Unix(recTime, 0) }
	config.DefaultHash = crypto.SHA256
	config.SignatureNotations = []*pgp.Notation{{Name: ContextNotation, Value: []byte("es/1/heartbeat"), IsHumanReadable: true}}
	var b bytes.Buffer
	if err := gocrypto.DetachSign(&b, []*gocrypto.Entity{e}, bytes.NewReader(record), &config); err != nil {
		t.Fatal(err)
	}
	sig, err := openpgp.CanonicalSignature(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return sig
}
