package blocks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/boxo/blockstore"
	blockformat "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	flatfs "github.com/ipfs/go-ds-flatfs"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/modules/unixfs"
)

func block(format string, args ...any) (cid.Cid, []byte) {
	return rawBlock(fmt.Appendf(nil, format, args...))
}

func rawBlock(b []byte) (cid.Cid, []byte) {
	sum := sha256.Sum256(b)
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.Raw, mh), b
}

func blockOfBytes(t *testing.T, c cid.Cid, b []byte) blockformat.Block {
	t.Helper()
	blk, err := blockformat.NewBlockWithCid(b, c)
	if err != nil {
		t.Fatal(err)
	}
	return blk
}

func openBlocks(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	ctx := t.Context()
	s := openBlocks(t, t.TempDir())
	c, b := block("hello")
	if ok, err := s.Has(ctx, c); ok || err != nil {
		t.Errorf("Has before Put: %v, %v", ok, err)
	}
	if _, err := s.Get(ctx, c); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get before Put: %v, want fs.ErrNotExist", err)
	}
	if _, ok := s.Path(c); ok {
		t.Error("Path before Put")
	}
	for range 2 {
		if err := s.Put(ctx, c, b); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Get(ctx, c)
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("Get: %q, %v", got, err)
	}
	if n, err := s.Size(ctx, c); n != len(b) || err != nil {
		t.Errorf("Size: %d, %v", n, err)
	}
	path, ok := s.Path(c)
	if onDisk, err := os.ReadFile(path); !ok || err != nil || !bytes.Equal(onDisk, b) {
		t.Errorf("Path %s, %v holds %q, %v", path, ok, onDisk, err)
	}
	// A block is known by its hash: a dag-pb CID of either version finds it too.
	for _, other := range []cid.Cid{cid.NewCidV1(cid.DagProtobuf, c.Hash()), cid.NewCidV0(c.Hash())} {
		if ok, err := s.Has(ctx, other); !ok || err != nil {
			t.Errorf("Has %s: %v, %v", other, ok, err)
		}
		if _, ok := s.Path(other); ok {
			t.Errorf("the file of %s is said to be a file's content", other)
		}
	}
	var all []cid.Cid
	if err := s.All(ctx, func(c cid.Cid) error { all = append(all, c); return nil }); err != nil || len(all) != 1 || all[0] != c {
		t.Errorf("All: %v, %v", all, err)
	}
	for range 2 {
		if err := s.Delete(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := s.Has(ctx, c); ok || err != nil {
		t.Errorf("Has after Delete: %v, %v", ok, err)
	}
}

// SPEC N11
func TestStoreRefuses(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s := openBlocks(t, dir)
	c, b := block("hello")
	most, mostBytes := rawBlock(make([]byte, unixfs.MaxBlock))
	large, largeBytes := rawBlock(make([]byte, unixfs.MaxBlock+1))
	hash := func(code uint64) cid.Cid {
		mh, err := multihash.Sum(b, code, -1)
		if err != nil {
			t.Fatal(err)
		}
		return cid.NewCidV1(cid.Raw, mh)
	}
	short, err := multihash.Sum(b, multihash.SHA2_256, 20)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		c cid.Cid
		b []byte
	}{
		"no cid":       {cid.Undef, b},
		"other bytes":  {c, append(bytes.Clone(b), '!')},
		"empty":        {c, nil},
		"2 MiB + 1":    {large, largeBytes},
		"sha2-512":     {hash(multihash.SHA2_512), b},
		"identity":     {hash(multihash.IDENTITY), b},
		"cut short":    {cid.NewCidV1(cid.Raw, short), b},
		"not the void": {unixfs.EmptyRaw, b},
	} {
		if err := s.Put(ctx, bad.c, bad.b); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	if err := s.Put(ctx, most, mostBytes); err != nil {
		t.Errorf("2 MiB: %v", err)
	}
	if n := countFiles(t, dir); n != 1 {
		t.Errorf("%d block files, want 1", n)
	}
}

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != shardFile {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// SPEC N12. No IPFS node delivers this block, and trees made elsewhere hold it.
func TestEmptyRawBlock(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	s := openBlocks(t, dir)
	c := unixfs.EmptyRaw
	if ok, err := s.Has(ctx, c); !ok || err != nil {
		t.Errorf("Has: %v, %v", ok, err)
	}
	if n, err := s.Size(ctx, c); n != 0 || err != nil {
		t.Errorf("Size: %d, %v", n, err)
	}
	if b, err := s.Get(ctx, c); len(b) != 0 || err != nil {
		t.Errorf("Get: %q, %v", b, err)
	}
	if err := s.Put(ctx, c, nil); err != nil {
		t.Error(err)
	}
	if _, ok := s.Path(c); ok {
		t.Error("it has a file")
	}
	// As dag-pb the same bytes are an empty node, which is a block like others.
	node := cid.NewCidV1(cid.DagProtobuf, c.Hash())
	if ok, err := s.Has(ctx, node); ok || err != nil {
		t.Errorf("Has the empty dag-pb node: %v, %v", ok, err)
	}
	if err := s.Put(ctx, node, nil); err != nil {
		t.Error(err)
	}
	if ok, err := s.Has(ctx, node); !ok || err != nil {
		t.Errorf("Has the empty dag-pb node after Put: %v, %v", ok, err)
	}
}

// SPEC N13. A file that was cut short or edited is no block, and can be replaced.
func TestDamagedBlock(t *testing.T) {
	ctx := t.Context()
	s := openBlocks(t, t.TempDir())
	c, b := block("hello")
	for _, damage := range []string{"", "hell", "HELLO"} {
		if err := s.Put(ctx, c, b); err != nil {
			t.Fatal(err)
		}
		path, _ := s.Path(c)
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		var corrupt *unixfs.CorruptError
		if got, err := s.Get(ctx, c); !errors.As(err, &corrupt) || corrupt.CID != c {
			t.Errorf("Get of %q: %q, %v", damage, got, err)
		}
		// The length alone shows what a power failure does.
		if len(damage) == len(b) {
			if err := s.Delete(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Put(ctx, c, b); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(ctx, c); err != nil || !bytes.Equal(got, b) {
			t.Errorf("Get after Put over %q: %q, %v", damage, got, err)
		}
	}
}

// SPEC N10. Two handles stand for two processes; opening happens while others write.
func TestStoreShared(t *testing.T) {
	const writers, blocks = 8, 60
	ctx := t.Context()
	dir := t.TempDir()
	openBlocks(t, dir)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range blocks {
				s, err := Open(dir)
				if err != nil {
					t.Error(err)
					return
				}
				batch := s.Batch()
				// Every block is written by two writers at about the same time.
				c, b := block("block %d of %d", i, w/2)
				put := s.Put
				if w%2 == 0 {
					put = batch.Put
				}
				if err := put(ctx, c, b); err != nil {
					t.Errorf("put: %v", err)
				}
				if err := batch.Commit(ctx); err != nil {
					t.Errorf("commit: %v", err)
				}
				if got, err := s.Get(ctx, c); err != nil || !bytes.Equal(got, b) {
					t.Errorf("get: %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := countFiles(t, dir), writers/2*blocks; got != want {
		t.Errorf("%d files are left, want %d", got, want)
	}
}

// SPEC N10. What another IPFS program sees is a flatfs repository.
func TestFlatfsReadsBlocks(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := openBlocks(t, dir)
	want := map[cid.Cid][]byte{}
	for i := range 200 {
		c, b := block("block %d", i)
		want[c] = b
		if err := s.Put(ctx, c, b); err != nil {
			t.Fatal(err)
		}
	}
	d, err := flatfs.Open(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	bs := blockstore.NewBlockstore(d, blockstore.NoPrefix())
	for c, b := range want {
		got, err := bs.Get(ctx, c)
		if err != nil || !bytes.Equal(got.RawData(), b) {
			t.Errorf("%s: %v, %v", c, got, err)
		}
	}
	keys, err := bs.AllKeysChan(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for c := range keys {
		if want[cid.NewCidV1(cid.Raw, c.Hash())] == nil {
			t.Errorf("it lists %s", c)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("it lists %d blocks, want %d", n, len(want))
	}

	// And the other way around.
	c, b := block("from elsewhere")
	if err := bs.Put(ctx, blockOfBytes(t, c, b)); err != nil {
		t.Fatal(err)
	}
	if got, err := openBlocks(t, dir).Get(ctx, c); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStoreSweeps(t *testing.T) {
	dir := t.TempDir()
	openBlocks(t, dir)
	old, young := filepath.Join(dir, tempDir, "put-1"), filepath.Join(dir, tempDir, "put-2")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half a bl"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * tempMaxAge)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	openBlocks(t, dir)
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that a dead process left is still there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("a file that may be in use is gone: %v", err)
	}
}

func TestForeignBlockDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, shardFile), []byte("/repo/flatfs/shard/v1/prefix/2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("another sharding is taken")
	}
}

func BenchmarkPut(b *testing.B) {
	for name, durable := range map[string]bool{"durable": true, "plain": false} {
		b.Run(name, func(b *testing.B) {
			s, err := Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			for i := range b.N {
				c, data := block("%10000d", i)
				if err := s.put(b.Context(), c, data, durable); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("batch of 1000", func(b *testing.B) {
		s, err := Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		batch := s.Batch()
		for i := range b.N {
			c, data := block("%10000d", i)
			if err := batch.Put(b.Context(), c, data); err != nil {
				b.Fatal(err)
			}
			if i%1000 == 999 || i == b.N-1 {
				if err := batch.Commit(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
