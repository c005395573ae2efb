package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/swarm"
)

// SPEC D21, D22. Nodes with another key, or none, are not accepted.
func TestPrivateNetwork(t *testing.T) {
	ctx := t.Context()
	key := home.NewSwarmKey()
	private := func(key home.SwarmKey) *testNode {
		h := testHome(t)
		if err := h.SetSwarmKey(key); err != nil {
			t.Fatal(err)
		}
		return startNode(t, h, Config{})
	}
	a, b, other, public := private(key), private(key), private(home.NewSwarmKey()), startNode(t, testHome(t), Config{})
	for _, stranger := range []*testNode{other, public} {
		if _, err := stranger.Connect(ctx, a.addr()); err == nil {
			t.Error("a stranger is accepted")
		}
		if _, err := a.Connect(ctx, stranger.addr()); err == nil {
			t.Error("a stranger is connected")
		}
	}
	b.join(a)
	if s, err := a.Status(ctx); err != nil || !s.Private || s.Peers != 1 {
		t.Errorf("status %+v: %v", s, err)
	}
	if s, err := public.Status(ctx); err != nil || s.Private {
		t.Errorf("status %+v: %v", s, err)
	}
	for _, cfg := range []Config{{DHT: api.DHTPublic}, {Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}}} {
		if _, err := New(ctx, a.home, cfg); err == nil {
			t.Errorf("%+v in a private network", cfg)
		}
	}
	if n, err := New(ctx, a.home, Config{DHT: api.DHTOwn}); err != nil || n.swarm.SwarmKey == nil {
		t.Errorf("one's own DHT in a private network: %v", err)
	}
	// SPEC D10. They do not even meet on the LAN.
	names := map[string]bool{home.SwarmKey(nil).LANService(): true, key.LANService(): true, home.NewSwarmKey().LANService(): true}
	if len(names) != 3 || !names["_es._udp"] {
		t.Errorf("mDNS services %v", names)
	}
	fixed := home.SwarmKey(bytes.Repeat([]byte{7}, 32))
	if got := fixed.LANService(); got != "_es-6db2488f6ca2._udp" {
		t.Errorf("mDNS service %q", got)
	}
}

// SPEC D1. How peers were found is told, and what gossips is remembered.
func TestFound(t *testing.T) {
	ctx := t.Context()
	a, b := startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{})
	a.join(b)
	for n, want := range map[*testNode]string{a: swarm.ByUser, b: swarm.Incoming} {
		all, err := n.Peers(ctx)
		if err != nil || len(all) != 1 || all[0].Found != want {
			t.Errorf("peers %+v, want one that was %s: %v", all, want, err)
		}
	}
	b.parts.swarm.Remember(ctx)
	b.stop()
	again := startNode(t, b.home, Config{})
	until(t, "dialled again", func() bool {
		all, err := again.Peers(ctx)
		return err == nil && len(all) == 1 && all[0].Found == swarm.Remembered
	})
	if _, err := os.Stat(filepath.Join(b.home.Dir(), "network")); err == nil {
		t.Error("the home has settings that nobody made")
	}
}

// SPEC D20. A key that cannot be read never means the public network.
func TestUnreadableSwarmKey(t *testing.T) {
	h := testHome(t)
	for _, bad := range []string{"", "nonsense", "/key/swarm/psk/1.0.0/\n/base16/\n00ff", strings.Repeat("x", 5<<10)} {
		if err := os.WriteFile(filepath.Join(h.Dir(), "swarm.key"), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(t.Context(), h, Config{}); err == nil {
			t.Errorf("a node runs with the key %.40q", bad)
		}
	}
}
