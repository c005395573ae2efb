package blocks

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// TestThreat66PlantedBlocks: pipes and devices in place of a block and of the file SHARDING
// are errors, and are not waited for.
func TestThreat66PlantedBlocks(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := multihash.Sum([]byte("block"), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	c := cid.NewCidV1(cid.Raw, hash)
	if err := s.Put(t.Context(), c, []byte("block")); err != nil {
		t.Fatal(err)
	}
	var file string
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if filepath.Ext(path) == extension {
			file = path
		}
		return err
	})
	if err != nil || file == "" {
		t.Fatal(file, err)
	}
	for name, plant := range map[string]func(path string) error{
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a device": func(path string) error { return os.Symlink(os.DevNull, path) },
	} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := plant(file); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Get(t.Context(), c); err == nil {
			t.Errorf("%s is the block %q", name, b)
		}
		shard := filepath.Join(dir, shardFile)
		if err := os.Remove(shard); err != nil {
			t.Fatal(err)
		}
		if err := plant(shard); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s says how the store is laid out", name)
		}
	}
}
