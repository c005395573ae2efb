package node

import (
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/sign"
)

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "SHARDING" {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// block returns a raw block.
func block(format string, args ...any) (cid.Cid, []byte) {
	b := fmt.Appendf(nil, format, args...)
	mh, err := multihash.Sum(b, multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, mh), b
}

func testHome(t *testing.T) *home.Home {
	t.Helper()
	return openHome(t, filepath.Join(t.TempDir(), "home"))
}

func openHome(t *testing.T, dir string) *home.Home {
	t.Helper()
	h, err := home.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// newKey makes an own key for the home.
func newKey(t *testing.T, h *home.Home) *sign.SecretKey {
	t.Helper()
	k, err := sign.NewSecretKey("Alice", "alice@example.org", time.Now().Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddKey(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return k
}

// testSwarm is a host of somebody who takes no part in es. It listens and runs when the
// test has it do so.
func testSwarm(t *testing.T, cfg swarm.Config) *swarm.Swarm {
	t.Helper()
	var err error
	if cfg.Key, err = swarm.NewIdentity(); err != nil {
		t.Fatal(err)
	}
	cfg.Version, cfg.Log = "stranger", slog.New(slog.DiscardHandler)
	cfg.Peers, cfg.Gossiping = peerbook.New(filepath.Join(t.TempDir(), "peers.json"), false), func() []peer.ID { return nil }
	s, err := swarm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func saidAddrs(all ...string) (out []ma.Multiaddr) {
	for _, s := range all {
		out = append(out, ma.StringCast(s))
	}
	return out
}
