package swarm

import (
	"crypto/rand"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
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

var everywhere = []string{"/dns4/localhost/tcp/1", "/dnsaddr/a.example", "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/ip4/9.9.9.9/tcp/1"}

// bookOf is the address book of a node in nets. from says where peers are connected.
func bookOf(t *testing.T, hearsay address.Reach, from map[peer.ID]string) *addrBook {
	t.Helper()
	inner, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	b, err := newAddrBook(inner, "self", hearsay)
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
		from    string // where the peer is connected
		hearsay address.Reach
		want    []string
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
			b := bookOf(t, c.hearsay, from)
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
	g.book.addJudged("a", saidAddrs("/ip4/10.0.0.1/tcp/1", "/dns4/localhost/tcp/1"))
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
