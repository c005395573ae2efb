package home

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// block returns a raw block.
func block(format string, args ...any) (cid.Cid, []byte) {
	b := fmt.Appendf(nil, format, args...)
	mh, err := multihash.Sum(b, multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, mh), b
}

func testHome(t *testing.T) *Home {
	t.Helper()
	return openHome(t, filepath.Join(t.TempDir(), "home"))
}

func openHome(t *testing.T, dir string) *Home {
	t.Helper()
	h, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// newKey makes an own key for the home.
func newKey(t *testing.T, h *Home) *sign.SecretKey {
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

// SPEC N1, N2
func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "home")
	h := openHome(t, dir)
	newKey(t, h)
	if _, err := h.Identity(); err != nil {
		t.Fatal(err)
	}
	if err := h.Peers().Remember(t.Context(), peerbook.Peer{ID: testPeer(t), Addrs: []string{"/ip4/192.0.2.1/tcp/1"}}); err != nil {
		t.Fatal(err)
	}
	c, b := block("hello")
	if err := h.Blocks().Put(t.Context(), c, b); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Opening it again, also at the same time, changes nothing.
	again := openHome(t, dir)
	if ok, err := again.Blocks().Has(t.Context(), c); !ok || err != nil {
		t.Errorf("the block is gone: %v", err)
	}
	if keys, err := again.Keys(t.Context()); len(keys) != 1 || err != nil {
		t.Errorf("own keys: %v, %v", keys, err)
	}
}

// SPEC N2. A home that others could read is closed to them.
func TestHomeIsPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openHome(t, dir)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode().Perm())
	}
}

// SPEC N3
func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		say     string
	}{
		"file":           {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "it is a file, not a directory"},
		"newer version":  {homeWithVersion("3\n"), "it has version 3 and this es knows 2: use a newer es"},
		"broken version": {homeWithVersion("one"), `its version file says "one", which is no version`},
		"parent a file":  {func(dir string) error { return os.WriteFile(filepath.Dir(dir), nil, 0o600) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "parent", "home")
			if name != "parent a file" {
				if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			h, err := Open(t.Context(), dir)
			if err == nil {
				h.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %q, want one with %q", err, c.say)
			}
		})
	}
}

func homeWithVersion(v string) func(string) error {
	return func(dir string) error {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "version"), []byte(v), 0o600)
	}
}

func TestOwnKeys(t *testing.T) {
	ctx := t.Context()
	h := testHome(t)
	if _, err := h.Default(ctx); !errors.Is(err, ErrNoKey) {
		t.Errorf("Default of a new home: %v, want ErrNoKey", err)
	}
	first, second := newKey(t, h).Key(), newKey(t, h).Key()
	if own, err := h.Default(ctx); err != nil || own.Fingerprint() != first.Fingerprint() || own.GPG || !own.Default {
		t.Errorf("Default: %+v, %v", own, err)
	}
	b, err := h.SecretFile(first.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddKey(ctx, b); err == nil {
		t.Error("a key was added twice")
	}
	if err := h.SetDefault(ctx, second.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	keys, err := h.Keys(ctx)
	if err != nil || len(keys) != 2 {
		t.Fatalf("Keys: %v, %v", keys, err)
	}
	for _, k := range keys {
		if k.Default != (k.Fingerprint() == second.Fingerprint()) {
			t.Errorf("key %s: default %v", k.Fingerprint(), k.Default)
		}
	}
	if err := h.SetDefault(ctx, records.Fingerprint{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("SetDefault of no key: %v", err)
	}
	own, err := h.Default(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Signer(ctx, own, sign.GPG{}, nil)
	if err != nil || s.Key().Fingerprint() != second.Fingerprint() {
		t.Errorf("Signer: %v, %v", s, err)
	}
	if k, err := h.Index().Key(ctx, second.Fingerprint()); k == nil || err != nil {
		t.Errorf("the index does not know the key: %v", err)
	}

	// A key of gpg's is known by its public half.
	elsewhere := newKey(t, testHome(t)).Key()
	if _, err := h.AddGPGKey(ctx, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := h.SetDefault(ctx, elsewhere.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if own, err := h.Default(ctx); err != nil || own.Fingerprint() != elsewhere.Fingerprint() || !own.GPG {
		t.Errorf("Default: %+v, %v", own, err)
	}
	if b, err := os.ReadFile(h.defaultPath()); string(b) != "gpg:"+elsewhere.Fingerprint().String()+"\n" || err != nil {
		t.Errorf("default says %q, %v", b, err)
	}
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ruling, err := evaluator.Ruling(ctx, "left-pad")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*sign.Key{first, second, elsewhere} {
		if !ruling.Decides(k.Fingerprint()) {
			t.Errorf("own key %s does not decide", k.Fingerprint())
		}
	}
}

// A key file under another key's name is refused: it would sign as somebody else.
func TestMisnamedKeyFile(t *testing.T) {
	h := testHome(t)
	a, b := newKey(t, h).Key().Fingerprint(), newKey(t, h).Key().Fingerprint()
	if err := os.Rename(h.keyPath(a, SecretSuffix), h.keyPath(b, SecretSuffix)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.OwnKey(t.Context(), b); err == nil {
		t.Error("the wrong key was read")
	}
}

// SPEC N5. What another process does to the trust file counts at once.
func TestTrustIsReadAgain(t *testing.T) {
	h := testHome(t)
	key := newKey(t, testHome(t)).Key().Fingerprint()
	decides := func() bool {
		t.Helper()
		ev, err := h.Evaluator(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ruling, err := ev.Ruling(t.Context(), "left-pad")
		if err != nil {
			t.Fatal(err)
		}
		return ruling.Decides(key)
	}
	if decides() {
		t.Fatal("a stranger decides")
	}
	for range 20 {
		edit := func(p *trust.Policy) error {
			_, err := p.AddKey(trust.Entry{Fingerprint: key, Scopes: []records.Scope{"left-pad"}})
			return err
		}
		if err := trust.Update(t.Context(), h.TrustPath(), edit); err != nil {
			t.Fatal(err)
		}
		if !decides() {
			t.Fatal("an added key does not decide")
		}
		if err := os.Remove(h.TrustPath()); err != nil {
			t.Fatal(err)
		}
		if decides() {
			t.Fatal("a removed trust file counts")
		}
	}
	if err := os.WriteFile(h.TrustPath(), []byte("key nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Evaluator(time.Now()); err == nil {
		t.Error("a trust file that cannot be read counts as something")
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

func TestIdentityStays(t *testing.T) {
	h := testHome(t)
	a, err := h.Identity()
	if err != nil {
		t.Fatal(err)
	}
	b, err := openHome(t, h.Dir()).Identity()
	if err != nil || peerID(t, a) != peerID(t, b) {
		t.Errorf("the identity changed: %v", err)
	}
}

// SPEC N7. One daemon for a home, and the refusal names it.
func TestDaemonLock(t *testing.T) {
	h := testHome(t)
	unlock, err := h.LockDaemon()
	if err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := openHome(t, h.Dir()).LockDaemon(); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("the second lock: %v", err)
	}
	unlock()
	unlock, err = h.LockDaemon()
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
