package sign

import (
	"strings"
	"testing"
	"time"
)

// SPEC N103. A certificate that was made with the key revokes it without its secret, and
// does nothing before somebody says so.
func TestRevocationCertificate(t *testing.T) {
	s, err := NewSecretKey("Ada", "", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.RevocationCertificate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(made), s.Key().Fingerprint().String()) || !strings.Contains(string(made), "\n:-----BEGIN PGP PUBLIC KEY BLOCK-----\n") {
		t.Errorf("%s", made)
	}
	if _, revoked := s.Key().Revocation(); revoked {
		t.Error("the key is revoked already")
	}
	if _, err := ReadKey(made); err == nil {
		t.Error("it is a key")
	}
	if keys, err := SplitKeyFile(made); err == nil {
		t.Errorf("it has %d keys", len(keys))
	}
	k, err := s.Key().WithRevocation(made)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := k.Revocation(); !ok || !r.Hard {
		t.Errorf("%+v, %v", r, ok)
	}
	other, err := NewSecretKey("Bob", "", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Key().WithRevocation(made); err == nil {
		t.Error("it revokes another key")
	}
}
