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
	strangersRate  = 40.0 // all authors together that are not trusted
	strangersBurst = 800

	maxBuckets = 20_000 // authors remembered
)

// What peers of one address may have looked at that no author is to be charged
// with (SPEC.md [N160]).
const (
	senderStrangersRate  = 5.0 // records of authors who are not trusted
	senderStrangersBurst = 200
	staleRate            = 20.0 // old records, and key blocks without news
	staleBurst           = 500
	passedRate           = 1.0 // key blocks of unknown authors that are passed on
	passedBurst          = 50
	allPassedRate        = 5.0 // of all addresses together
	allPassedBurst       = 100

	maxSenders = 4096 // addresses remembered
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

// full reports whether nothing is used up.
func (b *bucket) full(now time.Time) bool {
	b.fill(now)
	return b.tokens >= b.burst
}

// take uses up one token, if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.wait(now) > 0 {
		return false
	}
	b.tokens--
	return true
}

// quota limits what gossip brings: of each author what only the author can make, and
// of each address what anybody can send.
type quota struct {
	mu        sync.Mutex
	authors   map[records.Fingerprint]*bucket
	senders   map[string]*sender
	strangers bucket
	passed    bucket
}

// sender is what the peers of one address may still send.
type sender struct {
	strangers, stale, passed bucket
}

func newQuota() *quota {
	return &quota{
		authors:   map[records.Fingerprint]*bucket{},
		senders:   map[string]*sender{},
		strangers: newBucket(strangersRate, strangersBurst),
		passed:    newBucket(allPassedRate, allPassedBurst),
	}
}

// left reports whether a record of the author would be taken from the address.
func (q *quota) left(author records.Fingerprint, from string, trusted bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready(author, from, trusted, now)
}

// take uses up one record of the author, if there is one left. Only verified
// records that are new may be taken: anybody can make others that name the author,
// and repeat what the author once said.
func (q *quota) take(author records.Fingerprint, from string, trusted bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ready(author, from, trusted, now) {
		return false
	}
	if !trusted {
		q.strangers.tokens--
		q.sender(from, now).strangers.tokens--
	}
	b := q.authors[author]
	if b == nil {
		forget(q.authors, maxBuckets, func(b *bucket) bool { return b.full(now) })
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

func (q *quota) ready(author records.Fingerprint, from string, trusted bool, now time.Time) bool {
	if !trusted && (q.strangers.wait(now) > 0 || q.sender(from, now).strangers.wait(now) > 0) {
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

// staleLeft reports whether something that may be stale is looked at.
func (q *quota) staleLeft(from string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sender(from, now).stale.wait(now) == 0
}

// stale charges an address with something that was known or old.
func (q *quota) stale(from string, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sender(from, now).stale.take(now)
}

// passOn uses up one key block of an unknown author.
func (q *quota) passOn(from string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.passed.wait(now) == 0 && q.sender(from, now).passed.take(now) && q.passed.take(now)
}

func (q *quota) sender(from string, now time.Time) *sender {
	s := q.senders[from]
	if s == nil {
		forget(q.senders, maxSenders, func(s *sender) bool {
			return s.strangers.full(now) && s.stale.full(now) && s.passed.full(now)
		})
		s = &sender{
			strangers: newBucket(senderStrangersRate, senderStrangersBurst),
			stale:     newBucket(staleRate, staleBurst),
			passed:    newBucket(passedRate, passedBurst),
		}
		q.senders[from] = s
	}
	return s
}

// forget makes room for one more: those that have used up nothing go first, then
// any.
func forget[K comparable, V any](m map[K]V, most int, unused func(V) bool) {
	if len(m) < most {
		return
	}
	for k, v := range m {
		if unused(v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < most*9/10 {
			return
		}
		delete(m, k)
	}
}
