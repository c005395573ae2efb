package swarm

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

	"github.com/everythingstays/es/node/address"
)

// listenAll makes the host listen where the user says, or on the default port.
func (s *Swarm) listenAll() error {
	h := s.host
	if len(s.cfg.Listen) > 0 {
		return listen(h, s.cfg.Listen)
	}
	if s.cfg.Ephemeral || len(listening(h)) > 0 {
		return nil
	}
	return listenDefault(h, address.DefaultPort, s.cfg.SwarmKey != nil)
}

// listening are the addresses that h listens on. That it can be reached through
// others is no listening: libp2p says so of every node that may use a relay.
func listening(h host.Host) []ma.Multiaddr {
	return slices.DeleteFunc(h.Network().ListenAddresses(), address.IsCircuit)
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

// announcing adds what the user announces to the addresses that are told to others.
func (s *Swarm) announcing(all []ma.Multiaddr) []ma.Multiaddr {
	return append(slices.Clone(all), s.cfg.Announce...)
}

// Addrs are the addresses that others may dial, each with its peer id,
// those that most can dial first, and TCP, which is allowed in most places.
func (s *Swarm) Addrs() []string {
	all := slices.Clone(s.host.Addrs())
	slices.SortStableFunc(all, func(a, b ma.Multiaddr) int {
		return cmp.Or(cmp.Compare(address.AudienceOf(b), address.AudienceOf(a)), cmp.Compare(address.TransportRank(a), address.TransportRank(b)))
	})
	out := []string{}
	for _, a := range all {
		out = append(out, a.String()+"/p2p/"+s.host.ID().String())
	}
	return out
}

// Listening are the addresses that the node listens on.
func (s *Swarm) Listening() []string {
	out := []string{}
	for _, a := range listening(s.host) {
		out = append(out, a.String())
	}
	return out
}
