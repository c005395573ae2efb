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
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

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
			e, err := gocrypto.NewEntity("N", "", "n@example.com", &config)
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
		if v.expect != "ok" || v.name == "ok-history-lost" || v.name == "ok-flags-oldest" || v.name == "ok-subkey-bound-later" || v.name == "ok-renewed" || v.name == "ok-subkey-renewed" {
			continue // go-crypto asks for a self-signature of the time
		}
		t.Run(v.name, func(t *testing.T) {
			ring, err := gocrypto.ReadKeyRing(bytes.NewReader(v.sections["key.hex"]))
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
				MinRSABits:                  openpgp.MinRSABits,
				RejectMessageHashAlgorithms: map[crypto.Hash]bool{crypto.MD5: true, crypto.SHA1: true, crypto.RIPEMD160: true},
			}
			if _, _, err := gocrypto.VerifyDetachedSignature(ring, bytes.NewReader(e.RecordBytes), bytes.NewReader(e.Signature), config); err != nil {
				t.Error(err)
			}
			agreed++
		})
	}
	if agreed < 20 {
		t.Errorf("compared %d vectors", agreed)
	}
}

// TestThreat21SubkeyAdoption is SPEC S20 and S41: an attacker's key that lists the
// victim's subkey changes nothing, in 100 orders in which the keys stand.
func TestThreat21SubkeyAdoption(t *testing.T) {
	victim, sub, attacker := newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4"), newForger(t, "eddsa-v4")
	vk := mustRead(t, victim.primary(), victim.main(keyTime), sub.subkey(), victim.bind(sub, keyTime))
	// The attacker signs a binding, with the victim's cross-signature in it.
	cross := sub.sign(forged{kind: openpgp.SignaturePrimaryBinding, hashed: subs(made(keyTime), sub.issuer())}, victim.hashed(), sub.hashed())
	h := subs(made(keyTime), attacker.issuer(), subFlagsSign(), openpgp.AppendSubpacket(nil, openpgp.SubpacketEmbeddedSignature, cross))
	bind := sigPacket(attacker.sign(forged{kind: openpgp.SignatureSubkeyBinding, hashed: h}, attacker.hashed(), sub.hashed()))
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

func subFlagsSign() []byte { return sub(openpgp.SubpacketKeyFlags, openpgp.FlagSign) }

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
