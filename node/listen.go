package node

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listenOn makes h listen where the node is to.
func (n *Node) listenOn(h host.Host) error {
	if len(n.listen) > 0 {
		return listen(h, n.listen)
	}
	if n.cfg.Ephemeral || len(listening(h)) > 0 {
		return nil
	}
	return listenDefault(h, DefaultPort, n.swarmKey != nil)
}

// listening are the addresses that h listens on. That it can be reached through
// others is no listening: libp2p says so of every node that may use a relay.
func listening(h host.Host) []ma.Multiaddr {
	return slices.DeleteFunc(h.Network().ListenAddresses(), isCircuit)
}

func isCircuit(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// A ListenError says that the node cannot listen on an address.
type ListenError struct {
	Addr string
	Err  error
}

func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Addr, e.Err) }

func (e *ListenError) Unwrap() error { return e.Err }

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
			return &ListenError{a.String(), err}
		}
		if err := swarm.AddListenAddr(a); err != nil {
			return &ListenError{a.String(), err}
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
	if len(listening(h)) == 0 {
		return errors.Join(errs...)
	}
	return nil
}

func parseListen(s string) (ma.Multiaddr, error) {
	a, err := ma.NewMultiaddr(s)
	if err == nil {
		_, err = a.ValueForProtocol(ma.P_TCP)
		if err != nil {
			_, err = a.ValueForProtocol(ma.P_QUIC_V1)
		}
	}
	if err == nil && isCircuit(a) {
		return nil, fmt.Errorf("listen address %q: through another peer is no place to listen", s)
	}
	if err != nil {
		return nil, fmt.Errorf("listen address %q: it must look like /ip4/0.0.0.0/tcp/%d or /ip4/0.0.0.0/udp/%d/quic-v1", s, DefaultPort, DefaultPort)
	}
	return a, nil
}

// parseAnnounce reads an address that the node tells others of. It must be one that
// they dial: they dial no names that a peer says of itself.
func parseAnnounce(s string) (ma.Multiaddr, error) {
	a, err := parseListen(s)
	if err != nil {
		return nil, fmt.Errorf("announced address %q: it must look like /ip4/192.0.2.7/tcp/%d or /ip4/192.0.2.7/udp/%d/quic-v1", s, DefaultPort, DefaultPort)
	}
	if _, err := a.ValueForProtocol(ma.P_P2P); err == nil {
		return nil, fmt.Errorf("announced address %q: leave out /p2p/PEER, which is added", s)
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return nil, fmt.Errorf("announced address %q: nobody dials a name that a peer says of itself; give it to people, for es connect", s)
	}
	if ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || port(a) == "0" {
		return nil, fmt.Errorf("announced address %q: others cannot dial it", s)
	}
	return a, nil
}

// port is the TCP or UDP port of an address, "" when it has none.
func port(a ma.Multiaddr) string {
	for _, code := range []int{ma.P_TCP, ma.P_UDP} {
		if p, err := a.ValueForProtocol(code); err == nil {
			return p
		}
	}
	return ""
}

// announcing adds what the user announces to the addresses that are told to others.
func (n *Node) announcing(all []ma.Multiaddr) []ma.Multiaddr {
	return append(slices.Clone(all), n.announced...)
}

// An Audience is who can dial an address, as far as the address says.
type Audience int

// Audiences, each larger than the one before.
const (
	AudienceNobody Audience = iota
	AudienceMachine
	AudienceLAN
	AudienceAll
)

func audience(a ma.Multiaddr) Audience {
	switch {
	case manet.IsIPLoopback(a):
		return AudienceMachine
	case manet.IsPublicAddr(a):
		return AudienceAll
	}
	return AudienceLAN
}

// Audience is who can dial the node itself, and not through another peer.
func (s Status) Audience() Audience {
	most := AudienceNobody
	for _, text := range s.Addrs {
		if a, err := ma.NewMultiaddr(text); err == nil && !isCircuit(a) {
			most = max(most, audience(a))
		}
	}
	return most
}

// fullAddrs are the addresses of h that others may dial, each with its peer id,
// those that most can dial first, and TCP, which is allowed in most places.
func fullAddrs(h host.Host) []string {
	all := slices.Clone(h.Addrs())
	slices.SortStableFunc(all, func(a, b ma.Multiaddr) int {
		return cmp.Or(cmp.Compare(audience(b), audience(a)), cmp.Compare(transportRank(a), transportRank(b)))
	})
	out := []string{}
	for _, a := range all {
		out = append(out, a.String()+"/p2p/"+h.ID().String())
	}
	return out
}

func texts(all []ma.Multiaddr) []string {
	out := []string{}
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

func transportRank(a ma.Multiaddr) int {
	if isCircuit(a) {
		return 2
	}
	if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
		return 1
	}
	return 0
}
