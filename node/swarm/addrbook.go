package swarm

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
)

// errNameOfPeer says that libp2p was about to resolve a name: those of the user are
// resolved before it sees them.
var errNameOfPeer = errors.New("a name that a peer told is not resolved")

// refusingResolver is the resolver that libp2p gets.
type refusingResolver struct{}

// ResolveDNSAddr implements network.MultiaddrDNSResolver.
func (refusingResolver) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, errNameOfPeer
}

// ResolveDNSComponent implements network.MultiaddrDNSResolver.
func (refusingResolver) ResolveDNSComponent(context.Context, ma.Multiaddr, int) ([]ma.Multiaddr, error) {
	return nil, errNameOfPeer
}

// addrBook is libp2p's peerstore. What peers say of themselves and of others gets
// into it only as far as rules [D80] and [D81] of SPEC.md let it; what this node has
// judged itself, by addJudged.
type addrBook struct {
	peerstore.Peerstore
	certified peerstore.CertifiedAddrBook
	self      peer.ID
	hearsay   address.Reach // of what is told of peers that are not connected
	machine   func() address.Networks

	mu    sync.Mutex
	conns func(peer.ID) []ma.Multiaddr // where connections of a peer come from or go to; nil until there is a host
	nets  address.Networks
	at    time.Time // when nets were looked at
}

func newAddrBook(inner peerstore.Peerstore, self peer.ID, hearsay address.Reach) (*addrBook, error) {
	certified, ok := peerstore.GetCertifiedAddrBook(inner)
	if !ok {
		return nil, errors.New("make address book: the peerstore keeps no signed records")
	}
	return &addrBook{Peerstore: inner, certified: certified, self: self, hearsay: hearsay, machine: address.LocalNetworks}, nil
}

func (b *addrBook) use(h host.Host) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns = func(p peer.ID) (at []ma.Multiaddr) {
		for _, c := range h.Network().ConnsToPeer(p) {
			at = append(at, c.RemoteMultiaddr())
		}
		return at
	}
}

// addJudged keeps addresses that were judged before.
func (b *addrBook) addJudged(p peer.ID, addrs []ma.Multiaddr) {
	b.Peerstore.AddAddrs(p, address.Plain(addrs), peerstore.TempAddrTTL)
}

// believable are those of addrs that may be believed of p, whoever told them.
func (b *addrBook) believable(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	if p == b.self {
		return addrs
	}
	conns, nets := b.surroundings(p)
	limit := b.limit(conns, nets)
	good := address.Within(addrs, limit, nets)
	if limit == address.LAN && len(conns) > 0 {
		good = slices.DeleteFunc(good, func(a ma.Multiaddr) bool { return farLAN(a, conns, nets) })
	}
	if len(good) == len(addrs) {
		return good
	}
	known := b.Peerstore.Addrs(p)
	for _, a := range addrs {
		if ma.Contains(known, a) && !ma.Contains(good, a) {
			good = append(good, a)
		}
	}
	return good
}

// surroundings returns where the connections of a peer lead, and the machine's networks.
func (b *addrBook) surroundings(p peer.ID) ([]ma.Multiaddr, address.Networks) {
	b.mu.Lock()
	if b.at.IsZero() || time.Since(b.at) > address.PollInterval {
		b.nets, b.at = b.machine(), time.Now()
	}
	conns, nets := b.conns, b.nets
	b.mu.Unlock()
	if conns == nil {
		return nil, nets
	}
	return conns(p), nets
}

// farLAN reports whether a leads to a LAN that is neither one of this machine's nor
// where one of the connections comes from: only a router's other side can be there.
func farLAN(a ma.Multiaddr, conns []ma.Multiaddr, nets address.Networks) bool {
	ip, _ := address.PlainIP(a)
	return address.ReachOf(ip, nets) == address.LAN && !nets.Contains(ip) && !slices.ContainsFunc(conns, func(at ma.Multiaddr) bool {
		from, _ := address.PlainIP(at)
		return from.Equal(ip)
	})
}

// limit is the nearest place to which an address of a peer may lead: where the peer
// itself is, if it is connected.
func (b *addrBook) limit(conns []ma.Multiaddr, nets address.Networks) address.Reach {
	if len(conns) == 0 {
		return b.hearsay
	}
	nearest := address.Public
	for _, at := range conns {
		if ip, ok := address.PlainIP(at); ok {
			nearest = max(nearest, address.ReachOf(ip, nets))
		}
	}
	return nearest
}

// mayDial reports whether a connection to p may be made at a, which has this IP.
func (b *addrBook) mayDial(p peer.ID, a ma.Multiaddr, ip net.IP) bool {
	_, nets := b.surroundings(p)
	return address.ReachOf(ip, nets) == address.Public || ma.Contains(b.Peerstore.Addrs(p), a)
}

// AddAddr implements peerstore.AddrBook.
func (b *addrBook) AddAddr(p peer.ID, a ma.Multiaddr, ttl time.Duration) {
	b.AddAddrs(p, []ma.Multiaddr{a}, ttl)
}

// AddAddrs implements peerstore.AddrBook.
func (b *addrBook) AddAddrs(p peer.ID, addrs []ma.Multiaddr, ttl time.Duration) {
	b.Peerstore.AddAddrs(p, b.believable(p, addrs), ttl)
}

// SetAddr implements peerstore.AddrBook.
func (b *addrBook) SetAddr(p peer.ID, a ma.Multiaddr, ttl time.Duration) {
	b.SetAddrs(p, []ma.Multiaddr{a}, ttl)
}

// SetAddrs implements peerstore.AddrBook.
func (b *addrBook) SetAddrs(p peer.ID, addrs []ma.Multiaddr, ttl time.Duration) {
	b.Peerstore.SetAddrs(p, b.believable(p, addrs), ttl)
}

// ConsumePeerRecord implements peerstore.CertifiedAddrBook. A record with an address
// that is not believed is not kept: its signature would be passed on with it.
func (b *addrBook) ConsumePeerRecord(e *record.Envelope, ttl time.Duration) (bool, error) {
	r, err := e.Record()
	if err != nil {
		return false, err
	}
	said, ok := r.(*peer.PeerRecord)
	if !ok || !said.PeerID.MatchesPublicKey(e.PublicKey) {
		return b.certified.ConsumePeerRecord(e, ttl) // which refuses it
	}
	if good := b.believable(said.PeerID, said.Addrs); len(good) < len(said.Addrs) {
		b.Peerstore.AddAddrs(said.PeerID, good, ttl)
		return false, nil
	}
	return b.certified.ConsumePeerRecord(e, ttl)
}

// GetPeerRecord implements peerstore.CertifiedAddrBook.
func (b *addrBook) GetPeerRecord(p peer.ID) *record.Envelope { return b.certified.GetPeerRecord(p) }

var _ peerstore.CertifiedAddrBook = (*addrBook)(nil)
