package index

import (
	"context"
	"fmt"
	"sync"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/rangeset"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// An Index is an open store. It may be used by several goroutines, and several
// processes may have the same store open.
type Index struct {
	file  *db.File
	views *rangeset.Cache

	limitMu sync.Mutex
	limit   StrangersLimit // under limitMu

	keyMu  sync.Mutex
	keys   map[records.Fingerprint]*sign.Key // parsed blocks, under keyMu
	merged map[records.Element]bool          // key blocks that would bring nothing, under keyMu
}

// Open opens the index at path and makes it if there is none, readable by its owner
// alone. The directory must exist.
func Open(ctx context.Context, path string) (*Index, error) {
	x := newIndex()
	file, err := db.Open(ctx, path, func(f *db.File) error {
		x.file = f
		return x.prepare(ctx)
	})
	if err != nil {
		return nil, err
	}
	x.file = file
	return x, nil
}

// OpenReadOnly opens the index at path for reading, also where nothing can be written
// (docs/program.md [N101]). What changes the index fails with ErrReadOnly.
func OpenReadOnly(ctx context.Context, path string) (*Index, error) {
	x := newIndex()
	var err error
	if x.file, err = db.OpenReadOnly(path); err != nil {
		return nil, err
	}
	version, err := x.inspect(ctx, x.file.Readers)
	if err == nil && version != schemaVersion {
		err = fmt.Errorf("%s has format %d and cannot be brought to %d where it cannot be written", path, version, schemaVersion)
	}
	if err != nil {
		err = x.explain("open index", err)
		x.Close()
		return nil, err
	}
	return x, nil
}

func newIndex() *Index {
	return &Index{views: rangeset.NewCache(), keys: map[records.Fingerprint]*sign.Key{}, merged: map[records.Element]bool{}}
}

// Errors that any call may return.
var (
	// ErrReadOnly is returned by what would change an index that is open for reading.
	ErrReadOnly = db.ErrReadOnly
	// ErrFull is what errors wrap when the disk has no room for what was to be stored.
	ErrFull = db.ErrFull
)

// Close waits for running calls and closes the store.
func (x *Index) Close() error { return x.file.Close() }

// write runs fn in a transaction. With durable set, what it wrote is on the disk
// before write returns; otherwise a power cut may take it, whole, but nothing else.
func (x *Index) write(ctx context.Context, durable bool, fn func(*batch) error) error {
	var b *batch
	err := x.file.Write(ctx, durable, func(tx *db.Tx) error {
		b = newBatch(x, tx)
		if err := fn(b); err != nil {
			return err
		}
		if err := b.enforceStrangersLimit(ctx); err != nil {
			return err
		}
		if err := b.texts.Store(ctx); err != nil {
			return err
		}
		return rangeset.Update(ctx, tx, b.set)
	})
	if err == nil {
		x.rememberMerged(b.merged)
	}
	return err
}

func (x *Index) explain(op string, err error) error { return x.file.Explain(op, err) }
