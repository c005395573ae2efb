package sign

import (
	"bytes"
	"crypto"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/everythingstays/es/records"
)

// What es takes of go-crypto's many kinds of keys and hashes is exactly the
// allowlist.
func TestAllowlist(t *testing.T) {
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
			e, err := openpgp.NewEntity("N", "", "n@example.com", &c.config)
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
	for hash, ok := range map[byte]bool{1: false, 2: false, 3: false, 8: true, 9: true, 10: true, 11: false, 12: false, 14: false} {
		if _, err := Open(envelope(t, f, f, forged{hash: hash}), keys); ok != (err == nil) {
			t.Errorf("hash %d: %v", hash, err)
		}
	}
}

// go-crypto puts the cross-signature among the hashed subpackets, and half of
// its ECDSA signatures have the higher s.
func TestGoCryptoSubkeys(t *testing.T) {
	for _, config := range []pgp.Config{
		{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP256},
		{Algorithm: pgp.PubKeyAlgoECDSA, Curve: pgp.CurveNistP256, V6Keys: true},
		{Algorithm: pgp.PubKeyAlgoEd25519, V6Keys: true},
	} {
		config.Time = func() time.Time { return time.Unix(keyTime, 0) }
		for range 6 {
			e, err := openpgp.NewEntity("N", "", "n@example.com", &config)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.AddSigningSubkey(&config); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := e.Serialize(&b); err != nil {
				t.Fatal(err)
			}
			k := mustRead(t, b.Bytes())
			mustParse(t, k.Block())
			rec := heartbeatBytes(t, k.Fingerprint())
			v, err := Open(join(t, rec, goCryptoDetach(t, e, rec, config)), ring(k))
			if err != nil {
				t.Fatal(err)
			}
			if v.SigningKey() == k.Fingerprint() {
				t.Error("signed by the primary key, not the subkey")
			}
		}
	}
}

func TestV5Disabled(t *testing.T) {
	if !pgp.V5Disabled {
		t.Error("go-crypto was built with -tags v5")
	}
}

// What es accepts of other hands, go-crypto's own verification accepts too.
func TestGoCryptoAgrees(t *testing.T) {
	made := append(signVectors(t), goCryptoVectors(t)...)
	agreed := 0
	for _, v := range made {
		if v.expect != "ok" || v.name == "ok-history-lost" || v.name == "ok-subkey-bound-later" || v.name == "ok-renewed" || v.name == "ok-subkey-renewed" {
			continue // go-crypto asks for a self-signature of the time
		}
		t.Run(v.name, func(t *testing.T) {
			ring, err := openpgp.ReadKeyRing(bytes.NewReader(v.sections["key.hex"]))
			if err != nil {
				t.Fatal(err)
			}
			e, err := records.DecodeEnvelope(v.sections["envelope.cbor.hex"])
			if err != nil {
				t.Fatal(err)
			}
			config := &pgp.Config{
				Time:                        func() time.Time { return time.Unix(recTime+9999, 0) },
				RejectHashAlgorithms:        map[crypto.Hash]bool{crypto.MD5: true, crypto.SHA1: true, crypto.RIPEMD160: true},
				RejectPublicKeyAlgorithms:   map[pgp.PublicKeyAlgorithm]bool{pgp.PubKeyAlgoDSA: true, pgp.PubKeyAlgoElGamal: true},
				MinRSABits:                  minRSA,
				RejectMessageHashAlgorithms: map[crypto.Hash]bool{crypto.MD5: true, crypto.SHA1: true, crypto.RIPEMD160: true},
			}
			if _, _, err := openpgp.VerifyDetachedSignature(ring, bytes.NewReader(e.RecordBytes), bytes.NewReader(e.Signature), config); err != nil {
				t.Error(err)
			}
			agreed++
		})
	}
	if agreed < 20 {
		t.Errorf("compared %d vectors", agreed)
	}
}

// A key that strangers flooded is refused unread; one within the limit costs no
// more than its bytes.
func TestKeyFlooding(t *testing.T) {
	f := newForger(t, "eddsa-v4")
	stranger := newForger(t, "eddsa-v4")
	bogus := sigPacket(stranger.sign(forged{kind: sigPositiveCert, hashed: f.selfSubs(recTime)}, f.hashed(), uidHashed(testUID)))
	flooded := append(f.block(), bytes.Repeat(bogus, 16_900_000/len(bogus))...)
	start := time.Now()
	for range 1000 {
		if _, err := ParseKey(flooded); err == nil {
			t.Fatal("ParseKey took it")
		}
		if _, err := ReadKey(flooded); err == nil {
			t.Fatal("ReadKey took it")
		}
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("2000 refusals took %v", d)
	}
	k, err := ReadKey(flooded[:MaxKeyFile/len(bogus)*len(bogus)/2])
	if err == nil && !bytes.Equal(k.Block(), f.block()) {
		t.Error("bogus certifications were kept")
	}
}

// A number that would take long to work with is refused before any work.
func TestHugeRSA(t *testing.T) {
	n := bytes.Repeat([]byte{0xff}, 8191)
	f := newForger(t, "eddsa-v4")
	f.key(algoRSA, appendMPI(appendMPI(nil, n), []byte{1, 0, 1}))
	self := f.main(keyTime) // the numbers are another algorithm's: nobody gets that far
	start := time.Now()
	for range 100 {
		if _, err := ReadKey(subs(f.primary(), self)); err == nil {
			t.Fatal("took an RSA key of 65528 bits")
		}
	}
	if d := time.Since(start); d > 100*time.Millisecond {
		t.Errorf("100 refusals took %v, each must take less than 1 ms", d)
	}
	// A large number in a signature, for a key that is in order.
	f = newForger(t, "rsa3072-v4")
	env := envelope(t, f, f, forged{})
	e, err := records.DecodeEnvelope(env)
	if err != nil {
		t.Fatal(err)
	}
	p, _, _ := nextPacket(e.Signature)
	s, _ := parseSignature(p.body)
	s.numbers = [][]byte{bytes.Repeat([]byte{0xff}, 800)}
	_, err = Open(join(t, e.RecordBytes, sigPacket(s.appendBody(nil, nil))), ring(mustParse(t, f.block())))
	if _, rule := verdict(err); rule != "S11" {
		t.Errorf("an RSA signature of 6400 bits: %v", err)
	}
}

// An attacker's key that lists the victim's subkey changes nothing, whatever
// the order in which keys arrive.
func TestSubkeyAdoption(t *testing.T) {
	victim, sub, attacker := newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4")
	vk := mustRead(t, victim.primary(), victim.main(keyTime), sub.subkey(), victim.bind(sub, keyTime))
	// The attacker signs a binding, with the victim's cross-signature in it.
	cross := sub.sign(forged{kind: sigPrimaryBinding, hashed: subs(made(keyTime), sub.issuer())}, victim.hashed(), sub.hashed())
	h := subs(made(keyTime), attacker.issuer(), subFlagsSign(), appendSubpacket(nil, subEmbedded, cross))
	bind := sigPacket(attacker.sign(forged{kind: sigSubkeyBinding, hashed: h}, attacker.hashed(), sub.hashed()))
	adopting := subs(attacker.primary(), attacker.main(keyTime), sub.subkey(), bind)
	if _, err := ParseKey(adopting); err == nil {
		t.Error("ParseKey took the adopted subkey")
	}
	ak := mustRead(t, adopting)
	if !bytes.Equal(ak.Block(), attacker.block()) {
		t.Error("ReadKey kept the adopted subkey")
	}
	env, stolen := envelope(t, victim, sub, forged{}), envelope(t, attacker, sub, forged{})
	r := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		keys := []*Key{vk, ak, mustParse(t, newForger(t, "ed25519-v4").block())}
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		if _, err := Open(env, ring(keys...)); err != nil {
			t.Fatalf("the victim's record: %v", err)
		}
		if _, err := Open(stolen, ring(keys...)); !isProblem(err, MissingSubkey) {
			t.Fatalf("a record of the attacker's by the victim's subkey: %v", err)
		}
	}
}

func subFlagsSign() []byte { return sub(subKeyFlags, flagSign) }

// One key serves many goroutines, at many times, with one verdict.
func TestKeyIsShared(t *testing.T) {
	f := newForger(t, "p256-v4")
	k := mustRead(t, f.primary(), f.revoke(recTime+50, 3), f.main(keyTime))
	before := envelope(t, f, f, forged{})
	keys := ring(k)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				if _, err := Open(before, keys); err != nil {
					t.Error(err)
				}
				if err := k.check(k.Fingerprint(), recTime+100+int64(i)); !isProblem(err, Revoked) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// The three kinds of verdict are told apart by type.
func TestErrorTypes(t *testing.T) {
	f := newForger(t, "ed25519-v6")
	k := mustParse(t, f.block())
	_, err := Open([]byte{0xa0}, ring(k))
	var se *SignatureError
	var fe *records.FormatError
	if !errors.As(err, &se) || !errors.As(err, &fe) {
		t.Errorf("a malformed envelope: %v", err)
	}
	if k.UserID() != "" || k.Created().Unix() != keyTime {
		t.Errorf("v6 key: user id %q, made %v", k.UserID(), k.Created())
	}
	r, ok := mustRead(t, f.primary(), f.revoke(recTime, append([]byte{3}, "moved\x1b[31m on"...)...), f.main(keyTime)).Revocation()
	if want := (Revocation{At: time.Unix(recTime, 0).UTC(), Reason: 3, Text: "moved[31m on"}); !ok || r != want {
		t.Errorf("revocation %+v, want %+v", r, want)
	}
}
