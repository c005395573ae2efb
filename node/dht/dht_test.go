package dht

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/api"
)

// SPEC D35. What others put into the DHT takes bounded memory, and what is asked
// for is found without going through all of it.
func TestBoundedStore(t *testing.T) {
	ctx := context.Background()
	s := newBoundedStore(100_000)
	key := func(i, j int) ds.Key { return ds.NewKey(fmt.Sprintf("/providers/K%d/P%d", i, j)) }
	for i := range 10_000 {
		if err := s.Put(ctx, key(i/3, i%3), []byte(rand.Text())); err != nil {
			t.Fatal(err)
		}
		if s.size > s.most {
			t.Fatalf("%d bytes after %d entries", s.size, i+1)
		}
	}
	all, err := s.Query(ctx, query.Query{Prefix: "/providers/"})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := all.Rest()
	if err != nil || len(entries) < 200 {
		t.Fatalf("%d entries are left: %v", len(entries), err)
	}
	if ok, err := s.Has(ctx, key(9_999/3, 0)); !ok || err != nil {
		t.Errorf("the last entry is gone: %v", err)
	}
	if err := s.Put(ctx, key(-1, 1), []byte("one")); err != nil {
		t.Fatal(err)
	}
	one, err := s.Query(ctx, query.Query{Prefix: "/providers/K-1"})
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := one.Rest(); err != nil || len(entries) != 1 || string(entries[0].Value) != "one" {
		t.Errorf("found %v: %v", entries, err)
	}
	for _, e := range entries {
		if err := s.Delete(ctx, ds.NewKey(e.Key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, key(-1, 1)); err != nil || s.size != 0 || len(s.groups) != 0 {
		t.Errorf("%d bytes in %d groups are left: %v", s.size, len(s.groups), err)
	}
}

// SPEC D31
func TestRendezvous(t *testing.T) {
	const want = "bafkreie4ssez3svdym2rdqlnns5wqbeworxgtlbsp24mtwcb25seztfuqm"
	if got := Rendezvous().String(); got != want {
		t.Errorf("the rendezvous is %s, want %s", got, want)
	}
}

// SPEC D36. Nothing private is told to the public DHT, nor taken from it.
func TestPublicAddrs(t *testing.T) {
	var in []ma.Multiaddr
	for _, s := range strings.Fields(`/ip4/127.0.0.1/tcp/1 /ip4/10.0.0.1/tcp/1 /ip4/192.168.1.1/udp/1/quic-v1 /ip4/169.254.1.1/tcp/1
		/ip6/::1/tcp/1 /ip6/fd00::1/tcp/1 /ip6/fe80::1/tcp/1 /ip4/93.184.216.34/tcp/1`) {
		in = append(in, ma.StringCast(s))
	}
	public, own := New(Config{Network: api.DHTPublic}), New(Config{Network: api.DHTOwn})
	if out := public.believed(in); len(out) != 1 || out[0].String() != "/ip4/93.184.216.34/tcp/1" {
		t.Errorf("of %v the public DHT has %v", in, out)
	}
	if out := own.believed(in); len(out) != len(in) {
		t.Errorf("one's own DHT has %v", out)
	}
}

// listed resolves every name to three addresses.
type listed struct{ network.MultiaddrDNSResolver }

func (listed) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/5"), ma.StringCast("/ip4/127.0.0.1/tcp/6"), ma.StringCast("/ip4/9.9.9.9/tcp/4")}, nil
}

// SPEC D82. Bootstrap peers that are built in lead to public addresses alone.
func TestResolveBootstrap(t *testing.T) {
	table := New(Config{Network: api.DHTPublic, Names: listed{}})
	info, err := table.resolve(t.Context(), peer.AddrInfo{ID: "p", Addrs: []ma.Multiaddr{ma.StringCast("/dnsaddr/list.example")}})
	if err != nil || len(info.Addrs) != 1 || info.Addrs[0].String() != "/ip4/9.9.9.9/tcp/4" {
		t.Errorf("a bootstrap peer that is built in leads to %v: %v", info.Addrs, err)
	}
}
