package node

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/node/home"
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
