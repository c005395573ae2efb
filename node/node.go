package node

import (
	"cmp"
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
	"github.com/libp2p/go-libp2p/core/pnet"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/replica"
	"github.com/everythingstays/es/node/swarm"
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
// one home. It implements api.Network; its calls wait until it is ready.
type Node struct {
	home *home.Home
	cfg  Config
	// What the parts are made with; tests and simulations change it before Run.
	swarm    swarm.Config
	timeouts replica.Timeouts
	linger   time.Duration // without a block being asked for, until a node for one command ends
	noAPI    bool
	now      func() time.Time

	started atomic.Bool
	ready   chan struct{}
	parts   *parts // set before ready is closed
	done    chan struct{}

	closeOnce sync.Once
	closing   chan struct{}
}

// New checks the configuration. Nothing is started before Run. The node does not
// close h, which must stay open until Run has returned.
func New(ctx context.Context, h *home.Home, cfg Config) (*Node, error) {
	silenceLibraries()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Version = cmp.Or(cfg.Version, "0")
	cfg.DHT, cfg.Seed = cmp.Or(cfg.DHT, api.DHTOff), cmp.Or(cfg.Seed, api.SeedUsed)
	if _, err := api.ParseSeed(string(cfg.Seed)); err != nil {
		return nil, err
	}
	key, err := h.SwarmKey()
	if err != nil {
		return nil, err
	}
	if err := cfg.check(key); err != nil {
		return nil, err
	}
	n := &Node{
		home: h, cfg: cfg, timeouts: replica.DefaultTimeouts, linger: lingerQuiet, now: time.Now,
		ready: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}),
	}
	n.swarm, err = cfg.swarm(h, key)
	return n, err
}

// check refuses what does not fit the network that the home belongs to.
func (c Config) check(key home.SwarmKey) error {
	if _, err := api.ParseDHT(string(c.DHT)); err != nil {
		return err
	}
	if key == nil {
		return nil
	}
	if c.DHT == api.DHTPublic {
		return errors.New("a private network cannot use the public DHT: it must be own or off")
	}
	for _, s := range append(slices.Clone(c.Listen), c.Announce...) {
		if strings.Contains(s, "/quic") {
			return fmt.Errorf("address %q: a private network has no QUIC", s)
		}
	}
	return nil
}

// swarm says where the node is found, and whom it finds.
func (c Config) swarm(h *home.Home, key home.SwarmKey) (swarm.Config, error) {
	out := swarm.Config{
		Version: c.Version, Ephemeral: c.Ephemeral, Alone: c.Alone, DHT: c.DHT, SwarmKey: pnet.PSK(key),
		Peers: h.Peers(), Modules: modulesOf{h.Index(), h.Blocks()}, Log: c.Log,
		Names:         libp2pswarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver},
		StreamTimeout: swarm.IdleStream, ReprovideInterval: swarm.ReprovideInterval,
	}
	if c.MDNS {
		out.MDNS = key.LANService()
	}
	for _, s := range c.Listen {
		a, err := address.ParseListen(s)
		if err != nil {
			return out, err
		}
		out.Listen = append(out.Listen, a)
	}
	for _, s := range c.Bootstrap {
		info, err := address.Parse(s)
		if err != nil {
			return out, err
		}
		out.Bootstrap = append(out.Bootstrap, *info)
	}
	for _, s := range c.Announce {
		a, err := address.ParseAnnounce(s)
		if err != nil {
			return out, err
		}
		out.Announce = append(out.Announce, a)
	}
	return out, nil
}

// modulesOf are the modules that a home may tell the DHT of.
type modulesOf struct {
	index *index.Index
	*blocks.Store
}

func (m modulesOf) List(ctx context.Context, after int64, limit int) ([]cid.Cid, int64, error) {
	return m.index.Modules(ctx, after, limit)
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
