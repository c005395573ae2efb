package gossip

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The penalty for sharing an address (docs/program.md [G17]).
const (
	colocationThreshold = 5
	colocationWeight    = -10.0 // times the square of the neighbours above that
	colocationFloor     = -400.0
	colocationInterval  = time.Second // the connections are looked at
	// What a peer has that did nothing yet. pubsub keeps the scores of those that
	// have left unless they are above 0: passing clients would pile up.
	newPeerScore = 0.001
)

// colocation counts the connected peers that share an address. Many are kept out of the
// mesh, so that no single place carries all messages, and exchange them like anybody:
// the penalty is never so large that its messages are dropped.
type colocation struct {
	net    network.Network
	exempt []*net.IPNet

	mu    sync.Mutex
	at    time.Time
	share map[peer.ID]int // with how many others, at the address with most
}

// score is what the peer's address takes from its score.
func (c *colocation) score(p peer.ID) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.share == nil || now.Sub(c.at) >= colocationInterval {
		c.share, c.at = c.count(), now
	}
	above := c.share[p] - colocationThreshold
	if above <= 0 || c.net.Connectedness(p) != network.Connected {
		return newPeerScore
	}
	return max(colocationFloor, colocationWeight*float64(above*above))
}

func (c *colocation) count() map[peer.ID]int {
	at := map[netip.Prefix]map[peer.ID]bool{}
	for _, conn := range c.net.Conns() {
		if place, ok := c.prefix(conn); ok {
			if at[place] == nil {
				at[place] = map[peer.ID]bool{}
			}
			at[place][conn.RemotePeer()] = true
		}
	}
	share := map[peer.ID]int{}
	for _, peers := range at {
		for p := range peers {
			share[p] = max(share[p], len(peers))
		}
	}
	return share
}

// prefix is where a peer is: an address of IPv4, or a /64 of IPv6.
func (c *colocation) prefix(conn network.Conn) (netip.Prefix, bool) {
	ip, err := manet.ToIP(conn.RemoteMultiaddr())
	if err != nil || conn.Stat().Limited {
		return netip.Prefix{}, false
	}
	for _, n := range c.exempt {
		if n.Contains(ip) {
			return netip.Prefix{}, false
		}
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := 64
	if addr = addr.Unmap(); addr.Is4() {
		bits = 32
	}
	p, err := addr.Prefix(bits)
	return p, err == nil
}

// localNetworks returns the networks where one address says little about how
// many people are behind it: several nodes on a machine, a LAN behind one
// container bridge. Whoever can be there in numbers is on the LAN already.
func localNetworks() []*net.IPNet {
	var nets []*net.IPNet
	for _, s := range []string{
		"127.0.0.0/8", "::1/128",
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
		"169.254.0.0/16", "fe80::/10",
	} {
		_, n, err := net.ParseCIDR(s)
		if err != nil {
			panic(err)
		}
		nets = append(nets, n)
	}
	return nets
}
