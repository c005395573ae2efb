package blocks

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/ipfs/go-cid"
)

// full asks for the large variants.
var full = os.Getenv("ES_FULL") != ""

func verifyBlocks(t *testing.T, s *Store) (blocks, bytes int64, damage []Damage) {
	t.Helper()
	steps := int64(0)
	blocks, bytes, err := s.Verify(t.Context(), func(done int64) { steps = done }, func(d Damage) { damage = append(damage, d) })
	if err != nil {
		t.Fatal(err)
	}
	if steps != blocks {
		t.Errorf("step says %d of %d blocks", steps, blocks)
	}
	return blocks, bytes, damage
}

// TestThreat25OneByteAtATime: one byte of one block is changed at a time, and each time
// Verify names that block and no other. 250 blocks by default, 5,000 with ES_FULL, each
// once, among 50 of 1 byte to 8 KiB. (The index has a test of the same name.)
func TestThreat25OneByteAtATime(t *testing.T) {
	const among = 50
	total := 250
	if full {
		total = 5000
	}
	r := rand.New(rand.NewPCG(25, 2))
	caught := 0
	for range total / among {
		s := openBlocks(t, t.TempDir())
		var all []cid.Cid
		size := int64(0)
		batch := s.Batch()
		for range among {
			b := make([]byte, 1+r.IntN(8<<10))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			c, b := rawBlock(append(b, fmt.Sprint(len(all))...))
			if err := batch.Put(t.Context(), c, b); err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
			size += int64(len(b))
		}
		if n, bytes, damage := verifyBlocks(t, s); n != among || bytes != size || len(damage) > 0 {
			t.Fatalf("%d blocks of %d bytes, damage %+v", n, bytes, damage)
		}
		for _, c := range all {
			path, _ := s.Path(c)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			spoilt := bytes.Clone(b)
			spoilt[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, damage := verifyBlocks(t, s)
			if len(damage) == 1 && damage[0].ID == c.String() {
				caught++
			} else {
				t.Errorf("block %s: %+v", c, damage)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, damage := verifyBlocks(t, s); len(damage) > 0 {
			t.Errorf("all as it was: %+v", damage)
		}
	}
	t.Logf("%d of %d caught", caught, total)
}
