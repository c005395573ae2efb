package replica

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// testSeeder is a seeder whose user trusts one author for all names.
func testSeeder(t *testing.T, trusted records.Fingerprint) *Seeder {
	t.Helper()
	return NewSeeder(SeederConfig{
		Fetcher: &Fetcher{cfg: Config{Blocks: testStore(t), Log: slog.New(slog.DiscardHandler)}}, Dir: t.TempDir(), Seed: api.SeedAll,
		Decides: func(_ context.Context, author records.Fingerprint, _ records.Name) bool { return author == trusted },
	})
}

func someAuthor(t *testing.T, n byte) records.Fingerprint {
	t.Helper()
	f, err := records.FingerprintFromBytes(append(make([]byte, 19), n))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestThreat60TrustedComeFirst: strangers release modules that nobody has, as many as wait at
// most. What a trusted author releases then is fetched first, and by a worker that strangers
// never have. SPEC N50
func TestThreat60TrustedComeFirst(t *testing.T) {
	trusted, stranger := someAuthor(t, 1), someAuthor(t, 2)
	s := testSeeder(t, trusted)
	release := func(n int) *records.Release {
		return &records.Release{Name: "lib", Version: "1.0.0", Module: someModule(n), Size: 1, Files: 1}
	}
	for n := range maxQueue + 10 {
		s.Offer(t.Context(), cid.Undef, stranger, release(n))
	}
	if n := len(s.known); n != maxQueue {
		t.Fatalf("%d modules of strangers wait, want %d", n, maxQueue)
	}
	if job, ok := s.next(ofTrusted); ok {
		t.Errorf("the trusted authors' worker takes a stranger's module: %v", job)
	}
	s.Offer(t.Context(), cid.Undef, trusted, release(maxQueue+20))
	s.Offer(t.Context(), cid.Undef, trusted, release(7)) // which a stranger released, too
	for _, want := range []int{maxQueue + 20, 7} {
		if job, ok := s.next(postponed); !ok || job.want.CID != someModule(want) || job.urgency != ofTrusted {
			t.Errorf("next is %v of %d, want the trusted author's %d", job.want.CID, job.urgency, want)
		}
	}
	if job, ok := s.next(postponed); !ok || job.want.CID != someModule(0) {
		t.Errorf("then next is %v, want the strangers' first", job.want.CID)
	}
}

// TestThreat60AbsentModulesWait: what nobody had is asked for again after what is released
// now, and is counted until it is given up. SPEC N50
func TestThreat60AbsentModulesWait(t *testing.T) {
	s, stranger := testSeeder(t, someAuthor(t, 1)), someAuthor(t, 2)
	offer := func(n int) {
		s.Offer(t.Context(), cid.Undef, stranger, &records.Release{Name: "lib", Version: "1.0.0", Module: someModule(n), Size: 1, Files: 1})
	}
	offer(1)
	job, _ := s.next(postponed)
	s.finish(job, &api.UnreachableError{}, false)
	s.retry()
	offer(2)
	for _, want := range []int{2, 1} {
		job, ok := s.next(postponed)
		if !ok || job.want.CID != someModule(want) {
			t.Errorf("next is %v, want %d", job.want.CID, want)
		}
		s.finish(job, nil, false)
	}
	if len(s.known) != 0 || s.held != 0 {
		t.Errorf("%d modules are known and %d of strangers held when all are done", len(s.known), s.held)
	}
}

// TestThreat60Trickle: a stranger's module that comes a little at a time is given up.
func TestThreat60Trickle(t *testing.T) {
	limit := strangerLimit(records.Target{Size: 1 << 20, Files: 1})
	if limit < time.Minute || limit > 2*time.Minute {
		t.Errorf("a stranger's megabyte may take %v", limit)
	}
}
