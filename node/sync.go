package node

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/reconcile"
)

// When records are pulled (SPEC.md [N42] and up).
const (
	syncEvery   = 3 * time.Minute // from a random peer, give or take a fifth
	syncSettle  = 5 * time.Second // after a peer has come, gossip has dropped messages, or a pull has brought some
	syncWorkers = 2               // peers at once
	syncPeers   = 8               // that one Sync asks, at once when they are silent or somebody has answered
	syncSilent  = 2 * time.Second // after which one Sync asks another peer too
	syncShun    = 10 * time.Minute
	syncMute    = time.Minute      // that a peer is not asked that came by itself and did not answer
	syncAgain   = time.Second      // after a peer that was busy, give or take half
	syncBusy    = 30 * time.Second // of peers that are busy
	syncTries   = 5                // ... when somebody else has answered
	syncGrace   = time.Second      // for a silent peer that came by itself, once a named or dialled one has answered in full
)

// syncer pulls the records that gossip did not bring.
type syncer struct {
	live    *live
	every   time.Duration
	brought atomic.Int64 // batches that peers have sent
	turn    bool         // of the peers that this node dialled; run's own

	mu       sync.Mutex
	queue    []peer.ID                // to pull from, without repeats
	sessions map[peer.ID]*pullSession // with peers that are being pulled from
	shun     map[peer.ID]time.Time
	wake     chan struct{}
	lost     chan struct{} // gossip has dropped messages
}

// pullSession is what one pull has brought, which may take several streams.
type pullSession struct {
	ingest.Session
	batches atomic.Int64
}

func newSyncer(l *live) *syncer {
	return &syncer{
		live: l, every: syncEvery,
		sessions: map[peer.ID]*pullSession{}, shun: map[peer.ID]time.Time{},
		wake: make(chan struct{}, syncWorkers), lost: make(chan struct{}, 1),
	}
}

// run pulls from peers that come, and now and then from one of those that are
// there, until ctx ends.
func (s *syncer) run(ctx context.Context) {
	met, err := s.live.host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		s.live.log.Error("watch for peers to pull from", "err", err)
		return
	}
	defer met.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	if !s.live.node.cfg.Ephemeral { // which pulls when it is told to
		for range syncWorkers {
			wg.Go(func() { s.work(ctx) })
		}
	}
	for _, p := range s.peers() {
		s.offer(p)
	}
	pause := s.pause()
	due, next := time.Now().Add(pause), time.NewTimer(pause)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-met.Out():
			if who, ok := e.(event.EvtPeerIdentificationCompleted); ok && slices.Contains(who.Protocols, reconcile.Protocol) {
				s.live.changed.fire()
				s.offer(who.Peer)
				// What it gets before it is in the mesh is passed on to nobody.
				time.AfterFunc(syncSettle, func() {
					if s.live.isConnected(who.Peer) {
						s.offer(who.Peer)
					}
				})
			}
		case <-s.lost:
			if soon := time.Now().Add(syncSettle); soon.Before(due) {
				due = soon
				next.Reset(syncSettle)
			}
		case <-next.C:
			s.offerAny()
			pause := s.pause()
			due = time.Now().Add(pause)
			next.Reset(pause)
		}
	}
}

// dropped is told that this node lacks something: gossip lost messages, which are
// fetched once it is calmer, or a peer had something new, and others may have more.
func (s *syncer) dropped() {
	select {
	case s.lost <- struct{}{}:
	default:
	}
}

// offerAny has one of the connected peers pulled from, every other time one that
// this node dialled: all those who came by themselves may be one.
func (s *syncer) offerAny() {
	all := s.peers()
	s.turn = !s.turn
	if s.turn {
		if chosen := slices.DeleteFunc(slices.Clone(all), func(p peer.ID) bool { return !isChosen(s.live.host, p) }); len(chosen) > 0 {
			all = chosen
		}
	}
	if len(all) > 0 {
		s.offer(all[rand.IntN(len(all))])
	}
}

func (s *syncer) pause() time.Duration {
	return time.Duration(float64(s.every) * (0.8 + 0.4*rand.Float64()))
}

// peers returns the connected peers that can be pulled from.
func (s *syncer) peers() []peer.ID {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(connected(s.live.host), func(p peer.ID) bool {
		if until, ok := s.shun[p]; ok {
			if now.Before(until) {
				return true
			}
			delete(s.shun, p)
		}
		spoken, err := s.live.host.Peerstore().SupportsProtocols(p, reconcile.Protocol)
		return err != nil || len(spoken) == 0
	})
}

// offer has p pulled from soon.
func (s *syncer) offer(p peer.ID) {
	s.mu.Lock()
	if slices.Contains(s.queue, p) {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, p)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *syncer) work(ctx context.Context) {
	for {
		p, ok := s.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
			}
			continue
		}
		r, err := s.pull(ctx, p, api.SyncOptions{}, nil)
		if err == nil && !r.More {
			err = s.live.home.SetSynced(time.Now())
		}
		if err != nil && ctx.Err() == nil {
			s.live.log.Debug("pull", "peer", p.String(), "err", err)
		}
		if r.Records > 0 {
			s.dropped()
		}
	}
}

// next takes a peer off the queue that is not being pulled from, one that the user
// named if there is one, else one that this node dialled: others can come in any number, and let it wait.
func (s *syncer) next() (peer.ID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best, worth := -1, 0
	for i, p := range s.queue {
		if s.sessions[p] != nil {
			continue
		}
		if r := s.live.rank(p); best < 0 || r < worth {
			best, worth = i, r
		}
	}
	if best < 0 {
		return "", false
	}
	p := s.queue[best]
	s.queue = slices.Delete(s.queue, best, best+1)
	return p, true
}

// begin makes the caller the one who pulls from p.
func (s *syncer) begin(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[p] != nil {
		return false
	}
	s.sessions[p] = new(pullSession)
	return true
}

func (s *syncer) end(p peer.ID) {
	s.mu.Lock()
	session := s.sessions[p]
	delete(s.sessions, p)
	waiting := len(s.queue) > 0
	s.mu.Unlock()
	if !s.live.node.cfg.Ephemeral {
		s.live.outbox.spread(session.Announce())
	}
	if waiting {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}
