package gossip

import (
	"errors"
	"math"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxAccounts bounds how many peers the ledger remembers.
const maxAccounts = 4096

// maxSeen bounds each generation of message ids that the ledger remembers.
const maxSeen = 1 << 16

var (
	errShunned              = errors.New("peer is shunned")
	errTooManySubscriptions = errors.New("too many subscriptions")
)

// inspect is called in pubsub's loop for every message between peers.
//
// It shuns peers that sent too much that was invalid. pubsub's own graylist
// knows only peers that it could open a stream to, and a spammer need not let it.
//
// It takes out what is above a peer's rate before pubsub marks it as seen: a peer could
// otherwise spend its rate on rubbish and then keep a record out by being the
// first to send it.
func (g *Gossip) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if g.peers.shunned(from, time.Now()) {
		if n := len(rpc.GetPublish()); n > 0 {
			g.drops.add(func(d *Drops) { d.Shunned += uint64(n) })
		}
		return errShunned
	}
	if len(rpc.GetSubscriptions()) > maxSubscriptions {
		// pubsub drops these without a penalty.
		g.peers.rejected(from, TopicRecords, time.Now())
		select {
		case g.offences <- from:
		default:
		}
		return errTooManySubscriptions
	}
	if len(rpc.GetPublish()) == 0 {
		return nil
	}
	admitted := rpc.Publish[:0:0]
	for _, m := range rpc.Publish {
		if g.peers.admit(from, m, time.Now()) {
			admitted = append(admitted, m)
		}
	}
	if n := len(rpc.Publish) - len(admitted); n > 0 {
		g.drops.add(func(d *Drops) { d.Limited += uint64(n) })
	}
	rpc.Publish = admitted
	return nil
}

// A ledger holds what each peer may still forward and what it did wrong.
type ledger struct {
	limits map[string]limit // by topic

	mu       sync.Mutex
	accounts map[peer.ID]*account
	// Message ids that were charged to some peer, in two generations, so that
	// only the first copy counts.
	young, old map[string]struct{}
	turned     time.Time // when young began
}

type limit struct{ rate, burst float64 }

type account struct {
	buckets map[string]*bucket
	invalid map[string]float64 // by topic, decaying from the time at
	at      time.Time
}

// A bucket is filled with a limit's rate up to its burst.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(l limit, now time.Time) bool {
	b.tokens = min(l.burst, b.tokens+l.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func newLedger(rate, burst float64) *ledger {
	return &ledger{
		limits: map[string]limit{
			TopicRecords: {rate, burst},
			TopicKeys:    {keyRate, keyBurst},
		},
		accounts: make(map[peer.ID]*account),
		young:    make(map[string]struct{}),
		old:      make(map[string]struct{}),
	}
}

// admit reports whether p may send m now. Messages of other topics, which
// pubsub drops, and copies of known messages are free.
func (l *ledger) admit(p peer.ID, m *pb.Message, now time.Time) bool {
	limit, ok := l.limits[m.GetTopic()]
	if !ok {
		return true
	}
	id := messageID(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen(id, now) {
		return true
	}
	b := l.account(p, now).bucket(m.GetTopic(), limit, now)
	if !b.take(limit, now) {
		return false
	}
	l.young[id] = struct{}{}
	return true
}

// seen forgets an id before pubsub does, so that a message that pubsub takes
// for a new one is charged again.
func (l *ledger) seen(id string, now time.Time) bool {
	if now.Sub(l.turned) >= seenTTL/2 || len(l.young) >= maxSeen {
		l.old, l.young = l.young, make(map[string]struct{})
		l.turned = now
	}
	if _, ok := l.young[id]; ok {
		return true
	}
	_, ok := l.old[id]
	return ok
}

func (l *ledger) account(p peer.ID, now time.Time) *account {
	a, ok := l.accounts[p]
	if !ok {
		if len(l.accounts) >= maxAccounts {
			l.evict(now)
		}
		a = &account{buckets: make(map[string]*bucket), invalid: make(map[string]float64), at: now}
		l.accounts[p] = a
	}
	return a
}

func (a *account) bucket(topic string, l limit, now time.Time) *bucket {
	b, ok := a.buckets[topic]
	if !ok {
		b = &bucket{tokens: l.burst, at: now}
		a.buckets[topic] = b
	}
	return b
}

// rejected charges p with an invalid message.
func (l *ledger) rejected(p peer.ID, topic string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(p, now)
	a.decay(now)
	a.invalid[topic]++
}

// shunned reports whether p's invalid messages alone put it on the graylist.
func (l *ledger) shunned(p peer.ID, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.accounts[p]
	if !ok {
		return false
	}
	a.decay(now)
	score := 0.0
	for topic, n := range a.invalid {
		score += topicWeight(topic) * invalidWeight * n * n
	}
	return score < graylist
}

// decay follows pubsub's: a count falls to a hundredth in invalidMemory.
func (a *account) decay(now time.Time) {
	d := now.Sub(a.at)
	if d < time.Second {
		return
	}
	factor := math.Pow(0.01, d.Seconds()/invalidMemory.Seconds())
	for topic := range a.invalid {
		a.invalid[topic] *= factor
	}
	a.at = now
}

// forget drops the accounts that are like new ones.
func (l *ledger) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, a := range l.accounts {
		if l.blank(a, now) {
			delete(l.accounts, p)
		}
	}
}

func (l *ledger) blank(a *account, now time.Time) bool {
	a.decay(now)
	for _, n := range a.invalid {
		if n >= 0.01 {
			return false
		}
	}
	for topic, b := range a.buckets {
		limit := l.limits[topic]
		if b.tokens+limit.rate*now.Sub(b.at).Seconds() < limit.burst {
			return false
		}
	}
	return true
}

// evict makes room for one account. It looks at a few, in the random order of
// maps, for one that is blank.
func (l *ledger) evict(now time.Time) {
	var victim peer.ID
	looked := 0
	for p, a := range l.accounts {
		victim = p
		if looked++; looked == 16 || l.blank(a, now) {
			break
		}
	}
	delete(l.accounts, victim)
}
