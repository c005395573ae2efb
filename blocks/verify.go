package blocks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/modules/unixfs"
)

// Damage is a file of the store that is not what it must be.
type Damage struct {
	ID     string // the block's CID, or the file's path where it names no block
	File   string
	Reason string
}

// Verify reads every block and calls found with the files that do not hold what they
// are named after. It works on all processors, and calls step and found from one
// goroutine at a time.
func (s *Store) Verify(ctx context.Context, step func(done int64), found func(Damage)) (blocks, bytes int64, err error) {
	shards, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a home that is not made yet has none
		return 0, 0, fmt.Errorf("verify blocks: %w", err)
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, shard := range shards {
		if !shard.IsDir() || strings.HasPrefix(shard.Name(), ".") {
			continue
		}
		group.Go(func() error {
			files, err := os.ReadDir(filepath.Join(s.dir, shard.Name()))
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					return nil // removed meanwhile
				}
				return err
			}
			for _, f := range files {
				if err := ctx.Err(); err != nil {
					return err
				}
				if strings.HasPrefix(f.Name(), ".") {
					continue
				}
				d, size := s.CheckFile(ctx, filepath.Join(s.dir, shard.Name(), f.Name()))
				mu.Lock()
				if size >= 0 {
					blocks++
					bytes += size
				}
				if d != nil {
					found(*d)
				}
				step(blocks)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return blocks, bytes, fmt.Errorf("verify blocks: %w", err)
	}
	return blocks, bytes, nil
}

// CheckFile returns what is wrong with the file at path below the store, nil for
// nothing, and the size of its block: -1 when it was removed meanwhile, or is none.
func (s *Store) CheckFile(ctx context.Context, path string) (*Damage, int64) {
	c, ok := blockOf(filepath.Base(path))
	if ok {
		_, err := digest(c)
		ok = err == nil && s.file(c) == path
	}
	if !ok {
		return &Damage{ID: path, File: path, Reason: "is not where a block belongs, or is none"}, -1
	}
	b, err := s.Get(ctx, c)
	switch {
	case err == nil:
		return nil, int64(len(b))
	case errors.As(err, new(*unixfs.CorruptError)):
		return &Damage{ID: c.String(), File: path, Reason: "its file holds other bytes"}, 0
	case errors.Is(err, fs.ErrNotExist):
		return nil, -1
	}
	return &Damage{ID: c.String(), File: path, Reason: err.Error()}, 0
}
