package swarm

import (
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
)

// maxBanned bounds the memory of gate: of more peers the one whose ban ends
// first is forgotten.
const maxBanned = 4096

// gate decides which connections are made and accepted at all (docs/program.md [N22]). It is
// the host's connection gater.
type gate struct {
	now  func() time.Time
	book *addrBook // set before the host that uses the gate is made

	mu     sync.Mutex
	banned map[peer.ID]time.Time // until when
}

func newGate() *gate { return &gate{now: time.Now, banned: map[peer.ID]time.Time{}} }

func (g *gate) use(b *addrBook) { g.book = b }

// ban keeps a peer out for a while.
func (g *gate) ban(p peer.ID, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if _, ok := g.banned[p]; !ok && len(g.banned) >= maxBanned {
		g.forget(now)
	}
	g.banned[p] = now.Add(d)
}

// forget makes room for one peer.
func (g *gate) forget(now time.Time) {
	var first peer.ID
	for p, until := range g.banned {
		if !now.Before(until) {
			delete(g.banned, p)
		} else if first == "" || until.Before(g.banned[first]) {
			first = p
		}
	}
	if len(g.banned) >= maxBanned {
		delete(g.banned, first)
	}
}

func (g *gate) allows(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.banned[p]
	if ok && !g.now().Before(until) {
		delete(g.banned, p)
		ok = false
	}
	return !ok
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.allows(p) }

// InterceptAddrDial implements connmgr.ConnectionGater. Peers say of themselves
// and of others where they are; no packet goes where no peer can be, and none to the
// LAN or this machine at an address that the address book does not have.
func (g *gate) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	ip, ok := address.PlainIP(a)
	return ok && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.Equal(net.IPv4bcast) && (g.book == nil || g.book.mayDial(p, a, ip))
}

// InterceptAccept implements connmgr.ConnectionGater. How many an address may have
// is the resource manager's to say.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gate) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.allows(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
