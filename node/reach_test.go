package node

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/reconcile"
)

func netsOf(t *testing.T, all ...string) (n address.Networks) {
	t.Helper()
	for _, s := range all {
		ip, ipnet, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		n.Nets = append(n.Nets, &net.IPNet{IP: ip, Mask: ipnet.Mask})
	}
	return n
}

// SPEC D80, D81. Where addresses lead, whatever they are written as.
func TestReachOf(t *testing.T) {
	nets := netsOf(t, "203.0.113.5/28", "2a00:5e5:1::2/64")
	for a, want := range map[string]address.Reach{
		"/ip4/8.8.8.8/tcp/1": address.Public, "/ip6/2a00:5e5:2::1/udp/1/quic-v1": address.Public, "/ip4/203.0.113.77/tcp/1": address.Public,
		"/ip4/203.0.113.1/tcp/1": address.LAN, "/ip6/2a00:5e5:1::9/tcp/1": address.LAN, // neighbours at public addresses
		"/ip4/10.1.2.3/tcp/1": address.LAN, "/ip4/172.31.0.1/tcp/1": address.LAN, "/ip4/192.168.1.1/tcp/80": address.LAN, "/ip4/100.64.0.1/tcp/1": address.LAN,
		"/ip4/169.254.169.254/tcp/80": address.LAN, "/ip6/fe80::1/tcp/1": address.LAN, "/ip6/fc00::1/tcp/1": address.LAN, "/ip6/fec0::1/tcp/1": address.LAN,
		"/ip4/127.0.0.1/tcp/1": address.Self, "/ip4/127.9.9.9/tcp/1": address.Self, "/ip6/::1/tcp/1": address.Self, "/ip4/0.0.0.0/tcp/1": address.Self, "/ip6/::/tcp/1": address.Self,
		"/ip4/224.0.0.1/udp/1/quic-v1": address.Self, "/ip4/255.255.255.255/tcp/1": address.Self,
		"/ip6/::ffff:127.0.0.1/tcp/1": address.Self, "/ip6/::ffff:10.0.0.1/tcp/1": address.LAN, "/ip6/::127.0.0.1/tcp/1": address.Self, // IPv4 written as IPv6
		"/ip6/64:ff9b::7f00:1/tcp/1": address.LAN, "/ip6/2002:7f00:1::/tcp/1": address.LAN, "/ip6/2001:0:7f00:1::/tcp/1": address.LAN,
		"/ip4/10.1.2.3/tcp/1/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv/p2p-circuit": address.LAN,
	} {
		ip, ok := address.PlainIP(ma.StringCast(a))
		if !ok || address.ReachOf(ip, nets) != want {
			t.Errorf("%s leads to %v (%v), want %v", a, address.ReachOf(ip, nets), ok, want)
		}
	}
	for _, a := range []string{
		"/dns4/localhost/tcp/1", "/dns6/localhost/tcp/1", "/dns/localhost/tcp/1", "/dnsaddr/localhost", "/dns4/a.example/tcp/443/wss", "/dns4/a.example/tcp/443/tls/ws",
		"/ip4/8.8.8.8/tcp/1/ws", "/ip4/8.8.8.8/tcp/443/tls/sni/a.example/ws", "/ip4/8.8.8.8/tcp/1/http", "/unix/tmp/socket", "/tcp/1",
		"/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv/p2p-circuit",
		"/ip4/8.8.8.8/tcp/1/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv/p2p-circuit/ip4/127.0.0.1/tcp/1",
		"/ip4/8.8.8.8/tcp/1/dns4/localhost/tcp/1",
	} {
		if _, ok := address.PlainIP(ma.StringCast(a)); ok {
			t.Errorf("%s is believed", a)
		}
	}
}

// bookOf is the address book of a node in nets. from says where peers are connected.
func bookOf(t *testing.T, told address.Reach, from map[peer.ID]string) *addrBook {
	t.Helper()
	inner, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	b, err := newAddrBook(inner, "self", told)
	if err != nil {
		t.Fatal(err)
	}
	b.machine = func() address.Networks { return netsOf(t, "203.0.113.5/28") }
	b.conns = func(p peer.ID) []ma.Multiaddr {
		if at, ok := from[p]; ok {
			return []ma.Multiaddr{ma.StringCast(at)}
		}
		return nil
	}
	return b
}

func saidAddrs(all ...string) (out []ma.Multiaddr) {
	for _, s := range all {
		out = append(out, ma.StringCast(s))
	}
	return out
}

var everywhere = []string{"/dns4/localhost/tcp/1", "/dnsaddr/a.example", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/ip4/9.9.9.9/tcp/1"}

// TestThreat64AddressesByOrigin has peers at a public address, on the LAN and on
// this machine tell all kinds of addresses, in each way in which libp2p keeps what
// peers tell (SPEC D80, D81, D82).
func TestThreat64AddressesByOrigin(t *testing.T) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(b *addrBook, all []ma.Multiaddr){
		"identify": func(b *addrBook, all []ma.Multiaddr) { b.AddAddrs(signer, all, time.Hour) },
		"one by one": func(b *addrBook, all []ma.Multiaddr) {
			for _, a := range all {
				b.AddAddr(signer, a, time.Hour)
			}
		},
		"set": func(b *addrBook, all []ma.Multiaddr) { b.SetAddrs(signer, all, time.Hour) },
		"signed record": func(b *addrBook, all []ma.Multiaddr) {
			e, err := record.Seal(peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: signer, Addrs: all}), key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.ConsumePeerRecord(e, time.Hour); err != nil {
				t.Error(err)
			}
			if kept := b.GetPeerRecord(signer); kept != nil {
				t.Error("a signed record with addresses that are not believed is kept, to be passed on")
			}
		},
	}
	for _, c := range []struct {
		from string // where the peer is connected
		told address.Reach
		want []string
	}{
		{"/ip4/8.8.1.30/tcp/999", address.Public, everywhere[5:]},
		{"/ip4/8.8.1.30/tcp/999", address.Self, everywhere[5:]}, // also in a DHT of this machine alone
		{"/ip4/8.8.1.30/tcp/1/p2p/" + signer.String() + "/p2p-circuit", address.Public, everywhere[5:]},
		{"/ip4/10.0.0.1/tcp/999", address.Public, everywhere[3:]},
		{"/ip4/10.0.0.7/tcp/999", address.Public, everywhere[4:]}, // and not at others in networks that are not this machine's
		{"/ip4/203.0.113.2/tcp/999", address.Public, everywhere[4:]},
		{"/ip4/127.0.0.1/tcp/999", address.Public, everywhere[2:]},
		{"", address.Public, everywhere[5:]},
		{"", address.LAN, everywhere[3:]},
		{"", address.Self, everywhere[2:]},
	} {
		for way, tell := range ways {
			from := map[peer.ID]string{}
			if c.from != "" {
				from[signer] = c.from
			}
			b := bookOf(t, c.told, from)
			tell(b, saidAddrs(everywhere...))
			var got []string
			for _, a := range b.Addrs(signer) {
				got = append(got, a.String())
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("%s, from %q: believed %q, want %q", way, c.from, got, want)
			}
		}
	}
	// A record that nobody signed changes nothing.
	b := bookOf(t, address.Public, nil)
	forged, err := record.Seal(peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: testPeer(t), Addrs: saidAddrs(everywhere...)}), key)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := b.ConsumePeerRecord(forged, time.Hour); ok || err == nil || len(b.PeersWithAddrs()) != 0 {
		t.Errorf("a forged record is believed: %v, %v", ok, err)
	}
}

// TestThreat64NothingElseIsDialled holds that the gate lets a dial to the LAN or to
// this machine pass only where the address book has that address of that peer.
func TestThreat64NothingElseIsDialled(t *testing.T) {
	g := newGate()
	g.use(bookOf(t, address.Public, nil))
	g.book.admit("a", saidAddrs("/ip4/10.0.0.1/tcp/1", "/dns4/localhost/tcp/1"))
	for addr, want := range map[string]bool{
		"/ip4/10.0.0.1/tcp/1": true, "/ip4/10.0.0.1/tcp/2": false, "/ip4/127.0.0.1/tcp/1": false, "/ip4/203.0.113.1/tcp/1": false,
		"/ip4/9.9.9.9/tcp/1": true, "/dns4/localhost/tcp/1": false, "/dns4/a.example/tcp/1": false,
	} {
		if got := g.InterceptAddrDial("a", ma.StringCast(addr)); got != want {
			t.Errorf("%s is dialled: %v", addr, got)
		}
	}
	if g.InterceptAddrDial("b", ma.StringCast("/ip4/10.0.0.1/tcp/1")) {
		t.Error("a peer is dialled where another one was admitted")
	}
}

// askedNames is a resolver that says what it was asked for.
type askedNames struct {
	swarm.ResolverFromMaDNS
	asked *[]string
}

func (n askedNames) ResolveDNSAddr(ctx context.Context, p peer.ID, a ma.Multiaddr, depth, most int) ([]ma.Multiaddr, error) {
	*n.asked = append(*n.asked, a.String())
	return n.ResolverFromMaDNS.ResolveDNSAddr(ctx, p, a, depth, most)
}

func (n askedNames) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, most int) ([]ma.Multiaddr, error) {
	*n.asked = append(*n.asked, a.String())
	return n.ResolverFromMaDNS.ResolveDNSComponent(ctx, a, most)
}

func mockNames(t *testing.T, asked *[]string) askedNames {
	t.Helper()
	r, err := madns.NewResolver(madns.WithDefaultResolver(&madns.MockResolver{
		IP: map[string][]net.IPAddr{"node.example": {{IP: net.IPv4(127, 0, 0, 1)}}, "far.example": {{IP: net.IPv4(9, 9, 9, 9)}}},
		TXT: map[string][]string{
			"_dnsaddr.list.example": {"dnsaddr=/dnsaddr/deep.example", "dnsaddr=/dns4/far.example/tcp/4"},
			"_dnsaddr.deep.example": {"dnsaddr=/ip4/10.0.0.1/tcp/5", "dnsaddr=/dns4/node.example/tcp/6", "dnsaddr=/ip4/1.1.1.1/tcp/443/wss"},
			"_dnsaddr.loop.example": {"dnsaddr=/dnsaddr/loop.example"},
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return askedNames{swarm.ResolverFromMaDNS{Resolver: r}, asked}
}

// SPEC D80, D83. Names of the user lead where they lead; those that are built in to
// public addresses alone.
func TestResolve(t *testing.T) {
	var asked []string
	names := mockNames(t, &asked)
	for a, want := range map[string]string{
		"/ip4/9.9.9.9/tcp/1": "/ip4/9.9.9.9/tcp/1", "/dns4/node.example/tcp/4011": "/ip4/127.0.0.1/tcp/4011", "/dns/far.example/udp/1/quic-v1": "/ip4/9.9.9.9/udp/1/quic-v1",
		"/dnsaddr/list.example": "/ip4/10.0.0.1/tcp/5 /ip4/127.0.0.1/tcp/6 /ip4/9.9.9.9/tcp/4", "/dns4/nowhere.example/tcp/1": "", "/dnsaddr/loop.example": "", "/dns4/far.example/tcp/443/wss": "",
	} {
		got, err := address.Resolve(t.Context(), names, peer.AddrInfo{ID: "p", Addrs: saidAddrs(a)})
		var texts []string
		for _, g := range got {
			texts = append(texts, g.String())
		}
		slices.Sort(texts)
		if strings.Join(texts, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%s leads to %q (%v), want %q", a, texts, err, want)
		}
	}
	entrance := &table{live: &live{node: &Node{names: names}}, kind: api.DHTPublic}
	info, err := entrance.resolve(t.Context(), peer.AddrInfo{ID: "p", Addrs: saidAddrs("/dnsaddr/list.example")})
	if err != nil || len(info.Addrs) != 1 || info.Addrs[0].String() != "/ip4/9.9.9.9/tcp/4" {
		t.Errorf("an entrance that is built in leads to %v: %v", info.Addrs, err)
	}
}

// TestThreat64NamesOfPeers connects a peer that says of itself names, to a node that
// then loses it and looks for it again, and for whom it remembers.
func TestThreat64NamesOfPeers(t *testing.T) {
	var asked []string
	h := testHome(t)
	n := startNodeWith(t, h, Config{}, func(n *Node) { n.names = mockNames(t, &asked) })
	hostile, err := libp2p.New(libp2p.ListenAddrStrings(loopback), libp2p.AddrsFactory(func(all []ma.Multiaddr) []ma.Multiaddr {
		return append(saidAddrs("/dns4/node.example/tcp/2222", "/dnsaddr/list.example", "/dns6/node.example/udp/1/quic-v1"), all...)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer hostile.Close()
	hostile.SetStreamHandler(reconcile.Protocol, func(s network.Stream) { _ = s.Reset() })
	there, err := address.Parse(n.addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := hostile.Connect(t.Context(), *there); err != nil {
		t.Fatal(err)
	}
	// Its protocols are known before its addresses are.
	until(t, "it is known as a node", func() bool { return n.live.isNode(hostile.ID()) && len(n.live.saidHere(hostile.ID())) > 0 })
	n.live.probeComers(t.Context(), map[peer.ID]time.Time{})
	n.live.rememberMet(t.Context())
	known, err := h.Peers().Known()
	if err != nil || len(known) != 1 || len(known[0].Addrs) != 1 || !strings.HasPrefix(known[0].Addrs[0], "/ip4/127.0.0.1/") {
		t.Errorf("remembered %+v: %v", known, err)
	}
	// Files of before, which others may have written into.
	for _, k := range []peerbook.Peer{
		{ID: hostile.ID(), Addrs: []string{"/dns4/node.example/tcp/2222", known[0].Addrs[0]}, Seen: 1, Answered: 1},
		{ID: hostile.ID(), Addrs: []string{"/dns4/node.example/tcp/2222", "/ip4/127.0.0.1/tcp/2222", "/ip4/10.0.0.1/tcp/1"}, Seen: 1},
	} {
		for _, a := range k.Info().Addrs {
			if ip, ok := address.PlainIP(a); !ok || k.Answered == 0 && address.ReachOf(ip, address.Networks{}) != address.Public {
				t.Errorf("%+v is sought at %s", k, a)
			}
		}
	}
	if len(asked) > 0 {
		t.Errorf("names were asked for: %q", asked)
	}
	// The user's own are.
	addr := "/dns4/node.example/tcp/" + strings.Split(known[0].Addrs[0], "/")[4] + "/p2p/" + hostile.ID().String()
	if _, err := n.Connect(t.Context(), addr); err != nil || len(asked) != 1 {
		t.Errorf("a name of the user: %v, asked for %q", err, asked)
	}
	if known, err = h.Peers().Known(); err != nil || !known[0].Asked || known[0].Addrs[0] != strings.Split(addr, "/p2p/")[0] {
		t.Errorf("remembered %+v: %v", known, err)
	}
}

// SPEC N80, N81. An address that does not answer is not remembered, and the one that
// does is not forgotten, whether the peer is connected already or not.
func TestConnectToWrongAddress(t *testing.T) {
	ctx := t.Context()
	other, second := startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{})
	right := other.addr()
	id := other.live.host.ID().String()
	for name, wrong := range map[string]string{
		"nobody": "/ip4/127.0.0.1/tcp/1/p2p/" + id, "somebody else": strings.Split(second.addr(), "/p2p/")[0] + "/p2p/" + id,
	} {
		n := startNode(t, testHome(t), Config{})
		if _, err := n.Connect(ctx, right); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			var elsewhere *api.WrongAddrError
			_, err := n.Connect(ctx, wrong)
			if !errors.As(err, &elsewhere) || elsewhere.At != right {
				t.Errorf("%s, %s: %v", name, when, err)
			}
			known, err := n.home.Peers().Known()
			if err != nil || len(known) != 1 || len(known[0].Addrs) != 1 || known[0].Addrs[0]+"/p2p/"+id != right {
				t.Errorf("%s, %s: remembered %+v: %v", name, when, known, err)
			}
		}
		check("while it is connected")
		n.stop()
		n = startNode(t, n.home, Config{Alone: true})
		check("while it is not")
		if _, err := n.Connect(ctx, wrong[:len(wrong)-len(id)]+second.live.host.ID().String()); name == "nobody" && err == nil {
			t.Error("a peer that nobody knows is met where nobody is")
		}
	}
}

// SPEC N80. What never answered is forgotten when it does not answer again; what the
// user named, or answered once, is not.
func TestForgetSilentPeers(t *testing.T) {
	h := testHome(t)
	asked, met, never := testPeer(t), testPeer(t), testPeer(t)
	at := []string{"/ip4/192.0.2.1/tcp/1"}
	if err := h.Peers().Remember(t.Context(), peerbook.Peer{ID: asked, Addrs: at, Asked: true}, peerbook.Peer{ID: met, Addrs: at, Answered: 1}, peerbook.Peer{ID: never, Addrs: []string{"/ip4/9.9.9.9/tcp/1"}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Peers().Forget(t.Context(), asked, met, never); err != nil {
		t.Fatal(err)
	}
	known, err := h.Peers().Known()
	if err != nil || len(known) != 2 || known[0].ID != asked || known[1].ID != met {
		t.Errorf("remembered %+v: %v", known, err)
	}
	// Many at one IP leave room for others.
	var crowd []peerbook.Peer
	for range 50 {
		crowd = append(crowd, peerbook.Peer{ID: testPeer(t), Addrs: []string{"/ip4/9.9.9.9/tcp/1"}, Seen: 9, Answered: 9})
	}
	if err := h.Peers().Remember(t.Context(), crowd...); err != nil {
		t.Fatal(err)
	}
	if known, err = h.Peers().Known(); err != nil || len(known) != 2+peerbook.MaxPerIP {
		t.Errorf("%d are remembered: %v", len(known), err)
	}
}
