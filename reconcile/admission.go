package reconcile

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// What serving costs a peer besides bytes, counted in bytes.
const (
	sessionCost = 256 << 10
	rangeCost   = 1 << 10
)

// maxAccounts bounds how many peers an admission remembers.
const maxAccounts = 4096

// patience is how long a session may keep us waiting before another peer gets
// its place.
const patience = 2 * time.Second

// An admission decides who is served.
type admission struct {
	limits Limits

	mu       sync.Mutex
	sessions map[peer.ID]*served
	accounts map[peer.ID]*account
}

// served is a session that has a place.
type served struct {
	peer  peer.ID
	yield func() // ends the session

	waiting bool // for the peer, to send or to take something
	since   time.Time
	spent   float64
}

// An account holds what a peer may still use up. It may be overdrawn: what a
// session costs is known when it is over.
type account struct {
	tokens float64
	at     time.Time
}

func newAdmission(l Limits) *admission {
	return &admission{limits: l, sessions: make(map[peer.ID]*served), accounts: make(map[peer.ID]*account)}
}

// enter gives p a place or returns nil. yield is called when another peer gets
// it, and must not block.
func (a *admission) enter(p peer.ID, yield func(), now time.Time) *served {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions[p] != nil || a.account(p, now).tokens < sessionCost {
		return nil
	}
	if len(a.sessions) >= a.limits.Serve && !a.displace(now) {
		return nil
	}
	s := &served{peer: p, yield: yield, spent: sessionCost}
	a.sessions[p] = s
	a.account(p, now).tokens -= sessionCost
	return s
}

// displace ends the session that has waited for its peer for longest, if any
// has waited for long. Otherwise four peers that do nothing would keep all
// others out.
func (a *admission) displace(now time.Time) bool {
	var idlest *served
	for _, s := range a.sessions {
		if s.waiting && (idlest == nil || s.since.Before(idlest.since)) {
			idlest = s
		}
	}
	if idlest == nil || now.Sub(idlest.since) < patience {
		return false
	}
	delete(a.sessions, idlest.peer)
	idlest.yield()
	return true
}

// wait notes that s waits for its peer, or that it does not any more.
func (a *admission) wait(s *served, waiting bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.waiting, s.since = waiting, now
}

// charge takes bytes, or what is worth as much, from the peer's account.
func (a *admission) charge(s *served, bytes int64, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account(s.peer, now).tokens -= float64(bytes)
}

func (a *admission) leave(s *served) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions[s.peer] == s {
		delete(a.sessions, s.peer)
	}
}

// account returns p's account as it is now.
func (a *admission) account(p peer.ID, now time.Time) *account {
	acc := a.accounts[p]
	if acc == nil {
		if len(a.accounts) >= maxAccounts {
			a.forget(now)
		}
		acc = &account{tokens: a.limits.Burst, at: now}
		a.accounts[p] = acc
	}
	acc.fill(a.limits, now)
	return acc
}

func (acc *account) fill(l Limits, now time.Time) {
	acc.tokens = min(l.Burst, acc.tokens+l.Rate*now.Sub(acc.at).Seconds())
	acc.at = now
}

// forget drops the accounts that are full, which says nothing, or else the
// fullest one.
func (a *admission) forget(now time.Time) {
	var fullest peer.ID
	for p, acc := range a.accounts {
		acc.fill(a.limits, now)
		if acc.tokens >= a.limits.Burst {
			delete(a.accounts, p)
		} else if f := a.accounts[fullest]; f == nil || acc.tokens > f.tokens {
			fullest = p
		}
	}
	if len(a.accounts) >= maxAccounts {
		delete(a.accounts, fullest)
	}
}
