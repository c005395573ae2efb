package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
)

// TestThreat60Reserve asks for room on disks of several sizes: what is left for
// records and keys is never claimed, strangers leave more to trusted authors, and
// fill no more than their share, which outlasts the process. SPEC N162.
func TestThreat60Reserve(t *testing.T) {
	const mib = 1 << 20
	store := testStore(t)
	dir := t.TempDir()
	var free int64
	open := func() *space {
		s := newSpace(dir, store)
		s.free = func(string) (int64, error) { return free, nil }
		return s
	}
	want := func(i int, size int64) records.Target {
		return records.Target{CID: someModule(i), Size: size, Files: 1}
	}
	for _, c := range []struct {
		free     int64
		stranger bool
		size     int64
		ok       bool
	}{
		{40 * mib, true, 1000, false},
		{40 * mib, false, 1000, false},
		{300 * mib, true, 20 * mib, false},
		{300 * mib, false, 20 * mib, true},
		{270 * mib, false, 20 * mib, false},
		{600 * mib, true, 80 * mib, true},
		{600 * mib, true, 100 * mib, false},
	} {
		free = c.free
		s := open()
		err := s.claim(t.Context(), want(1, c.size), c.stranger)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, errNoRoom) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	free = 600 * mib
	s := open()
	if err := s.claim(t.Context(), want(1, 50*mib), true); err != nil {
		t.Fatal(err)
	}
	if err := s.claim(t.Context(), want(2, 50*mib), true); err == nil {
		t.Error("what another fetch will fill is claimed")
	}

	free = 1 << 50
	s = open()
	module := func(i int) records.Target {
		c, b := block("module %d", i)
		if err := store.Put(t.Context(), c, b); err != nil {
			t.Fatal(err)
		}
		return records.Target{CID: c, Size: 1 << 30, Files: 1}
	}
	n := 0
	for ; n < 20; n++ {
		w := module(n)
		if err := s.claim(t.Context(), w, true); err != nil {
			break
		}
		if err := s.settle(w, true, true); err != nil {
			t.Fatal(err)
		}
	}
	if n != 9 {
		t.Errorf("%d modules of 1 GiB of strangers were taken", n)
	}
	if err := open().claim(t.Context(), module(30), true); !errors.Is(err, errNoRoom) {
		t.Errorf("another process: %v", err)
	}
	if err := open().claim(t.Context(), module(30), false); err != nil {
		t.Errorf("a trusted author's: %v", err)
	}
	if err := store.Delete(t.Context(), module(0).CID); err != nil {
		t.Fatal(err)
	}
	if err := open().claim(t.Context(), module(30), true); err != nil {
		t.Errorf("when one of them was deleted: %v", err)
	}
}

// TestThreat60HalfFetched deletes what a failed fetch has left behind, but nothing
// that was here before or that another module has too. SPEC N162.
func TestThreat60HalfFetched(t *testing.T) {
	ctx := t.Context()
	store := testStore(t)
	ix, err := index.Open(ctx, filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	mine := pack(t, store, "mine", map[string]string{"LICENSE": "MIT", "a.js": "a"})
	past := time.Now().Add(-time.Hour)
	old := leafOf("a")
	path, _ := store.Path(old)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Minute)
	theirs := pack(t, store, "theirs", map[string]string{"LICENSE": "MIT", "a.js": "a", "b.js": "b"})
	if err := store.Delete(ctx, leafOf("b")); err != nil { // the rest never came
		t.Fatal(err)
	}
	if err := discard(ctx, ix, store, leftover{root: theirs, since: began}, []cid.Cid{mine}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		cid  cid.Cid
		here bool
	}{
		"the root": {theirs, false}, "its package.json": {leafOf(`{"name":"theirs","version":"1.0.0"}`), false},
		"what both have": {leafOf("MIT"), true}, "what was here before": {old, true}, "the other module": {mine, true},
	} {
		if ok, err := store.Has(ctx, c.cid); ok != c.here || err != nil {
			t.Errorf("%s: here %v, %v", what, ok, err)
		}
	}
	if ok, err := store.Complete(ctx, mine); !ok || err != nil {
		t.Errorf("the other module is not whole: %v", err)
	}
}

// leafOf is the block of a small file.
func leafOf(content string) cid.Cid {
	c, _ := block("%s", content)
	return c
}

func testStore(t *testing.T) *blocks.Store {
	t.Helper()
	s, err := blocks.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
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

func someModule(i int) cid.Cid {
	c, _ := block("module %d", i)
	return c
}

// pack stores a module with these files beside its package.json.
func pack(t *testing.T, store *blocks.Store, name string, files map[string]string) cid.Cid {
	t.Helper()
	dir := t.TempDir()
	files["package.json"] = fmt.Sprintf(`{"name":%q,"version":"1.0.0"}`, name)
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set, err := modules.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := set.Pack(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return m.CID
}
