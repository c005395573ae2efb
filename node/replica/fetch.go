package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/exchange"
	blockformat "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/transfer"
)

// How a tree is fetched (docs/program.md [N40]).
const (
	fetchWorkers  = 32               // blocks asked for at once
	firstBlock    = 10 * time.Second // until the first block comes
	lackingWait   = time.Second      // the same when all who are connected said that they lack it
	idleBlock     = 30 * time.Second // between blocks
	progressEvery = 100 * time.Millisecond
	askAgain      = 250 * time.Millisecond // when bitswap ends a want by itself
	bitswapReads  = 16                     // block reads at once for peers
	maxBitswapCID = 64                     // bytes of a CID that a peer may ask for
)

// Timeouts of a fetch.
type Timeouts struct {
	First   time.Duration // until the first block comes
	Lacking time.Duration // the same when all who are connected said that they lack it
	Idle    time.Duration // between blocks
}

// DefaultTimeouts are those of docs/program.md [N40].
var DefaultTimeouts = Timeouts{First: firstBlock, Lacking: lackingWait, Idle: idleBlock}

// Config says what a Fetcher works with. All is required.
type Config struct {
	Swarm  *swarm.Swarm
	Index  *index.Index
	Blocks *blocks.Store
	// Served is told when a block is read for a peer.
	Served   func()
	Timeouts Timeouts
	Log      *slog.Logger
}

// Fetcher brings modules into the block store, and gives peers what is there.
type Fetcher struct {
	cfg      Config
	transfer *transfer.Exchange
	bitswap  *bitswap.Bitswap
	holder   *holder

	mu      sync.Mutex
	fetched []cid.Cid // what was fetched last, by whomever
}

// NewFetcher makes a Fetcher, and has the host answer peers that ask for blocks. What it
// starts ends with ctx and Close; Serve must run before anything is fetched.
func NewFetcher(ctx context.Context, cfg Config) *Fetcher {
	f := &Fetcher{cfg: cfg, transfer: newTransfer(cfg), holder: newHolder(cfg)}
	cfg.Swarm.Host().SetStreamHandler(hasProtocol, func(s network.Stream) { f.holder.serve(ctx, s) })
	f.bitswap = bitswap.New(ctx, bsnet.NewFromIpfsHost(cfg.Swarm.BoundedHost()), nil, ExchangeStore{cfg.Blocks, cfg.Index.Block, cfg.Served},
		bitswap.EngineBlockstoreWorkerCount(bitswapReads), bitswap.MaxCidSize(maxBitswapCID))
	return f
}

// Serve answers peers and fetches from them until ctx ends.
func (f *Fetcher) Serve(ctx context.Context) error { return f.transfer.Run(ctx) }

// Close ends bitswap.
func (f *Fetcher) Close() error { return f.bitswap.Close() }

// Stats returns what was moved by transfer from and to a peer.
func (f *Fetcher) Stats(p peer.ID) transfer.Stats { return f.transfer.Stats(p) }

// Wanted returns what bitswap asks peers for now.
func (f *Fetcher) Wanted() []cid.Cid { return f.bitswap.GetWantlist() }

// note remembers what is fetched: somebody needs it.
func (f *Fetcher) note(root cid.Cid) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.fetched) >= maxQueue {
		f.fetched = f.fetched[1:]
	}
	f.fetched = append(f.fetched, root)
}

func (f *Fetcher) lastFetched() []cid.Cid {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.fetched)
}

// fetch is one Fetch: it reads blocks here or else from peers.
type fetch struct {
	cfg     Config
	root    cid.Cid
	end     context.CancelCauseFunc
	bitswap *bitswap.Bitswap
	session exchange.Fetcher
	search  *search

	mu      sync.Mutex
	wanted  map[cid.Cid]struct{} // asked for and not here yet
	bytes   int64                // of blocks that came
	limit   time.Duration
	waiting *time.Timer // runs while something is wanted
}

// Fetch brings the whole tree w.CID into the block store, as api.Network says.
func (f *Fetcher) Fetch(ctx context.Context, w records.Target, progress func(api.Progress)) (err error) {
	if !w.CID.Defined() {
		return errors.New("fetch: there is no CID")
	}
	if progress == nil {
		progress = func(api.Progress) {}
	}
	var p api.Progress
	ctx, end := context.WithCancelCause(ctx)
	one := &fetch{cfg: f.cfg, root: w.CID, end: end, bitswap: f.bitswap, wanted: map[cid.Cid]struct{}{}, limit: f.cfg.Timeouts.First}
	one.search = newSearch(f.cfg.Swarm, w.CID, one.resetTimer)
	defer one.search.wait()
	defer end(nil)
	f.note(w.CID)
	defer func() {
		err = api.DiskFull(err)
		if err == nil {
			f.cfg.Swarm.Provide(w.CID)
		}
	}()
	sent, err := f.transferTree(ctx, w, one.search.providers(ctx), func(now api.Progress) { p = now; progress(now) })
	if err != nil {
		return fmt.Errorf("fetch %s: %w", w.CID, err)
	}
	if sent.Complete {
		return nil
	}
	if sent.Failed == 0 && !f.hasStrangers() {
		one.limit = f.cfg.Timeouts.Lacking
	}
	one.session = f.bitswap.NewSession(ctx)
	one.waiting = time.AfterFunc(time.Hour, one.timeout)
	one.waiting.Stop()
	defer one.waiting.Stop()

	var walked api.Progress
	var last time.Time
	visit := func(c cid.Cid, b []byte) error {
		walked.Blocks++
		walked.Bytes += int64(len(b))
		p.Blocks, p.Bytes = max(p.Blocks, walked.Blocks), max(p.Bytes, walked.Bytes)
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			one.report(p, progress)
		}
		return nil
	}
	err = unixfs.Walk(ctx, one, w, fetchWorkers, visit)
	var away *api.UnreachableError
	if errors.As(context.Cause(ctx), &away) {
		return away
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", w.CID, err)
	}
	one.report(p, progress)
	return nil
}

func (f *fetch) report(p api.Progress, progress func(api.Progress)) {
	f.mu.Lock()
	p.Received += f.bytes
	f.mu.Unlock()
	p.Peers = len(f.cfg.Swarm.Connected())
	progress(p)
}

// Get implements modules.Blocks.
func (f *fetch) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	store := f.cfg.Blocks
	b, err := store.Get(ctx, c)
	var corrupt *unixfs.CorruptError
	if errors.As(err, &corrupt) {
		if err := store.Delete(ctx, c); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	tried, ok := f.cfg.Swarm.AwaitPeers(ctx)
	if !ok {
		ok = f.search.await(ctx)
	}
	if !ok {
		err := &api.UnreachableError{Root: f.root, Missing: c, Tried: tried}
		f.end(err)
		return nil, err
	}
	f.want(c)
	f.search.startAfter(ctx)
	block, err := f.session.GetBlock(ctx, c)
	for err != nil {
		// The want stays, so that timeout can name it. Bitswap may end a new want
		// together with an earlier one for the same block that has ended.
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(askAgain):
		}
		block, err = f.session.GetBlock(ctx, c)
	}
	// Not synced: a block that a power cut damages is fetched again.
	if err := store.PutUnsynced(ctx, c, block.RawData()); err != nil {
		return nil, err
	}
	f.got(c, len(block.RawData()))
	if err := f.bitswap.NotifyNewBlocks(ctx, block); err != nil {
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
	f.search.stop()
	f.limit = f.cfg.Timeouts.Idle
	if len(f.wanted) > 0 {
		f.waiting.Reset(f.limit)
	} else {
		f.waiting.Stop()
	}
}

// resetTimer has the wait begin again, since somebody was found who may have the tree.
func (f *fetch) resetTimer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wanted) > 0 {
		f.waiting.Reset(f.limit)
	}
}

// timeout is called when nothing came for too long.
func (f *fetch) timeout() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.wanted {
		f.end(&api.UnreachableError{Root: f.root, Missing: c, Peers: len(f.cfg.Swarm.Connected())})
		return
	}
}

// ExchangeStore is the block store as bitswap wants it, and beside it the
// envelopes and records of the index (SPEC.md [N14]). Bitswap only reads.
type ExchangeStore struct {
	*blocks.Store
	Record func(context.Context, cid.Cid) ([]byte, error) // nil for what is none
	Served func()
}

func (s ExchangeStore) Get(ctx context.Context, c cid.Cid) (blockformat.Block, error) {
	b, err := s.Store.Get(ctx, c)
	if err != nil {
		if b, err = s.recordOr(ctx, c, err); err != nil {
			return nil, notFound(err)
		}
	}
	s.Served()
	return blockformat.NewBlockWithCid(b, c)
}

func (s ExchangeStore) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	n, err := s.Size(ctx, c)
	if err != nil {
		b, err := s.recordOr(ctx, c, err)
		return len(b), notFound(err)
	}
	return n, nil
}

func (s ExchangeStore) Has(ctx context.Context, c cid.Cid) (bool, error) {
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
func (s ExchangeStore) recordOr(ctx context.Context, c cid.Cid, missing error) ([]byte, error) {
	if c.Type() != cid.DagCBOR || !errors.Is(missing, fs.ErrNotExist) {
		return nil, missing
	}
	b, err := s.Record(ctx, c)
	if err == nil && b == nil {
		return nil, missing
	}
	return b, err
}

func (s ExchangeStore) Put(ctx context.Context, b blockformat.Block) error {
	return s.PutUnsynced(ctx, b.Cid(), b.RawData())
}

func (s ExchangeStore) PutMany(ctx context.Context, all []blockformat.Block) error {
	for _, b := range all {
		if err := s.Put(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s ExchangeStore) DeleteBlock(ctx context.Context, c cid.Cid) error { return s.Delete(ctx, c) }

func (s ExchangeStore) AllKeysChan(ctx context.Context) (<-chan cid.Cid, error) {
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
