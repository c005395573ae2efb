package home

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// tree lists what is in dir, with modes and contents.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := path + " " + info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(b)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// put writes files, given by path in dir and content, with modes that others may read.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// SPEC N100. A directory that is somebody's and no home is neither closed to others
// nor filled.
func TestThreat66NotAHome(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"documents":      {"letter.txt": "dear"},
		"hidden":         {".git/config": "x"},
		"version alone":  {"version": "1\n", "main.c": "x"},
		"keys of others": {"version": "1\n", "keys": "x", "main.c": "x"},
		"other version":  {"version": "v1.2", "main.c": "x"},
		"an index":       {"index.db": ""},
		"kubo's":         {"version": "1\n", "blocks/SHARDING": "x", "datastore/x": "x", "config": "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, files)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			for what, open := range map[string]func(context.Context, string) (*Home, error){"Open": Open, "OpenForReading": OpenForReading} {
				h, err := open(t.Context(), dir)
				if err == nil {
					h.Close()
				}
				if name != "other version" && !errors.Is(err, ErrNotHome) || err == nil {
					t.Errorf("%s: %v, want ErrNotHome", what, err)
				}
			}
			if after := tree(t, dir); !slices.Equal(before, after) {
				t.Errorf("it was changed:\n%q\n%q", before, after)
			}
		})
	}
}

// SPEC N100. What users write by hand, what a killed es left and a new file system hold
// no home up.
func TestHomeMadeAroundFiles(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"trust": "", "network": "mdns off\n", ".new-123": "1", "version": "2\n", "lost+found/x": ""})
	h := openHome(t, dir)
	if s, err := h.Settings(); err != nil || s.MDNS != "off" {
		t.Errorf("settings %+v, %v", s, err)
	}
}

// SPEC N100. A home whose keys were moved elsewhere is a home: what it knows is kept, and
// new keys can be made.
func TestHomeWithoutKeys(t *testing.T) {
	for _, version := range []string{"1\n", "2\n"} {
		dir := t.TempDir()
		h, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.Close(), os.RemoveAll(filepath.Join(dir, "keys"))); err != nil {
			t.Fatal(err)
		}
		put(t, dir, map[string]string{"version": version, "trust": "# mine\n"})
		for what, open := range map[string]func(context.Context, string) (*Home, error){"OpenForReading": OpenForReading, "Open": Open} {
			h, err := open(t.Context(), dir)
			if err != nil {
				t.Errorf("version %q, %s: %v", version, what, err)
				continue
			}
			if h.Absent() {
				t.Errorf("version %q, %s: it is taken for none", version, what)
			}
			if keys, err := h.Keys(t.Context()); err != nil || len(keys) > 0 {
				t.Errorf("version %q, %s: %v, %v", version, what, keys, err)
			}
			h.Close()
		}
	}
}

// SPEC N101. Reading makes no home, and finds in none what is in a new one.
func TestThreat66ReadingMakesNoHome(t *testing.T) {
	above := t.TempDir()
	empty := filepath.Join(above, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(above, "none", "home"), empty} {
		before := tree(t, above)
		h, err := OpenForReading(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if !h.ReadOnly() || !h.Absent() || h.Dir() != dir {
			t.Errorf("read only %v, absent %v, at %s", h.ReadOnly(), h.Absent(), h.Dir())
		}
		keys, err := h.Keys(t.Context())
		if len(keys) != 0 || err != nil {
			t.Errorf("keys: %v, %v", keys, err)
		}
		if p, err := h.Trust(); err != nil || len(p.Entries()) != 0 {
			t.Errorf("trust: %v", err)
		}
		if c, err := CheckHealth(t.Context(), h, time.Now()); err != nil || c.Records != 0 || c.Free == 0 {
			t.Errorf("check: %+v, %v", c, err)
		}
		if _, err := Verify(t.Context(), h, func(DamageKind, int64, int64) {}, func(d Damage) { t.Error(d.Reason) }); err != nil {
			t.Errorf("verify: %v", err)
		}
		scratch := h.scratch
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if after := tree(t, above); !slices.Equal(before, after) {
			t.Errorf("something was made:\n%q\n%q", before, after)
		}
		if _, err := os.Lstat(scratch); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the empty index stays: %v", err)
		}
	}
}

// SPEC N102. Links that somebody planted lead nowhere: what they name is neither
// emptied, filled nor swept.
func TestThreat66PlantedLinks(t *testing.T) {
	for _, c := range []struct {
		name string
		use  func(*Home) error
	}{
		{"node.lock", func(h *Home) error { _, err := h.LockDaemon(); return err }},
		{"peers.json.lock", func(h *Home) error {
			return h.Peers().Remember(t.Context(), peerbook.Peer{ID: testPeer(t), Addrs: []string{"/ip4/192.0.2.1/tcp/1"}})
		}},
		{"trust.lock", func(h *Home) error {
			return trust.Update(t.Context(), h.TrustPath(), func(p *trust.Policy) error {
				_, err := p.Deny(records.Fingerprint{}, "x")
				return err
			})
		}},
	} {
		for kind, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
			if c.name == "trust.lock" && kind == "hard" {
				continue // nothing is written into it
			}
			h, victim := testHome(t), filepath.Join(t.TempDir(), "thesis")
			put(t, filepath.Dir(victim), map[string]string{"thesis": "ten years"})
			if err := link(victim, filepath.Join(h.Dir(), c.name)); err != nil {
				t.Fatal(err)
			}
			if err := c.use(h); err == nil {
				t.Errorf("%s: a %s link was taken for a lock", c.name, kind)
			}
			if b, _ := os.ReadFile(victim); string(b) != "ten years" {
				t.Errorf("%s: the file behind the %s link has %q now", c.name, kind, b)
			}
		}
	}
}

// SPEC N102
func TestThreat66PlantedPlaces(t *testing.T) {
	above := t.TempDir()
	dir, old := filepath.Join(above, "home"), filepath.Join(above, "documents", "old.txt")
	put(t, above, map[string]string{"documents/old.txt": "x", "home/version": "2\n", "home/keys/x": ""})
	if err := errors.Join(os.Chtimes(old, time.Unix(1, 0), time.Unix(1, 0)), os.MkdirAll(filepath.Join(dir, "blocks"), 0o700),
		os.Symlink(filepath.Dir(old), filepath.Join(dir, "blocks", ".es-temp"))); err != nil {
		t.Fatal(err)
	}
	if h, err := Open(t.Context(), dir); err == nil {
		h.Close()
		t.Error("a home was opened whose unfinished blocks are elsewhere")
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("an old file of somebody's was swept: %v", err)
	}
	elsewhere := filepath.Join(above, "elsewhere.db")
	if err := errors.Join(os.Remove(filepath.Join(dir, "blocks", ".es-temp")), os.Symlink(elsewhere, filepath.Join(dir, "index.db"))); err != nil {
		t.Fatal(err)
	}
	if h, err := Open(t.Context(), dir); err == nil {
		h.Close()
		t.Error("an index was made behind a link")
	}
	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was made behind the link: %v", err)
	}
}

// SPEC N4. What a killed process left goes when the home is opened next; what another
// is writing stays.
func TestThreat66LeftoversGo(t *testing.T) {
	h := testHome(t)
	old := []string{".new-1", ".trust-1", "keys/.new-2", "blocks/.new-3"}
	for _, name := range old {
		put(t, h.Dir(), map[string]string{name: "x"})
		if err := os.Chtimes(filepath.Join(h.Dir(), name), time.Now().Add(-2*UnfinishedAge), time.Now().Add(-2*UnfinishedAge)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, h.Dir(), map[string]string{".trust-2": "x"})
	openHome(t, h.Dir())
	for _, name := range old {
		if _, err := os.Lstat(filepath.Join(h.Dir(), name)); err == nil {
			t.Errorf("%s stays", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(h.Dir(), ".trust-2")); err != nil {
		t.Errorf("a file that is being written went: %v", err)
	}
}

// SPEC N3. A home of version 1 becomes one of this version: its index and its keys are
// its owner's alone, and nothing is lost.
func TestHomeMigrates(t *testing.T) {
	h := testHome(t)
	k := newKey(t, h).Key()
	pin, _ := block("pinned")
	err := trust.Update(t.Context(), h.TrustPath(), func(p *trust.Policy) error {
		_, err := p.AddKey(trust.Entry{Fingerprint: k.Fingerprint(), Scopes: []records.Scope{"lib"}})
		return errors.Join(err, p.SetPin("lib", "1.0.0", cid.NewCidV1(cid.DagProtobuf, pin.Hash())))
	})
	if err != nil {
		t.Fatal(err)
	}
	id := testPeer(t)
	if err := h.Peers().Remember(t.Context(), peerbook.Peer{ID: id, Addrs: []string{"/ip4/192.0.2.1/tcp/1"}}); err != nil {
		t.Fatal(err)
	}
	trusted, err := os.ReadFile(h.TrustPath())
	if err := errors.Join(err, h.Close()); err != nil {
		t.Fatal(err)
	}
	// As version 1 left it.
	for name, mode := range map[string]fs.FileMode{"": 0o755, "index.db": 0o644, "default": 0o640, "keys/" + k.Fingerprint().String() + ".key": 0o644} {
		if err := os.Chmod(filepath.Join(h.Dir(), name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(h.Dir(), "version"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	again := openHome(t, h.Dir())
	if b, err := os.ReadFile(filepath.Join(h.Dir(), "version")); string(b) != "2\n" {
		t.Errorf("version %q, %v", b, err)
	}
	if own, err := again.Default(t.Context()); err != nil || own.Fingerprint() != k.Fingerprint() {
		t.Errorf("own key: %v", err)
	}
	if known, err := again.Peers().Known(); err != nil || len(known) != 1 || known[0].ID != id {
		t.Errorf("peers: %v, %v", known, err)
	}
	if b, err := os.ReadFile(again.TrustPath()); string(b) != string(trusted) {
		t.Errorf("trust file %q, %v", b, err)
	}
	for _, line := range tree(t, h.Dir()) {
		if !strings.Contains(line, " drwx------") && !strings.Contains(line, " -rw-------") {
			t.Errorf("others can read %q", line)
		}
	}
}

// SPEC N2. The index and the files that SQLite puts beside it are the owner's alone,
// whatever the umask says.
func TestThreat66IndexIsPrivate(t *testing.T) {
	h := testHome(t)
	newKey(t, h) // so that there is a log
	for _, name := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		info, err := os.Stat(filepath.Join(h.Dir(), name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// SPEC N100. Whoever may write where others own locks them out of no home: neither of
// the one they have, nor of the one they would make.
func TestThreat66AnothersHome(t *testing.T) {
	if os.Geteuid() != 0 {
		// Without that power there is nobody else's home but what root has.
		if h, err := Open(t.Context(), "/"); err == nil {
			h.Close()
			t.Error("the root directory is a home")
		}
		return
	}
	const nobody = 65534
	theirs := filepath.Join(t.TempDir(), "user")
	h := openHome(t, filepath.Join(theirs, ".es"))
	newKey(t, h)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(theirs, func(path string, d fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
	before := tree(t, theirs)
	for _, dir := range []string{h.Dir(), filepath.Join(theirs, "not", "yet")} {
		if h, err := Open(t.Context(), dir); !errors.Is(err, ErrForeign) {
			if err == nil {
				h.Close()
			}
			t.Errorf("%s: %v, want ErrForeign", dir, err)
		}
	}
	read, err := OpenForReading(t.Context(), h.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := read.Keys(t.Context()); len(keys) != 1 || err != nil || !read.ReadOnly() {
		t.Errorf("keys %v, %v", keys, err)
	}
	if err := read.Close(); err != nil {
		t.Error(err)
	}
	if after := tree(t, theirs); !slices.Equal(before, after) {
		t.Errorf("it was changed:\n%q\n%q", before, after)
	}
}

// SPEC N101. An index with a log that was not written back, as a killed process leaves
// it, is read where nothing can be written.
func TestOpenForReadingWithLog(t *testing.T) {
	h := testHome(t)
	k := newKey(t, h)
	copied := filepath.Join(t.TempDir(), "home")
	if err := os.CopyFS(copied, os.DirFS(h.Dir())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(copied, "index.db-wal")); err != nil {
		t.Fatal(err)
	}
	h2 := &Home{Storage: Storage{dir: copied}, readOnly: true}
	if err := h2.readParts(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer h2.Close()
	if known, err := h2.Index().Key(t.Context(), k.Key().Fingerprint()); err != nil || known == nil {
		t.Errorf("the key that is in the log: %v, %v", known, err)
	}
	if _, _, err := h2.Index().AddKey(t.Context(), k.Key()); err == nil {
		t.Error("an index that is open for reading was written")
	}
}
