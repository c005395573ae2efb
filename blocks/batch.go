package blocks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/internal/atomicfile"
)

const (
	syncers     = 16  // blocks that Commit writes out at once
	syncAllFrom = 256 // blocks for which it writes out the whole file system instead
)

// Batch returns a modules.Store whose blocks survive a power cut from Commit on, and are
// here for everybody at once.
func (s *Store) Batch() *Batch { return &Batch{store: s, put: map[string]bool{}} }

// FileBatch is a Batch of blocks whose bytes the caller has just hashed and which are to
// be linked, as those of imports: see PutStamped.
func (s *Store) FileBatch() *Batch { return &Batch{store: s, put: map[string]bool{}, stamped: true} }

// A Batch is several blocks that become durable together. It implements
// modules.Store.
type Batch struct {
	store   *Store
	stamped bool

	mu  sync.Mutex
	put map[string]bool // by path
}

// Put stores a block.
func (b *Batch) Put(ctx context.Context, c cid.Cid, block []byte) error {
	put := b.store.PutUnsynced
	if b.stamped {
		put = b.store.PutStamped
	}
	if err := put(ctx, c, block); err != nil {
		return err
	}
	if !isEmptyRaw(c) {
		b.mu.Lock()
		b.put[b.store.file(c)] = true
		b.mu.Unlock()
	}
	return nil
}

// Commit makes what was put before it durable; others may put meanwhile. The Batch may
// be used again.
func (b *Batch) Commit(ctx context.Context) error {
	b.mu.Lock()
	put := b.put
	b.put = make(map[string]bool)
	b.mu.Unlock()
	err := b.sync(ctx, put)
	if err != nil {
		b.mu.Lock()
		maps.Copy(b.put, put)
		b.mu.Unlock()
	}
	return err
}

func (b *Batch) sync(ctx context.Context, put map[string]bool) error {
	if len(put) >= syncAllFrom {
		if err := syncFileSystem(b.store.dir); !errors.Is(err, errors.ErrUnsupported) {
			if err != nil {
				return fmt.Errorf("write blocks to disk: %w", err)
			}
			return nil
		}
	}
	dirs := map[string]bool{b.store.dir: true}
	files, fctx := errgroup.WithContext(ctx)
	files.SetLimit(syncers)
	for path := range put {
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
	return nil
}
