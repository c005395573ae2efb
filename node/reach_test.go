package node

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/reconcile"
)

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
}

// TestThreat64NamesOfPeers connects a peer that says of itself names, to a node that
// then loses it and looks for it again, and for whom it remembers.
func TestThreat64NamesOfPeers(t *testing.T) {
	var asked []string
	h := testHome(t)
	n := startNodeWith(t, h, Config{}, func(n *Node) { n.swarm.Names = mockNames(t, &asked) })
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
	until(t, "it is known as a node", func() bool {
		return n.parts.swarm.Speaks(hostile.ID(), reconcile.Protocol) && len(n.parts.swarm.Host().Peerstore().Addrs(hostile.ID())) > 0
	})
	n.parts.swarm.Remember(t.Context())
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
	id := other.id().String()
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
		if _, err := n.Connect(ctx, wrong[:len(wrong)-len(id)]+second.id().String()); name == "nobody" && err == nil {
			t.Error("a peer that nobody knows is met where nobody is")
		}
	}
}
