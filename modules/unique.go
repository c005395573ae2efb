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
	u.mu.Lock()
	_, seen := u.sizes[c]
	if !seen {
		u.sizes[c] = len(b)
		u.total += int64(len(b))
	}
	u.mu.Unlock()
	if seen {
		return nil
	}
	return u.store.Put(ctx, c, b)
}
