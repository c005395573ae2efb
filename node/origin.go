package node

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

// origin is whom a connection's work is charged to (SPEC.md [N160]): the IPv4
// address, or the network of 64 bits that an IPv6 host has for itself. A relayed
// peer is charged to its relay. What has no address is charged to the peer.
func origin(c network.Conn) string {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return string(c.RemotePeer())
	}
	a, _ := netip.AddrFromSlice(ip)
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// originOf is the origin of a peer's oldest connection, or the peer when it has
// none any more.
func originOf(h host.Host, p peer.ID) string {
	if conns := h.Network().ConnsToPeer(p); len(conns) > 0 {
		return origin(conns[0])
	}
	return string(p)
}
