package swarm

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/peerbook"
)

// startSwarm runs a swarm until the test ends.
func startSwarm(t *testing.T) *Swarm {
	t.Helper()
	key, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Key: key, Version: "test", Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, Peers: peerbook.New(filepath.Join(t.TempDir(), "peers.json"), false),
		Log: slog.New(slog.DiscardHandler), Gossiping: func() []peer.ID { return nil }, StreamTimeout: IdleStream, ReprovideInterval: ReprovideInterval,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Of the peers that are there those come first whom the user named, also when they
// came by themselves, and then those that this node dialled.
func TestRanked(t *testing.T) {
	ctx := t.Context()
	n, named, dialled := startSwarm(t), startSwarm(t), startSwarm(t)
	if _, err := n.Connect(ctx, named.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	neighbour, err := address.Parse(dialled.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Dial(ctx, *neighbour, LAN, DialTimeout); err != nil {
		t.Fatal(err)
	}
	there, err := address.Parse(n.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if err := startSwarm(t).Dial(ctx, *there, Incoming, DialTimeout); err != nil {
			t.Fatal(err)
		}
	}
	id := named.Host().ID()
	order := func() []peer.ID { return n.Ranked(n.Connected()) }
	if got := order(); got[0] != id || got[1] != dialled.Host().ID() {
		t.Error("the order is not named, dialled, others")
	}
	gone := n.Changed()
	if err := n.Host().Network().ClosePeer(id); err != nil {
		t.Fatal(err)
	}
	<-gone
	for came := n.Changed(); !n.IsConnected(id); came = n.Changed() {
		if err := named.Dial(ctx, *there, Incoming, DialTimeout); err != nil {
			t.Fatal(err)
		}
		select {
		case <-came:
		case <-time.After(10 * time.Millisecond): // the other end may not have seen the close
		}
	}
	n.note(id, Incoming)
	n.DialNamed(ctx)
	if got := order(); got[0] != id {
		t.Error("a peer that the user named comes after others when it came by itself")
	}
}

func testPeer(t *testing.T) peer.ID {
	t.Helper()
	key, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
