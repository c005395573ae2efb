package delegation

import (
	"bytes"
	"testing"

	"github.com/everythingstays/es/records"
)

// Keys cost nothing: of any number that delegations lead to, Reach takes so many as it is
// told, the roots first.
func TestReachIsBounded(t *testing.T) {
	key := func(n byte) records.Fingerprint {
		f, err := records.FingerprintFromBytes(bytes.Repeat([]byte{n}, 20))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	facts := func(k records.Fingerprint) *KeyFacts {
		f := &KeyFacts{}
		for n := byte(100); n < 200; n++ {
			f.Delegations = append(f.Delegations, Edge{To: key(n), Depth: 3})
		}
		return f
	}
	roots := []Root{{Key: key(1), Depth: 3}, {Key: key(2), Depth: 3, Follow: true}}
	keys, missing := Reach(roots, 10, facts)
	if len(keys) != 10 || keys[0] != key(1) || keys[1] != key(2) || missing != nil {
		t.Errorf("%d keys, %v missing: %v", len(keys), missing, keys)
	}
	if keys, missing := Reach(roots, 10, func(records.Fingerprint) *KeyFacts { return nil }); len(keys) != 2 || len(missing) != 2 {
		t.Errorf("%v, %v missing", keys, missing)
	}
}
