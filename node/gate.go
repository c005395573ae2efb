package node

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
)

// maxShunned bounds the memory of gate: of more peers the one that would be let in
// first is forgotten.
const maxShunned = 4096

// gate decides which connections are made and let in at all (SPEC.md [N22]). It is
// the host's connection gater.
type gate struct {
	now  func() time.Time
	book *addrBook // set before the host that uses the gate is made

	mu      sync.Mutex
	shunned map[peer.ID]time.Time // until when
}

func newGate() *gate { return &gate{now: time.Now, shunned: map[peer.ID]time.Time{}} }

func (g *gate) use(b *addrBook) { g.book = b }

// shun keeps a peer out for a while.
func (g *gate) shun(p peer.ID, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if _, ok := g.shunned[p]; !ok && len(g.shunned) >= maxShunned {
		g.forget(now)
	}
	g.shunned[p] = now.Add(d)
}

// forget makes room for one peer.
func (g *gate) forget(now time.Time) {
	var first peer.ID
	for p, until := range g.shunned {
		if !now.Before(until) {
			delete(g.shunned, p)
		} else if first == "" || until.Before(g.shunned[first]) {
			first = p
		}
	}
	if len(g.shunned) >= maxShunned {
		delete(g.shunned, first)
	}
}

func (g *gate) lets(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.shunned[p]
	if ok && !g.now().Before(until) {
		delete(g.shunned, p)
		ok = false
	}
	return !ok
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.lets(p) }

// InterceptAddrDial implements connmgr.ConnectionGater. Peers say of themselves
// and of others where they are; no packet goes where no peer can be, and none to the
// LAN or this machine at an address that the address book does not have.
func (g *gate) InterceptAddrDial(p peer.ID, a ma.Multiaddr) bool {
	ip, ok := address.PlainIP(a)
	return ok && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.Equal(broadcast) && (g.book == nil || g.book.mayDial(p, a, ip))
}

var broadcast = []byte{255, 255, 255, 255}

// InterceptAccept implements connmgr.ConnectionGater. How many an address may have
// is the resource manager's to say.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gate) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.lets(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
