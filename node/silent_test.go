package node

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/simulation"
)

// mutes are peers that take every request and answer none. asked counts the
// requests.
func mutes(t *testing.T, count int, asked *atomic.Int64) (out []host.Host) {
	t.Helper()
	for range count {
		h, err := libp2p.New(libp2p.ListenAddrStrings(loopback))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		h.SetStreamHandler(reconcile.Protocol, func(s network.Stream) {
			asked.Add(1)
			_, _ = io.Copy(io.Discard, s)
		})
		out = append(out, h)
	}
	return out
}

// TestThreat58SilentPeers connects 24 peers to a node that answer nothing. Each of
// three es sync asks the honest peer, whom the user named, before any of them,
// whether it is connected or not, and whoever connected to whom (SPEC N82).
func TestThreat58SilentPeers(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	honest := startNode(t, a.home, Config{})
	n := startNode(t, testHome(t), Config{})
	n.trust(a.fingerprint())
	n.join(honest)
	var asked atomic.Int64
	there, err := address.Parse(n.addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range mutes(t, 24, &asked) {
		if err := h.Connect(ctx, *there); err != nil {
			t.Fatal(err)
		}
	}
	speak := func() []peer.ID {
		return slices.DeleteFunc(n.parts.swarm.Connected(), func(p peer.ID) bool { return !n.parts.swarm.Speaks(p, reconcile.Protocol) })
	}
	until(t, "all are there", func() bool { return len(speak()) >= 20 })
	ranked := n.parts.swarm.Ranked(speak())
	if ranked[0] != honest.id() {
		t.Fatal("the peer that the user named is not the first")
	}
	for i, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		if i == 1 { // lost, and known by name
			if err := n.parts.swarm.Host().Network().ClosePeer(honest.id()); err != nil {
				t.Fatal(err)
			}
		}
		said := a.heard(version, i)
		within, cancel := context.WithTimeout(ctx, 30*time.Second)
		start := time.Now()
		s, err := n.Sync(within, api.SyncOptions{}, nil)
		cancel()
		if err != nil || s.Peers == 0 || !n.has(said) {
			t.Fatalf("sync %d: %+v, %v after %v", i, s, err, time.Since(start))
		}
		t.Logf("sync %d took %v: %+v", i, time.Since(start).Round(time.Millisecond), s)
	}
}

// SPEC N271. A sync does not wait for silent peers that came by themselves once the
// peer that the user named has answered in full; for those that send something it does.
func TestThreat58SyncAmongSilentPeers(t *testing.T) {
	simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
		v := found(t, net, 2, 0)
		defer v.leave()
		honest, reader := v.nodes[0], v.nodes[1]
		reader.known = []string{honest.addr}
		v.come()
		simulation.Settle(10 * time.Second)
		there, err := address.Parse(reader.addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			mute, err := libp2p.New(net.HostOptions(2 + i)...)
			if err != nil {
				t.Fatal(err)
			}
			defer mute.Close()
			mute.SetStreamHandler(reconcile.Protocol, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
			if err := mute.Connect(t.Context(), *there); err != nil {
				t.Fatal(err)
			}
		}
		simulation.Settle(100 * time.Millisecond)
		said := honest.author.heard("1.0.0", 1)
		start := time.Now()
		s, err := reader.node.Sync(t.Context(), api.SyncOptions{All: true}, nil)
		if err != nil || s.Peers != 1 || s.Records != 1 || !s.Complete {
			t.Errorf("sync: %+v, %v", s, err)
		}
		if ok, err := reader.author.home.Index().Has(t.Context(), said); err != nil || !ok {
			t.Errorf("the record is here: %v, %v", ok, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the sync took %v", took)
		}
	})
}
