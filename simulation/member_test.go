package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// What package node does, and when (SPEC.md section 12, docs/program.md).
const (
	verifying    = 150 * time.Microsecond // a signature
	enoughPeers  = 16                     // peers are dialled until there are so many
	enoughChosen = 8                      // ... and so many of them were dialled here
	redial       = 5 * time.Second
	dialTimeout  = 10 * time.Second
	pullEvery    = 3 * time.Minute // from a random peer, give or take a fifth
	pullAgain    = 5 * time.Second // after the first time, when the peer is in the mesh
	pullSoon     = 5 * time.Second // after gossip has dropped something
	pullsAtOnce  = 2
	tellMost     = 32               // records that a pull brought are announced
	banTime      = 10 * time.Minute // of peers whose answers were wrong
)

// A member is an honest node without signatures and disk: gossip, reconciliation,
// and a set in memory.
type member struct {
	t      *testing.T
	i      int
	host   host.Host
	world  *world
	set    *set
	gossip *gossip.Gossip
	pulls  *reconcile.Reconcile
	syncer *syncer
	stop   func()

	mu    sync.Mutex
	known []peer.AddrInfo  // whom it can dial
	asked map[peer.ID]bool // those of known that the user named: always dialled
}

// join makes the i-th host of n a member. It runs until stop is called.
func join(t *testing.T, n *Network, w *world, i int) *member {
	t.Helper()
	m := &member{t: t, i: i, host: n.Hosts[i], world: w, set: &set{}, asked: make(map[peer.ID]bool)}
	m.syncer = newSyncer(m, rand.New(rand.NewPCG(n.cfg.Seed, uint64(i)+100)))
	var err error
	m.gossip, err = gossip.New(m.host, gossip.Config{Accept: m.accept, Dropped: func(gossip.Drops) { m.syncer.randomSoon() }, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	m.pulls, err = reconcile.New(m.host, reconcile.Config{Set: m.set, Source: m.set, Ingest: m.take})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	for what, run := range map[string]func(context.Context) error{
		"gossip": m.gossip.Run, "reconcile": m.pulls.Run, "sync": m.syncer.run, "dial": m.keepDialling,
	} {
		parts.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("member %d: %s: %v", i, what, err)
			}
		})
	}
	m.stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
	})
	return m
}

func (m *member) accept(_ context.Context, msg gossip.Message) gossip.Outcome {
	r := m.world.ofFrame(msg.Data)
	if msg.Local {
		return gossip.Accept
	}
	if r != nil && m.set.has(r) {
		return gossip.Ignore
	}
	time.Sleep(verifying)
	if r == nil {
		return gossip.Reject
	}
	if !m.set.add(r) {
		return gossip.Ignore
	}
	r.arrive(m.i, false)
	return gossip.Accept
}

func (m *member) take(_ context.Context, from peer.ID, items []records.Item) (reconcile.IngestResult, error) {
	var taken reconcile.IngestResult
	for _, it := range items {
		time.Sleep(verifying)
		r := m.world.ofElement(it.Element)
		if r == nil {
			return taken, &reconcile.OffenceError{Peer: from, Err: errors.New("the signature is wrong")}
		}
		if m.set.add(r) {
			r.arrive(m.i, true)
			taken.Records++
			m.syncer.news(r)
		}
	}
	return taken, nil
}

// publish makes a record and announces it.
func (m *member) publish() *record {
	m.t.Helper()
	r := m.world.make(m.t, m.i)
	m.set.add(r)
	r.arrive(m.i, false)
	if _, err := m.gossip.PublishRecord(m.t.Context(), r.frame); err != nil {
		m.t.Errorf("member %d: %v", m.i, err)
	}
	return r
}

// knows tells m where others are.
func (m *member) knows(others ...host.Host) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range others {
		info := peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		m.known = append(m.known, info)
		m.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	}
}

// asksFor tells m where a peer is that it always wants.
func (m *member) asksFor(h host.Host) {
	m.knows(h)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[h.ID()] = true
}

// keepDialling dials peers that m knows while it has few.
func (m *member) keepDialling(ctx context.Context) error {
	tick := time.NewTicker(redial)
	defer tick.Stop()
	for {
		m.dial(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *member) dial(ctx context.Context) {
	m.mu.Lock()
	known, asked := m.known, maps.Clone(m.asked)
	m.mu.Unlock()
	var dials sync.WaitGroup
	room := max(enoughPeers-len(m.host.Network().Peers()), enoughChosen-m.chosen())
	for _, p := range known {
		if room <= 0 && !asked[p.ID] || m.host.Network().Connectedness(p.ID) == network.Connected {
			continue
		}
		room--
		dials.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			_ = m.host.Connect(ctx, p) // it may be gone
		})
	}
	dials.Wait()
}

// chosen counts the peers that m dialled.
func (m *member) chosen() int {
	n := 0
	for _, p := range m.host.Network().Peers() {
		if m.hasChosen(p) {
			n++
		}
	}
	return n
}

func (m *member) hasChosen(p peer.ID) bool {
	return slices.ContainsFunc(m.host.Network().ConnsToPeer(p), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirOutbound
	})
}

// A syncer decides when to pull from whom, as package node does.
type syncer struct {
	m    *member
	rand *rand.Rand
	wake chan struct{}

	mu      sync.Mutex
	waiting []peer.ID
	turn    int
	fresh   []*record // pulled and not announced
	soon    bool
	banned  map[peer.ID]time.Time
	pulls   map[string]int // by outcome
}

func newSyncer(m *member, r *rand.Rand) *syncer {
	s := &syncer{m: m, rand: r, wake: make(chan struct{}, pullsAtOnce), banned: make(map[peer.ID]time.Time), pulls: make(map[string]int)}
	m.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		p := c.RemotePeer()
		s.add(p)
		// What the peer has got before it was in our mesh was not passed on.
		time.AfterFunc(pullAgain, func() { s.add(p) })
	}})
	return s
}

func (s *syncer) add(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		if w == p {
			return
		}
	}
	s.waiting = append(s.waiting, p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// randomSoon has m pull from some peer in a while.
func (s *syncer) randomSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.soon {
		return
	}
	s.soon = true
	time.AfterFunc(pullSoon, func() {
		s.mu.Lock()
		s.soon = false
		s.mu.Unlock()
		s.addRandom()
	})
}

func (s *syncer) addRandom() {
	s.mu.Lock()
	peers := slices.DeleteFunc(s.m.host.Network().Peers(), func(p peer.ID) bool { return time.Now().Before(s.banned[p]) })
	if len(peers) == 0 {
		s.mu.Unlock()
		return
	}
	// Those who came by themselves may all be one.
	if s.turn++; s.turn%2 == 1 {
		if chosen := slices.DeleteFunc(slices.Clone(peers), func(p peer.ID) bool { return !s.m.hasChosen(p) }); len(chosen) > 0 {
			peers = chosen
		}
	}
	p := peers[s.rand.IntN(len(peers))]
	s.mu.Unlock()
	s.add(p)
}

func (s *syncer) period() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pullEvery*4/5 + time.Duration(s.rand.Int64N(int64(pullEvery*2/5)))
}

func (s *syncer) run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	for range pullsAtOnce {
		workers.Go(func() { s.work(ctx) })
	}
	next := time.NewTimer(s.period())
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			s.addRandom()
			next.Reset(s.period())
		}
	}
}

func (s *syncer) work(ctx context.Context) {
	for {
		if p, ok := s.take(); ok {
			s.pull(ctx, p)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// take returns the next peer to pull from, one that m dialled if there is one.
func (s *syncer) take() (peer.ID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) > 0 {
		i := max(0, slices.IndexFunc(s.waiting, s.m.hasChosen))
		p := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		if time.Now().After(s.banned[p]) && s.m.host.Network().Connectedness(p) == network.Connected {
			return p, true
		}
	}
	return "", false
}

func (s *syncer) pull(ctx context.Context, p peer.ID) {
	scope := reconcile.Everything()
	for {
		result, err := s.m.pulls.Pull(ctx, p, scope)
		s.count(p, err)
		if result.Records > 0 {
			s.randomSoon() // others may have more of what was missed here
		}
		s.tell(ctx)
		if err != nil || !result.More || result.Records == 0 {
			return
		}
		scope = result.Left
	}
}

// news is told of a record that a pull brought.
func (s *syncer) news(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = append(s.fresh, r)
}

// tell announces what pulls brought, when it is little: others may have missed it
// too. After much was missed all pull anyway.
func (s *syncer) tell(ctx context.Context) {
	s.mu.Lock()
	fresh := s.fresh
	s.fresh = nil
	s.mu.Unlock()
	if len(fresh) > tellMost {
		return
	}
	for _, r := range fresh {
		if _, err := s.m.gossip.PublishRecord(ctx, r.frame); err != nil && !errors.Is(err, gossip.ErrAnnounced) && ctx.Err() == nil {
			s.m.t.Errorf("member %d: %v", s.m.i, err)
		}
	}
}

func (s *syncer) count(p peer.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome := "ok"
	switch {
	case errors.Is(err, reconcile.ErrBusy):
		outcome = "busy"
	case errors.Is(err, reconcile.ErrUnsupported):
		outcome = "unsupported"
	case errors.As(err, new(*reconcile.OffenceError)):
		outcome = "offence"
		s.banned[p] = time.Now().Add(banTime)
	case err != nil:
		outcome = "failed"
	}
	s.pulls[outcome]++
}

// outcomes sums up how the pulls of members ended.
func outcomes(members []*member) string {
	total := make(map[string]int)
	for _, m := range members {
		m.syncer.mu.Lock()
		for outcome, n := range m.syncer.pulls {
			total[outcome] += n
		}
		m.syncer.mu.Unlock()
	}
	return fmt.Sprint(total)
}
