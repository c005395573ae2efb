package reconcile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/everythingstays/es/records"
)

// SPEC E4 and E12. After a pull the puller has the union, and nothing was
// sent that it had.
func TestPull(t *testing.T) {
	universe := history(20, 100)
	rounds := 12
	if full {
		rounds = 200
	}
	for seed := range rounds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			a, b := sample(random, universe), sample(random, universe)
			before, theirs := a.all(), b.all()
			want := slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, theirs))))
			pair(t, a, b, func(t *testing.T, x, y *node) {
				got, sessions := x.pull(t, y, Everything())
				if !slices.Equal(a.all(), want) {
					t.Errorf("%d elements pulled from %d make %d, want %d", len(before), len(theirs), len(a.all()), len(want))
				}
				if !slices.Equal(b.all(), theirs) {
					t.Error("a pull changed the set of the answerer")
				}
				if missing := len(want) - len(before); got.Items != missing || got.Records+got.Keys != missing || sessions != 1 {
					t.Errorf("%d were missing; %d items came, %+v, in %d sessions", missing, got.Items, got.IngestResult, sessions)
				}
				if lacks := len(want) - len(theirs); got.Lacks != lacks || got.Has() != (lacks == 0) {
					t.Errorf("the peer lacks %d, the result says %d, %v", lacks, got.Lacks, got.Has())
				}
				checkOrder(t, a.taken)
				y.pull(t, x, Everything())
				if !slices.Equal(b.all(), want) {
					t.Error("the sets differ after both have pulled")
				}
				got, _ = x.pull(t, y, Everything())
				if got.Items != 0 || got.Requests > 1 || got.Lacks != 0 {
					t.Errorf("two equal sets: %+v", got)
				}
			})
		})
	}
}

// sample has a share of the items; shares are as different as can be.
func sample(random *rand.Rand, items []records.Item) *memory {
	share := []float64{0, 0.01, 0.3, 0.5, 0.97, 0.999, 1}[random.IntN(7)]
	var some []records.Item
	for _, it := range items {
		if random.Float64() < share {
			some = append(some, it)
		}
	}
	return newMemory(some...)
}

// checkOrder holds that no key block comes after a record of its author.
func checkOrder(t *testing.T, taken []records.Element) {
	t.Helper()
	begun := map[records.Fingerprint]bool{}
	for _, e := range taken {
		if e.Kind() == records.ElementRecord {
			begun[e.Author()] = true
		} else if begun[e.Author()] {
			t.Fatalf("the key block of %s comes after a record", e.Author())
		}
	}
}

// SPEC E12. Many records are fetched while others are still compared, but not
// before their author's key block.
func TestKeyBlockFirst(t *testing.T) {
	theirs := newMemory(history(1, 3000)...)
	var mine []records.Item
	for _, e := range theirs.all()[1:4] { // near the key block, which is missing
		mine = append(mine, records.Item{Element: e, Bytes: theirs.items[e]})
	}
	a := newMemory(mine...)
	pair(t, a, theirs, func(t *testing.T, x, y *node) {
		got, _ := x.pull(t, y, Everything())
		if got.Items != 2998 || len(a.taken) != 2998 {
			t.Fatalf("%d items came", got.Items)
		}
		checkOrder(t, a.taken)
	})
}

// Ten records that are missing are found in a large set at a cost that grows like
// its logarithm.
func TestCost(t *testing.T) {
	sizes := []int{10_000, 100_000}
	if full {
		sizes = append(sizes, 1_000_000)
	}
	var first int64
	for _, size := range sizes {
		items := strange(1, size-10)
		a := newMemory(items...)
		for i := range 10 {
			items = append(items, record(author(10*i), 1))
		}
		b := newMemory(items...)
		pair(t, a, b, func(t *testing.T, x, y *node) {
			got, err := x.Pull(t.Context(), y.host.ID(), Everything())
			if err != nil || got.Records != 10 || got.Items != 10 || !got.Has() {
				t.Fatalf("10 of %d are missing: %+v, %v", size, got, err)
			}
			payload := 0
			for _, it := range items[size-10:] {
				payload += len(it.Bytes)
			}
			bytes := got.Sent + got.Received - int64(payload)
			t.Logf("10 of %d: %d requests, %d bytes sent, %d received, %d of them items", size, got.Requests, got.Sent, got.Received, payload)
			if first == 0 {
				first = bytes
			}
			if got.Requests > 8 || bytes > 256<<10 || bytes > 2*first {
				t.Errorf("%d requests and %d bytes for 10 of %d; %d bytes for 10 of %d", got.Requests, bytes, size, first, sizes[0])
			}
		})
	}
}
