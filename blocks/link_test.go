package blocks

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
)

// packed stores a module with a file of each kind, and returns them by path.
func packed(t *testing.T) (*Store, map[string]unixfs.Entry, fstest.MapFS) {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("0123456789"), 200_000)
	tree := fstest.MapFS{
		"package.json": {Data: []byte(`{"name":"p","version":"1.0.0"}`)},
		"empty":        {},
		"large":        {Data: large},
		"program":      {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"same":         {Data: []byte("#!/bin/sh\n")},
		"empty-x":      {Mode: 0o755},
	}
	w := modules.NewWriter(s)
	for path, f := range tree {
		if err := w.Add(t.Context(), path, int64(len(f.Data)), f.Mode&0o100 != 0, bytes.NewReader(f.Data)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := make(map[string]unixfs.Entry)
	for _, e := range w.Entries() {
		entries[e.Path] = e
	}
	return s, entries, tree
}

func check(t *testing.T, path string, f *fstest.MapFile) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, f.Data) {
		t.Errorf("%s has %d bytes, %v", path, len(b), err)
	}
	want := os.FileMode(0o644)
	if f.Mode&0o100 != 0 {
		want = 0o755
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != want {
		t.Errorf("%s: %v, %v", path, info.Mode(), err)
	}
}

func TestFile(t *testing.T) {
	s, entries, tree := packed(t)
	for path, e := range entries {
		first, err := s.File(t.Context(), e)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		check(t, first, tree[path])
		before, err := os.Stat(first)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.File(t.Context(), e)
		if err != nil || again != first {
			t.Errorf("%s again: %s, %v", path, again, err)
		}
		if after, err := os.Stat(again); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was made anew, %v", path, err)
		}
	}
	if a, _ := s.File(t.Context(), entries["program"]); a == "" {
		t.Error("no program")
	} else if b, _ := s.File(t.Context(), entries["same"]); a == b {
		t.Error("one file has two modes")
	}
	// What is no program of its own package may be one of the package around it.
	bundled := entries["same"]
	bundled.Exec = true
	if path, err := s.File(t.Context(), bundled); err != nil {
		t.Error(err)
	} else {
		check(t, path, &fstest.MapFile{Data: tree["same"].Data, Mode: 0o755})
	}
	if path, err := s.File(t.Context(), entries["same"]); err != nil {
		t.Error(err)
	} else {
		check(t, path, tree["same"])
	}
	// The store is one of blocks still.
	if _, _, err := s.Verify(t.Context(), func(int64) {}, func(d Damage) { t.Errorf("damage: %+v", d) }); err != nil {
		t.Error(err)
	}
}

// TestFileHeals: a program that writes into a linked file poisons nothing. Where the
// blocks are whole a new file takes its place; where the block is that file, it is said.
func TestFileHeals(t *testing.T) {
	edits := map[string]func(path string) error{
		"same size": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), int(size(path))), 0o644) },
		"truncated": func(path string) error { return os.Truncate(path, 3) },
		"longer":    func(path string) error { return os.Truncate(path, size(path)+1) },
	}
	for name, edit := range edits {
		for _, path := range []string{"large", "program", "package.json"} {
			s, entries, tree := packed(t)
			e := entries[path]
			stored, err := s.File(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			linked := filepath.Join(t.TempDir(), "linked")
			if err := os.Link(stored, linked); err != nil {
				t.Fatal(err)
			}
			if err := edit(linked); err != nil {
				t.Fatal(err)
			}
			again, err := s.File(t.Context(), e)
			if path == "package.json" {
				var corrupt *unixfs.CorruptError
				if !errors.As(err, &corrupt) {
					t.Errorf("%s, %s: %v", path, name, err)
				}
				// Once it is fetched again it is another file.
				if err := s.PutVerified(t.Context(), e.CID, tree[path].Data); err != nil {
					t.Fatal(err)
				}
				again, err = s.File(t.Context(), e)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", path, name, err)
				continue
			}
			check(t, again, tree[path])
			damaged, err := os.Stat(linked)
			if err != nil {
				t.Fatal(err)
			}
			if healed, err := os.Stat(again); err != nil || os.SameFile(damaged, healed) {
				t.Errorf("%s, %s: the same file, %v", path, name, err)
			}
		}
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// TestPutStamped: a block that comes from an import can be linked without being read.
func TestPutStamped(t *testing.T) {
	s, entries, tree := packed(t)
	e := entries["same"]
	if err := s.Delete(t.Context(), e.CID); err != nil {
		t.Fatal(err)
	}
	if err := s.PutStamped(t.Context(), e.CID, tree["same"].Data); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.file(e.CID))
	if err != nil || !isStamped(info, e.Size, 0o644) {
		t.Errorf("%v, %v", info, err)
	}
	// What was changed since is written anew.
	later := time.Now()
	if err := errors.Join(os.WriteFile(s.file(e.CID), []byte("#!/bin/xx\n"), 0o644), os.Chtimes(s.file(e.CID), later, later)); err != nil {
		t.Fatal(err)
	}
	if err := s.PutStamped(t.Context(), e.CID, tree["same"].Data); err != nil {
		t.Fatal(err)
	}
	if path, err := s.File(t.Context(), e); err != nil {
		t.Error(err)
	} else {
		check(t, path, tree["same"])
	}
}

// TestFileBatch: a batch of an import is whole after Commit, few blocks or many, and its
// files can be linked.
func TestFileBatch(t *testing.T) {
	for _, n := range []int{3, syncAllFrom + 1} {
		s, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		batch := s.FileBatch()
		w := modules.NewWriter(batch)
		if err := w.Add(t.Context(), "package.json", 30, false, strings.NewReader(`{"name":"p","version":"1.0.0"}`)); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			content := fmt.Sprintf("file %d", i)
			if err := w.Add(t.Context(), fmt.Sprint(i), int64(len(content)), i%2 == 0, strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		m, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := batch.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if complete, err := s.Complete(t.Context(), m.CID); err != nil || !complete {
			t.Errorf("%d files: %t, %v", n, complete, err)
		}
		for _, e := range w.Entries() {
			path, err := s.File(t.Context(), e)
			if err != nil || size(path) != e.Size {
				t.Errorf("%s: %v", e.Path, err)
			}
		}
	}
}

// A process that opens the store leaves alone what another is about to rename: the stamp
// of a file says nothing of its age. Later it is a leftover as any.
func TestSweepKeepsStampedFiles(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	temp := s.temp()
	if err := errors.Join(os.WriteFile(temp, []byte("block"), 0o644), os.Chtimes(temp, stamp, stamp)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(temp); err != nil {
		t.Fatalf("a file that is being written: %v", err)
	}
	s.sweep(time.Now().Add(time.Second))
	if _, err := os.Lstat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a leftover: %v", err)
	}
}
