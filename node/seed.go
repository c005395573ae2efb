package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Bounds of seeding (SPEC.md [N50]).
const (
	seedWorkers = 2
	seedQueue   = 10_000          // modules that wait
	seedRetry   = time.Minute     // and whenever a peer comes
	seedPause   = 2 * time.Second // between two such rounds
	seedFor     = 24 * time.Hour  // until a module is given up
	seedLook    = time.Hour       // between looks at all releases that are stored
	seedNotice  = 2 * time.Second // in which a change of the trust file is seen
	seedPage    = 200
)

// seeder fetches the modules of new releases as the policy says, so that others
// find them when their authors are gone.
type seeder struct {
	live *live
	wake chan struct{}

	space *space

	mu      sync.Mutex
	ready   []seedJob
	later   []seedJob // nobody had them
	known   map[cid.Cid]bool
	left    []leftover
	fetched []cid.Cid // last, by whomever
}

type seedJob struct {
	want   records.Target
	author records.Fingerprint
	name   records.Name
	since  time.Time
}

func newSeeder(l *live) *seeder {
	return &seeder{live: l, wake: make(chan struct{}, seedWorkers), space: newSpace(l.home), known: map[cid.Cid]bool{}}
}

// note is told of each fetch: what it brings is needed by somebody.
func (s *seeder) note(root cid.Cid) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fetched) >= seedQueue {
		s.fetched = s.fetched[1:]
	}
	s.fetched = append(s.fetched, root)
}

// offer is told of a new release. It does not block; when the queue is full, the
// release is passed over.
func (s *seeder) offer(ctx context.Context, record cid.Cid, author records.Fingerprint, r *records.Release) {
	switch s.live.node.cfg.Seed {
	case api.SeedAll:
	case api.SeedTrusted:
		if !s.live.decides(ctx, author, r.Name) {
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
	s.ready = append(s.ready, seedJob{want: r.Target(record), author: author, name: r.Name, since: time.Now()})
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
	if s.live.node.cfg.Seed == api.SeedUsed {
		return
	}
	var wg sync.WaitGroup
	for range seedWorkers {
		wg.Go(func() { s.work(ctx) })
	}
	wg.Go(func() { s.revive(ctx) })
	wg.Go(func() { s.lookBack(ctx) })
	wg.Wait()
}

// lookBack offers what was stored before: by another process, before this node
// started, before its author was trusted, or while the queue was full.
func (s *seeder) lookBack(ctx context.Context) {
	tick := time.NewTicker(seedNotice)
	defer tick.Stop()
	var looked time.Time
	var by *trust.File
	for {
		if f := s.live.ingest.Trust(); f != by || time.Since(looked) >= seedLook {
			if err := s.offerStored(ctx); err != nil && ctx.Err() == nil {
				s.live.log.Error("look for modules to seed", "err", err)
			}
			looked, by = time.Now(), f
		}
		if err := s.clear(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.live.log.Error("delete what failed fetches left behind", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *seeder) offerStored(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := s.live.home.Index().ReleasesAfter(ctx, after, seedPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			after = r.Order
			here, err := s.live.home.Blocks().Complete(ctx, r.Body.Module)
			if errors.As(err, new(*blocks.TreeError)) {
				continue // no fetch would make it better
			}
			if err != nil {
				return err
			}
			if !here {
				s.offer(ctx, r.ID, r.Author, r.Body)
			}
		}
	}
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
		s.seed(ctx, job)
	}
}

// seed fetches a module when there is room for it.
func (s *seeder) seed(ctx context.Context, job seedJob) {
	stranger := s.live.node.cfg.Seed == api.SeedAll && !s.live.decides(ctx, job.author, job.name)
	if err := s.space.claim(ctx, job.want, stranger); err != nil {
		s.finish(job, err, false)
		return
	}
	began := time.Now()
	var received int64
	err := s.live.fetch(ctx, job.want, func(p api.Progress) { received = p.Received })
	err = api.DiskFull(errors.Join(err, s.space.settle(job.want, stranger, err == nil)))
	if err != nil && received > 0 {
		s.leave(leftover{root: job.want.CID, since: began, ended: time.Now()})
	}
	if ctx.Err() == nil {
		s.finish(job, err, stranger && received > 0)
	}
}

func (s *seeder) leave(l leftover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, l)
}

// clear deletes what fetches left behind that failed some time ago.
func (s *seeder) clear(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	var due, wait []leftover
	for _, l := range s.left {
		if s.known[l.root] || now.Sub(l.ended) < discardAfter {
			wait = append(wait, l)
		} else {
			due = append(due, l)
		}
	}
	s.left = wait
	fetched := slices.Clone(s.fetched)
	s.mu.Unlock()
	for _, l := range due {
		if ok, err := s.live.home.Blocks().Complete(ctx, l.root); err != nil || ok {
			continue
		}
		keep := slices.DeleteFunc(slices.Clone(fetched), func(c cid.Cid) bool { return c == l.root })
		if err := discard(ctx, s.live.home, l, keep); err != nil {
			return err
		}
	}
	return nil
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

// finish says what became of a job. One that is given up may be offered again when
// what is stored is looked through.
func (s *seeder) finish(job seedJob, err error, giveUp bool) {
	log := s.live.log.With("module", job.want.CID.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	var away *api.UnreachableError
	if !giveUp && errors.As(err, &away) && time.Since(job.since) < seedFor {
		log.Debug("seed later", "err", err)
		s.later = append(s.later, job)
		return
	}
	delete(s.known, job.want.CID)
	if errors.Is(err, errNoRoom) {
		log.Debug("not seeded", "err", err)
		return
	}
	if err != nil {
		log.Warn("cannot seed", "err", err)
		return
	}
	log.Debug("seeded")
}

// decides reports whether the author is among those that the user lets decide
// about the name.
func (l *live) decides(ctx context.Context, author records.Fingerprint, name records.Name) bool {
	view, err := l.ingest.View(ctx)
	if err == nil {
		var ruling *trust.Ruling
		if ruling, err = view.Ruling(ctx, name); err == nil {
			return ruling.Decides(author)
		}
	}
	l.log.Error("read whom the user trusts", "err", err)
	return false
}
