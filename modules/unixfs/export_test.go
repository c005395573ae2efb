package unixfs

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/internal/dagpb"
)

// storeHAMT stores a directory as a HAMT, however few entries it has.
func StoreHAMT(ctx context.Context, s Store, entries []dagpb.Link) (dagpb.Link, error) {
	r, err := NewBuilder(s).shard(ctx, hashLinks(entries), 0)
	return dagpb.Link{CID: r.cid, Tsize: r.tsize}, err
}

// storeChunks stores a file whose chunks are links, and returns its root and its bytes.
func StoreChunks(ctx context.Context, s Store, links []dagpb.Link) (cid.Cid, int64, error) {
	r, err := NewBuilder(s).file(ctx, links, false)
	return r.cid, r.bytes, err
}

var ElementProblem = elementProblem
