package sign

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/eddsa"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// SPEC T40 counts from here. A subkey ends by itself or with its primary key; a hard
// revocation is no end, for what the key signed before does not count either.
func TestEnds(t *testing.T) {
	for _, kind := range []string{"ed25519-v4", "ed25519-v6"} {
		f, s, other := newForger(t, kind), newForger(t, kind), newForger(t, kind)
		both := [][]byte{s.subkey(), f.bind(s, keyTime), other.subkey(), f.bind(other, keyTime)}
		lasts := func(seconds uint32) []byte { return uint32Sub(openpgp.SubpacketKeyExpiration, seconds) }
		for _, c := range []struct {
			name                 string
			parts                [][]byte
			primary, sub, second uint32 // 0 for no end
		}{
			{"never", append([][]byte{f.main(keyTime)}, both...), 0, 0, 0},
			{"primary retired", append([][]byte{f.revoke(recTime, 3), f.main(keyTime)}, both...), recTime, recTime, recTime},
			{"primary compromised", append([][]byte{f.revoke(recTime, 2), f.main(keyTime)}, both...), 0, 0, 0},
			{"primary expires", append([][]byte{f.main(keyTime, lasts(5000))}, both...), keyTime + 5000, keyTime + 5000, keyTime + 5000},
			{"primary expires before it is retired", append([][]byte{f.revoke(recTime, 3), f.main(keyTime, lasts(5000))}, both...), keyTime + 5000, keyTime + 5000, keyTime + 5000},
			{"subkey superseded", [][]byte{f.main(keyTime), s.subkey(), f.revokeSubkey(s, recTime, 1), f.bind(s, keyTime), both[2], both[3]}, 0, recTime, 0},
			{"subkey compromised", [][]byte{f.main(keyTime), s.subkey(), f.revokeSubkey(s, recTime, 2), f.bind(s, keyTime), both[2], both[3]}, 0, 0, 0},
			{"subkey expires", [][]byte{f.main(keyTime), s.subkey(), f.bind(s, keyTime, lasts(7000)), both[2], both[3]}, 0, keyTime + 7000, 0},
			{"subkey renewed", [][]byte{f.main(keyTime), s.subkey(), f.bind(s, keyTime, lasts(7000)), f.bind(s, keyTime+1, lasts(9000)), both[2], both[3]}, 0, keyTime + 9000, 0},
			{"subkey expires after the primary key", [][]byte{f.main(keyTime, lasts(5000)), s.subkey(), f.bind(s, keyTime, lasts(7000)), both[2], both[3]}, keyTime + 5000, keyTime + 5000, keyTime + 5000},
		} {
			ends := mustRead(t, append([][]byte{f.primary()}, c.parts...)...).Ends()
			for key, want := range map[records.Fingerprint]uint32{f.fingerprint(): c.primary, s.fingerprint(): c.sub, other.fingerprint(): c.second} {
				got, ok := ends[key]
				if ok != (want != 0) || ok && !got.Equal(time.Unix(int64(want), 0)) {
					t.Errorf("%s, %s: key %s ended at %v (%t), want %d", kind, c.name, key, got.Unix(), ok, want)
				}
			}
		}
	}
}

func TestSignedBy(t *testing.T) {
	f, s := newForger(t, "ed25519-v4"), newForger(t, "ed25519-v4")
	for _, signer := range []*forger{f, s} {
		got, at, err := SignedBy(envelope(t, f, signer, forged{}))
		if err != nil || got != signer.fingerprint() || at.Unix() != recTime {
			t.Errorf("signed by %s at %d, %v; want %s at %d", got, at.Unix(), err, signer.fingerprint(), recTime)
		}
	}
	if _, _, err := SignedBy([]byte("no envelope")); err == nil {
		t.Error("no error")
	}
}

// A secret key file is judged by what is in it, and not by what the library that
// decrypts it kept of that. SPEC S150.
func TestSecretKeyFileIsJudged(t *testing.T) {
	s, err := NewSecretKey("Ada", "ada@example.com", time.Unix(keyTime, 0))
	if err != nil {
		t.Fatal(err)
	}
	private := ed25519.NewKeyFromSeed(s.entity.PrivateKey.PrivateKey.(*eddsa.PrivateKey).D)
	f := &forger{version: 4, created: keyTime}
	f.ed25519("eddsa", private.Public().(ed25519.PublicKey), private)
	if f.fingerprint() != s.Key().Fingerprint() {
		t.Fatal("the forger's key is another one")
	}
	var b bytes.Buffer
	if err := s.entity.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	if k, err := ReadSecretKey(file, nil); err != nil || !k.Key().CanSign(time.Unix(recTime, 0)) {
		t.Fatalf("the key as it is: %v", err)
	}
	photo := openpgp.AppendPacket(nil, openpgp.PacketUserAttribute, []byte{1, 2})
	k, err := ReadSecretKey(subs(file, photo, f.revoke(recTime)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, revoked := k.Key().Revocation(); !revoked {
		t.Error("a revocation behind a photo is passed over")
	}
	for name, more := range map[string][]byte{
		"a revocation of version 3":        sigPacket(f.signV3(openpgp.SignatureKeyRevocation, recTime, f.hashed())),
		"an end by a newer one with SHA-1": subs(uidPacket("Ada <ada@example.com>"), sigPacket(f.sign(forged{kind: openpgp.SignaturePositiveCert, hash: 2, hashed: f.selfSubs(recTime, uint32Sub(openpgp.SubpacketKeyExpiration, 60))}, f.hashed(), uidHashed("Ada <ada@example.com>")))),
	} {
		if _, err := ReadSecretKey(subs(file, more), nil); err == nil {
			t.Errorf("%s is passed over", name)
		}
	}
}

// The file of an own key is read whatever the clock shows. SPEC S172.
func TestFutureKeys(t *testing.T) {
	f := newForger(t, "eddsa-v4")
	file := subs(f.primary(), f.main(keyTime))
	for last, ok := range map[uint32]bool{keyTime - 1: false, keyTime: true, math.MaxUint32: true} {
		if _, err := readKey(file, last); ok != (err == nil) || err != nil && !hasRule(err, "S172") {
			t.Errorf("read at %d at the latest: %v", last, err)
		}
	}
	f.created += 1 << 31
	f.key(f.algo, f.body[6:])
	file = subs(f.primary(), f.main(f.created))
	if _, err := ReadOwnKey(file); err != nil {
		t.Error(err)
	}
	if _, err := ReadKey(file); !hasRule(err, "S172") {
		t.Error(err)
	}
}
