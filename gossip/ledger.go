package gossip

import (
	"errors"
	"math"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// maxAccounts bounds how many peers the ledger remembers.
const maxAccounts = 4096

// maxSeen bounds each generation of message ids that the ledger remembers.
const maxSeen = 1 << 16

var (
	errGraylisted           = errors.New("peer is graylisted")
	errTooManySubscriptions = errors.New("too many subscriptions")
)

// inspect is called in pubsub's loop for every message between peers.
//
// It graylists peers that sent too much that was invalid. pubsub's own graylist
// knows only peers that it could open a stream to, and a spammer need not let it.
//
// It takes out what is above a peer's rate before pubsub marks it as seen: a peer could
// otherwise spend its rate on rubbish and then keep a record out by being the
// first to send it.
func (g *Gossip) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if g.peers.isGraylisted(from, time.Now()) {
		if n := len(rpc.GetPublish()); n > 0 {
			g.drops.add(func(d *Drops) { d.Graylisted += uint64(n) })
		}
		return errGraylisted
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

// A limit is how many messages of a topic a peer may forward, per second and at once.
type limit struct {
	rate  rate.Limit
	burst int
}

type account struct {
	limiters map[string]*rate.Limiter // by topic
	invalid  map[string]float64       // by topic, decaying from the time at
	at       time.Time
}

func newLedger(recordRate float64, recordBurst int) *ledger {
	return &ledger{
		limits: map[string]limit{
			TopicRecords: {rate.Limit(recordRate), recordBurst},
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
	if !l.account(p, now).limiter(m.GetTopic(), limit).AllowN(now, 1) {
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
		a = &account{limiters: make(map[string]*rate.Limiter), invalid: make(map[string]float64), at: now}
		l.accounts[p] = a
	}
	return a
}

func (a *account) limiter(topic string, l limit) *rate.Limiter {
	r, ok := a.limiters[topic]
	if !ok {
		r = rate.NewLimiter(l.rate, l.burst)
		a.limiters[topic] = r
	}
	return r
}

// rejected charges p with an invalid message.
func (l *ledger) rejected(p peer.ID, topic string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(p, now)
	a.decay(now)
	a.invalid[topic]++
}

// isGraylisted reports whether p's invalid messages alone put it on the graylist.
func (l *ledger) isGraylisted(p peer.ID, now time.Time) bool {
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
		if l.isDefault(a, now) {
			delete(l.accounts, p)
		}
	}
}

func (l *ledger) isDefault(a *account, now time.Time) bool {
	a.decay(now)
	for _, n := range a.invalid {
		if n >= 0.01 {
			return false
		}
	}
	for _, r := range a.limiters {
		if r.TokensAt(now) < float64(r.Burst()) {
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
		if looked++; looked == 16 || l.isDefault(a, now) {
			break
		}
	}
	delete(l.accounts, victim)
}
