package sign

import (
	"testing"
	"time"
)

// SPEC N161. What a block revokes is seen without verifying it, and a key that
// withdraws more than another is told from one that does not.
func TestRevocationsOfBlocks(t *testing.T) {
	now := time.Now()
	s, err := NewSecretKey("Ada", "ada@example.org", now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	plain := s.Key()
	revoke := func(r Reason, at time.Time) *Key {
		k, err := s.Revoke(r, "", at)
		if err == nil {
			k, err = plain.Merge(k)
		}
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	soft, softer, hard := revoke(Retired, now), revoke(Retired, now.Add(-time.Minute)), revoke(Compromised, now)
	if f, ok := BlockAuthor(hard.Block()); !ok || f != plain.Fingerprint() {
		t.Errorf("the block's author is %s, %v", f, ok)
	}
	if _, ok := BlockAuthor(hard.Block()[1:]); ok {
		t.Error("something that is no block has an author")
	}
	if n := len(Revocations(plain.Block())); n != 0 {
		t.Errorf("%d revocations in a block without", n)
	}
	if n := len(Revocations(hard.Block())); n != 1 {
		t.Errorf("%d revocations in a block with one", n)
	}
	if plain.HasPackets(Revocations(hard.Block())) || !hard.HasPackets(Revocations(hard.Block())) || !plain.HasPackets(nil) {
		t.Error("what is held is not what is in the block")
	}
	for _, c := range []struct {
		name        string
		now, before *Key
		want        bool
	}{
		{"none", plain, plain, false},
		{"a soft one", soft, plain, true},
		{"a hard one", hard, plain, true},
		{"a hard one after a soft one", hard, soft, true},
		{"a soft one after a hard one", soft, hard, false},
		{"another soft one", softer, soft, false},
		{"the same", hard, hard, false},
	} {
		if got := c.now.AddsRevocation(c.before); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
