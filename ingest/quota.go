package ingest

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/everythingstays/es/records"
)

// Rates at which records of one author are taken (SPEC.md [N30]).
const (
	followedRate   = 1000.0 / 3600 // a second
	followedBurst  = 5000
	strangerRate   = 10.0 / 3600
	strangerBurst  = 100
	strangersRate  = 40.0 // all authors together who are not followed
	strangersBurst = 800

	maxAuthors = 20_000 // remembered
)

// What peers of one address may have looked at that no author is to be charged
// with (SPEC.md [N160]).
const (
	senderStrangersRate  = 5.0 // records of authors who are not followed
	senderStrangersBurst = 200
	redundantRate        = 20.0 // old records, and key blocks without news
	redundantBurst       = 500
	relayedKeyRate       = 1.0 // key blocks of unknown authors that are passed on
	relayedKeyBurst      = 50
	relayedKeysRate      = 5.0 // of all addresses together
	relayedKeysBurst     = 100

	maxSenders = 4096 // addresses remembered
)

// quota limits what comes unasked: of each author what only the author can make, and
// of each address what anybody can send.
type quota struct {
	mu          sync.Mutex
	authors     *simplelru.LRU[records.Fingerprint, *rate.Limiter]
	senders     *simplelru.LRU[string, *sender]
	strangers   *rate.Limiter
	relayedKeys *rate.Limiter
}

// sender is what the peers of one address may still send.
type sender struct {
	strangers, redundant, relayedKeys *rate.Limiter
}

func newQuota() *quota {
	return &quota{
		authors:     newLRU[records.Fingerprint, *rate.Limiter](maxAuthors),
		senders:     newLRU[string, *sender](maxSenders),
		strangers:   rate.NewLimiter(strangersRate, strangersBurst),
		relayedKeys: rate.NewLimiter(relayedKeysRate, relayedKeysBurst),
	}
}

func ready(l *rate.Limiter, now time.Time) bool { return l.TokensAt(now) >= 1 }

// hasRecord reports whether a record of the author would be taken from the address.
func (q *quota) hasRecord(author records.Fingerprint, origin string, followed bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.recordReady(author, origin, followed, now)
}

// takeRecord uses up one record of the author, if there is one left. Only verified
// records are charged: others can be made by anybody.
func (q *quota) takeRecord(author records.Fingerprint, origin string, followed bool, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.recordReady(author, origin, followed, now) {
		return false
	}
	if !followed {
		q.strangers.AllowN(now, 1)
		q.sender(origin).strangers.AllowN(now, 1)
	}
	l, ok := q.authors.Get(author)
	if !ok {
		if l = rate.NewLimiter(strangerRate, strangerBurst); followed {
			l = rate.NewLimiter(followedRate, followedBurst)
		}
		q.authors.Add(author, l)
	}
	return l.AllowN(now, 1)
}

func (q *quota) recordReady(author records.Fingerprint, origin string, followed bool, now time.Time) bool {
	if !followed && (!ready(q.strangers, now) || !ready(q.sender(origin).strangers, now)) {
		return false
	}
	l, ok := q.authors.Get(author)
	if !ok {
		return true
	}
	if was := l.Burst() == followedBurst; was != followed {
		q.authors.Remove(author) // the user has changed the trust file
		return true
	}
	return ready(l, now)
}

// hasRedundant reports whether something of the address is looked at that may bring
// nothing.
func (q *quota) hasRedundant(origin string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return ready(q.sender(origin).redundant, now)
}

// takeRedundant charges an address with something that brought nothing, and reports
// whether it had that left.
func (q *quota) takeRedundant(origin string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sender(origin).redundant.AllowN(now, 1)
}

// takeRelayedKey uses up one key block of an unknown author.
func (q *quota) takeRelayedKey(origin string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return ready(q.relayedKeys, now) && q.sender(origin).relayedKeys.AllowN(now, 1) && q.relayedKeys.AllowN(now, 1)
}

func (q *quota) sender(origin string) *sender {
	s, ok := q.senders.Get(origin)
	if !ok {
		s = &sender{
			strangers:   rate.NewLimiter(senderStrangersRate, senderStrangersBurst),
			redundant:   rate.NewLimiter(redundantRate, redundantBurst),
			relayedKeys: rate.NewLimiter(relayedKeyRate, relayedKeyBurst),
		}
		q.senders.Add(origin, s)
	}
	return s
}
