package swarm

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/internal/broadcast"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/dht"
	"github.com/everythingstays/es/node/mdns"
	"github.com/everythingstays/es/node/peerbook"
)

// Config says in which network a Swarm is, and what it works with.
type Config struct {
	Key       crypto.PrivKey
	Version   string // of es, told to peers
	Ephemeral bool   // for one command: it watches nothing, and tells the DHT nothing
	Alone     bool   // it dials nobody that it knows
	Listen    []ma.Multiaddr
	Announce  []ma.Multiaddr  // told to others beside those that the host knows of
	Bootstrap []peer.AddrInfo // whom the user named
	DHT       api.DHT
	MDNS      string         // the service that is announced and asked for; "" for none
	SwarmKey  pnet.PSK       // of a private network, or nil
	Peers     *peerbook.Book // whom this home has met
	Modules   dht.Modules    // what the DHT is told of
	Log       *slog.Logger

	// Gossiping returns the peers that exchange records with this node.
	Gossiping func() []peer.ID
	// Names resolves names that the user gave.
	Names network.MultiaddrDNSResolver
	// DialTimeout bounds the dials of those whom the user named or this home has met; 0 for
	// the constant of that name.
	DialTimeout time.Duration
	// StreamTimeout is how long a peer may move nothing on a stream.
	StreamTimeout time.Duration
	// ReprovideInterval is how long the DHT may be told nothing of a module.
	ReprovideInterval time.Duration
	// Probe dials a peer at these addresses and no others, as a stranger, and returns
	// where it answered; nil for the host's own way.
	Probe       func(context.Context, peer.AddrInfo) (ma.Multiaddr, error)
	HostOptions []libp2p.Option // last, for simulations
}

// How a peer was found.
const (
	ByUser     = "asked"      // the user named it
	Remembered = "remembered" // it was met before
	LAN        = "lan"
	DHT        = "dht"
	Incoming   = "incoming" // it came by itself
)

// Swarm is a host that finds peers, and is found. Its methods may be called from New on.
type Swarm struct {
	cfg        Config
	host       host.Host
	gate       *gate
	mdns       *mdns.Discovery // nil when off
	table      *dht.Table      // nil when off
	reprovider *dht.Reprovider // likewise
	named      namedPeers
	refusals   refusals
	connect    func(context.Context, peer.AddrInfo) error // dials once
	changed    broadcast.Signal                           // a peer has come or gone
	dialled    chan struct{}                              // closed when everybody has been dialled once
	made       chan struct{}                              // closed when New is done

	mu           sync.Mutex
	foundBy      map[peer.ID]string
	reachability network.Reachability
}

// New makes a host that listens. Run has it dial and be found; Close must be called.
func New(cfg Config) (_ *Swarm, err error) {
	s := &Swarm{cfg: cfg, gate: newGate(), dialled: make(chan struct{}), made: make(chan struct{}), foundBy: map[peer.ID]string{}}
	s.cfg.DialTimeout = cmp.Or(cfg.DialTimeout, DialTimeout)
	if s.cfg.Probe == nil {
		s.cfg.Probe = s.probe
	}
	if s.host, err = newHost(s.hostConfig()); err != nil {
		return nil, err
	}
	s.connect = func(ctx context.Context, info peer.AddrInfo) error { return connect(ctx, s.host, info) }
	s.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(network.Network, network.Conn) { s.changed.Notify() },
		DisconnectedF: func(network.Network, network.Conn) { s.changed.Notify() },
	})
	if s.usesDHT() {
		s.table = dht.New(dht.Config{
			Host: s.BoundedHost(), Network: cfg.DHT, Ephemeral: cfg.Ephemeral, Bootstrap: cfg.Bootstrap, Names: cfg.Names,
			Dial: s.dialBootstrap, Connected: func() int { return len(s.Connected()) }, Log: cfg.Log,
		})
		s.reprovider = dht.NewReprovider(s.table, cfg.Modules, cfg.ReprovideInterval)
	}
	if cfg.MDNS != "" {
		s.mdns = mdns.New(mdns.Config{
			Self: s.host.ID(), Addrs: s.host.Network().ListenAddresses, Service: cfg.MDNS,
			Dial: func(ctx context.Context, info peer.AddrInfo, timeout time.Duration) error {
				return s.Dial(ctx, info, LAN, timeout)
			},
			Connected: func() int { return len(s.Connected()) }, Log: cfg.Log,
		})
	}
	close(s.made)
	return s, nil
}

// Listen makes the host listen. What peers may ask must have its handlers before.
func (s *Swarm) Listen() error { return s.listenAll() }

func (s *Swarm) usesDHT() bool { return s.cfg.DHT != "" && s.cfg.DHT != api.DHTOff }

// dialBootstrap connects to a peer of the DHT that the user named, or that is built in.
func (s *Swarm) dialBootstrap(ctx context.Context, info peer.AddrInfo) error {
	how := DHT
	if s.cfg.DHT == api.DHTOwn {
		how = ByUser
	}
	return s.Dial(ctx, info, how, s.cfg.DialTimeout)
}

// Run dials whom the user named and whom this home has met, finds others, and lets them
// find this node, until ctx ends.
func (s *Swarm) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	part := func(f func(context.Context)) { parts.Go(func() { f(ctx) }) }
	part(s.keepDialling)
	part(s.keepRemembering)
	if s.mdns != nil {
		part(s.mdns.Run)
	}
	if s.cfg.Ephemeral {
		return nil
	}
	part(s.watchReachability)
	part(s.watchNetworkChange)
	part(s.closeDuplicateConns)
	if s.table != nil {
		part(s.bootstrap)
		part(s.reprovider.Run)
	}
	return nil
}

// Close ends this node's part in the DHT, and the host.
func (s *Swarm) Close() error {
	var err error
	if s.table != nil {
		err = s.table.Close()
	}
	return errors.Join(err, s.host.Close())
}

// Host returns the libp2p host.
func (s *Swarm) Host() host.Host { return s.host }

// BoundedHost is the host for libraries that would wait for ever: streams from peers end
// when nothing moves on them.
func (s *Swarm) BoundedHost() host.Host { return boundedHost{s.host, s.cfg.StreamTimeout} }

// Changed returns a channel that is closed when a peer comes, goes, or says what it offers.
func (s *Swarm) Changed() <-chan struct{} { return s.changed.Wait() }

// Dialled is closed when everybody who is known has been dialled once.
func (s *Swarm) Dialled() <-chan struct{} { return s.dialled }

// Connected returns the peers with a direct connection.
func (s *Swarm) Connected() []peer.ID { return connected(s.host) }

// IsConnected reports whether there is a direct connection to p.
func (s *Swarm) IsConnected(p peer.ID) bool {
	return s.host.Network().Connectedness(p) == network.Connected
}

// Speaks reports whether a peer has said that it offers a protocol.
func (s *Swarm) Speaks(p peer.ID, id protocol.ID) bool {
	spoken, err := s.host.Peerstore().SupportsProtocols(p, id)
	return err == nil && len(spoken) > 0
}

// Identified has those look again who wait for a change: a peer has said what it offers.
func (s *Swarm) Identified() { s.changed.Notify() }

// Provide has the DHT told that a module is here. It does not block.
func (s *Swarm) Provide(root cid.Cid) {
	if s.reprovider != nil && !s.cfg.Ephemeral { // a node for one command is gone before anybody comes
		s.reprovider.Add(root)
	}
}

// ProvidedAt returns when the DHT was last told of a module; zero when it was not.
func (s *Swarm) ProvidedAt(root cid.Cid) time.Time {
	if s.reprovider == nil {
		return time.Time{}
	}
	return s.reprovider.ProvidedAt(root)
}

// Refusals returns how many peers refused this node when it last dialled them.
func (s *Swarm) Refusals() int { return s.refusals.count() }

// DHTStatus describes this node's part of the DHT.
func (s *Swarm) DHTStatus() api.DHTStatus {
	if s.table == nil {
		return api.DHTStatus{Network: api.DHTOff}
	}
	return s.table.Status()
}

// DialKnown connects to a peer, where it is remembered if it is.
func (s *Swarm) DialKnown(ctx context.Context, p peer.ID) error {
	known, err := s.cfg.Peers.Known()
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.ID == p {
			return s.Dial(ctx, k.Info(), rememberedAs(k), s.cfg.DialTimeout)
		}
	}
	return nil
}

// HasDialled reports whether this node dialled p.
func (s *Swarm) HasDialled(p peer.ID) bool { return hasDialled(s.host, p) }
