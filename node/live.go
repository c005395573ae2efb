package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	golog "github.com/ipfs/go-log/v2"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/rangeset"
	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/transfer"
)

// patience is how long a fetch waits for blocks, and a node for one command for
// somebody to ask for them.
type patience struct {
	first, lacking, idle, quiet time.Duration
}

const (
	leaveTimeout  = 5 * time.Second
	bitswapReads  = 16 // block reads at once for peers
	maxBitswapCID = 64 // bytes of a CID that a peer may ask for
)

// live is a node that runs.
type live struct {
	node     *Node
	home     *home.Home
	log      *slog.Logger
	patience patience

	host      host.Host
	exchange  *bitswap.Bitswap
	transfer  *transfer.Exchange
	gossip    *gossip.Gossip
	reconcile *reconcile.Reconcile
	ingest    *ingest.Ingester
	queue     *ingest.Queue // of what gossip brings
	syncer    *syncer
	named     named
	seeder    *seeder
	outbox    *outbox
	gate      *gate
	find      *discovery
	server    *localapi.Server // nil without a local API
	changed   signal           // a peer has come or gone
	dialled   chan struct{}
	refusals  refusals
	served    clock // when a block or a record was last read for a peer
}

// start makes everything that runs; on an error nothing is left behind.
func (n *Node) start() (_ *live, err error) {
	l := &live{node: n, home: n.home, log: n.cfg.Log, patience: n.patience, dialled: make(chan struct{})}
	var key crypto.PrivKey
	if n.cfg.Ephemeral {
		key, err = passingIdentity()
	} else {
		key, err = n.home.Identity()
	}
	if err != nil {
		return nil, err
	}
	l.gate = newGate()
	l.find = newDiscovery(l)
	if l.host, err = newHost(l.hostConfig(key)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.host.Close()
		}
	}()
	l.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(network.Network, network.Conn) { l.changed.fire() },
		DisconnectedF: func(network.Network, network.Conn) { l.changed.fire() },
	})
	l.transfer = newTransfer(l)
	l.seeder = newSeeder(l)
	l.outbox = newOutbox(l)
	l.ingest = newIngester(l)
	l.queue = ingest.NewQueue(l.ingest)
	l.syncer = newSyncer(l)
	l.gossip, err = gossip.New(l.host, gossip.Config{
		Accept:  ingestGossip(l.host, l.ingest, l.queue),
		Workers: ingest.MaxQueued,
		Dropped: l.dropped,
		Log:     l.log,
	})
	if err != nil {
		return nil, err
	}
	l.reconcile, err = reconcile.New(l.host, reconcile.Config{
		Set:    l.home.Index(),
		Source: recordSource{l.home.Index(), l.served.set},
		Ingest: l.syncer.take,
		Wanted: l.home.Index().Missing,
		View: func(ctx context.Context, f func(reconcile.View) error) error {
			return l.home.Index().ReadSet(ctx, func(v *rangeset.View) error { return f(v) })
		},
		Origin: origin,
		Chosen: l.chosen,
		Log:    l.log,
	})
	if err != nil {
		return nil, err
	}
	l.host.SetStreamHandler(clockProtocol, serveClock)
	if err = n.listenOn(l.host); err != nil {
		return nil, err
	}
	if n.cfg.MDNS {
		l.find.lan = newLAN(l, n.swarmKey)
	}
	if !n.cfg.Ephemeral && !n.noServer {
		if l.server, err = localapi.Listen(n.home.Dir(), n); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// quiet keeps libraries from writing to standard error: what goes wrong with a
// peer is their business, and what matters comes back as an error.
var quiet = sync.OnceFunc(func() {
	gologshim.SetDefaultHandler(slog.DiscardHandler)
	golog.SetAllLoggers(golog.LevelFatal)
	log.SetOutput(io.Discard)
})

// run does the node's work until ctx ends, Close is called, or a part fails.
func (l *live) run(ctx context.Context) error {
	// Gossip and bitswap go on after ctx while the node says goodbye.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patient := patientHost{l.host, l.node.idle}
	ping.NewPingService(patient)
	has := newHasServer(l)
	l.host.SetStreamHandler(hasProtocol, func(s network.Stream) { has.serve(base, s) })
	l.exchange = bitswap.New(base, bsnet.NewFromIpfsHost(patient), nil, exchangeStore{l.home.Blocks(), l.home.Index().Block, l.served.set},
		bitswap.EngineBlockstoreWorkerCount(bitswapReads), bitswap.MaxCidSize(maxBitswapCID))

	var late, parts sync.WaitGroup
	late.Go(func() {
		if err := l.queue.Run(base); err != nil {
			cancel(err)
		}
	})
	late.Go(func() {
		if err := l.gossip.Run(base); err != nil {
			cancel(err)
		}
	})
	late.Go(func() {
		if err := l.reconcile.Run(base); err != nil {
			cancel(err)
		}
	})
	late.Go(func() {
		if err := l.transfer.Run(base); err != nil {
			cancel(err)
		}
	})
	if err := offered(work, l.host, pubsub.GossipSubID_v12, reconcile.Protocol, transfer.ID); err != nil {
		cancel(err)
	}
	part := func(f func(context.Context)) { parts.Go(func() { f(work) }) }
	part(l.keepDialling)
	part(l.keepRemembering)
	part(l.find.run)
	part(l.outbox.run)
	part(l.seeder.run)
	part(l.syncer.run)
	if l.server != nil {
		parts.Go(func() {
			if err := l.server.Run(work); err != nil {
				cancel(err)
			}
		})
	}
	l.node.live = l
	close(l.node.ready)

	select {
	case <-l.node.closing:
		if l.node.cfg.Ephemeral {
			l.linger(work)
		}
	case <-work.Done():
	}
	err := context.Cause(work)
	cancel(context.Canceled)
	parts.Wait()
	l.leave(base)
	stop()
	late.Wait()
	closed := errors.Join(l.exchange.Close(), l.find.close(), l.host.Close())
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run node: %w", err)
	}
	if closed != nil {
		l.log.Debug("close node", "err", closed)
	}
	return nil
}

// leave says goodbye to gossip and takes out of the outbox what peers confirm.
func (l *live) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if len(l.gossip.Peers(gossip.TopicRecords)) == 0 {
		return
	}
	confirmed, err := l.gossip.Leave(ctx)
	if err != nil {
		l.log.Debug("leave gossip", "err", err)
	}
	if confirmed > 0 {
		if err := l.outbox.confirm(ctx); err != nil {
			l.log.Error("mark records as announced", "err", err)
		}
	}
}

// dropped is told what gossip has lost.
func (l *live) dropped(d gossip.Drops) {
	l.log.Warn("gossip dropped messages", "counts", fmt.Sprintf("%+v", d))
	l.syncer.dropped()
}

// recordSource is the index as peers that pull read it.
type recordSource struct {
	index  *index.Index
	served func()
}

func (s recordSource) Items(ctx context.Context, r records.Range, maxBytes int) ([]records.Item, records.Range, error) {
	s.served()
	return s.index.Items(ctx, r, maxBytes)
}

// stored is told of every record that arrives.
func (l *live) stored(ctx context.Context, v sign.Verified, o index.Outcome) {
	l.log.Debug("stored", "record", v.ID().String(), "author", v.Record().Author.String(), "kind", v.Record().Body.Kind())
	if o == index.Equivocation {
		l.outbox.spreadProof(v.ID())
	}
	if r, ok := v.Record().Body.(*records.Release); ok {
		l.seeder.offer(ctx, v.ID(), v.Record().Author, r)
	}
}

func (l *live) book() *addrBook { return l.host.Peerstore().(*addrBook) }

func (l *live) isConnected(p peer.ID) bool {
	return l.host.Network().Connectedness(p) == network.Connected
}

func (l *live) peers() []api.PeerInfo {
	out := []api.PeerInfo{}
	for _, p := range connected(l.host) {
		out = append(out, l.peer(p))
	}
	slices.SortFunc(out, func(a, b api.PeerInfo) int {
		if a.Peer < b.Peer {
			return -1
		}
		return 1
	})
	return out
}

func (l *live) peer(p peer.ID) api.PeerInfo {
	info := api.PeerInfo{Peer: p.String(), Addrs: []string{}}
	for _, c := range l.host.Network().ConnsToPeer(p) {
		info.Addrs = append(info.Addrs, c.RemoteMultiaddr().String()+"/p2p/"+p.String())
		info.Outbound = info.Outbound || c.Stat().Direction == network.DirOutbound
	}
	if agent, err := l.host.Peerstore().Get(p, "AgentVersion"); err == nil {
		if s, ok := agent.(string); ok {
			info.Agent = records.CleanText(s, 64)
		}
	}
	info.Records = l.ingest.Received(p.String())
	moved := l.transfer.Stats(p)
	info.Received, info.Sent = moved.BytesIn, moved.BytesOut
	info.Gossip = slices.Contains(l.gossip.Mesh(gossip.TopicRecords), p)
	info.Found = l.find.found(p, info.Outbound)
	return info
}

func (l *live) status(ctx context.Context) (api.Status, error) {
	c, err := l.home.Index().Counts(ctx)
	if err != nil {
		return api.Status{}, err
	}
	synced, err := l.home.Synced()
	if err != nil {
		return api.Status{}, err
	}
	return api.Status{
		Peer:     l.host.ID().String(),
		Addrs:    fullAddrs(l.host),
		Listen:   texts(listening(l.host)),
		Peers:    len(connected(l.host)),
		Inbound:  inbound(l.host),
		Seed:     l.node.cfg.Seed,
		Authors:  c.Authors,
		Records:  c.Records,
		Releases: c.Releases,
		Pending:  c.Pending,
		Synced:   synced,
		Daemon:   !l.node.cfg.Ephemeral,
		Version:  l.node.cfg.Version,

		Reachability: l.find.reachability(),
		DHT:          l.find.dhtStatus(),
		MDNS:         l.node.cfg.MDNS,
		Private:      l.node.swarmKey != nil,
	}, nil
}

// signal wakes everybody who waits.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that the next fire closes.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// clock remembers when something last happened.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) set() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Now()
}

func (c *clock) get() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}
