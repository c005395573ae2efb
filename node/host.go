package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Limits of the host (SPEC.md [N21]). Per address of IPv4, and per /56 of IPv6, 8
// connections are let in, and one more every 5 s after 16, from loopback any
// number: the resource manager's own defaults.
const (
	connsLow       = 64 // the connection manager closes idle connections down to this
	connsHigh      = 96 // ... when there are more than this
	connsGrace     = 20 * time.Second
	maxConns       = 192 // at once, so that new ones get in before old ones are closed
	maxInbound     = 128
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
	dialTimeout = 10 * time.Second
)

// hostConfig is what differs between hosts.
type hostConfig struct {
	key      crypto.PrivKey
	version  string
	swarmKey SwarmKey // nil for no private network
	gate     *gate
	// relays finds peers that may relay connections to this node. With it, the
	// node wants to be reached from outside: it learns whether it can be, has the
	// router forward its port, and makes holes.
	relays func(ctx context.Context, n int) <-chan peer.AddrInfo
	more   []libp2p.Option // last, for simulations
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
	options := []libp2p.Option{
		libp2p.Identity(c.key),
		libp2p.NoListenAddrs,
		libp2p.UserAgent("es/" + c.version),
		libp2p.ProtocolVersion("es/1"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.ConnectionGater(c.gate),
		libp2p.WithDialTimeout(dialTimeout),
		libp2p.Ping(false), // the node has it with a shorter patience
		libp2p.DisableMetrics(),
	}
	if c.swarmKey != nil {
		options = append(options, libp2p.PrivateNetwork(pnet.PSK(c.swarmKey)))
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
	h, err := libp2p.New(append(options, c.more...)...)
	if err != nil {
		// The host owns both once it exists, and not before.
		return nil, errors.Join(fmt.Errorf("make libp2p host: %w", err), conns.Close(), resources.Close())
	}
	return h, nil
}

// hostConfig says which host a node has.
func (l *live) hostConfig(key crypto.PrivKey) hostConfig {
	c := hostConfig{key: key, version: l.node.cfg.Version, swarmKey: l.node.swarmKey, gate: l.gate, more: l.node.hostOptions}
	if !l.node.cfg.Ephemeral && l.find.table != nil && l.node.listensOutside() {
		c.relays = l.find.relays
	}
	return c
}

// listensOutside reports whether the node is for others than this machine.
func (n *Node) listensOutside() bool {
	return len(n.listen) == 0 || slices.ContainsFunc(n.listen, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) })
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
		// Streams that have no protocol yet: each peer's share bounds them too.
		Transient:   rcmgr.ResourceLimits{Streams: 2 * maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory},
		PeerDefault: rcmgr.ResourceLimits{StreamsInbound: maxPerPeer, Memory: peerMemory},
		// Of each protocol all peers together may have what each of them may, so that
		// no crowd takes the last stream from the others.
		ProtocolDefault:     rcmgr.ResourceLimits{StreamsInbound: maxInbound * maxPerProtocol, Streams: 2 * maxInbound * maxPerProtocol, Memory: maxMemory},
		ProtocolPeerDefault: rcmgr.ResourceLimits{StreamsInbound: maxPerProtocol},
		Protocol: map[protocol.ID]rcmgr.ResourceLimits{identify.ID: shared, identify.IDPush: shared, ping.ID: shared,
			bsnet.ProtocolBitswap: bitswap, bsnet.ProtocolBitswapOneOne: bitswap, bsnet.ProtocolBitswapOneZero: bitswap, bsnet.ProtocolBitswapNoVers: bitswap},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{identify.ID: own, identify.IDPush: own, ping.ID: own,
			bsnet.ProtocolBitswap: ownBitswap, bsnet.ProtocolBitswapOneOne: ownBitswap, bsnet.ProtocolBitswapOneZero: ownBitswap, bsnet.ProtocolBitswapNoVers: ownBitswap},
		Service:     map[string]rcmgr.ResourceLimits{identify.ServiceName: shared, ping.ServiceName: shared},
		ServicePeer: map[string]rcmgr.ResourceLimits{identify.ServiceName: own, ping.ServiceName: own},
	}.Build(limits.Scale(scaleMemory, maxFiles))
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(fixed), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("make resource manager: %w", err)
	}
	return resources, nil
}

// listener is what a swarm offers beside network.Network.
type listener interface {
	AddListenAddr(ma.Multiaddr) error
}

// listen makes h listen on all of addrs, or fails.
func listen(h host.Host, addrs []ma.Multiaddr) error {
	swarm, ok := h.Network().(listener)
	if !ok {
		return errors.New("listen: the host cannot")
	}
	for _, a := range addrs {
		// libp2p shares TCP ports, with other processes too: each would get
		// some of the other's connections.
		if err := tryPort(a); err != nil {
			return fmt.Errorf("listen on %s: %w", a, err)
		}
		if err := swarm.AddListenAddr(a); err != nil {
			return fmt.Errorf("listen on %s: %w", a, err)
		}
	}
	return nil
}

// tryPort fails when the port of a is taken.
func tryPort(a ma.Multiaddr) error {
	network, addr, err := manet.DialArgs(a)
	if err != nil {
		// quic-v1 and what else follows the port.
		first, _ := ma.SplitFunc(a, func(c ma.Component) bool {
			return c.Protocol().Code != ma.P_IP4 && c.Protocol().Code != ma.P_IP6 && c.Protocol().Code != ma.P_TCP && c.Protocol().Code != ma.P_UDP
		})
		if network, addr, err = manet.DialArgs(first); err != nil {
			return err
		}
	}
	switch network {
	case "tcp", "tcp4", "tcp6":
		l, err := net.Listen(network, addr)
		if err != nil {
			return err
		}
		return l.Close()
	case "udp", "udp4", "udp6":
		l, err := net.ListenPacket(network, addr)
		if err != nil {
			return err
		}
		return l.Close()
	}
	return nil
}

// listenDefault listens on port by TCP and QUIC, and on a port that the system
// chooses where that one is taken. A family of addresses that the machine does
// not have is passed over, and in a private network QUIC, which cannot have one.
func listenDefault(h host.Host, port int, private bool) error {
	var errs []error
	for _, format := range []string{"/ip4/0.0.0.0/tcp/%d", "/ip4/0.0.0.0/udp/%d/quic-v1", "/ip6/::/tcp/%d", "/ip6/::/udp/%d/quic-v1"} {
		if private && strings.Contains(format, "quic") {
			continue
		}
		err := listen(h, []ma.Multiaddr{ma.StringCast(fmt.Sprintf(format, port))})
		if err != nil {
			err = listen(h, []ma.Multiaddr{ma.StringCast(fmt.Sprintf(format, 0))})
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(h.Network().ListenAddresses()) == 0 {
		return errors.Join(errs...)
	}
	return nil
}

// identity returns the key of a node that stays, and makes it the first time.
func (h *Home) identity() (crypto.PrivKey, error) {
	path := filepath.Join(h.dir, "identity")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := passingIdentity()
		if err != nil {
			return nil, err
		}
		if b, err = crypto.MarshalPrivateKey(key); err != nil {
			return nil, fmt.Errorf("make peer identity: %w", err)
		}
		if err := replaceFile(path, b); err != nil {
			return nil, fmt.Errorf("write peer identity: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read peer identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read peer identity %s: %w", path, err)
	}
	return key, nil
}

// passingIdentity is the key of a node for one command. Two processes with one
// peer id would get each other's answers.
func passingIdentity() (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make peer identity: %w", err)
	}
	return key, nil
}

// parseAddr reads a multiaddr that ends in /p2p/PEER.
func parseAddr(s string) (*peer.AddrInfo, error) {
	if len(s) > 1024 {
		return nil, errors.New("peer address: longer than 1024 bytes")
	}
	info, err := peer.AddrInfoFromString(s)
	if err != nil {
		return nil, fmt.Errorf("peer address %q: %v; it looks like /ip4/192.0.2.7/tcp/%d/p2p/12D3KooW", s, err, DefaultPort)
	}
	if len(info.Addrs) == 0 {
		return nil, fmt.Errorf("peer address %q: it has a peer and no address", s)
	}
	return info, nil
}

func parseListen(s string) (ma.Multiaddr, error) {
	a, err := ma.NewMultiaddr(s)
	if err == nil {
		_, err = a.ValueForProtocol(ma.P_TCP)
		if err != nil {
			_, err = a.ValueForProtocol(ma.P_QUIC_V1)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen address %q: it must look like /ip4/0.0.0.0/tcp/%d or /ip4/0.0.0.0/udp/%d/quic-v1", s, DefaultPort, DefaultPort)
	}
	return a, nil
}

// fullAddrs are the addresses of h that others may dial, each with its peer id.
func fullAddrs(h host.Host) []string {
	out := []string{}
	for _, a := range h.Addrs() {
		out = append(out, a.String()+"/p2p/"+h.ID().String())
	}
	return out
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

// dial connects to a peer unless that has happened before.
func dial(ctx context.Context, h host.Host, info peer.AddrInfo) error {
	if info.ID == h.ID() {
		return errors.New("that is this node itself")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return h.Connect(ctx, info)
}
