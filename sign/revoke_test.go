package sign

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// signedBy makes a record and its envelope.
func signedBy(t *testing.T, s *SecretKey, at time.Time) Verified {
	t.Helper()
	v, err := Sign(t.Context(), s, &records.Record{Author: s.Key().Fingerprint(), Time: at.Unix(), Body: &records.Heartbeat{Next: at.Unix() + 1}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What a revocation does to what the key signed before and after, by its reason.
func TestRevoke(t *testing.T) {
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	for reason, want := range map[Reason]struct{ hard, before bool }{
		NoReason: {true, false}, Superseded: {false, true}, Compromised: {true, false}, Retired: {false, true},
	} {
		s, err := NewSecretKey("Ada", "", start)
		if err != nil {
			t.Fatal(err)
		}
		before, after := signedBy(t, s, start.Add(time.Minute)), signedBy(t, s, start.Add(time.Hour))
		revoked, err := s.Revoke(reason, "because", start.Add(30*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		r, ok := revoked.Revocation()
		if !ok || r.Hard != want.hard || r.Reason != uint8(reason) || r.Text != "because" || !r.At.Equal(start.Add(30*time.Minute)) {
			t.Errorf("reason %d: %+v, %v", reason, r, ok)
		}
		if _, err := Open(before.Envelope(), KeyRing{s.Key().Fingerprint(): revoked}); (err == nil) != want.before {
			t.Errorf("reason %d: signed before: %v", reason, err)
		}
		if _, err := Open(after.Envelope(), KeyRing{s.Key().Fingerprint(): revoked}); !errors.As(err, new(*KeyError)) {
			t.Errorf("reason %d: signed after: %v", reason, err)
		}
		if _, still := s.Key().Revocation(); still {
			t.Error("the key itself was changed")
		}
		// Who has the block without the revocation does not lose it by joining.
		merged, err := revoked.Merge(s.Key())
		if err != nil || !bytes.Equal(merged.Block(), revoked.Block()) {
			t.Errorf("reason %d: merged with the old block: %v", reason, err)
		}
	}
}

// SPEC S48. A certificate alone, made while the secret was there, works without it.
func TestWithRevocation(t *testing.T) {
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	s, err := NewSecretKey("Ada", "", start)
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := s.Revoke(Compromised, "", start)
	if err != nil {
		t.Fatal(err)
	}
	var certificate []byte
	for rest := revoked.Block(); len(rest) > 0; {
		p, after, err := openpgp.NextPacket(rest)
		if err != nil {
			t.Fatal(err)
		}
		if sig, err := openpgp.ParseSignature(p.Body); p.Type == openpgp.PacketSignature && err == nil && sig.Type == openpgp.SignatureKeyRevocation {
			certificate = rest[:len(rest)-len(after)]
		}
		rest = after
	}
	for name, file := range map[string][]byte{"a certificate": certificate, "the whole key": revoked.Block(), "armored": revoked.Armor()} {
		k, err := s.Key().WithRevocation(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(k.Block(), revoked.Block()) {
			t.Errorf("%s: another block", name)
		}
	}
	other, err := NewSecretKey("Eve", "", start)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(certificate)
	forged[len(forged)-1] ^= 1
	for name, file := range map[string][]byte{
		"another key's": certificate, "nothing": nil, "text": []byte("revoked!"), "a key without": other.Key().Block(),
	} {
		if k, err := other.Key().WithRevocation(file); err == nil {
			t.Errorf("%s is taken: %x", name, k.Block())
		}
	}
	if _, err := s.Key().WithRevocation(forged); !errors.Is(err, ErrNotRevoked) {
		t.Errorf("a forgery: %v", err)
	}
}
