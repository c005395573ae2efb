package modules

import (
	"context"
	"sync"

	"github.com/ipfs/go-cid"
)

// uniqueBytes is a Store that passes blocks on once and counts their bytes.
type uniqueBytes struct {
	store Store

	mu    sync.Mutex
	sizes map[cid.Cid]int
	total int64
}

func (u *uniqueBytes) Put(ctx context.Context, c cid.Cid, b []byte) error {
	if !u.count(c, len(b)) {
		return nil
	}
	return u.store.Put(ctx, c, b)
}

// count counts a block, and reports whether it is the first of its kind.
func (u *uniqueBytes) count(c cid.Cid, size int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, seen := u.sizes[c]; seen {
		return false
	}
	u.sizes[c] = size
	u.total += int64(size)
	return true
}
