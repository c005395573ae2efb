package address

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Parse reads a multiaddr that ends in /p2p/PEER.
func Parse(s string) (*peer.AddrInfo, error) {
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

func IsCircuit(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

func ParseListen(s string) (ma.Multiaddr, error) {
	a, err := ma.NewMultiaddr(s)
	if err == nil {
		_, err = a.ValueForProtocol(ma.P_TCP)
		if err != nil {
			_, err = a.ValueForProtocol(ma.P_QUIC_V1)
		}
	}
	if err == nil && IsCircuit(a) {
		return nil, fmt.Errorf("listen address %q: through another peer is no place to listen", s)
	}
	if err != nil {
		return nil, fmt.Errorf("listen address %q: it must look like /ip4/0.0.0.0/tcp/%d or /ip4/0.0.0.0/udp/%d/quic-v1", s, DefaultPort, DefaultPort)
	}
	return a, nil
}

// ParseAnnounce reads an address that the node tells others of. It must be one that
// they dial: they dial no names that a peer says of itself.
func ParseAnnounce(s string) (ma.Multiaddr, error) {
	a, err := ParseListen(s)
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
	if ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || Port(a) == "0" {
		return nil, fmt.Errorf("announced address %q: others cannot dial it", s)
	}
	return a, nil
}

// Port is the TCP or UDP port of an address, "" when it has none.
func Port(a ma.Multiaddr) string {
	for _, code := range []int{ma.P_TCP, ma.P_UDP} {
		if p, err := a.ValueForProtocol(code); err == nil {
			return p
		}
	}
	return ""
}

// DefaultPort is the TCP and UDP port that a node listens on when it is free.
const DefaultPort = 4011
