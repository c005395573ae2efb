package node

import (
	"bufio"
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/replica"
	"github.com/everythingstays/es/node/swarm"
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
			if p.Peer == writer.id().String() && p.Gossip {
				return true
			}
		}
		return false
	})
	// A node that has met nobody finds the module by itself, and says how.
	until(t, "provided", func() bool { return !writer.parts.swarm.ProvidedAt(m.CID).IsZero() })
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
		if p.Peer == writer.id().String() {
			found = p.Found
		}
	}
	if found != swarm.DHT {
		t.Errorf("the provider was found by %q", found)
	}
	if s, err := late.Status(ctx); err != nil || s.DHT.Mode != "client" {
		t.Errorf("a node for one command is %+v of the DHT: %v", s.DHT, err)
	}
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
	n := startNodeWith(t, a.home, Config{DHT: api.DHTOwn, Bootstrap: []string{door}}, func(n *Node) { n.swarm.ReprovideInterval = 200 * time.Millisecond })
	at := func() time.Time { return n.parts.swarm.ProvidedAt(whole.CID) }
	until(t, "provided", func() bool { return !at().IsZero() })
	first := at()
	until(t, "provided again", func() bool { return at().After(first) })
	if !n.parts.swarm.ProvidedAt(broken.CID).IsZero() {
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
			key, err := swarm.NewIdentity()
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
		s := testSwarm(t, swarm.Config{Listen: []ma.Multiaddr{ma.StringCast(loopback)}})
		sybil(t, s.Host())
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		doors = append(doors, s.Addrs()[0])
	}
	a := newAuthor(t, testHome(t))
	sender := startNode(t, a.home, Config{})
	slow := func(n *Node) { n.timeouts = replica.DefaultTimeouts }
	reader := startNodeWith(t, testHome(t), Config{DHT: api.DHTOwn, Bootstrap: doors}, slow)
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
		reader.parts.swarm.Remember(ctx)
		if i%2 == 1 {
			if err := reader.parts.swarm.Host().Network().ClosePeer(sender.id()); err != nil {
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
	if peers := reader.parts.gossip.Peers(gossip.TopicRecords); len(peers) != 1 {
		t.Errorf("%d peers exchange records", len(peers))
	}
}
