package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// What serving costs besides bytes, counted in bytes (SPEC.md [E17]).
const (
	sessionCost = 16 << 10
	rangeCost   = 512
	elementCost = 128     // read or summed
	readCost    = 4 << 10 // a look for what elements stand for
)

// How much one turn may cost before the answer ends: when nobody else waits, and
// when others do.
const (
	longTurn  = 1 << 20
	shortTurn = 128 << 10
)

// maxAccounts bounds how many addresses an admission remembers.
const maxAccounts = 4096

const (
	// displaceAfter is how long a session may keep us waiting before another peer gets
	// its place.
	displaceAfter = 2 * time.Second
	// turnWait is how long a request waits for its turn. The asker times out soon
	// after.
	turnWait = 4 * time.Second
	// refillWait is how long an address that has nothing left waits at least.
	refillWait = 10 * time.Millisecond
)

// An admission decides who is served, and when.
type admission struct {
	limits Limits

	mu       sync.Mutex
	sessions map[peer.ID]*served
	accounts map[string]*account
	// Peers that we chose have turns of their own, so strangers take none of them.
	strangers, chosen queue
}

// served is a session that has a place.
type served struct {
	peer    peer.ID
	payer   string // whose account it uses up
	chosen  bool
	yield   func() // ends the session
	waiting bool   // for the peer, to send or to take something
	since   time.Time
}

// An account holds what the peers of one address, or a peer that we chose, may
// still use up. It may be overdrawn: what a turn costs is known when it is over.
type account struct {
	tokens float64
	at     time.Time
	used   float64 // on the clock of its queue
}

// A queue gives turns, in which requests are answered. Of those whose accounts are
// not overdrawn, the account that has used up least comes first.
type queue struct {
	slots, busy int
	waiting     []*turn
	clock       float64 // what the account had used up that had the last turn
}

type turn struct {
	payer string
	begun chan struct{}
}

func newAdmission(l Limits) *admission {
	return &admission{
		limits: l, sessions: make(map[peer.ID]*served), accounts: make(map[string]*account),
		strangers: queue{slots: l.Turns}, chosen: queue{slots: l.Turns},
	}
}

func (a *admission) queue(s *served) *queue {
	if s.chosen {
		return &a.chosen
	}
	return &a.strangers
}

// enter gives a session a place and reports whether it has one. Its yield is
// called when another peer gets it, and must not block.
func (a *admission) enter(s *served, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	// A peer has one session at a time: if it begins another, it has ended the
	// last one, and only the news of that is late.
	if last := a.sessions[s.peer]; last != nil {
		if !last.waiting {
			return false
		}
		a.end(last)
	}
	all, ofPayer := 0, 0
	for _, other := range a.sessions {
		if other.chosen == s.chosen {
			all++
			if other.payer == s.payer {
				ofPayer++
			}
		}
	}
	most := (a.limits.Serve + 1) / 2 // of one address
	switch {
	case ofPayer >= most && !a.displace(now, func(o *served) bool { return o.payer == s.payer }):
		return false
	case ofPayer < most && all >= a.limits.Serve && !a.displace(now, func(o *served) bool { return o.chosen == s.chosen }):
		return false
	}
	a.sessions[s.peer] = s
	return true
}

// displace ends the session that has waited for its peer for longest, if any
// has waited for long. Otherwise peers that do nothing would keep all others out.
func (a *admission) displace(now time.Time, in func(*served) bool) bool {
	var idlest *served
	for _, s := range a.sessions {
		if in(s) && s.waiting && (idlest == nil || s.since.Before(idlest.since)) {
			idlest = s
		}
	}
	if idlest == nil || now.Sub(idlest.since) < displaceAfter {
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

// begin waits for a turn to answer in and returns how much it may cost. Whoever
// gets one calls done. The error is refusedBusy when it takes too long.
func (a *admission) begin(ctx context.Context, s *served) (limit int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	a.mu.Lock()
	q, t := a.queue(s), &turn{payer: s.payer, begun: make(chan struct{})}
	acc := a.account(s.payer, time.Now())
	acc.used = max(acc.used, q.clock)
	q.waiting = append(q.waiting, t)
	again := a.dispatch(q, s.payer)
	a.mu.Unlock()
	for {
		select {
		case <-t.begun:
			a.mu.Lock()
			defer a.mu.Unlock()
			if len(q.waiting) > 0 {
				return shortTurn, nil
			}
			return longTurn, nil
		case <-time.After(again):
			a.mu.Lock()
			again = a.dispatch(q, s.payer)
			a.mu.Unlock()
		case <-ctx.Done():
			a.mu.Lock()
			defer a.mu.Unlock()
			if i := slices.Index(q.waiting, t); i >= 0 {
				q.waiting = slices.Delete(q.waiting, i, i+1)
			} else {
				q.busy--
				a.dispatch(q, s.payer)
			}
			return 0, refusedBusy
		}
	}
}

// dispatch gives out turns, and returns after how long the account has something
// again.
func (a *admission) dispatch(q *queue, payer string) time.Duration {
	now := time.Now()
	for q.busy < q.slots {
		best, least := -1, 0.0
		for i, t := range q.waiting {
			if acc := a.account(t.payer, now); acc.tokens > 0 && (best < 0 || acc.used < least) {
				best, least = i, acc.used
			}
		}
		if best < 0 {
			break
		}
		q.clock = least
		close(q.waiting[best].begun)
		q.waiting = slices.Delete(q.waiting, best, best+1)
		q.busy++
	}
	lacking := -a.account(payer, now).tokens / a.limits.Rate
	return max(refillWait, time.Duration(lacking*float64(time.Second)))
}

// done ends a turn that has cost so many bytes, or what is worth as much.
func (a *admission) done(s *served, cost int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.use(s, cost)
	q := a.queue(s)
	q.busy--
	a.dispatch(q, s.payer)
}

// charge takes from the account what was used up outside of a turn.
func (a *admission) charge(s *served, cost int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.use(s, cost)
}

func (a *admission) use(s *served, cost int64) {
	acc := a.account(s.payer, time.Now())
	acc.tokens -= float64(cost)
	acc.used += float64(cost)
}

func (a *admission) leave(s *served) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions[s.peer] == s {
		delete(a.sessions, s.peer)
	}
}

// account returns a payer's account as it is now.
func (a *admission) account(payer string, now time.Time) *account {
	acc := a.accounts[payer]
	if acc == nil {
		if len(a.accounts) >= maxAccounts {
			a.forget(now)
		}
		acc = &account{tokens: a.limits.Burst, at: now}
		a.accounts[payer] = acc
	}
	acc.fill(a.limits, now)
	return acc
}

func (acc *account) fill(l Limits, now time.Time) {
	acc.tokens = min(l.Burst, acc.tokens+l.Rate*now.Sub(acc.at).Seconds())
	acc.at = now
}

// forget drops the accounts that have as much left as the average or more: those
// that have used up little.
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
