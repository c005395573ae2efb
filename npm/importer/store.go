package importer

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/unixfs"
)

// A diskStore marks the errors of the store, which no other package would fare better
// with.
type diskStore struct{ unixfs.Store }

func (s diskStore) Put(ctx context.Context, c cid.Cid, b []byte) error {
	err := s.Store.Put(ctx, c, b)
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &storeError{err}
}
