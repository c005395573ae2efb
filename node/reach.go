package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/record"
	ma "github.com/multiformats/go-multiaddr"
)

// reach is where an address leads (SPEC.md [D81]).
type reach int

const (
	reachPublic reach = iota
	reachLAN          // a private network, or one that this machine is in
	reachSelf         // this machine, or no machine at all
)

// Bounds of resolving a name that the user gave.
const (
	maxResolved = 16
	maxRedirect = 4 // dnsaddr that leads to dnsaddr
)

// errNameTold says that libp2p was about to resolve a name: those of the user are
// resolved before it sees them.
var errNameTold = errors.New("a name that a peer told is not resolved")

// special are the networks without global reach (the IANA registries of special
// addresses) that netip has no method for. Those that hold an IPv4 address in them
// could be used to write any other.
var special = prefixes(map[string]reach{
	"0.0.0.0/8": reachSelf, "100.64.0.0/10": reachLAN, "192.0.0.0/24": reachLAN, "198.18.0.0/15": reachLAN, "240.0.0.0/4": reachSelf,
	"::/96": reachSelf, "64:ff9b::/96": reachLAN, "64:ff9b:1::/48": reachLAN, "100::/64": reachSelf, "2001::/32": reachLAN, "2002::/16": reachLAN,
	"fec0::/10": reachLAN,
})

type specialNet struct {
	netip.Prefix
	reach
}

func prefixes(all map[string]reach) (out []specialNet) {
	for s, r := range all {
		out = append(out, specialNet{netip.MustParsePrefix(s), r})
	}
	return out
}

// reachOf says where ip leads from a machine that is in nets.
func reachOf(ip net.IP, nets networks) reach {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return reachSelf
	}
	a = a.Unmap()
	if a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return reachSelf
	}
	for _, s := range special {
		if s.Contains(a) {
			return s.reach
		}
	}
	if a.IsPrivate() || a.IsLinkLocalUnicast() || nets.contains(ip) {
		return reachLAN
	}
	return reachPublic
}

// plainIP returns the IP of a multiaddr in which nothing has to be resolved: an IP
// and TCP or QUIC v1, perhaps of a relay (SPEC.md [D80]).
func plainIP(a ma.Multiaddr) (ip net.IP, ok bool) {
	if len(a) == 0 {
		return nil, false
	}
	for i, c := range a {
		switch c.Protocol().Code {
		case ma.P_IP4, ma.P_IP6:
			if i > 0 && a[i-1].Protocol().Code != ma.P_IP6ZONE || ip != nil {
				return nil, false
			}
			ip = net.IP(c.RawValue())
		case ma.P_IP6ZONE:
			if i > 0 {
				return nil, false
			}
		case ma.P_TCP, ma.P_UDP, ma.P_QUIC_V1, ma.P_P2P, ma.P_CIRCUIT:
			if ip == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return ip, ip != nil
}

// plain are those of addrs in which nothing has to be resolved.
func plain(addrs []ma.Multiaddr) []ma.Multiaddr {
	return within(addrs, reachSelf, networks{})
}

// within are those of addrs in which nothing has to be resolved and which lead no
// nearer than to r.
func within(addrs []ma.Multiaddr, r reach, nets networks) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		ip, ok := plainIP(a)
		return !ok || r < reachSelf && reachOf(ip, nets) > r
	})
}

// resolve replaces names by the addresses they lead to. Only the user's are given to
// it, and those that are built in.
func resolve(ctx context.Context, names network.MultiaddrDNSResolver, info peer.AddrInfo) ([]ma.Multiaddr, error) {
	var out []ma.Multiaddr
	var failed error
	for _, a := range info.Addrs {
		if _, ok := plainIP(a); ok {
			out = append(out, a)
			continue
		}
		found, err := resolveOne(ctx, names, info.ID, a)
		if err != nil {
			failed = err
		}
		out = append(out, found...)
	}
	out = ma.Unique(plain(out))
	out = out[:min(len(out), maxResolved)]
	if len(out) == 0 && failed != nil {
		return nil, failed
	}
	return out, nil
}

func resolveOne(ctx context.Context, names network.MultiaddrDNSResolver, id peer.ID, a ma.Multiaddr) ([]ma.Multiaddr, error) {
	found := []ma.Multiaddr{a}
	var err error
	if a[0].Protocol().Code == ma.P_DNSADDR {
		if found, err = names.ResolveDNSAddr(ctx, id, a, maxRedirect, maxResolved); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", a, err)
		}
	}
	var out []ma.Multiaddr
	for _, f := range found {
		if bare, last := ma.SplitLast(f); last != nil && last.Protocol().Code == ma.P_P2P {
			f = bare
		}
		if len(f) == 0 {
			continue
		}
		switch f[0].Protocol().Code {
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
			ips, err := names.ResolveDNSComponent(ctx, f, maxResolved)
			if err != nil {
				return nil, fmt.Errorf("resolve %s: %w", f, err)
			}
			out = append(out, ips...)
		default:
			out = append(out, f)
		}
	}
	if len(plain(out)) == 0 {
		return nil, fmt.Errorf("%s leads to no TCP or QUIC address", a)
	}
	return out, nil
}

// noNames is the resolver that libp2p gets.
type noNames struct{}

// ResolveDNSAddr implements network.MultiaddrDNSResolver.
func (noNames) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, errNameTold
}

// ResolveDNSComponent implements network.MultiaddrDNSResolver.
func (noNames) ResolveDNSComponent(context.Context, ma.Multiaddr, int) ([]ma.Multiaddr, error) {
	return nil, errNameTold
}

// addrBook is libp2p's peerstore. What peers say of themselves and of others gets
// into it only as far as rules [D80] and [D81] of SPEC.md let it; what this node has
// judged itself, by admit.
type addrBook struct {
	peerstore.Peerstore
	certified peerstore.CertifiedAddrBook
	self      peer.ID
	told      reach // of what is told of peers that are not connected
	machine   func() networks

	mu    sync.Mutex
	conns func(peer.ID) []ma.Multiaddr // where connections of a peer come from or go to; nil until there is a host
	nets  networks
	at    time.Time // when nets were looked at
}

func newAddrBook(inner peerstore.Peerstore, self peer.ID, told reach) (*addrBook, error) {
	certified, ok := peerstore.GetCertifiedAddrBook(inner)
	if !ok {
		return nil, errors.New("make address book: the peerstore keeps no signed records")
	}
	return &addrBook{Peerstore: inner, certified: certified, self: self, told: told, machine: localNetworks}, nil
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

// admit keeps addresses that were judged before.
func (b *addrBook) admit(p peer.ID, addrs []ma.Multiaddr) {
	b.Peerstore.AddAddrs(p, plain(addrs), peerstore.TempAddrTTL)
}

// fit are those of addrs that may be believed of p, whoever told them.
func (b *addrBook) fit(p peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	if p == b.self {
		return addrs
	}
	conns, nets := b.around(p)
	limit := b.limit(conns, nets)
	good := within(addrs, limit, nets)
	if limit == reachLAN && len(conns) > 0 {
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

// around returns where the connections of a peer lead, and the machine's networks.
func (b *addrBook) around(p peer.ID) ([]ma.Multiaddr, networks) {
	b.mu.Lock()
	if b.at.IsZero() || time.Since(b.at) > lanWatch {
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
func farLAN(a ma.Multiaddr, conns []ma.Multiaddr, nets networks) bool {
	ip, _ := plainIP(a)
	return reachOf(ip, nets) == reachLAN && !nets.contains(ip) && !slices.ContainsFunc(conns, func(at ma.Multiaddr) bool {
		from, _ := plainIP(at)
		return from.Equal(ip)
	})
}

// limit is the nearest place to which an address of a peer may lead: where the peer
// itself is, if it is connected.
func (b *addrBook) limit(conns []ma.Multiaddr, nets networks) reach {
	if len(conns) == 0 {
		return b.told
	}
	nearest := reachPublic
	for _, at := range conns {
		if ip, ok := plainIP(at); ok {
			nearest = max(nearest, reachOf(ip, nets))
		}
	}
	return nearest
}

// mayDial reports whether a connection to p may be made at a, which has this IP.
func (b *addrBook) mayDial(p peer.ID, a ma.Multiaddr, ip net.IP) bool {
	_, nets := b.around(p)
	return reachOf(ip, nets) == reachPublic || ma.Contains(b.Peerstore.Addrs(p), a)
}

// AddAddr implements peerstore.AddrBook.
func (b *addrBook) AddAddr(p peer.ID, a ma.Multiaddr, ttl time.Duration) {
	b.AddAddrs(p, []ma.Multiaddr{a}, ttl)
}

// AddAddrs implements peerstore.AddrBook.
func (b *addrBook) AddAddrs(p peer.ID, addrs []ma.Multiaddr, ttl time.Duration) {
	b.Peerstore.AddAddrs(p, b.fit(p, addrs), ttl)
}

// SetAddr implements peerstore.AddrBook.
func (b *addrBook) SetAddr(p peer.ID, a ma.Multiaddr, ttl time.Duration) {
	b.SetAddrs(p, []ma.Multiaddr{a}, ttl)
}

// SetAddrs implements peerstore.AddrBook.
func (b *addrBook) SetAddrs(p peer.ID, addrs []ma.Multiaddr, ttl time.Duration) {
	b.Peerstore.SetAddrs(p, b.fit(p, addrs), ttl)
}

// ConsumePeerRecord implements peerstore.CertifiedAddrBook. A record with an address
// that is not believed is not kept: its signature would be passed on with it.
func (b *addrBook) ConsumePeerRecord(e *record.Envelope, ttl time.Duration) (bool, error) {
	r, err := e.Record()
	if err != nil {
		return false, err
	}
	told, ok := r.(*peer.PeerRecord)
	if !ok || !told.PeerID.MatchesPublicKey(e.PublicKey) {
		return b.certified.ConsumePeerRecord(e, ttl) // which refuses it
	}
	if good := b.fit(told.PeerID, told.Addrs); len(good) < len(told.Addrs) {
		b.Peerstore.AddAddrs(told.PeerID, good, ttl)
		return false, nil
	}
	return b.certified.ConsumePeerRecord(e, ttl)
}

// GetPeerRecord implements peerstore.CertifiedAddrBook.
func (b *addrBook) GetPeerRecord(p peer.ID) *record.Envelope { return b.certified.GetPeerRecord(p) }

var _ peerstore.CertifiedAddrBook = (*addrBook)(nil)
