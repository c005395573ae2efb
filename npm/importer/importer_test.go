package importer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

// memory is a Batch and a Blocks. Its blocks are durable once they are committed.
type memory struct {
	mu       sync.Mutex
	blocks   map[cid.Cid]bool
	durable  map[cid.Cid]bool
	commits  int
	fullFrom int // blocks that fit; 0 for any number
}

func newMemory() *memory {
	return &memory{blocks: make(map[cid.Cid]bool), durable: make(map[cid.Cid]bool)}
}

func (m *memory) Put(_ context.Context, c cid.Cid, _ []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fullFrom > 0 && len(m.blocks) >= m.fullFrom {
		return errors.New("no space left on device")
	}
	m.blocks[c] = true
	return nil
}

func (m *memory) Commit(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.blocks {
		m.durable[c] = true
	}
	m.commits++
	return nil
}

func (m *memory) Has(_ context.Context, c cid.Cid) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.durable[c], nil
}

// pack makes the tarball of a package with one file more.
func pack(t testing.TB, name, version, content string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range [][2]string{
		{"package/index.js", content},
		{"package/package.json", fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A server serves tarballs by path, and counts requests.
type server struct {
	url   string
	asked atomic.Int32

	mu    sync.Mutex
	files map[string]func(w http.ResponseWriter)
	bytes map[string][]byte
}

func serve(t *testing.T) (*server, *registry.Client) {
	s := &server{files: make(map[string]func(http.ResponseWriter)), bytes: make(map[string][]byte)}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		f := s.files[r.URL.Path]
		s.mu.Unlock()
		if f == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		f(w)
	}))
	t.Cleanup(h.Close)
	s.url = h.URL
	c := registry.New(registry.Config{Pause: time.Nanosecond})
	t.Cleanup(c.Close)
	return s, c
}

func (s *server) add(path string, b []byte) Package {
	hash := sha512.Sum512(b)
	s.bytes[path] = b
	s.files[path] = func(w http.ResponseWriter) {
		if _, err := w.Write(b); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	return Package{URL: s.url + path, Integrity: &hash}
}

func (s *server) release(t *testing.T, name, version string) Package {
	p := s.add("/"+name+"-"+version+".tgz", pack(t, name, version, "module.exports = "+name))
	p.Name, p.Version = name, records.Version(version)
	return p
}

func TestImport(t *testing.T) {
	s, client := serve(t)
	store := newMemory()
	trees := unpacked.Open(t.TempDir())
	cfg := Config{Tarballs: client, Batch: store, Blocks: store, Trees: trees}
	var packages []Package
	for i := range batchSize + 10 {
		packages = append(packages, s.release(t, fmt.Sprintf("p%d", i), "1.0.0"))
	}
	old := s.release(t, "JSONStream", "0.1.0")
	sum := sha1.Sum(pack(t, "JSONStream", "0.1.0", "module.exports = JSONStream"))
	old.Integrity, old.SHA1 = nil, hex.EncodeToString(sum[:])
	packages = append(packages, old)

	results, err := Import(t.Context(), cfg, packages)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil || r.Known || r.Tree.Files != 2 || r.Tree.Name != r.Package.Name {
			t.Fatalf("%s: %+v", &r.Package, r)
		}
		if complete, err := isComplete(t.Context(), store, r.Tree); err != nil || !complete {
			t.Errorf("%s: its blocks are not durable", &r.Package)
		}
		if got, err := trees.Get(r.Tree.SHA512); err != nil || got.Module != r.Tree.Module || got.Length == 0 {
			t.Errorf("%s: %+v, %v", &r.Package, got, err)
		}
	}
	if int(s.asked.Load()) != len(packages) || store.commits < 2 {
		t.Errorf("%d requests, %d commits", s.asked.Load(), store.commits)
	}
	// Once more: nobody is asked for what has a SHA-512.
	before := s.asked.Load()
	results, err = Import(t.Context(), cfg, packages)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil || r.Known != (r.Package.Integrity != nil) {
			t.Errorf("%s again: %+v", &r.Package, r)
		}
	}
	if s.asked.Load() != before+1 {
		t.Errorf("%d requests the second time", s.asked.Load()-before)
	}
	// What was collected meanwhile is fetched again.
	tree := results[3].Tree
	for _, c := range []cid.Cid{tree.Module, tree.Tarball, tree.Entries[0].CID} {
		delete(store.durable, c)
		results, err = Import(t.Context(), cfg, packages[3:4])
		if err != nil || results[0].Err != nil || results[0].Known {
			t.Errorf("after a collection: %+v, %v", results[0], err)
		}
	}
}

// TestFailures: a package that cannot be imported says why, is not remembered and does
// not stop the others.
func TestFailures(t *testing.T) {
	s, client := serve(t)
	good := s.release(t, "good", "1.0.0")
	bytesOf := func(name string) []byte { return pack(t, name, "1.0.0", "x") }
	other := sha512.Sum512([]byte("other"))
	for _, c := range []struct {
		name  string
		p     Package
		want  string
		asked int32
	}{
		{"not there", Package{URL: s.url + "/missing.tgz", Integrity: &other}, "404", 1},
		{"other bytes", Package{URL: good.URL, Integrity: &other}, "not sha512-", transfers},
		{"another package", s.add("/b.tgz", bytesOf("b")), `is of "b"`, 1},
		{"another version", func() Package { p := s.add("/v.tgz", pack(t, "x", "2.0.0", "")); return p }(), `"2.0.0"`, 1},
		{"no archive", s.add("/html.tgz", []byte(strings.Repeat("<html>", 400))), "not an archive", 1},
		{"cut", s.add("/cut.tgz", bytesOf("x")[:100]), "ends too early", 1},
		{"no hash at all", Package{URL: good.URL}, "SHA-1", transfers},
		{"another SHA-1", Package{URL: good.URL, SHA1: "00"}, "SHA-1", transfers},
	} {
		p := c.p
		p.Name, p.Version = "x", "1.0.0"
		if strings.Contains(c.want, "SHA-1") || c.name == "other bytes" {
			p.Name = "good"
		}
		store := newMemory()
		trees := unpacked.Open(t.TempDir())
		before := s.asked.Load()
		results, err := Import(t.Context(), Config{Tarballs: client, Batch: store, Blocks: store, Trees: trees}, []Package{p, good})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r := results[0]; r.Err == nil || r.Tree != nil || !strings.Contains(r.Err.Error(), c.want) || !strings.HasPrefix(r.Err.Error(), "import ") {
			t.Errorf("%s: %+v, want %q", c.name, r, c.want)
		}
		if results[1].Err != nil {
			t.Errorf("%s: the good one: %v", c.name, results[1].Err)
		}
		if asked := s.asked.Load() - before - 1; asked != c.asked {
			t.Errorf("%s: asked %d times, want %d", c.name, asked, c.asked)
		}
		n := 0
		if err := trees.All(func(*unpacked.Package) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("%s: %d are remembered, %v", c.name, n, err)
		}
	}
}

// TestTransferBreaksOff: a tarball that breaks off twice is fetched a third time.
func TestTransferBreaksOff(t *testing.T) {
	s, client := serve(t)
	b := pack(t, "x", "1.0.0", strings.Repeat("content", 1000))
	p := s.add("/x.tgz", b)
	p.Name, p.Version = "x", "1.0.0"
	var times atomic.Int32
	s.files["/x.tgz"] = func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		if times.Add(1) < 3 {
			w.Write(b[:len(b)/2])
			panic(http.ErrAbortHandler)
		}
		w.Write(b)
	}
	store := newMemory()
	results, err := Import(t.Context(), Config{Tarballs: client, Batch: store, Blocks: store, Trees: unpacked.Open(t.TempDir())}, []Package{p})
	if err != nil || results[0].Err != nil || times.Load() != 3 {
		t.Errorf("%+v, %v after %d transfers", results[0], err, times.Load())
	}
}

// TestFullDisk: what concerns all packages ends the import with that error.
func TestFullDisk(t *testing.T) {
	s, client := serve(t)
	var packages []Package
	for i := range 50 {
		packages = append(packages, s.release(t, fmt.Sprintf("p%d", i), "1.0.0"))
	}
	store := newMemory()
	store.fullFrom = 20
	trees := unpacked.Open(t.TempDir())
	_, err := Import(t.Context(), Config{Tarballs: client, Batch: store, Blocks: store, Trees: trees}, packages)
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
	if s.asked.Load() > 40 {
		t.Errorf("went on for %d packages", s.asked.Load())
	}
	// What was whole by then is kept.
	if err := trees.All(func(p *unpacked.Package) error {
		if complete, err := isComplete(t.Context(), store, p); err != nil || !complete {
			t.Errorf("%s is remembered and not whole", p.Name)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestInterrupted: what was done when the user had enough is kept.
func TestInterrupted(t *testing.T) {
	s, client := serve(t)
	var packages []Package
	for i := range 60 {
		packages = append(packages, s.release(t, fmt.Sprintf("p%d", i), "1.0.0"))
	}
	store := newMemory()
	trees := unpacked.Open(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := 0
	cfg := Config{Tarballs: client, Batch: store, Blocks: store, Trees: trees, Done: func(r Result) {
		if done++; done == 10 {
			cancel()
		}
	}}
	if _, err := Import(ctx, cfg, packages); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	n := 0
	if err := trees.All(func(*unpacked.Package) error { n++; return nil }); err != nil || n < 10 || n == len(packages) {
		t.Errorf("%d are kept, %v", n, err)
	}
}

// TestReunpack: what a program changed in files that were linked to the store is made
// again from the kept tarball, in other files.
func TestReunpack(t *testing.T) {
	s, client := serve(t)
	p := s.release(t, "x", "1.0.0")
	store, err := blocks.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	trees := unpacked.Open(t.TempDir())
	results, err := Import(t.Context(), Config{Tarballs: client, Batch: store.FileBatch(), Blocks: store, Trees: trees}, []Package{p})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results[0].Err)
	}
	tree := results[0].Tree
	e := unixfs.Entry(tree.Entries[0])
	stored, err := store.File(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(t.TempDir(), "linked")
	if err := errors.Join(os.Link(stored, linked), os.WriteFile(linked, []byte("evil"), 0o644)); err != nil {
		t.Fatal(err)
	}
	var corrupt *unixfs.CorruptError
	if _, err := store.File(t.Context(), e); !errors.As(err, &corrupt) {
		t.Fatalf("the change is not seen: %v", err)
	}
	if kept, err := Reunpack(t.Context(), store, store.FileBatch(), tree); !kept || err != nil {
		t.Fatalf("%t, %v", kept, err)
	}
	healed, err := store.File(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(healed); err != nil || string(b) != "module.exports = x" {
		t.Errorf("healed: %q, %v", b, err)
	}
	if b, err := os.ReadFile(linked); err != nil || string(b) != "evil" {
		t.Errorf("the changed file is %q, %v", b, err)
	}
	// Without the tarball nothing can be made.
	if err := store.Delete(t.Context(), tree.Tarball); err != nil {
		t.Fatal(err)
	}
	if kept, err := Reunpack(t.Context(), store, store.FileBatch(), tree); kept || err != nil {
		t.Errorf("without the tarball: %t, %v", kept, err)
	}
	// Nor with another one.
	other := *tree
	other.SHA512[0] ^= 1
	if err := store.Put(t.Context(), tree.Tarball, s.bytes["/x-1.0.0.tgz"]); err != nil {
		t.Fatal(err)
	}
	if kept, err := Reunpack(t.Context(), store, store.FileBatch(), &other); kept || err != nil {
		t.Errorf("with another tarball: %t, %v", kept, err)
	}
}
