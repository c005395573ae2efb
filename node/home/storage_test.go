package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
)

// Who needs blocks alone neither makes the index nor opens it, which may be damaged, and
// has the same home as everybody.
func TestStorageWithoutIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	s, err := OpenStorage(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "index.db")
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the index: %v", err)
	}
	if s.Blocks() == nil || s.Dir() != dir {
		t.Errorf("storage %+v", s)
	}
	if _, err := s.Trust(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStorage(dir); err != nil {
		t.Errorf("with a damaged index: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStorage(other); !errors.Is(err, ErrNotHome) {
		t.Errorf("a directory that is no home: %v", err)
	}
}

// Who may only read a home that has no index yet reads its blocks.
func TestReadStorageWithoutIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	s, err := OpenStorage(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := cid.MustParse("bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq") // of "hello"
	if err := s.Blocks().Put(t.Context(), c, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	h := newHome(dir, true)
	defer h.Close()
	if err := h.readParts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if here, err := h.Blocks().Has(t.Context(), c); err != nil || !here {
		t.Errorf("its block: %v, %v", here, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "index.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the index: %v", err)
	}
}
