package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

// Config says how a node works. The zero value is a node that listens on
// DefaultPort, or on a port that the system chooses when that is taken.
type Config struct {
	Listen    []string // multiaddrs; none for the default; a busy one is an error
	Announce  []string // multiaddrs told to others beside those that the node knows of
	Bootstrap []string // multiaddrs ending in /p2p/PEER, dialled beside the remembered peers
	DHT       api.DHT  // "" means DHTOff; in a private network it cannot be DHTPublic
	MDNS      bool     // find peers on the LAN, and be found there
	Seed      api.Seed // "" means SeedUsed
	Log       *slog.Logger
	Version   string // of es, told to peers and to clients of the local API

	// Ephemeral is a node for one command: it has a passing identity, listens
	// nowhere unless Listen says so, offers no local API, and may run beside a
	// daemon.
	Ephemeral bool
	// Alone is a node that dials nobody and looks for nobody.
	Alone bool
}

// Node is one participant in the network, with the records, blocks and trust of
// one home. It implements Network; its calls wait until it is ready.
type Node struct {
	home      *home.Home
	cfg       Config
	listen    []ma.Multiaddr
	announced []ma.Multiaddr
	bootstrap []peer.AddrInfo
	patience  patience
	idle      time.Duration // of streams from peers
	reprovide time.Duration
	swarmKey  home.SwarmKey                // nil for no private network
	names     network.MultiaddrDNSResolver // for names that the user gave

	// For simulations, where the host listens on a network that is none, and
	// where waiting for a real socket would stop the clock.
	hostOptions []libp2p.Option
	noServer    bool
	probe       func(context.Context, peer.AddrInfo) (ma.Multiaddr, error)
	now         func() time.Time

	started atomic.Bool
	ready   chan struct{}
	live    *live // set before ready is closed
	done    chan struct{}

	closeOnce sync.Once
	closing   chan struct{}
}

// New checks the configuration. Nothing is started before Run. The node does not
// close h, which must stay open until Run has returned.
func New(ctx context.Context, h *home.Home, cfg Config) (*Node, error) {
	quiet()
	n := &Node{
		home:      h,
		now:       time.Now,
		patience:  patience{first: firstBlock, lacking: lackingWait, idle: idleBlock, quiet: lingerQuiet},
		idle:      idleStream,
		reprovide: reprovideEvery,
		names:     swarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver},
		ready:     make(chan struct{}),
		done:      make(chan struct{}),
		closing:   make(chan struct{}),
	}
	n.probe = n.dialOnly
	if err := n.network(&cfg); err != nil {
		return nil, err
	}
	for _, s := range cfg.Listen {
		a, err := address.ParseListen(s)
		if err != nil {
			return nil, err
		}
		n.listen = append(n.listen, a)
	}
	for _, s := range cfg.Bootstrap {
		info, err := address.Parse(s)
		if err != nil {
			return nil, err
		}
		n.bootstrap = append(n.bootstrap, *info)
	}
	for _, s := range cfg.Announce {
		a, err := address.ParseAnnounce(s)
		if err != nil {
			return nil, err
		}
		n.announced = append(n.announced, a)
	}
	if cfg.Seed == "" {
		cfg.Seed = api.SeedUsed
	}
	if _, err := api.ParseSeed(string(cfg.Seed)); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Version == "" {
		cfg.Version = "0"
	}
	n.cfg = cfg
	return n, nil
}

// network checks in which network the node will be.
func (n *Node) network(cfg *Config) (err error) {
	if cfg.DHT == "" {
		cfg.DHT = api.DHTOff
	}
	if _, err := api.ParseDHT(string(cfg.DHT)); err != nil {
		return err
	}
	if n.swarmKey, err = n.home.SwarmKey(); err != nil {
		return err
	}
	if n.swarmKey == nil {
		return nil
	}
	if cfg.DHT == api.DHTPublic {
		return errors.New("a private network cannot use the public DHT: it must be own or off")
	}
	for _, s := range append(slices.Clone(cfg.Listen), cfg.Announce...) {
		if strings.Contains(s, "/quic") {
			return fmt.Errorf("address %q: a private network has no QUIC", s)
		}
	}
	return nil
}

// Run takes part in the network until ctx ends or Close is called, and then
// returns nil when everything it started has ended. It can be called once. The
// error is a *LockedError when the home has a daemon.
func (n *Node) Run(ctx context.Context) error {
	if n.started.Swap(true) {
		return errors.New("run node: Run was called twice")
	}
	defer close(n.done)
	if !n.cfg.Ephemeral {
		unlock, err := n.home.LockDaemon()
		if err != nil {
			return err
		}
		defer unlock()
	}
	l, err := n.start()
	if err != nil {
		return fmt.Errorf("run node: %w", err)
	}
	return l.run(ctx)
}

// Ready is closed when the node listens and its API answers. It stays open when
// Run fails before.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Close ends Run and waits for it. A node for one command stays while peers fetch
// what it has announced, for at most a minute.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { close(n.closing) })
	if n.started.Load() {
		<-n.done
	}
	return nil
}

// running waits until the node is ready.
func (n *Node) running(ctx context.Context) (*live, error) {
	select {
	case <-n.ready:
	case <-n.done:
		return nil, api.ErrClosed
	case <-n.closing:
		return nil, api.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-n.done:
		return nil, api.ErrClosed
	default:
		return n.live, nil
	}
}

// Announce implements Network.
func (n *Node) Announce(ctx context.Context, ids []cid.Cid) (api.Announced, error) {
	l, err := n.running(ctx)
	if err != nil {
		return api.Announced{}, err
	}
	return l.announce(ctx, ids)
}

// AnnounceKey implements Network.
func (n *Node) AnnounceKey(ctx context.Context, key records.Fingerprint) (api.Announced, error) {
	l, err := n.running(ctx)
	if err != nil {
		return api.Announced{}, err
	}
	return l.announceKey(ctx, key)
}

// Fetch implements Network.
func (n *Node) Fetch(ctx context.Context, w records.Target, progress func(api.Progress)) error {
	l, err := n.running(ctx)
	if err != nil {
		return err
	}
	return l.fetch(ctx, w, progress)
}

// Connect implements Network.
func (n *Node) Connect(ctx context.Context, addr string) (api.PeerInfo, error) {
	l, err := n.running(ctx)
	if err != nil {
		return api.PeerInfo{}, err
	}
	return l.connect(ctx, addr)
}

// Peers implements Network.
func (n *Node) Peers(ctx context.Context) ([]api.PeerInfo, error) {
	l, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	l.awaitDialled(ctx)
	return l.peers(), nil
}

// Status implements Network.
func (n *Node) Status(ctx context.Context) (api.Status, error) {
	l, err := n.running(ctx)
	if err != nil {
		return api.Status{}, err
	}
	l.awaitDialled(ctx)
	return l.status(ctx)
}
