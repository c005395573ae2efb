package sign

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// allocated returns how many bytes f allocates. Nothing else may run meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestThreat20KeyFlooding is SPEC S30 and S47: a key of 16.9 MB, with 100,000
// certifications by strangers, is refused unread a thousand times, and what it
// costs does not grow with it. What fits into the limit is read, once, and nothing
// of the strangers stays.
func TestThreat20KeyFlooding(t *testing.T) {
	const certifications = 100_000
	f, stranger := newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4")
	bogus := sigPacket(stranger.sign(forged{kind: openpgp.SignaturePositiveCert, hashed: subs(made(recTime), stranger.issuer(), notationSub(0x80, false, "n@example.com", "I was here, and so were a hundred thousand"))}, f.hashed(), uidHashed(testUID)))
	at := bytes.Index(bogus, binary.BigEndian.AppendUint32(nil, recTime))
	flooded := bytes.Clone(f.block())
	for i := range certifications {
		flooded = append(flooded, bogus...)
		binary.BigEndian.PutUint32(flooded[len(flooded)-len(bogus)+at:], uint32(i)) // none like another
	}
	if len(flooded) < 16_900_000 {
		t.Fatalf("the key has only %d bytes", len(flooded))
	}
	grown := allocated(func() {
		for range 1000 {
			if _, err := ParseKey(flooded); !hasRule(err, "S30") {
				t.Fatalf("ParseKey: %v", err)
			}
			if _, err := ReadKey(flooded); !hasRule(err, "S47") {
				t.Fatalf("ReadKey: %v", err)
			}
		}
	})
	// Errors, no more: one packet of the key, read each time, is already more.
	if each := grown / 2000; each > 1024 {
		t.Errorf("a refusal allocates %d bytes", each)
	}

	block := flooded[:len(f.block())+len(bogus)*((records.MaxKeyBlock-len(f.block()))/len(bogus))]
	if _, err := ParseKey(block); !hasRule(err, "S37") {
		t.Errorf("strangers' certifications in a block of %d bytes: %v", len(block), err)
	}
	file := flooded[:len(f.block())+len(bogus)*((MaxKeyFile-len(f.block()))/len(bogus))]
	k, err := ReadKey(file)
	if err != nil || !bytes.Equal(k.Block(), f.block()) {
		t.Errorf("a key file of %d bytes: %v", len(file), err)
	}
}

func hasRule(err error, want string) bool {
	_, rule := verdict(err)
	return rule == want
}

// TestThreat22HugeNumbers is SPEC S33 and S11: an RSA key or signature above the
// limit is refused before any arithmetic, for which it would have to be copied.
func TestThreat22HugeNumbers(t *testing.T) {
	for _, bits := range []int{4097, 8192, 16_384, 65_528, 65_535} {
		n := bytes.Repeat([]byte{0xff}, (bits+7)/8)
		n[0] >>= (8 - bits%8) % 8
		f := newForger(t, "eddsa-v4")
		f.key(openpgp.AlgorithmRSA, openpgp.AppendMPI(openpgp.AppendMPI(nil, n), []byte{1, 0, 1}))
		file := subs(f.primary(), f.main(keyTime)) // the numbers are another algorithm's: nobody gets that far
		grown := allocated(func() {
			for range 100 {
				if _, err := ReadKey(file); !hasRule(err, "S33") {
					t.Fatalf("an RSA key of %d bits: %v", bits, err)
				}
			}
		})
		if each := grown / 100; each > 1024 { // the race detector has some of it
			t.Errorf("refusing an RSA key of %d bits allocates %d bytes, the modulus has %d", bits, each, len(n))
		}
		if _, err := ParseKey(file); !hasRule(err, "S33") && !hasRule(err, "S30") {
			t.Errorf("a block with an RSA key of %d bits: %v", bits, err)
		}
	}
	// A large number in a signature, for a key that is in order.
	f := newForger(t, "rsa3072-v4")
	keys := ring(mustParse(t, f.block()))
	e, err := records.DecodeEnvelope(envelope(t, f, f, forged{}))
	if err != nil {
		t.Fatal(err)
	}
	p, _, _ := openpgp.NextPacket(e.Signature)
	s, err := openpgp.ParseSignature(p.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{513, 800} {
		s.Numbers = [][]byte{bytes.Repeat([]byte{0xff}, size)}
		if _, err := Open(join(t, e.RecordBytes, sigPacket(s.AppendBody(nil, nil))), keys); !hasRule(err, "S11") {
			t.Errorf("an RSA signature of %d bits: %v", 8*size, err)
		}
	}
}

// TestThreat22Allowlist is SPEC S33, S5 and S6: of 21 kinds of key that
// go-crypto makes, three of RSA, and nine hashes of signatures and self-signatures, those of the
// allowlist pass and no others.
func TestThreat22Allowlist(t *testing.T) {
	for _, c := range []struct {
		name   string
		ok     bool
		config pgp.Config
	}{
		{"eddsa-ed25519", true, pgp.Config{Algorithm: pgp.PubKeyAlgoEdDSA, Curve: pgp.Curve25519}},
		{"ed25519-v4", true, pgp.Config{Algorithm: pgp.PubKeyAlgoEd25519}},
		{"ed25519-v6", true, pgp.Config{Algorithm: pgp.PubKeyAlgoEd25519, V6Keys: true}},
		{"p256-v4", true, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP256}},
		{"p256-v6", true, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP256, V6Keys: true}},
		{"rsa1024", false, pgp.Config{Algorithm: pgp.PubKeyAlgoRSA, RSABits: 1024}},
		{"rsa2048", false, pgp.Config{Algorithm: pgp.PubKeyAlgoRSA, RSABits: 2048}},
		{"rsa2048-v6", false, pgp.Config{Algorithm: pgp.PubKeyAlgoRSA, RSABits: 2048, V6Keys: true}},
		{"eddsa-ed448", false, pgp.Config{Algorithm: pgp.PubKeyAlgoEdDSA, Curve: pgp.Curve448}},
		{"ed448-v4", false, pgp.Config{Algorithm: pgp.PubKeyAlgoEd448}},
		{"ed448-v6", false, pgp.Config{Algorithm: pgp.PubKeyAlgoEd448, V6Keys: true}},
		{"p384-v4", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP384}},
		{"p384-v6", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP384, V6Keys: true}},
		{"p521-v4", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP521}},
		{"p521-v6", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP521, V6Keys: true}},
		{"secp256k1", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveSecP256k1}},
		{"brainpool256", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveBrainpoolP256}},
		{"brainpool384", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveBrainpoolP384}},
		{"brainpool512", false, pgp.Config{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveBrainpoolP512}},
		{"mldsa65", false, pgp.Config{Algorithm: pgp.PubKeyAlgoMldsa65Ed25519, V6Keys: true}},
		{"mldsa87", false, pgp.Config{Algorithm: pgp.PubKeyAlgoMldsa87Ed448, V6Keys: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Time = func() time.Time { return time.Unix(keyTime, 0) }
			e, err := gocrypto.NewEntity("N", "", "n@example.com", &c.config)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := e.Serialize(&b); err != nil {
				t.Fatal(err)
			}
			k, err := ReadKey(b.Bytes())
			if _, rule := verdict(err); c.ok != (err == nil) || err != nil && rule != "S33" {
				t.Fatalf("ReadKey: %v", err)
			}
			if err != nil {
				return
			}
			rec := heartbeatBytes(t, k.Fingerprint())
			if _, err := Open(join(t, rec, goCryptoDetach(t, e, rec, c.config)), ring(k)); err != nil {
				t.Error(err)
			}
		})
	}
	for _, kind := range []string{"rsa3072-v4", "rsa4096-v4", "rsa3072-v6"} {
		f := newForger(t, kind)
		if _, err := Open(envelope(t, f, f, forged{}), ring(mustParse(t, f.block()))); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	f := newForger(t, "ed25519-v4")
	keys := ring(mustParse(t, f.block()))
	for _, hash := range []byte{1, 2, 3, 8, 9, 10, 11, 12, 14} {
		ok := hash >= 8 && hash <= 10
		if _, err := Open(envelope(t, f, f, forged{hash: hash}), keys); ok != (err == nil) || err != nil && !hasRule(err, "S6") {
			t.Errorf("hash %d: %v", hash, err)
		}
		self := sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: hash, hashed: f.selfSubs(keyTime)}, f.hashed(), uidHashed(testUID)))
		if _, err := ParseKey(subs(f.primary(), uidPacket(testUID), self)); ok != (err == nil) || err != nil && !hasRule(err, "S37") {
			t.Errorf("self-signature with hash %d: %v", hash, err)
		}
	}
}

// TestThreat22Numbers is SPEC S3, S5, S6 and S33: the same for every byte that can
// name an algorithm, a hash or a version.
func TestThreat22Numbers(t *testing.T) {
	for _, kind := range []string{"ed25519-v4", "ed25519-v6"} {
		f := newForger(t, kind)
		keys := ring(mustParse(t, f.block()))
		e, err := records.DecodeEnvelope(envelope(t, f, f, forged{}))
		if err != nil {
			t.Fatal(err)
		}
		head := 2 // of the packet; then version, type, algorithm and hash
		if e.Signature[1] >= 192 {
			head = 3
		}
		if e.Signature[head] != f.version || e.Signature[head+2] != f.algo || e.Signature[head+3] != 8 {
			t.Fatalf("signature %x", e.Signature)
		}
		for at, rules := range map[int][]string{0: {"S3"}, 2: {"S2", "S5", "S14"}, 3: {"S6", "S11", "S15"}} {
			good := e.Signature[head+at]
			for b := range 256 {
				m := bytes.Clone(e.Signature)
				m[head+at] = byte(b)
				_, err := Open(join(t, e.RecordBytes, m), keys)
				if _, rule := verdict(err); (byte(b) == good) != (err == nil) || err != nil && !slices.Contains(rules, rule) {
					t.Errorf("%s: byte %d of the signature is %d: %v", kind, at, b, err)
				}
			}
		}
		for at, good := range map[int]byte{0: f.version, 5: f.algo} {
			for b := range 256 {
				body := bytes.Clone(f.body)
				body[at] = byte(b)
				if _, err := openpgp.ParsePublicKey(body); (byte(b) == good) != (err == nil) {
					t.Errorf("%s: byte %d of the key is %d: %v", kind, at, b, err)
				}
			}
		}
	}
	for bits, ok := range map[int]bool{1024: false, 2048: false, 3071: false, 3072: true, 4096: true, 4097: false} {
		n := make([]byte, (bits+7)/8)
		n[0], n[len(n)-1] = 1<<((bits+7)%8), 1
		for e, right := range map[string]bool{"\x01\x00\x01": true, "\x03": false, "\x01\x00\x00\x00\x01": false, "\x01": false} {
			f := newForger(t, "ed25519-v4")
			f.key(openpgp.AlgorithmRSA, openpgp.AppendMPI(openpgp.AppendMPI(nil, n), []byte(e)))
			if _, err := openpgp.ParsePublicKey(f.body); (ok && right) != (err == nil) {
				t.Errorf("RSA of %d bits with the exponent %x: %v", bits, e, err)
			}
		}
	}
}

// SPEC S16. Signatures that hold only when both sides are multiplied by the cofactor,
// as some libraries check them, are wrong: a key of small order makes them, and two
// nodes must not disagree about a record for ever.
func TestEd25519WithoutCofactor(t *testing.T) {
	order8, err := hex.DecodeString("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{version: 4, created: keyTime}
	f.key(openpgp.AlgorithmEd25519, order8)
	// R is the identity and s is 0: 8 s B = 8 R + 8 k A, whatever the message is.
	signature := make([]byte, ed25519.SignatureSize)
	signature[0] = 1
	f.numbers = func(crypto.Hash, []byte) []byte { return signature }
	var key *Key
	for at := uint32(keyTime); key == nil; at++ { // one in eight holds without the cofactor too
		if key, err = ParseKey(subs(f.primary(), f.main(at))); err != nil && !hasRule(err, "S37") || at > keyTime+1000 {
			t.Fatal(err)
		}
	}
	var good, bad int
	for i := range 128 {
		_, err := Open(envelope(t, f, f, forged{hashed: f.recordSubs(recTime + uint32(i))}), ring(key))
		switch {
		case err == nil:
			good++
		case hasRule(err, "S16"):
			bad++
		default:
			t.Fatal(err)
		}
	}
	if good == 0 || bad < 3*good {
		t.Errorf("%d signatures were accepted and %d refused, about one in eight holds", good, bad)
	}
}

// SPEC S33. Encodings of points that RFC 8032 refuses and Go's crypto/ed25519 takes are
// refused, before a signature by such a key is looked at.
func TestPointsAreReduced(t *testing.T) {
	for point, ok := range map[string]bool{
		"0100000000000000000000000000000000000000000000000000000000000000": true,  // the identity
		"0100000000000000000000000000000000000000000000000000000000000080": false, // with a sign
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": true,  // p-1
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": false,
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": false, // p, for 0
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": false, // p+1, for 1
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff": false,
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa": true,
	} {
		b, err := hex.DecodeString(point)
		if err != nil {
			t.Fatal(err)
		}
		f := &forger{version: 4, created: keyTime}
		for algo, material := range map[byte][]byte{openpgp.AlgorithmEd25519: b, openpgp.AlgorithmEdDSALegacy: openpgp.AppendMPI(bytes.Clone(openpgp.OIDEd25519), append([]byte{0x40}, b...))} {
			f.key(algo, material)
			if _, err := openpgp.ParsePublicKey(f.body); ok != (err == nil) {
				t.Errorf("algorithm %d, point %s: %v", algo, point, err)
			}
		}
	}
}

// TestThreat50PassedOver: wherever an owner's revocation stands and in whatever form
// it is made, the key is revoked or refused. SPEC S150.
func TestThreat50PassedOver(t *testing.T) {
	for _, kind := range []string{"eddsa-v4", "ed25519-v6", "p256-v4", "rsa3072-v4"} {
		f, s := newForger(t, kind), newForger(t, kind)
		P, main, bind := f.primary(), f.main(keyTime), subs(s.subkey(), f.bind(s, keyTime))
		if _, revoked := mustRead(t, P, main, bind).Revocation(); revoked {
			t.Fatalf("%s: revoked without a revocation", kind)
		}
		rest := [][]byte{
			main, bind, openpgp.AppendPacket(nil, openpgp.PacketUserAttribute, []byte{1, 2}), uidPacket(strings.Repeat("x", 300)),
			openpgp.AppendPacket(nil, 60, []byte{0}), openpgp.AppendPacket(nil, openpgp.PacketMarker, []byte("PGP")), openpgp.AppendPacket(nil, openpgp.PacketTrust, []byte{1}),
		}
		forms := map[string][]byte{}
		for _, hash := range []byte{1, 2, 3, 8, 9, 10, 11, 12} {
			for _, kindOf := range []byte{openpgp.SignatureKeyRevocation, openpgp.SignatureSubkeyRevocation} {
				about := [][]byte{f.hashed()}
				if kindOf == openpgp.SignatureSubkeyRevocation {
					about = append(about, s.hashed())
				}
				made := forged{kind: kindOf, hash: hash, hashed: subs(made(recTime), f.issuer())}
				forms[fmt.Sprintf("type %#x, hash %d", kindOf, hash)] = sigPacket(f.sign(made, about...))
				made.hashed = subs(made.hashed, notationSub(0x80, true, "n@example.com", "x"))
				forms[fmt.Sprintf("type %#x, hash %d, critical notation", kindOf, hash)] = sigPacket(f.sign(made, about...))
				made.hashed = append(made.hashed, 200) // a subpacket that is cut off
				forms[fmt.Sprintf("type %#x, hash %d, unreadable", kindOf, hash)] = sigPacket(f.sign(made, about...))
				if f.version == 4 && hash == 8 {
					forms[fmt.Sprintf("type %#x, version 3", kindOf)] = sigPacket(f.signV3(kindOf, recTime, about...))
				}
			}
		}
		for name, revocation := range forms {
			for i := range len(rest) + 1 {
				subkeyOnly := strings.HasPrefix(name, "type 0x28")
				file := subs(P, subs(rest[:i]...), revocation, subs(rest[i:]...))
				k, err := ReadKey(file)
				if err != nil {
					continue
				}
				ended := k.revocation(nil)
				if subkeyOnly {
					ended = k.revocation(k.signingSubkey(s.fingerprint()))
				}
				if ended == nil {
					t.Errorf("%s: a revocation (%s) at place %d is passed over", kind, name, i)
				}
			}
		}
	}
}
