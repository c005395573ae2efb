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
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Limits of the host (SPEC.md [N20]). Per address of IPv4, and per /56 of IPv6, 8
// connections are let in, from loopback any number: the resource manager's own
// defaults.
const (
	connsLow    = 64 // the connection manager closes idle connections down to this
	connsHigh   = 96 // ... when there are more than this
	connsGrace  = 20 * time.Second
	maxMemory   = 256 << 20
	maxFiles    = 512
	dialTimeout = 10 * time.Second
)

// newHost makes the libp2p host. It listens nowhere yet.
func newHost(key crypto.PrivKey, version string) (host.Host, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Scale(maxMemory, maxFiles)), rcmgr.WithMetricsDisabled())
	if err != nil {
		return nil, fmt.Errorf("make resource manager: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make connection manager: %w", err), resources.Close())
	}
	h, err := libp2p.New(
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.UserAgent("es/"+version),
		libp2p.ProtocolVersion("es/1"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(conns),
		libp2p.WithDialTimeout(dialTimeout),
		libp2p.DisableMetrics(),
	)
	if err != nil {
		// The host owns both once it exists, and not before.
		return nil, errors.Join(fmt.Errorf("make libp2p host: %w", err), conns.Close(), resources.Close())
	}
	return h, nil
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
// not have is passed over.
func listenDefault(h host.Host, port int) error {
	var errs []error
	for _, format := range []string{"/ip4/0.0.0.0/tcp/%d", "/ip4/0.0.0.0/udp/%d/quic-v1", "/ip6/::/tcp/%d", "/ip6/::/udp/%d/quic-v1"} {
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
