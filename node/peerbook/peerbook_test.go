package peerbook

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// SPEC N6
func TestRememberedPeers(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "peers.json")
	book := New(path, false)
	asked := Peer{ID: testPeer(t), Addrs: []string{"/ip4/192.0.2.1/tcp/1"}, Seen: 1, Asked: true}
	if err := book.Remember(ctx, asked); err != nil {
		t.Fatal(err)
	}
	// Two processes at once, more peers than are kept.
	var wg sync.WaitGroup
	for i := range 4 {
		other := New(path, false)
		var met []Peer
		for j := range 100 {
			met = append(met, Peer{ID: testPeer(t), Addrs: []string{fmt.Sprintf("/ip4/198.51.%d.%d/tcp/1", i, j)}, Seen: int64(1000*j + 2)})
		}
		wg.Go(func() {
			for _, m := range [][]Peer{met[:50], met[50:]} {
				if err := other.Remember(ctx, m...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	known, err := book.Known()
	if err != nil || len(known) != maxPeers {
		t.Fatalf("%d peers are known, want %d: %v", len(known), maxPeers, err)
	}
	if known[0].ID != asked.ID {
		t.Error("the peer that the user named was pushed out")
	}
	if last := known[len(known)-1].Seen; last < 30_000 {
		t.Errorf("a peer last seen at %d pushed out a later one", last)
	}
	asked.Addrs, asked.Asked = []string{"/ip4/192.0.2.2/tcp/2"}, false
	if err := book.Remember(ctx, asked); err != nil {
		t.Fatal(err)
	}
	if known, err = book.Known(); err != nil || !known[0].Asked || known[0].Addrs[0] != asked.Addrs[0] {
		t.Errorf("after meeting again: %+v, %v", known[0], err)
	}
	// Damage costs the memory, not the command.
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if known, err := book.Known(); err != nil || len(known) != 0 {
		t.Errorf("%v, %v", known, err)
	}
}

// SPEC N80. What never answered is forgotten when it does not answer again; what the
// user named, or answered once, is not.
func TestForgetSilentPeers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	book := New(path, false)
	asked, met, never := testPeer(t), testPeer(t), testPeer(t)
	at := []string{"/ip4/192.0.2.1/tcp/1"}
	if err := book.Remember(t.Context(), Peer{ID: asked, Addrs: at, Asked: true}, Peer{ID: met, Addrs: at, Answered: 1}, Peer{ID: never, Addrs: []string{"/ip4/9.9.9.9/tcp/1"}}); err != nil {
		t.Fatal(err)
	}
	if err := book.Forget(t.Context(), asked, met, never); err != nil {
		t.Fatal(err)
	}
	known, err := book.Known()
	if err != nil || len(known) != 2 || known[0].ID != asked || known[1].ID != met {
		t.Errorf("remembered %+v: %v", known, err)
	}
	// Many at one IP leave room for others.
	var many []Peer
	for range 50 {
		many = append(many, Peer{ID: testPeer(t), Addrs: []string{"/ip4/9.9.9.9/tcp/1"}, Seen: 9, Answered: 9})
	}
	if err := book.Remember(t.Context(), many...); err != nil {
		t.Fatal(err)
	}
	if known, err = book.Known(); err != nil || len(known) != 2+maxPerIP {
		t.Errorf("%d are remembered: %v", len(known), err)
	}
}

func testPeer(t *testing.T) peer.ID {
	t.Helper()
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return peerID(t, k)
}

func peerID(t *testing.T, k crypto.PrivKey) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
