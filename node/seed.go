package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// Bounds of seeding (SPEC.md [N50]).
const (
	seedWorkers = 2
	seedQueue   = 10_000          // modules that wait
	seedRetry   = time.Minute     // and whenever a peer comes
	seedPause   = 2 * time.Second // between two such rounds
	seedFor     = 24 * time.Hour  // until a module is given up
)

// seeder fetches the modules of new releases as the policy says, so that others
// find them when their authors are gone.
type seeder struct {
	live *live
	wake chan struct{}

	mu    sync.Mutex
	ready []seedJob
	later []seedJob // nobody had them
	known map[cid.Cid]bool
}

type seedJob struct {
	want  Want
	since time.Time
}

func newSeeder(l *live) *seeder {
	return &seeder{live: l, wake: make(chan struct{}, seedWorkers), known: map[cid.Cid]bool{}}
}

// offer is told of a new release. It does not block; when the queue is full, the
// release is passed over.
func (s *seeder) offer(record cid.Cid, author records.Fingerprint, r *records.Release) {
	switch s.live.node.cfg.Seed {
	case SeedAll:
	case SeedTrusted:
		if !s.live.decides(author, r.Name) {
			return
		}
	default:
		return
	}
	s.mu.Lock()
	if s.known[r.Module] || len(s.known) >= seedQueue {
		s.mu.Unlock()
		return
	}
	s.known[r.Module] = true
	s.ready = append(s.ready, seedJob{want: Want{Root: r.Module, Size: r.Size, Files: r.Files, Record: record}, since: time.Now()})
	s.mu.Unlock()
	s.kick()
}

func (s *seeder) kick() {
	for range seedWorkers {
		select {
		case s.wake <- struct{}{}:
		default:
			return
		}
	}
}

func (s *seeder) run(ctx context.Context) {
	if s.live.node.cfg.Seed == SeedUsed {
		return
	}
	var wg sync.WaitGroup
	for range seedWorkers {
		wg.Go(func() { s.work(ctx) })
	}
	wg.Go(func() { s.revive(ctx) })
	wg.Wait()
}

// revive tries again what nobody had, whenever a peer comes or time has passed.
func (s *seeder) revive(ctx context.Context) {
	for {
		change := s.live.changed.wait()
		timer := time.NewTimer(seedRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-change:
		case <-timer.C:
		}
		timer.Stop()
		s.mu.Lock()
		s.ready = append(s.ready, s.later...)
		s.later = nil
		s.mu.Unlock()
		s.kick()
		select {
		case <-ctx.Done():
			return
		case <-time.After(seedPause):
		}
	}
}

func (s *seeder) work(ctx context.Context) {
	for {
		job, ok := s.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
			}
			continue
		}
		err := s.live.fetch(ctx, job.want, nil)
		if ctx.Err() != nil {
			return
		}
		s.finish(job, err)
	}
}

func (s *seeder) next() (seedJob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return seedJob{}, false
	}
	job := s.ready[0]
	s.ready = s.ready[1:]
	return job, true
}

func (s *seeder) finish(job seedJob, err error) {
	log := s.live.log.With("module", job.want.Root.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	var away *UnreachableError
	if errors.As(err, &away) && time.Since(job.since) < seedFor {
		log.Debug("seed later", "err", err)
		s.later = append(s.later, job)
		return
	}
	delete(s.known, job.want.Root)
	if err != nil {
		log.Warn("cannot seed", "err", err)
		return
	}
	log.Debug("seeded")
}

// decides reports whether the author is among those that the user lets decide
// about the name.
func (l *live) decides(author records.Fingerprint, name records.Name) bool {
	view, err := l.home.viewOf(l.judge.trust(), l.judge.now())
	if err != nil {
		l.log.Error("read own keys", "err", err)
		return false
	}
	return view.Decides(author, name)
}
