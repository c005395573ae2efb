package pull

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/rangeset"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// When records are pulled (docs/program.md [N42] and up).
const (
	DefaultInterval = 3 * time.Minute // from a random peer, give or take a fifth
	settleDelay     = 5 * time.Second // after a peer has come, gossip has dropped messages, or a pull has brought some
	workers         = 2               // peers at once
	maxPeers        = 8               // that one Sync asks, at once when they are silent or somebody has answered
	silentAfter     = 2 * time.Second // after which one Sync asks another peer too
	offenceBan      = 10 * time.Minute
	silenceBan      = time.Minute      // that a peer is not asked that came by itself and did not answer
	busyRetry       = time.Second      // after a peer that was busy, give or take half
	busyTimeout     = 30 * time.Second // of peers that are busy
	busyTries       = 5                // ... when somebody else has answered
	silenceGrace    = time.Second      // for a silent peer that came by itself, once a named or dialled one has answered in full
	peerTimeout     = 2 * time.Second  // for a connected peer to say what it offers
)

// Config says what a Puller works with. All but Interval is required.
type Config struct {
	Swarm    *swarm.Swarm
	Index    *index.Index
	Ingester Ingester
	// Begin begins what one pull from a peer brings.
	Begin      func(from peer.ID) Session
	Everything bool // strangers' records too, as far as they are kept
	Ephemeral  bool // for one command: it pulls when it is told to
	// Served is told when a record is read for a peer.
	Served func()
	// Announce has records announced that others may have missed.
	Announce func([]cid.Cid)
	// SetSynced notes that a peer was asked for all that is missing here.
	SetSynced func(time.Time) error
	Interval  time.Duration // between pulls, give or take a fifth; 0 for 3 minutes
	Log       *slog.Logger
}

// Puller pulls the records that gossip did not bring.
type Puller struct {
	cfg       Config
	reconcile *reconcile.Reconcile
	received  atomic.Int64 // batches that peers have sent
	turn      bool         // of the peers that this node dialled; Run's own

	mu       sync.Mutex
	queue    []peer.ID             // to pull from, without repeats
	sessions map[peer.ID]*session  // with peers that are being pulled from
	banned   map[peer.ID]time.Time // until when
	wake     chan struct{}
	lost     chan struct{} // gossip has dropped messages
}

// An Ingester knows whom the user trusts.
type Ingester interface {
	Trust() *trust.Policy
	Followed(context.Context) ([]records.Fingerprint, error)
}

// A Session takes what one pull brings, which may take several streams.
type Session interface {
	Ingest(context.Context, []records.Item) (reconcile.IngestResult, error)
	// Announce returns the records of the session that others may have missed.
	Announce() []cid.Cid
}

type session struct {
	Session
	batches atomic.Int64
}

// New makes a Puller, and has the host answer peers that pull from it. Serve must run
// before any is asked.
func New(cfg Config) (*Puller, error) {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	p := &Puller{
		cfg: cfg, sessions: map[peer.ID]*session{}, banned: map[peer.ID]time.Time{},
		wake: make(chan struct{}, workers), lost: make(chan struct{}, 1),
	}
	h := cfg.Swarm.Host()
	var err error
	p.reconcile, err = reconcile.New(h, reconcile.Config{
		Set:    cfg.Index,
		Source: source{cfg.Index, cfg.Served},
		Ingest: p.take,
		Wanted: cfg.Index.Missing,
		View: func(ctx context.Context, f func(reconcile.View) error) error {
			return cfg.Index.ReadSet(ctx, func(v *rangeset.View) error { return f(v) })
		},
		Origin: swarm.Origin,
		Chosen: cfg.Swarm.IsChosen,
		Log:    cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	h.SetStreamHandler(clockProtocol, serveClock)
	return p, nil
}

// Serve answers peers, and makes the sessions of Run, Sync and Survey possible, until ctx
// ends.
func (p *Puller) Serve(ctx context.Context) error { return p.reconcile.Run(ctx) }

// source is the index as peers that pull read it.
type source struct {
	index  *index.Index
	served func()
}

func (s source) Items(ctx context.Context, r records.Range, maxBytes int) ([]records.Item, records.Range, error) {
	s.served()
	return s.index.Items(ctx, r, maxBytes)
}

// Run pulls from peers that come, and now and then from one of those that are
// there, until ctx ends.
func (p *Puller) Run(ctx context.Context) error {
	met, err := p.cfg.Swarm.Host().EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return fmt.Errorf("watch for peers to pull from: %w", err)
	}
	defer met.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	if !p.cfg.Ephemeral { // which pulls when it is told to
		for range workers {
			wg.Go(func() { p.work(ctx) })
		}
	}
	for _, who := range p.peers() {
		p.offer(who)
	}
	pause := p.pause()
	due, next := time.Now().Add(pause), time.NewTimer(pause)
	defer next.Stop()
	settling := newSettling()
	defer settling.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-met.Out():
			if ev, ok := e.(event.EvtPeerIdentificationCompleted); ok && slices.Contains(ev.Protocols, reconcile.Protocol) {
				p.cfg.Swarm.Identified()
				p.offer(ev.Peer)
				// What it gets before it is in the mesh is passed on to nobody.
				settling.add(ev.Peer)
			}
		case <-settling.timer.C:
			if who := settling.next(); p.cfg.Swarm.IsConnected(who) {
				p.offer(who)
			}
		case <-p.lost:
			if soon := time.Now().Add(settleDelay); soon.Before(due) {
				due = soon
				next.Reset(settleDelay)
			}
		case <-next.C:
			p.offerAny()
			pause := p.pause()
			due = time.Now().Add(pause)
			next.Reset(pause)
		}
	}
}

// settling are the peers that have come within settleDelay, the first first.
type settling struct {
	peers []peer.ID
	at    []time.Time // when each has been there for so long
	timer *time.Timer // fires at the first of these
}

func newSettling() *settling {
	s := &settling{timer: time.NewTimer(settleDelay)}
	s.timer.Stop()
	return s
}

func (s *settling) add(p peer.ID) {
	s.peers, s.at = append(s.peers, p), append(s.at, time.Now().Add(settleDelay))
	if len(s.peers) == 1 {
		s.timer.Reset(settleDelay)
	}
}

// next returns the peer for which the timer has fired.
func (s *settling) next() peer.ID {
	p := s.peers[0]
	s.peers, s.at = s.peers[1:], s.at[1:]
	if len(s.at) > 0 {
		s.timer.Reset(time.Until(s.at[0]))
	}
	return p
}

// Lacks is told that this node lacks something: gossip lost messages, which are
// fetched once it is calmer, or a peer had something new, and others may have more.
func (p *Puller) Lacks() {
	select {
	case p.lost <- struct{}{}:
	default:
	}
}

// offerAny has one of the connected peers pulled from, every other time one that
// this node dialled: all those who came by themselves may be one.
func (p *Puller) offerAny() {
	all := p.peers()
	p.turn = !p.turn
	if p.turn {
		if chosen := slices.DeleteFunc(slices.Clone(all), func(who peer.ID) bool { return !p.cfg.Swarm.HasDialled(who) }); len(chosen) > 0 {
			all = chosen
		}
	}
	if len(all) > 0 {
		p.offer(all[rand.IntN(len(all))])
	}
}

func (p *Puller) pause() time.Duration {
	return time.Duration(float64(p.cfg.Interval) * (0.8 + 0.4*rand.Float64()))
}

// peers returns the connected peers that can be pulled from.
func (p *Puller) peers() []peer.ID {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(p.cfg.Swarm.Connected(), func(who peer.ID) bool {
		if until, ok := p.banned[who]; ok {
			if now.Before(until) {
				return true
			}
			delete(p.banned, who)
		}
		spoken, err := p.cfg.Swarm.Host().Peerstore().SupportsProtocols(who, reconcile.Protocol)
		return err != nil || len(spoken) == 0
	})
}

// offer has who pulled from soon.
func (p *Puller) offer(who peer.ID) {
	p.mu.Lock()
	if slices.Contains(p.queue, who) {
		p.mu.Unlock()
		return
	}
	p.queue = append(p.queue, who)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Puller) work(ctx context.Context) {
	for {
		who, ok := p.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-p.wake:
			}
			continue
		}
		r, err := p.pull(ctx, who, api.SyncOptions{}, nil)
		if err == nil && !r.More {
			err = p.cfg.SetSynced(time.Now())
		}
		if err != nil && ctx.Err() == nil {
			p.cfg.Log.Debug("pull", "peer", who.String(), "err", err)
		}
		if r.Records > 0 {
			p.Lacks()
		}
	}
}

// next takes a peer off the queue that is not being pulled from, one that the user
// named if there is one, else one that this node dialled: others can come in any number, and let it wait.
func (p *Puller) next() (peer.ID, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	best, worth := -1, 0
	for i, who := range p.queue {
		if p.sessions[who] != nil {
			continue
		}
		if r := p.cfg.Swarm.Rank(who); best < 0 || r < worth {
			best, worth = i, r
		}
	}
	if best < 0 {
		return "", false
	}
	who := p.queue[best]
	p.queue = slices.Delete(p.queue, best, best+1)
	return who, true
}

// begin makes the caller the one who pulls from who.
func (p *Puller) begin(who peer.ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions[who] != nil {
		return false
	}
	p.sessions[who] = &session{Session: p.cfg.Begin(who)}
	return true
}

func (p *Puller) end(who peer.ID) {
	p.mu.Lock()
	session := p.sessions[who]
	delete(p.sessions, who)
	waiting := len(p.queue) > 0
	p.mu.Unlock()
	if !p.cfg.Ephemeral {
		p.cfg.Announce(session.Announce())
	}
	if waiting {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}
