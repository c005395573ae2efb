package node

import (
	"sync"
	"time"

	"github.com/everythingstays/es/records"
)

// Rates at which records of one author are taken (SPEC.md [N30]).
const (
	trustedRate    = 1000.0 / 3600 // a second
	trustedBurst   = 5000
	untrustedRate  = 10.0 / 3600
	untrustedBurst = 100
	strangersRate  = 20.0 // all authors together that are not trusted
	strangersBurst = 200

	maxBuckets = 20_000 // authors remembered
)

// bucket is a token bucket; it starts full.
type bucket struct {
	rate, burst float64
	tokens      float64
	at          time.Time // when tokens was right
}

func newBucket(rate, burst float64) bucket { return bucket{rate: rate, burst: burst, tokens: burst} }

func (b *bucket) fill(now time.Time) {
	if now.After(b.at) {
		if !b.at.IsZero() {
			b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.at).Seconds())
		}
		b.at = now
	}
}

// wait returns how long it takes until there is a token.
func (b *bucket) wait(now time.Time) time.Duration {
	b.fill(now)
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration((1 - b.tokens) / b.rate * float64(time.Second))
}

// quota limits how many records of each author are taken.
type quota struct {
	mu        sync.Mutex
	authors   map[records.Fingerprint]*bucket
	strangers bucket
}

func newQuota() *quota {
	return &quota{authors: map[records.Fingerprint]*bucket{}, strangers: newBucket(strangersRate, strangersBurst)}
}

// left reports whether a record of the author would be taken.
func (q *quota) left(author records.Fingerprint, trusted bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready(author, trusted, now)
}

// take uses up one record of the author, if there is one left. Only verified
// records may be taken: anybody can make others that name the author.
func (q *quota) take(author records.Fingerprint, trusted bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ready(author, trusted, now) {
		return false
	}
	if !trusted {
		q.strangers.tokens--
	}
	b := q.authors[author]
	if b == nil {
		q.forget(now)
		rate, burst := untrustedRate, float64(untrustedBurst)
		if trusted {
			rate, burst = trustedRate, trustedBurst
		}
		nb := newBucket(rate, burst)
		nb.at = now
		b = &nb
		q.authors[author] = b
	}
	b.tokens--
	return true
}

func (q *quota) ready(author records.Fingerprint, trusted bool, now time.Time) bool {
	if !trusted && q.strangers.wait(now) > 0 {
		return false
	}
	b := q.authors[author]
	if b == nil {
		return true
	}
	if was := b.burst == trustedBurst; was != trusted {
		delete(q.authors, author) // the user has changed the trust file
		return true
	}
	return b.wait(now) == 0
}

// forget makes room for another author: those whose buckets are full again first,
// then any.
func (q *quota) forget(now time.Time) {
	if len(q.authors) < maxBuckets {
		return
	}
	for f, b := range q.authors {
		if b.fill(now); b.tokens >= b.burst {
			delete(q.authors, f)
		}
	}
	for f := range q.authors {
		if len(q.authors) < maxBuckets*9/10 {
			return
		}
		delete(q.authors, f)
	}
}
