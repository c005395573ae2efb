package blocks

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/internal/atomicfile"
)

const syncers = 16 // blocks that Commit writes out at once

// Batch returns a modules.Store whose blocks survive a power cut from Commit on, and are
// here for everybody at once.
func (s *Store) Batch() *Batch { return &Batch{store: s, put: map[string]bool{}} }

// A Batch is several blocks that become durable together. It implements
// modules.Store.
type Batch struct {
	store *Store

	mu  sync.Mutex
	put map[string]bool // by path
}

// Put stores a block.
func (b *Batch) Put(ctx context.Context, c cid.Cid, block []byte) error {
	if err := b.store.put(ctx, c, block, false); err != nil {
		return err
	}
	if !isEmptyRaw(c) {
		b.mu.Lock()
		b.put[b.store.file(c)] = true
		b.mu.Unlock()
	}
	return nil
}

// Commit makes what was put durable. The Batch may be used again.
func (b *Batch) Commit(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	dirs := map[string]bool{b.store.dir: true}
	files, fctx := errgroup.WithContext(ctx)
	files.SetLimit(syncers)
	for path := range b.put {
		dirs[filepath.Dir(path)] = true
		files.Go(func() error {
			if err := fctx.Err(); err != nil {
				return err
			}
			return syncFile(path)
		})
	}
	if err := files.Wait(); err != nil {
		return fmt.Errorf("write blocks to disk: %w", err)
	}
	for dir := range dirs {
		if err := atomicfile.SyncDir(dir); err != nil {
			return fmt.Errorf("write blocks to disk: %w", err)
		}
	}
	clear(b.put)
	return nil
}
