package swarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/everythingstays/es/node/address"
)

// Limits of the host (docs/program.md [N21]). What one address may have of them says
// admission.go.
const (
	connsLow       = 128 // the connection manager closes idle connections down to this
	connsHigh      = 192 // ... when there are more than this
	connsGrace     = 20 * time.Second
	maxConns       = 320 // at once, so that new ones get in before old ones are closed
	maxInbound     = 256
	maxStreams     = 8192 // from peers
	maxPerPeer     = 64   // streams from one peer
	maxPerProtocol = 8    // of them of one protocol
	maxPerBitswap  = 32   // of them of bitswap, which opens one for each message
	maxPerService  = 8    // of them of identify, or ping
	// What the resource manager counts is what peers could have in flight, 256 KiB
	// for each stream, and not what is used. Where it is used up yamux closes
	// connections, of whoever comes next: so it must suffice for all at once.
	peerMemory  = 20 << 20
	maxMemory   = maxInbound*peerMemory + 128<<20
	scaleMemory = 256 << 20
	maxFiles    = 512
	DialTimeout = 20 * time.Second // for who is slow: whoever is not there at all fails after the transports' 5 s
)

// hostConfig is what differs between hosts.
type hostConfig struct {
	key      crypto.PrivKey
	version  string
	swarmKey pnet.PSK // nil for no private network
	gate     *gate
	hearsay  address.Reach // of addresses that peers tell of others
	// relays finds peers that may relay connections to this node. With it, the
	// node wants to be reached from outside: it learns whether it can be, has the
	// router forward its port, and makes holes.
	relays func(ctx context.Context, n int) <-chan peer.AddrInfo
	// announcing, if not nil, says which addresses others are told of.
	announcing func([]ma.Multiaddr) []ma.Multiaddr
	more       []libp2p.Option // last, for simulations
}

// newHost makes the libp2p host. It listens nowhere yet.
func newHost(c hostConfig) (host.Host, error) {
	resources, err := newResources()
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make connection manager: %w", err), resources.Close())
	}
	book, err := c.addrBook()
	if err != nil {
		return nil, errors.Join(err, conns.Close(), resources.Close())
	}
	c.gate.use(book)
	options := []libp2p.Option{
		libp2p.Identity(c.key),
		libp2p.Peerstore(book),
		libp2p.MultiaddrResolver(refusingResolver{}),
		libp2p.NoListenAddrs,
		libp2p.UserAgent("es/" + c.version),
		libp2p.ProtocolVersion("es/1"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(c.gate),
		libp2p.WithDialTimeout(DialTimeout),
		libp2p.SwarmOpts(swarm.WithDialTimeoutLocal(DialTimeout)),
		libp2p.Ping(false), // the node has it with a shorter timeout
		libp2p.DisableMetrics(),
	}
	if c.swarmKey != nil {
		options = append(options, libp2p.PrivateNetwork(c.swarmKey))
	} else {
		options = append(options, libp2p.Transport(quic.NewTransport))
	}
	if c.relays != nil {
		options = append(options,
			libp2p.EnableRelay(),
			libp2p.EnableAutoRelayWithPeerSource(c.relays),
			libp2p.EnableHolePunching(),
			libp2p.EnableAutoNATv2(),
			libp2p.NATPortMap(),
		)
	}
	if c.announcing != nil {
		options = append(options, libp2p.AddrsFactory(c.announcing))
	}
	h, err := libp2p.New(append(options, c.more...)...)
	if err != nil {
		// The host owns both once it exists, and not before.
		return nil, errors.Join(fmt.Errorf("make libp2p host: %w", err), conns.Close(), resources.Close(), book.Close())
	}
	book.use(h)
	return h, nil
}

func (c hostConfig) addrBook() (*addrBook, error) {
	self, err := peer.IDFromPrivateKey(c.key)
	if err != nil {
		return nil, fmt.Errorf("make address book: %w", err)
	}
	inner, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, fmt.Errorf("make address book: %w", err)
	}
	return newAddrBook(inner, self, c.hearsay)
}

// hostConfig says which host a node has.
func (s *Swarm) hostConfig() hostConfig {
	c := hostConfig{key: s.cfg.Key, version: s.cfg.Version, swarmKey: s.cfg.SwarmKey, gate: s.gate, hearsay: s.hearsayReach(), more: s.cfg.HostOptions}
	if !s.cfg.Ephemeral && s.usesDHT() && s.listensOutside() {
		c.relays = s.relays
	}
	if len(s.cfg.Announce) > 0 {
		c.announcing = s.announcing
	}
	return c
}

// listensOutside reports whether the node is for others than this machine.
func (s *Swarm) listensOutside() bool {
	return len(s.cfg.Listen) == 0 || slices.ContainsFunc(s.cfg.Listen, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) })
}

func newResources() (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	shared := rcmgr.ResourceLimits{StreamsInbound: maxInbound * maxPerService, StreamsOutbound: maxInbound * maxPerService, Streams: 2 * maxInbound * maxPerService, Memory: maxMemory}
	bitswap := rcmgr.ResourceLimits{StreamsInbound: maxInbound * maxPerBitswap, Streams: 2 * maxInbound * maxPerBitswap, Memory: maxMemory}
	ownBitswap := rcmgr.ResourceLimits{StreamsInbound: maxPerBitswap}
	own := rcmgr.ResourceLimits{StreamsInbound: maxPerService, StreamsOutbound: maxPerService, Streams: 2 * maxPerService}
	fixed := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: maxConns, ConnsInbound: maxInbound, ConnsOutbound: maxInbound,
			Streams: 2 * maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams,
			Memory: maxMemory, FD: maxFiles,
		},
		// Connections that have no peer yet, and streams that have no protocol yet: each
		// address's and each peer's share bounds them too.
		Transient: rcmgr.ResourceLimits{
			Conns: maxConns, ConnsInbound: maxInbound, ConnsOutbound: maxInbound,
			Streams: 2 * maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory, FD: maxFiles,
		},
		PeerDefault: rcmgr.ResourceLimits{StreamsInbound: maxPerPeer, Memory: peerMemory},
		// Of each protocol all peers together may have what each of them may, so that
		// no flood takes the last stream from the others.
		ProtocolDefault:     rcmgr.ResourceLimits{StreamsInbound: maxInbound * maxPerProtocol, Streams: 2 * maxInbound * maxPerProtocol, Memory: maxMemory},
		ProtocolPeerDefault: rcmgr.ResourceLimits{StreamsInbound: maxPerProtocol},
		Protocol: map[protocol.ID]rcmgr.ResourceLimits{identify.ID: shared, identify.IDPush: shared, ping.ID: shared,
			bsnet.ProtocolBitswap: bitswap, bsnet.ProtocolBitswapOneOne: bitswap, bsnet.ProtocolBitswapOneZero: bitswap, bsnet.ProtocolBitswapNoVers: bitswap},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{identify.ID: own, identify.IDPush: own, ping.ID: own,
			bsnet.ProtocolBitswap: ownBitswap, bsnet.ProtocolBitswapOneOne: ownBitswap, bsnet.ProtocolBitswapOneZero: ownBitswap, bsnet.ProtocolBitswapNoVers: ownBitswap},
		Service:     map[string]rcmgr.ResourceLimits{identify.ServiceName: shared, ping.ServiceName: shared},
		ServicePeer: map[string]rcmgr.ResourceLimits{identify.ServiceName: own, ping.ServiceName: own},
	}.Build(limits.Scale(scaleMemory, maxFiles))
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(fixed), rcmgr.WithMetricsDisabled(), unlimitedSubnets(), rcmgr.WithConnRateLimiters(newRates()))
	if err != nil {
		return nil, fmt.Errorf("make resource manager: %w", err)
	}
	return newAdmission(resources), nil
}

// NewIdentity makes the key of a node for one command. Two processes with one
// peer id would get each other's answers.
func NewIdentity() (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make peer identity: %w", err)
	}
	return key, nil
}

// connected returns the peers that h has a direct connection to.
func connected(h host.Host) []peer.ID {
	var out []peer.ID
	for _, p := range h.Network().Peers() {
		if h.Network().Connectedness(p) == network.Connected {
			out = append(out, p)
		}
	}
	return out
}

// Inbound counts the connected peers that dialled this node, through no relay and
// from another machine.
func (s *Swarm) Inbound() int {
	n := 0
	for _, p := range s.Connected() {
		if slices.ContainsFunc(s.host.Network().ConnsToPeer(p), func(c network.Conn) bool {
			return c.Stat().Direction == network.DirInbound && !c.Stat().Limited && !manet.IsIPLoopback(c.RemoteMultiaddr())
		}) {
			n++
		}
	}
	return n
}

// connect connects to a peer, unless that has happened before, at addresses that were
// judged: h's address book believes them.
func connect(ctx context.Context, h host.Host, info peer.AddrInfo) error {
	if info.ID == h.ID() {
		return errors.New("that is this node itself")
	}
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	if b, ok := h.Peerstore().(*addrBook); ok {
		b.addJudged(info.ID, info.Addrs)
		info.Addrs = nil
	}
	if err := h.Connect(ctx, info); err != nil {
		return err
	}
	// By QUIC a peer without room closes what was connected: libp2p returns such a connection.
	if !slices.ContainsFunc(h.Network().ConnsToPeer(info.ID), func(c network.Conn) bool { return isOpen(ctx, c) }) {
		return &RefusedError{info.ID}
	}
	return nil
}

// isOpen reports whether a connection has not been closed. By QUIC one that is about to be does
// not say so, but opens no stream any more.
func isOpen(ctx context.Context, c network.Conn) bool {
	if c.IsClosed() {
		return false
	}
	if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_QUIC_V1); err != nil {
		return true
	}
	probe, err := c.NewStream(ctx)
	if err != nil {
		return false
	}
	_ = probe.Reset() // nobody was to read it
	return true
}
