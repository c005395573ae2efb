package transfer

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Store is where blocks are. Its methods are called from several goroutines.
type Store interface {
	// Get returns the bytes of a block after verifying them. Any error means
	// that the block is not here.
	Get(ctx context.Context, c cid.Cid) ([]byte, error)
	// Put keeps a block that is not here. Its hash was verified; b is used again
	// when Put has returned.
	Put(ctx context.Context, c cid.Cid, b []byte) error
}

// Config says how an Exchange works.
type Config struct {
	Store Store
	// Origin says to whom what is served to a peer is charged, such as its address: peer
	// ids cost nothing. Nil is for the peer itself.
	Origin func(network.Conn) string
	// Chosen, if not nil, reports whether a peer is one that the user named or this node
	// dialled, which is charged by itself.
	Chosen func(peer.ID) bool
	// Served, if not nil, is called whenever a block was read for a peer.
	Served func(peer.ID)
	// Offence, if not nil, is called with peers that sent wrong bytes. They are not
	// asked again for a while.
	Offence func(peer.ID, error)

	timeouts timeouts // zero: the defaults
}

// timeouts are how long peers are waited for.
type timeouts struct {
	idle  time.Duration // for the next 64 KiB, as client and as server
	steal time.Duration // until what one peer was asked for is asked of an idle one too
	busy  time.Duration // until a peer that is busy is asked again
}

// Waiting (SPEC.md [B9] and [B13]).
const (
	idleTimeout  = 10 * time.Second
	stealAfter   = 2 * time.Second
	busyPause    = time.Second
	streamPause  = 5 * time.Second // until a stream that nobody uses is closed
	stallBan     = time.Minute
	integrityBan = 10 * time.Minute
)

const (
	maxPeerStats = 1024 // peers with counters
	maxBanned    = 1024 // peers; the last ones are kept
)

// Stats counts blocks and their bytes that were exchanged with one peer.
type Stats struct {
	BlocksIn, BytesIn   int64 // received and right
	BlocksOut, BytesOut int64 // sent
}

// Exchange serves blocks to other es nodes and fetches trees from them.
type Exchange struct {
	host         host.Host
	cfg          Config
	blockAnswers *answers
	nodeAnswers  *answers // to requests for nodes

	mu      sync.Mutex
	closed  bool
	serving map[peer.ID]int // streams that peers have opened
	seats   map[network.Stream]*seat
	streams map[network.Stream]struct{}
	running sync.WaitGroup // a count for each goroutine that uses a stream
	queues  map[peer.ID]*peerQueue
	jobs    []*job
	banned  *lru.Cache[peer.ID, time.Time] // until when
	stats   map[peer.ID]*Stats
}

// New makes an Exchange. It serves while Run runs.
func New(h host.Host, cfg Config) *Exchange {
	p := &cfg.timeouts
	if *p == (timeouts{}) {
		*p = timeouts{idle: idleTimeout, steal: stealAfter, busy: busyPause}
	}
	banned, err := lru.New[peer.ID, time.Time](maxBanned)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Exchange{
		host: h, cfg: cfg, blockAnswers: newAnswers(maxAnswers), nodeAnswers: newAnswers(maxNodeAnswers),
		serving: map[peer.ID]int{}, seats: map[network.Stream]*seat{}, streams: map[network.Stream]struct{}{},
		queues: map[peer.ID]*peerQueue{}, banned: banned, stats: map[peer.ID]*Stats{},
	}
}

// Run serves until ctx ends. It returns nil when all streams are closed, also
// those of fetches, which then fail.
func (x *Exchange) Run(ctx context.Context) error {
	x.host.SetStreamHandler(ID, func(s network.Stream) {
		at := x.admit(s)
		if at == nil {
			_ = s.ResetWithError(network.StreamResourceLimitExceeded)
			return
		}
		defer x.release(s)
		x.serve(ctx, at)
	})
	<-ctx.Done()
	x.host.RemoveStreamHandler(ID)
	x.mu.Lock()
	x.closed = true
	for s := range x.streams {
		_ = s.Reset()
	}
	for _, l := range x.queues {
		for _, st := range l.streams {
			st.cancel()
		}
	}
	x.mu.Unlock()
	x.running.Wait()
	return nil
}

// Stats returns what was exchanged with a peer since it was last forgotten: of
// 1,024 peers the counters are kept.
func (x *Exchange) Stats(p peer.ID) Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.stats[p]; s != nil {
		return *s
	}
	return Stats{}
}

// count is called with x.mu held.
func (x *Exchange) count(p peer.ID) *Stats {
	s := x.stats[p]
	if s == nil {
		for other := range x.stats {
			if len(x.stats) < maxPeerStats {
				break
			}
			if x.host.Network().Connectedness(other) != network.Connected {
				delete(x.stats, other)
			}
		}
		s = new(Stats)
		if len(x.stats) < maxPeerStats {
			x.stats[p] = s
		}
	}
	return s
}

// track notes a stream that Run closes, unless it has ended.
func (x *Exchange) track(s network.Stream) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return false
	}
	x.streams[s] = struct{}{}
	x.running.Add(1)
	return true
}

func (x *Exchange) untrack(s network.Stream) {
	x.mu.Lock()
	delete(x.streams, s)
	x.mu.Unlock()
	x.running.Done()
}
