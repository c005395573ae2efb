package sign

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// testTime is the moment at which tests sign.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func heartbeat(author records.Fingerprint, at time.Time) *records.Record {
	return &records.Record{Author: author, Time: at.Unix(), Body: &records.Heartbeat{Next: at.Unix() + 86400}}
}

func newTestKey(t testing.TB) *SecretKey {
	t.Helper()
	s, err := NewSecretKey("Ada Example", "ada@example.com", testTime.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ring(keys ...*Key) KeyRing {
	r := make(KeyRing)
	for _, k := range keys {
		r[k.Fingerprint()] = k
	}
	return r
}

func TestSignThenOpen(t *testing.T) {
	s := newTestKey(t)
	r := heartbeat(s.Key().Fingerprint(), testTime)
	v, err := Sign(t.Context(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.SigningKey(); got != s.Key().Fingerprint() {
		t.Errorf("signed by %s, want %s", got, s.Key().Fingerprint())
	}
	if !v.SignedAt().Equal(testTime) {
		t.Errorf("signed at %s, want %s", v.SignedAt(), testTime)
	}
	if v.ID() != records.ID(v.RecordBytes()) || v.EnvelopeID() != records.EnvelopeID(v.Envelope()) {
		t.Error("ids are not those of the bytes")
	}
	if err := v.Check(s.Key()); err != nil {
		t.Error(err)
	}
	again, err := Open(v.Envelope(), ring(s.Key()))
	if err != nil {
		t.Fatal(err)
	}
	if again.Record().Author != r.Author || !bytes.Equal(again.Signature(), v.Signature()) {
		t.Error("opened envelope differs from the signed one")
	}
}

func TestOpenUnknownKey(t *testing.T) {
	s := newTestKey(t)
	v, err := Sign(t.Context(), s, heartbeat(s.Key().Fingerprint(), testTime))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(v.Envelope(), KeyRing{})
	var unknown *UnknownKeyError
	if !errors.As(err, &unknown) || unknown.Fingerprint != s.Key().Fingerprint() {
		t.Errorf("Open without keys: %v, want an UnknownKeyError", err)
	}
	other := newTestKey(t)
	_, err = Open(v.Envelope(), KeyRing{s.Key().Fingerprint(): other.Key()})
	var ke *KeyError
	if !errors.As(err, &ke) || ke.Problem != DifferentOwner {
		t.Errorf("Open with a lying key ring: %v, want %q", err, DifferentOwner)
	}
}

func TestSecretKeyRoundTrip(t *testing.T) {
	s := newTestKey(t)
	for _, passphrase := range [][]byte{nil, []byte("correct horse")} {
		file, err := s.Marshal(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadSecretKey(file, func() ([]byte, error) { return []byte("correct horse"), nil })
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Key().Block(), s.Key().Block()) {
			t.Error("public key changed")
		}
		if _, err := Sign(t.Context(), again, heartbeat(s.Key().Fingerprint(), testTime)); err != nil {
			t.Errorf("sign after reading: %v", err)
		}
		if passphrase == nil {
			continue
		}
		for _, wrong := range []func() ([]byte, error){nil, func() ([]byte, error) { return []byte("wrong"), nil }} {
			if _, err := ReadSecretKey(file, wrong); !errors.Is(err, ErrPassphrase) {
				t.Errorf("read with a wrong passphrase: %v, want ErrPassphrase", err)
			}
		}
	}
	// Marshalling must leave the key able to sign.
	if _, err := Sign(t.Context(), s, heartbeat(s.Key().Fingerprint(), testTime)); err != nil {
		t.Error(err)
	}
}

func TestKeyBlockRoundTrip(t *testing.T) {
	k := newTestKey(t).Key()
	again, err := ParseKey(k.Block())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Block(), k.Block()) {
		t.Error("block changed")
	}
	if again.UserID() != "Ada Example <ada@example.com>" {
		t.Errorf("user id %q", again.UserID())
	}
	read, err := ReadKey(k.Armor())
	if err != nil || !bytes.Equal(read.Block(), k.Block()) {
		t.Errorf("ReadKey(Armor()) = %v", err)
	}
	if _, ok := again.Expires(); ok {
		t.Error("a new key expires")
	}
	if _, ok := again.Revocation(); ok {
		t.Error("a new key is revoked")
	}
}

func TestSignRefusesForeignAuthor(t *testing.T) {
	s, other := newTestKey(t), newTestKey(t)
	if _, err := Sign(t.Context(), s, heartbeat(other.Key().Fingerprint(), testTime)); err == nil {
		t.Error("signed a record of another author")
	}
}
