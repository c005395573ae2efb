package swarm

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/everythingstays/es/node/peerbook"
)

// Origin is whom a connection's work is charged to (SPEC.md [N160]): the IPv4
// address, or the network of 64 bits that an IPv6 host has for itself. A relayed
// peer is charged to its relay. What has no address is charged to the peer.
func Origin(c network.Conn) string {
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

// OriginOf is the origin of a peer's oldest connection, or the peer when it has
// none any more.
func (s *Swarm) OriginOf(p peer.ID) string {
	if conns := s.host.Network().ConnsToPeer(p); len(conns) > 0 {
		return Origin(conns[0])
	}
	return string(p)
}

// namedMaxAge is how long it may take until a peer that the user has named counts as
// one for serving.
const namedMaxAge = 10 * time.Second

// namedPeers remembers which peers the user named, as of a moment ago: strangers may ask
// as often as they like.
type namedPeers struct {
	mu    sync.Mutex
	at    time.Time
	peers map[peer.ID]bool
}

func (n *namedPeers) contains(book *peerbook.Book, p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.peers == nil || time.Since(n.at) > namedMaxAge {
		known, err := book.Known()
		if err != nil {
			return false
		}
		n.at, n.peers = time.Now(), map[peer.ID]bool{}
		for _, k := range known {
			n.peers[k.ID] = n.peers[k.ID] || k.Asked
		}
	}
	return n.peers[p]
}

// IsChosen reports whether the user named a peer, or this node dialled it.
func (s *Swarm) IsChosen(p peer.ID) bool {
	return s.named.contains(s.cfg.Peers, p) ||
		hasDialled(s.host, p)
}
