package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/simulation"
)

// How package node uses gossip and reconciliation (docs/program.md section 12).
const (
	period = 3 * time.Minute // between pulls from random peers
	soon   = 5 * time.Second // after drops, after news, and once more after a connection
	redial = 5 * time.Second
)

// A member gossips, and pulls what gossip loses. What it has outlives its runs.
type member struct {
	t      *testing.T
	host   host.Host
	memory *memory
	known  []host.Host // whom it dials
	rand   *rand.Rand  // its loop's own

	gossip *gossip.Gossip // of the present run
	stop   func()         // nil when it is off

	mu    sync.Mutex
	pulls map[string]int // by outcome
}

// A frame is a key block and an envelope; here the key block is the author's first.
func frameOf(it records.Item) []byte {
	key := keyBlock(it.Element.Author(), 0)
	frame, err := records.EncodeFrame(records.Frame{Key: key.Bytes, Envelope: it.Bytes})
	if err != nil {
		panic(err)
	}
	return frame
}

func (m *member) accept(_ context.Context, msg gossip.Message) gossip.Outcome {
	frame, err := records.DecodeFrame(msg.Data)
	if err != nil {
		return gossip.Reject
	}
	envelope, err := records.DecodeEnvelope(frame.Envelope)
	if err != nil {
		return gossip.Reject
	}
	author := envelope.Record.Author
	m.memory.mu.Lock()
	defer m.memory.mu.Unlock()
	m.memory.add(records.Item{Element: records.KeyElement(author, frame.Key), Bytes: frame.Key})
	isNew := m.memory.add(records.Item{Element: records.RecordElement(author, records.ID(envelope.RecordBytes)), Bytes: frame.Envelope})
	if !isNew && !msg.Local {
		return gossip.Ignore
	}
	return gossip.Accept
}

// publish stores a record and announces it, which may fail.
func (m *member) publish(it records.Item) {
	m.memory.fill(it, keyBlock(it.Element.Author(), 0))
	if m.stop != nil {
		_, _ = m.gossip.PublishRecord(m.t.Context(), frameOf(it))
	}
}

// start runs the member until stop is called.
func (m *member) start() {
	ctx, cancel := context.WithCancel(m.t.Context())
	dropped := make(chan struct{}, 1)
	g, err := gossip.New(m.host, gossip.Config{Accept: m.accept, Workers: 4, Dropped: func(gossip.Drops) {
		select {
		case dropped <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		m.t.Fatal(err)
	}
	r, err := New(m.host, Config{Set: m.memory, Source: m.memory, Ingest: m.memory.take})
	if err != nil {
		m.t.Fatal(err)
	}
	m.gossip = g
	var parts sync.WaitGroup
	parts.Go(func() { _ = g.Run(ctx) })
	parts.Go(func() { _ = r.Run(ctx) })
	parts.Go(func() { m.meet(ctx) })
	parts.Go(func() { m.sync(ctx, r, dropped) })
	m.stop = func() {
		m.stop = nil
		cancel()
		for _, c := range m.host.Network().Conns() {
			_ = c.Close()
		}
		parts.Wait()
	}
}

// meet dials whom the member knows, again and again.
func (m *member) meet(ctx context.Context) {
	tick := time.NewTicker(redial)
	defer tick.Stop()
	for {
		var dials sync.WaitGroup
		for _, h := range m.known {
			if m.host.Network().Connectedness(h.ID()) != network.Connected {
				dials.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
					defer cancel()
					_ = m.host.Connect(ctx, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
				})
			}
		}
		dials.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sync pulls from who connects, from somebody now and then, and soon after drops
// and news.
func (m *member) sync(ctx context.Context, r *Reconcile, dropped <-chan struct{}) {
	connected := make(chan peer.ID, 256)
	notified := &network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		connected <- c.RemotePeer()
	}}
	m.host.Network().Notify(notified)
	defer m.host.Network().StopNotify(notified)
	next := time.NewTimer(m.jitter())
	defer next.Stop()
	random := time.NewTimer(time.Hour)
	defer random.Stop()
	again := make(chan peer.ID, 256)
	pending := false
	for {
		news := false
		select {
		case <-ctx.Done():
			return
		case p := <-connected:
			news = m.pull(ctx, r, p)
			time.AfterFunc(soon, func() { again <- p })
		case p := <-again:
			news = m.pull(ctx, r, p)
		case <-next.C:
			next.Reset(m.jitter())
			news = m.pullRandom(ctx, r)
		case <-dropped:
			news = true
		case <-random.C:
			pending = false
			news = m.pullRandom(ctx, r)
		}
		if news && !pending {
			pending = true
			random.Reset(soon)
		}
	}
}

func (m *member) jitter() time.Duration {
	return period*4/5 + time.Duration(m.rand.Int64N(int64(period*2/5)))
}

func (m *member) pullRandom(ctx context.Context, r *Reconcile) (news bool) {
	if peers := m.host.Network().Peers(); len(peers) > 0 {
		return m.pull(ctx, r, peers[m.rand.IntN(len(peers))])
	}
	return false
}

// pull reports whether there was anything new.
func (m *member) pull(ctx context.Context, r *Reconcile, p peer.ID) (news bool) {
	for scope := Everything(); ; {
		got, err := r.Pull(ctx, p, scope)
		m.count(err)
		if errors.As(err, new(*OffenceError)) {
			m.t.Errorf("an honest peer: %v", err)
		}
		news = news || got.Records > 0
		if err != nil || !got.More || got.Items == 0 {
			return news
		}
		scope = got.Left
	}
}

func (m *member) count(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	outcome := "ok"
	if errors.Is(err, ErrBusy) {
		outcome = "busy"
	} else if err != nil {
		outcome = "failed"
	}
	m.pulls[outcome]++
}

// members makes one of each host; each knows some of the others.
func members(t *testing.T, n *simulation.Network, seed uint64, links int) []*member {
	var all []*member
	for i, h := range n.Hosts {
		m := &member{t: t, host: h, memory: newMemory(), rand: rand.New(rand.NewPCG(seed, uint64(i)+10)), pulls: map[string]int{}}
		for _, j := range n.Rand.Perm(len(n.Hosts))[:links] {
			if j != i {
				m.known = append(m.known, n.Hosts[j])
			}
		}
		m.known = append(m.known, n.Hosts[(i+1)%len(n.Hosts)]) // so that all are connected
		all = append(all, m)
	}
	return all
}

// missing counts what members lack of some elements.
func missing(all []*member, want []records.Element) (n int) {
	for _, m := range all {
		has := m.memory.all()
		for _, e := range want {
			if _, ok := slices.BinarySearch(has, e); !ok {
				n++
			}
		}
	}
	return n
}

// Number 1 of what must be true: with a fifth of all packets lost, three
// partitions, and members that come and go, everybody has every record within
// three periods after the partitions are healed. Gossip alone loses many.
func TestConverge(t *testing.T) {
	seeds, hosts, count := 2, 12, 200
	if full {
		seeds, hosts, count = 20, 50, 500
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			cfg := simulation.Config{Hosts: hosts, Latency: 25 * time.Millisecond, Jitter: 0.5, Loss: 0.2, Seed: uint64(seed)}
			simulation.Run(t, cfg, func(t *testing.T, n *simulation.Network) {
				all := members(t, n, cfg.Seed, 4)
				for _, m := range all {
					m.start()
					defer func() {
						if m.stop != nil {
							m.stop()
						}
					}()
				}
				time.Sleep(20 * time.Second)
				want := storm(n, all, count)
				n.Heal()
				lost := missing(all, want)
				healed := time.Now()
				for missing(all, want) > 0 && time.Since(healed) < 3*period {
					time.Sleep(time.Second)
				}
				pulls := map[string]int{}
				for _, m := range all {
					m.mu.Lock()
					for outcome, n := range m.pulls {
						pulls[outcome] += n
					}
					m.mu.Unlock()
				}
				sent, dropped := n.Packets()
				left := missing(all, want)
				t.Logf("seed %d: %d records at %d members: %d were missing when the partitions were healed, %d are %v later; pulls %v; %d of %d packets lost",
					seed, count, hosts, lost, left, time.Since(healed), pulls, dropped, sent)
				if left > 0 || lost == 0 {
					t.Errorf("%d records are missing at last, %d were", left, lost)
				}
			})
		})
	}
}

// storm has members publish for three minutes, in three partitions after the
// first half minute, while every ten seconds one of them leaves for a while. It
// returns what was published.
func storm(n *simulation.Network, all []*member, count int) (published []records.Element) {
	const length = 3 * time.Minute
	away := map[*member]time.Time{} // who is off, and until when
	begin := time.Now()
	leave := begin.Add(10 * time.Second)
	split := false
	for i := range count {
		time.Sleep(time.Until(begin.Add(length * time.Duration(i) / time.Duration(count))))
		now := time.Now()
		if !split && now.Sub(begin) > 30*time.Second {
			split = true
			for j := range all {
				n.Move(j%3, j)
			}
		}
		for m, until := range away {
			if now.After(until) {
				delete(away, m)
				m.start()
			}
		}
		if now.After(leave) {
			leave = now.Add(10 * time.Second)
			if m := all[n.Rand.IntN(len(all))]; m.stop != nil {
				m.stop()
				away[m] = now.Add(time.Duration(10+n.Rand.IntN(50)) * time.Second)
			}
		}
		a := n.Rand.IntN(len(all))
		it := record(author(a), i)
		all[a].publish(it)
		published = append(published, it.Element)
	}
	for m := range away {
		m.start()
	}
	return published
}

// Number 1 of what must be true: who was off while 5,000 records were published
// in a burst has them all after one sync.
func TestBurstWhileAway(t *testing.T) {
	count := 1000
	if full {
		count = 5000
	}
	cfg := simulation.Config{Hosts: 3, Latency: 25 * time.Millisecond, Loss: 0.02, Seed: 1}
	simulation.Run(t, cfg, func(t *testing.T, n *simulation.Network) {
		all := members(t, n, cfg.Seed, 2)
		for _, m := range all[:2] {
			m.start()
			defer m.stop()
		}
		time.Sleep(10 * time.Second)
		for i := range count {
			all[0].publish(record(author(i%7), i))
		}
		x := start(t, n.Hosts[2], all[2].memory, Config{})
		defer x.stop()
		simulation.Connect(t, n.Hosts[2], n.Hosts[0])
		before := len(all[1].memory.all())
		got, sessions := x.pull(t, &node{host: n.Hosts[0]}, Everything())
		if want := all[0].memory.all(); got.Records != count || !slices.Equal(all[2].memory.all(), want) {
			t.Errorf("after one sync %d of %d records are here", got.Records, count)
		}
		time.Sleep(30 * time.Second)
		if want := all[0].memory.all(); !slices.Equal(all[1].memory.all(), want) {
			t.Errorf("who was there has %d of %d elements", len(all[1].memory.all()), len(want))
		}
		t.Logf("%d records in %d sessions; gossip alone had brought who was there %d of %d", got.Records, sessions, before, count+7)
	})
}

// counted is a host that counts what it writes to streams.
type counted struct {
	host.Host
	written *atomic.Int64
}

type countedStream struct {
	network.Stream
	written *atomic.Int64
}

func (s countedStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.written.Add(int64(n))
	return n, err
}

func (h counted) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, protocols...)
	if err != nil {
		return nil, err
	}
	return countedStream{s, h.written}, nil
}

func (h counted) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) { handle(countedStream{s, h.written}) })
}

// Threat 28: old records that peers send again are not passed on. The node sends
// less than a tenth more than it does anyway, with a record a second published.
func TestThreat28Replay(t *testing.T) {
	old := 1000
	if full {
		old = 10_000
	}
	const honest, replaying = 6, 3
	cfg := simulation.Config{Hosts: honest + replaying, Latency: 5 * time.Millisecond, Seed: 1}
	simulation.Run(t, cfg, func(t *testing.T, n *simulation.Network) {
		var written atomic.Int64
		n.Hosts[0] = counted{n.Hosts[0], &written}
		all := members(t, n, cfg.Seed, 4)
		var history []records.Item
		for i := range old {
			history = append(history, record(author(100), i))
		}
		for i, m := range all {
			m.memory.fill(history...)
			if i < honest {
				m.known = n.Hosts[:honest]
				m.known = slices.DeleteFunc(slices.Clone(m.known), func(h host.Host) bool { return h.ID() == m.host.ID() })
			} else {
				m.known = n.Hosts[:1] // the victim
			}
			m.start()
			defer func() { m.stop() }()
		}
		time.Sleep(time.Minute)
		published := 0
		minutes := func(also func(second int)) int64 {
			before := written.Load()
			for s := range 2 * 60 {
				all[1+s%(honest-1)].publish(record(author(s%5), 100_000+published))
				published++
				if also != nil {
					also(s)
				}
				time.Sleep(time.Second)
			}
			return written.Load() - before
		}
		idle := minutes(nil)
		replayed := 0
		attacked := minutes(func(int) {
			for range (old + 119) / 120 {
				if replayed < old {
					if _, err := all[honest+replayed%replaying].gossip.PublishRecord(t.Context(), frameOf(history[replayed])); err != nil {
						t.Fatal(err)
					}
					replayed++
				}
			}
		})
		t.Logf("%d old records replayed: the node sent %d bytes, %d without", replayed, attacked, idle)
		if replayed != old || float64(attacked) > 1.1*float64(idle) || idle == 0 {
			t.Errorf("%d old records replayed: the node sent %d bytes, %d without", replayed, attacked, idle)
		}
	})
}
