package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/ipfs/boxo/exchange"
	blockformat "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// How a tree is fetched (SPEC.md [N40]).
const (
	fetchWorkers  = 32               // blocks asked for at once
	firstBlock    = 10 * time.Second // until the first block comes
	lackingWait   = time.Second      // the same when all who are connected said that they lack it
	idleBlock     = 30 * time.Second // between blocks
	progressEvery = 100 * time.Millisecond
	askAgain      = 250 * time.Millisecond // when bitswap ends a want by itself
)

// fetch is one Fetch: it reads blocks here or else from peers.
type fetch struct {
	live   *live
	root   cid.Cid
	give   context.CancelCauseFunc
	server exchange.Fetcher
	search *search

	mu      sync.Mutex
	wanted  map[cid.Cid]struct{} // asked for and not here yet
	bytes   int64                // of blocks that came
	limit   time.Duration
	waiting *time.Timer // runs while something is wanted
}

func (l *live) fetch(ctx context.Context, w records.Target, progress func(api.Progress)) (err error) {
	if !w.CID.Defined() {
		return errors.New("fetch: there is no CID")
	}
	if progress == nil {
		progress = func(api.Progress) {}
	}
	var p api.Progress
	ctx, give := context.WithCancelCause(ctx)
	f := &fetch{live: l, root: w.CID, give: give, wanted: map[cid.Cid]struct{}{}, limit: l.patience.first}
	f.search = newSearch(l, w.CID, f.hope)
	defer f.search.wait()
	defer give(nil)
	l.seeder.note(w.CID)
	defer func() {
		err = api.DiskFull(err)
		if err == nil {
			l.find.offers.have(w.CID)
		}
	}()
	sent, err := l.transferTree(ctx, w, f.search.providers(ctx), func(now api.Progress) { p = now; progress(now) })
	if err != nil {
		return fmt.Errorf("fetch %s: %w", w.CID, err)
	}
	if sent.Complete {
		return nil
	}
	if sent.Failed == 0 && !l.strangers() {
		f.limit = l.patience.lacking
	}
	f.server = l.exchange.NewSession(ctx)
	f.waiting = time.AfterFunc(time.Hour, f.giveUp)
	f.waiting.Stop()
	defer f.waiting.Stop()

	var walked api.Progress
	var last time.Time
	visit := func(c cid.Cid, b []byte) error {
		walked.Blocks++
		walked.Bytes += int64(len(b))
		p.Blocks, p.Bytes = max(p.Blocks, walked.Blocks), max(p.Bytes, walked.Bytes)
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			f.report(p, progress)
		}
		return nil
	}
	err = unixfs.Walk(ctx, f, w, fetchWorkers, visit)
	var away *api.UnreachableError
	if errors.As(context.Cause(ctx), &away) {
		return away
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", w.CID, err)
	}
	f.report(p, progress)
	return nil
}

func (f *fetch) report(p api.Progress, progress func(api.Progress)) {
	f.mu.Lock()
	p.Received += f.bytes
	f.mu.Unlock()
	p.Peers = len(connected(f.live.host))
	progress(p)
}

// Get implements modules.Blocks.
func (f *fetch) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	store := f.live.home.Blocks()
	b, err := store.Get(ctx, c)
	var corrupt *unixfs.CorruptError
	if errors.As(err, &corrupt) {
		if err := store.Delete(ctx, c); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	tried, ok := f.live.awaitPeers(ctx)
	if !ok {
		ok = f.search.await(ctx)
	}
	if !ok {
		err := &api.UnreachableError{Root: f.root, Missing: c, Tried: tried}
		f.give(err)
		return nil, err
	}
	f.want(c)
	f.search.soon(ctx)
	block, err := f.server.GetBlock(ctx, c)
	for err != nil {
		// The want stays, so that giveUp can name it. Bitswap may end a new want
		// together with an earlier one for the same block that was given up.
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(askAgain):
		}
		block, err = f.server.GetBlock(ctx, c)
	}
	// Not synced: a block that a power cut damages is fetched again.
	if err := store.PutUnsynced(ctx, c, block.RawData()); err != nil {
		return nil, err
	}
	f.got(c, len(block.RawData()))
	if err := f.live.exchange.NotifyNewBlocks(ctx, block); err != nil {
		return nil, err
	}
	return block.RawData(), nil
}

func (f *fetch) want(c cid.Cid) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted[c] = struct{}{}
	if len(f.wanted) == 1 {
		f.waiting.Reset(f.limit)
	}
}

func (f *fetch) got(c cid.Cid, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += int64(size)
	delete(f.wanted, c)
	f.search.enough()
	f.limit = f.live.patience.idle
	if len(f.wanted) > 0 {
		f.waiting.Reset(f.limit)
	} else {
		f.waiting.Stop()
	}
}

// hope has the wait begin again, since somebody was found who may have the tree.
func (f *fetch) hope() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wanted) > 0 {
		f.waiting.Reset(f.limit)
	}
}

// giveUp is called when nothing came for too long.
func (f *fetch) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.wanted {
		f.give(&api.UnreachableError{Root: f.root, Missing: c, Peers: len(connected(f.live.host))})
		return
	}
}

// exchangeStore is the block store as bitswap wants it, and beside it the
// envelopes and records of the index (SPEC.md [N14]). Bitswap only reads.
type exchangeStore struct {
	*blocks.Store
	record func(context.Context, cid.Cid) ([]byte, error) // nil for what is none
	served func()
}

func (s exchangeStore) Get(ctx context.Context, c cid.Cid) (blockformat.Block, error) {
	b, err := s.Store.Get(ctx, c)
	if err != nil {
		if b, err = s.recordOr(ctx, c, err); err != nil {
			return nil, notFound(err)
		}
	}
	s.served()
	return blockformat.NewBlockWithCid(b, c)
}

func (s exchangeStore) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	n, err := s.Size(ctx, c)
	if err != nil {
		b, err := s.recordOr(ctx, c, err)
		return len(b), notFound(err)
	}
	return n, nil
}

func (s exchangeStore) Has(ctx context.Context, c cid.Cid) (bool, error) {
	if err := blocks.Check(c); err != nil {
		return false, nil // whoever asks may use any hash
	}
	if ok, err := s.Store.Has(ctx, c); ok || err != nil {
		return ok, err
	}
	_, err := s.recordOr(ctx, c, fs.ErrNotExist)
	return err == nil, nil
}

// recordOr returns the block of a stored record, or else missing.
func (s exchangeStore) recordOr(ctx context.Context, c cid.Cid, missing error) ([]byte, error) {
	if c.Type() != cid.DagCBOR || !errors.Is(missing, fs.ErrNotExist) {
		return nil, missing
	}
	b, err := s.record(ctx, c)
	if err == nil && b == nil {
		return nil, missing
	}
	return b, err
}

func (s exchangeStore) Put(ctx context.Context, b blockformat.Block) error {
	return s.PutUnsynced(ctx, b.Cid(), b.RawData())
}

func (s exchangeStore) PutMany(ctx context.Context, all []blockformat.Block) error {
	for _, b := range all {
		if err := s.Put(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s exchangeStore) DeleteBlock(ctx context.Context, c cid.Cid) error { return s.Delete(ctx, c) }

func (s exchangeStore) AllKeysChan(ctx context.Context) (<-chan cid.Cid, error) {
	return nil, errors.New("list blocks: bitswap has no reason to")
}

// notFoundError is fs.ErrNotExist as IPFS libraries know it: by its method.
type notFoundError struct{ error }

func (notFoundError) NotFound() bool  { return true }
func (e notFoundError) Unwrap() error { return e.error }

// notFound makes bitswap say that a block is not here whenever it cannot be
// served: it may ask for any hash, and a damaged file is no block.
func notFound(err error) error {
	if err == nil {
		return nil
	}
	return notFoundError{err}
}
