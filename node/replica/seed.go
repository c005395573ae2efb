package replica

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Bounds of seeding (docs/program.md [N50]).
const (
	seedWorkers = 2
	maxQueue    = 10_000          // modules that wait
	seedRetry   = time.Minute     // and whenever a peer comes
	seedPause   = 2 * time.Second // between two such rounds
	seedFor     = 24 * time.Hour  // until a module is abandoned
	seedLook    = time.Hour       // between looks at all releases that are stored
	seedNotice  = 2 * time.Second // in which a change of the trust file is seen
	seedPage    = 200
)

// SeederConfig says what a Seeder works with. All is required.
type SeederConfig struct {
	Fetcher *Fetcher
	Dir     string // of the home, where what strangers' modules take is listed
	Seed    api.Seed
	// Trust returns the trust file: the same as long as nothing changes.
	Trust func() *trust.Policy
	// Decides reports whether the author is among those that the user lets decide about
	// the name.
	Decides func(ctx context.Context, author records.Fingerprint, name records.Name) bool
}

// Seeder fetches the modules of new releases as the policy says, so that others
// find them when their authors are gone.
type Seeder struct {
	cfg   SeederConfig
	index *index.Index
	store *blocks.Store
	log   *slog.Logger
	wake  chan struct{}
	space *space

	mu    sync.Mutex
	ready []seedJob
	later []seedJob // nobody had them
	known map[cid.Cid]bool
	left  []leftover
}

type seedJob struct {
	want   records.Target
	author records.Fingerprint
	name   records.Name
	since  time.Time
}

// NewSeeder makes a Seeder. Nothing is fetched before Run.
func NewSeeder(cfg SeederConfig) *Seeder {
	f := cfg.Fetcher.cfg
	return &Seeder{cfg: cfg, index: f.Index, store: f.Blocks, log: f.Log, wake: make(chan struct{}, seedWorkers), space: newSpace(cfg.Dir, f.Blocks), known: map[cid.Cid]bool{}}
}

// Offer is told of a new release. It does not block; when the queue is full, the
// release is passed over.
func (s *Seeder) Offer(ctx context.Context, record cid.Cid, author records.Fingerprint, r *records.Release) {
	switch s.cfg.Seed {
	case api.SeedAll:
	case api.SeedTrusted:
		if !s.cfg.Decides(ctx, author, r.Name) {
			return
		}
	default:
		return
	}
	s.mu.Lock()
	if s.known[r.Module] || len(s.known) >= maxQueue {
		s.mu.Unlock()
		return
	}
	s.known[r.Module] = true
	s.ready = append(s.ready, seedJob{want: r.Target(record), author: author, name: r.Name, since: time.Now()})
	s.mu.Unlock()
	s.wakeWorkers()
}

func (s *Seeder) wakeWorkers() {
	for range seedWorkers {
		select {
		case s.wake <- struct{}{}:
		default:
			return
		}
	}
}

// Run fetches what is offered, and what was stored before, until ctx ends. With api.SeedUsed
// it does nothing.
func (s *Seeder) Run(ctx context.Context) error {
	if s.cfg.Seed == api.SeedUsed {
		return nil
	}
	var wg sync.WaitGroup
	for range seedWorkers {
		wg.Go(func() { s.work(ctx) })
	}
	wg.Go(func() { s.retryLater(ctx) })
	wg.Go(func() { s.offerPeriodically(ctx) })
	wg.Wait()
	return nil
}

// offerPeriodically offers what was stored before: by another process, before this node
// started, before its author was trusted, or while the queue was full.
func (s *Seeder) offerPeriodically(ctx context.Context) {
	tick := time.NewTicker(seedNotice)
	defer tick.Stop()
	var looked time.Time
	var by *trust.Policy
	for {
		if p := s.cfg.Trust(); p != by || time.Since(looked) >= seedLook {
			if err := s.offerStored(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("look for modules to seed", "err", err)
			}
			looked, by = time.Now(), p
		}
		if err := s.clear(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("delete what failed fetches left behind", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Seeder) offerStored(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := s.index.ReleasesAfter(ctx, after, seedPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			after = r.Order
			here, err := s.store.Complete(ctx, r.Body.Module)
			if errors.As(err, new(*blocks.TreeError)) {
				continue // no fetch would make it better
			}
			if err != nil {
				return err
			}
			if !here {
				s.Offer(ctx, r.ID, r.Author, r.Body)
			}
		}
	}
}

// retryLater tries again what nobody had, whenever a peer comes or time has passed.
func (s *Seeder) retryLater(ctx context.Context) {
	for {
		change := s.cfg.Fetcher.cfg.Swarm.Changed()
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
		s.wakeWorkers()
		select {
		case <-ctx.Done():
			return
		case <-time.After(seedPause):
		}
	}
}

func (s *Seeder) work(ctx context.Context) {
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
func (s *Seeder) seed(ctx context.Context, job seedJob) {
	stranger := s.cfg.Seed == api.SeedAll && !s.cfg.Decides(ctx, job.author, job.name)
	if err := s.space.claim(ctx, job.want, stranger); err != nil {
		s.finish(job, err, false)
		return
	}
	began := time.Now()
	var received int64
	err := s.cfg.Fetcher.Fetch(ctx, job.want, func(p api.Progress) { received = p.Received })
	err = api.DiskFull(errors.Join(err, s.space.settle(job.want, stranger, err == nil)))
	if err != nil && received > 0 {
		s.addLeftover(leftover{root: job.want.CID, since: began, ended: time.Now()})
	}
	if ctx.Err() == nil {
		s.finish(job, err, stranger && received > 0)
	}
}

func (s *Seeder) addLeftover(l leftover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, l)
}

// clear deletes what fetches left behind that failed some time ago.
func (s *Seeder) clear(ctx context.Context, now time.Time) error {
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
	s.mu.Unlock()
	fetched := s.cfg.Fetcher.lastFetched()
	for _, l := range due {
		if ok, err := s.store.Complete(ctx, l.root); err != nil || ok {
			continue
		}
		keep := slices.DeleteFunc(slices.Clone(fetched), func(c cid.Cid) bool { return c == l.root })
		if err := discard(ctx, s.index, s.store, l, keep); err != nil {
			return err
		}
	}
	return nil
}

func (s *Seeder) next() (seedJob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return seedJob{}, false
	}
	job := s.ready[0]
	s.ready = s.ready[1:]
	return job, true
}

// finish says what became of a job. One that is abandoned may be offered again when
// what is stored is looked through.
func (s *Seeder) finish(job seedJob, err error, abandon bool) {
	log := s.log.With("module", job.want.CID.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	var away *api.UnreachableError
	if !abandon && errors.As(err, &away) && time.Since(job.since) < seedFor {
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
