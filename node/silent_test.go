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
	until(t, "all are there", func() bool { return len(n.live.syncer.peers()) >= 20 })
	ranked := n.live.ranked(n.live.syncer.peers())
	if ranked[0] != honest.live.host.ID() {
		t.Fatal("the peer that the user named is not the first")
	}
	for i, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		if i == 1 { // lost, and known by name
			if err := n.live.host.Network().ClosePeer(honest.live.host.ID()); err != nil {
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

// Of the peers that are there those come first whom the user named, also when they
// came by themselves, and then those that this node dialled.
func TestRanked(t *testing.T) {
	ctx := t.Context()
	n := startNode(t, testHome(t), Config{})
	named, dialled := startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{})
	if _, err := n.Connect(ctx, named.addr()); err != nil {
		t.Fatal(err)
	}
	neighbour, err := address.Parse(dialled.addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.live.find.dial(ctx, *neighbour, foundLAN, dialTimeout); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	there, err := address.Parse(n.addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range mutes(t, 6, &asked) {
		if err := h.Connect(ctx, *there); err != nil {
			t.Fatal(err)
		}
	}
	id := named.live.host.ID()
	order := func() []peer.ID { return n.live.ranked(connected(n.live.host)) }
	if got := order(); got[0] != id || got[1] != dialled.live.host.ID() {
		t.Error("the order is not named, dialled, others")
	}
	if err := n.live.host.Network().ClosePeer(id); err != nil {
		t.Fatal(err)
	}
	if err := dial(ctx, named.live.host, *there); err != nil {
		t.Fatal(err)
	}
	until(t, "it has come", func() bool { return slices.Contains(connected(n.live.host), id) })
	n.live.find.note(id, foundIncoming)
	n.live.callNamed(ctx)
	if got := order(); got[0] != id {
		t.Error("a peer that the user named comes after others when it came by itself")
	}
}
