package ingest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// followAge is how long it may take until a delegation that another process has
// stored counts here.
const followAge = 10 * time.Second

// followSet is a cache of whom the node follows: finding it out takes a question to
// the index for each level of delegations.
type followSet struct {
	readTrust func() (*trust.Policy, error)
	readOwn   func() ([]records.Fingerprint, error)
	load      func(context.Context, []records.Fingerprint) (trust.Facts, error)
	now       func() time.Time
	log       *slog.Logger

	mu     sync.Mutex
	policy *trust.Policy // the last that could be read
	at     time.Time     // when last was found out; zero when something has changed since
	last   *follows
}

// follows is whom the node follows at one moment.
type follows struct {
	policy    *trust.Policy
	own       []records.Fingerprint
	evaluator *trust.Evaluator
	sorted    []records.Fingerprint
	keys      map[records.Fingerprint]bool
}

func newFollowSet(cfg Config) *followSet {
	return &followSet{readTrust: cfg.Trust, readOwn: cfg.Own, load: authorlog.New(cfg.Index).Facts, now: cfg.Now, log: cfg.Log}
}

// trustFile returns the trust file as it is now, or as it last could be read.
func (s *followSet) currentPolicy() *trust.Policy {
	p, err := s.readTrust()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.policy = p
	} else if s.policy == nil {
		s.log.Error("nobody is followed", "err", err)
		s.policy = new(trust.Policy)
	}
	return s.policy
}

// current returns whom the node follows, found out again when the trust file or the
// own keys have changed, when a record said so (see learn), and after followAge.
func (s *followSet) current(ctx context.Context) (*follows, error) {
	policy := s.currentPolicy()
	own, err := s.readOwn()
	if err != nil {
		return nil, err
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.last; f != nil && f.policy == policy && slices.Equal(f.own, own) && !s.at.IsZero() && now.Sub(s.at) < followAge && !now.Before(s.at) {
		return f, nil
	}
	f := &follows{policy: policy, own: own, keys: map[records.Fingerprint]bool{}}
	f.evaluator = trust.Inputs{User: policy, Own: own, Now: now, Load: s.load}.Evaluator()
	if f.sorted, err = f.evaluator.Followed(ctx); err != nil {
		return nil, err
	}
	for _, key := range f.sorted {
		f.keys[key] = true
	}
	s.last, s.at = f, now
	return f, nil
}

// contains reports whether the author is followed, without asking the index: whom
// delegations lead to as of a moment ago, the lines of the trust file as it is now.
func (s *followSet) contains(author records.Fingerprint) bool {
	policy, now := s.currentPolicy(), s.now()
	if policy.Denied(author) {
		return false
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil && last.keys[author] {
		return true
	}
	if slices.ContainsFunc(policy.Entries(), func(e trust.Entry) bool { return e.Fingerprint == author && !e.Expired(now) }) {
		return true
	}
	own, err := s.readOwn()
	return err == nil && slices.Contains(own, author)
}

// invalidate has the next current find out again.
func (s *followSet) invalidate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Time{}
}

// learn is told of a record that was stored.
func (s *followSet) learn(r *records.Record) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil && last.changedBy(r) {
		s.invalidate()
	}
}

// changedBy reports whether a record may change who is followed: only what those say
// of keys who are, or take back, does.
func (f *follows) changedBy(r *records.Record) bool {
	switch r.Body.(type) {
	case *records.Delegate, *records.Successor, *records.Notice:
		return f.keys[r.Author]
	}
	return false
}
