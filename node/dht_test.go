package node

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
)

// entrance starts a node of a DHT of its own, which others are told to begin with.
func entrance(t *testing.T) (addr string) {
	t.Helper()
	return startNode(t, testHome(t), Config{DHT: api.DHTOwn}).addr()
}

// SPEC D30, D31, D33. Two nodes that know only a bootstrap address find each other
// and the module.
func TestOwnDHT(t *testing.T) {
	ctx := t.Context()
	door := entrance(t)
	a := newAuthor(t, testHome(t))
	_, m := a.publish("left-pad", "1.0.0")
	writer := startNode(t, a.home, Config{DHT: api.DHTOwn, Bootstrap: []string{door}})
	until(t, "in the DHT", func() bool {
		s, err := writer.Status(ctx)
		return err == nil && s.DHT.Network == api.DHTOwn && s.DHT.Mode == "server" && s.DHT.Peers > 0
	})
	reader := startNode(t, testHome(t), Config{DHT: api.DHTOwn, Bootstrap: []string{door}})
	until(t, "found by the rendezvous", func() bool {
		all, err := reader.Peers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if p.Peer == writer.live.host.ID().String() && p.Gossip {
				return true
			}
		}
		return false
	})
	// A node that has met nobody finds the module by itself, and says how.
	until(t, "provided", func() bool { return writer.live.find.offers.provided(m.CID) })
	late, err := Join(ctx, testHome(t), Config{DHT: api.DHTOwn, Bootstrap: []string{door}, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if s, err := late.Status(ctx); err != nil || s.DHT.Mode != "" {
		t.Errorf("the DHT runs before it is needed: %+v, %v", s.DHT, err)
	}
	if err := late.Fetch(ctx, wantOf(m), nil); err != nil {
		t.Fatal(err)
	}
	found := ""
	all, err := late.Peers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Peer == writer.live.host.ID().String() {
			found = p.Found
		}
	}
	if found != foundDHT {
		t.Errorf("the provider was found by %q", found)
	}
	if s, err := late.Status(ctx); err != nil || s.DHT.Mode != "client" {
		t.Errorf("a node for one command is %+v of the DHT: %v", s.DHT, err)
	}
}

// provided reports whether the DHT was told of a module.
func (o *offers) provided(c cid.Cid) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.done[c].IsZero()
}

// SPEC D34. Modules are provided again on schedule; incomplete ones are not.
func TestProvidesAgain(t *testing.T) {
	ctx := t.Context()
	door := entrance(t)
	a := newAuthor(t, testHome(t))
	_, whole := a.publish("left-pad", "1.0.0")
	_, broken := a.publish("right-pad", "1.0.0")
	tree, err := a.home.Blocks().Get(ctx, broken.CID)
	if err != nil {
		t.Fatal(err)
	}
	links, err := unixfs.Links(broken.CID, tree)
	if err != nil || len(links) == 0 {
		t.Fatalf("links %v: %v", links, err)
	}
	if err := a.home.Blocks().Delete(ctx, links[0]); err != nil {
		t.Fatal(err)
	}
	n := startNodeWith(t, a.home, Config{DHT: api.DHTOwn, Bootstrap: []string{door}}, func(n *Node) { n.reprovide = 200 * time.Millisecond })
	at := func() time.Time {
		o := n.live.find.offers
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.done[whole.CID]
	}
	until(t, "provided", func() bool { return !at().IsZero() })
	first := at()
	until(t, "provided again", func() bool { return at().After(first) })
	if n.live.find.offers.provided(broken.CID) {
		t.Error("a module that is not whole was provided")
	}
}

// sybil answers whatever it is asked in the DHT with peers of the attacker's, who
// are not there.
func sybil(t *testing.T, h host.Host) {
	t.Helper()
	lie := func() []peer.AddrInfo {
		var out []peer.AddrInfo
		for range 20 {
			key, err := passingIdentity()
			if err != nil {
				t.Error(err)
				return nil
			}
			id, err := peer.IDFromPrivateKey(key)
			if err != nil {
				t.Error(err)
				return nil
			}
			out = append(out, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}})
		}
		return out
	}
	h.SetStreamHandler("/ipfs/lan/kad/1.0.0", func(s network.Stream) {
		defer s.Close()
		r := bufio.NewReader(s)
		for {
			var q dhtpb.Message
			if protodelim.UnmarshalFrom(r, &q) != nil {
				return
			}
			a := &dhtpb.Message{Type: q.Type, Key: q.Key, ProviderPeers: dhtpb.RawPeerInfosToPBPeers(lie())}
			if _, err := protodelim.MarshalTo(s, a); err != nil {
				return
			}
		}
	})
}

// SPEC D1, D32: the DHT returns sybils alone, and what the record's sender
// has is had all the same.
func TestThreat35DHTOfSybils(t *testing.T) {
	rounds := 5
	if full {
		rounds = 50
	}
	ctx := t.Context()
	var doors []string
	for range 3 {
		h := testHost(t)
		sybil(t, h)
		if err := listen(h, []ma.Multiaddr{ma.StringCast(loopback)}); err != nil {
			t.Fatal(err)
		}
		doors = append(doors, fullAddrs(h)[0])
	}
	a := newAuthor(t, testHome(t))
	sender := startNode(t, a.home, Config{})
	patient := func(n *Node) { n.patience.first, n.patience.idle = firstBlock, idleBlock }
	reader := startNodeWith(t, testHome(t), Config{DHT: api.DHTOwn, Bootstrap: doors}, patient)
	reader.join(sender)
	until(t, "among the sybils", func() bool {
		s, err := reader.Status(ctx)
		return err == nil && s.DHT.Peers == len(doors)
	})
	asked := 0
	for i := range rounds {
		id, m := a.publish("left-pad", fmt.Sprintf("1.0.%d", i))
		if _, err := sender.Announce(ctx, []cid.Cid{id}); err != nil {
			t.Fatal(err)
		}
		until(t, "heard", func() bool { return reader.has(id) })
		// The connection is gone, and its sender must be found among the remembered.
		if err := reader.live.home.Peers().Remember(ctx, reader.live.met()...); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if err := reader.live.host.Network().ClosePeer(sender.live.host.ID()); err != nil {
				t.Fatal(err)
			}
			asked++
		}
		w := wantOf(m)
		w.Record = id
		if err := reader.Fetch(ctx, w, nil); err != nil {
			t.Fatalf("fetch %d of %d: %v", i+1, rounds, err)
		}
		reader.join(sender)
	}
	if asked == 0 {
		t.Error("the sender was never away")
	}
	if peers := reader.live.gossip.Peers(gossip.TopicRecords); len(peers) != 1 {
		t.Errorf("%d peers exchange records", len(peers))
	}
}

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
	if got := rendezvousCID().String(); got != want {
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
	public, own := &table{kind: api.DHTPublic}, &table{kind: api.DHTOwn}
	if out := public.addrs(in); len(out) != 1 || out[0].String() != "/ip4/93.184.216.34/tcp/1" {
		t.Errorf("of %v the public DHT has %v", in, out)
	}
	if out := own.addrs(in); len(out) != len(in) {
		t.Errorf("one's own DHT has %v", out)
	}
}
