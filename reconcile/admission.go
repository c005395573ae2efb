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
	peer    peer.ID
	yield   func() // ends the session
	waiting bool   // for the peer, to send or to take something
	since   time.Time
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
	if a.account(p, now).tokens < sessionCost {
		return nil
	}
	// A peer has one session at a time: if it begins another, it has ended the
	// last one, and only the news of that is late.
	if last := a.sessions[p]; last != nil {
		if !last.waiting {
			return nil
		}
		a.end(last)
	}
	if len(a.sessions) >= a.limits.Serve && !a.displace(now) {
		return nil
	}
	s := &served{peer: p, yield: yield}
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
	a.end(idlest)
	return true
}

func (a *admission) end(s *served) {
	delete(a.sessions, s.peer)
	s.yield()
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

// forget drops the accounts that have as much left as the average or more: those
// of peers that have used up little.
func (a *admission) forget(now time.Time) {
	total := 0.0
	for _, acc := range a.accounts {
		acc.fill(a.limits, now)
		total += acc.tokens
	}
	average := total / float64(len(a.accounts))
	for p, acc := range a.accounts {
		if acc.tokens >= average-1 { // which rounding may have put above all
			delete(a.accounts, p)
		}
	}
}
