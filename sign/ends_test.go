package sign

import (
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// SPEC T40 counts from here. A subkey ends by itself or with its primary key; a hard
// revocation is no end, for what the key signed before does not count either.
func TestEnds(t *testing.T) {
	for _, kind := range []string{"ed25519-v4", "ed25519-v6"} {
		f, s, other := newForger(t, kind), newForger(t, kind), newForger(t, kind)
		both := [][]byte{s.subkey(), f.bind(s, keyTime), other.subkey(), f.bind(other, keyTime)}
		lasts := func(seconds uint32) []byte { return uint32Sub(subKeyExpires, seconds) }
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
