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
	seedWorkers    = 2
	trustedWorkers = 1               // besides, for those alone whose authors decide about the name
	maxQueue       = 10_000          // modules that wait, of those and of strangers
	seedRetry      = time.Minute     // and whenever a peer comes
	seedPause      = 2 * time.Second // between two such rounds
	seedFor        = 24 * time.Hour  // until a module is abandoned
	seedLook       = time.Hour       // between looks at all releases that are stored
	seedNotice     = 2 * time.Second // in which a change of the trust file is seen
	seedPage       = 200

	// A stranger's module may take a minute, and so long for its bytes.
	strangerFetch = time.Minute
	strangerSpeed = 64 << 10 // bytes a second
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
	ready [urgencies][]seedJob
	later []seedJob // nobody had them
	known map[cid.Cid]bool
	held  int // of known, those by strangers
	left  []leftover
}

type seedJob struct {
	want    records.Target
	author  records.Fingerprint
	name    records.Name
	since   time.Time
	urgency urgency
}

// An urgency says who is fetched first: strangers can release modules that nobody has by the
// thousand, and others wait behind none of them.
type urgency int

const (
	ofTrusted  urgency = iota // the author decides about the name
	ofStranger                // released just now
	postponed                 // stored before, or asked for in vain, by a stranger
	urgencies
)

// NewSeeder makes a Seeder. Nothing is fetched before Run.
func NewSeeder(cfg SeederConfig) *Seeder {
	f := cfg.Fetcher.cfg
	return &Seeder{cfg: cfg, index: f.Index, store: f.Blocks, log: f.Log, wake: make(chan struct{}, seedWorkers+trustedWorkers), space: newSpace(cfg.Dir, f.Blocks), known: map[cid.Cid]bool{}}
}

// Offer is told of a new release. It does not block; when the queue is full, the
// release is passed over.
func (s *Seeder) Offer(ctx context.Context, record cid.Cid, author records.Fingerprint, r *records.Release) {
	s.offer(ctx, seedJob{want: r.Target(record), author: author, name: r.Name, since: time.Now(), urgency: ofStranger})
}

func (s *Seeder) offer(ctx context.Context, job seedJob) {
	if s.cfg.Seed == api.SeedUsed {
		return
	}
	switch decides := s.cfg.Decides(ctx, job.author, job.name); {
	case decides:
		job.urgency = ofTrusted
	case s.cfg.Seed == api.SeedTrusted:
		return
	}
	s.mu.Lock()
	waiting := s.held
	if job.urgency == ofTrusted {
		s.forget(job.want.CID)
		waiting = len(s.known) - s.held
	}
	if s.known[job.want.CID] || waiting >= maxQueue {
		s.mu.Unlock()
		return
	}
	s.known[job.want.CID] = true
	if job.urgency != ofTrusted {
		s.held++
	}
	s.ready[job.urgency] = append(s.ready[job.urgency], job)
	s.mu.Unlock()
	s.wakeWorkers()
}

// forget removes a stranger's job that waits for the module.
func (s *Seeder) forget(module cid.Cid) {
	for _, waiting := range []*[]seedJob{&s.ready[ofStranger], &s.ready[postponed], &s.later} {
		*waiting = slices.DeleteFunc(*waiting, func(job seedJob) bool {
			if job.want.CID != module || job.urgency == ofTrusted {
				return false
			}
			delete(s.known, module)
			s.held--
			return true
		})
	}
}

func (s *Seeder) wakeWorkers() {
	for range seedWorkers + trustedWorkers {
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
		wg.Go(func() { s.work(ctx, postponed) })
	}
	for range trustedWorkers {
		wg.Go(func() { s.work(ctx, ofTrusted) })
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
				s.offer(ctx, seedJob{want: r.Body.Target(r.ID), author: r.Author, name: r.Body.Name, since: time.Now(), urgency: postponed})
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
		s.retry()
		select {
		case <-ctx.Done():
			return
		case <-time.After(seedPause):
		}
	}
}

// retry has asked for again what nobody had, after what nobody was asked for yet.
func (s *Seeder) retry() {
	s.mu.Lock()
	for _, job := range s.later {
		if job.urgency != ofTrusted {
			job.urgency = postponed
		}
		s.ready[job.urgency] = append(s.ready[job.urgency], job)
	}
	s.later = nil
	s.mu.Unlock()
	s.wakeWorkers()
}

// work fetches what is at least as urgent as last.
func (s *Seeder) work(ctx context.Context, last urgency) {
	for {
		job, ok := s.next(last)
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
	err := s.fetch(ctx, job.want, stranger, func(p api.Progress) { received = p.Received })
	err = api.DiskFull(errors.Join(err, s.space.settle(job.want, stranger, err == nil)))
	if err != nil && received > 0 {
		s.addLeftover(leftover{root: job.want.CID, since: began, ended: time.Now()})
	}
	if ctx.Err() == nil {
		s.finish(job, err, stranger && received > 0)
	}
}

func strangerLimit(w records.Target) time.Duration {
	return strangerFetch + time.Duration(storedSize(w)/strangerSpeed)*time.Second
}

// fetch gives a stranger's module so long as its size allows: one block every half a
// minute would keep all others waiting.
func (s *Seeder) fetch(ctx context.Context, w records.Target, stranger bool, progress func(api.Progress)) error {
	if stranger {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, strangerLimit(w), errTooSlow)
		defer cancel()
	}
	err := s.cfg.Fetcher.Fetch(ctx, w, progress)
	if err != nil && errors.Is(context.Cause(ctx), errTooSlow) {
		return errTooSlow
	}
	return err
}

var errTooSlow = errors.New("a stranger's module comes too slowly")

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

// next takes the most urgent job off the queue that is at least as urgent as last.
func (s *Seeder) next(last urgency) (seedJob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u := range last + 1 {
		if len(s.ready[u]) > 0 {
			job := s.ready[u][0]
			s.ready[u] = s.ready[u][1:]
			return job, true
		}
	}
	return seedJob{}, false
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
	if job.urgency != ofTrusted {
		s.held--
	}
	if errors.Is(err, errNoRoom) || errors.Is(err, errTooSlow) {
		log.Debug("not seeded", "err", err)
		return
	}
	if err != nil {
		log.Warn("cannot seed", "err", err)
		return
	}
	log.Debug("seeded")
}
