package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/everythingstays/es/records"
)

// Protocol is the id of the protocol. Whoever opens a stream pulls.
const Protocol protocol.ID = "/es/reconcile/2"

// Set is the set that is compared with those of peers. It may change at any
// time, between two calls too.
type Set interface {
	// Sum returns the count and the sum of the elements in r.
	Sum(ctx context.Context, r records.Range) (records.Sum, error)
	// Split cuts r into at most n consecutive ranges of about equal count that
	// together are r, with their sums.
	Split(ctx context.Context, r records.Range, n int) ([]records.RangeSum, error)
	// Elements returns the first elements of r, in order, at most limit.
	Elements(ctx context.Context, r records.Range, limit int) ([]records.Element, error)
}

// Source has what the elements of a Set stand for.
type Source interface {
	// Items returns what the first elements of r stand for, in order, as many
	// as have at most maxBytes together, but at least one; and the range that
	// is left, which is the zero Range when nothing is.
	Items(ctx context.Context, r records.Range, maxBytes int) ([]records.Item, records.Range, error)
}

// An IngestResult counts what became of items.
type IngestResult struct {
	Records int // new here
	Keys    int // key blocks that brought news
	Refused int // not stored: by trust, the clock, a quota or the author's key
}

func (t *IngestResult) add(o IngestResult) {
	t.Records += o.Records
	t.Keys += o.Keys
	t.Refused += o.Refused
}

// Config says what a Reconcile compares and what it does with what it gets. Set,
// Source and Ingest are required.
type Config struct {
	Set    Set
	Source Source

	// Ingest verifies and stores items that a peer sent: in order, an author's
	// key block before their records, about 256 at a time. That their bytes
	// belong to their elements has been checked, signatures have not. Calls for
	// one Pull do not overlap; the next items arrive meanwhile. An error ends
	// the Pull; it is an *OffenceError when the bytes are wrong for ever.
	Ingest func(ctx context.Context, from peer.ID, items []records.Item) (IngestResult, error)

	// Wanted, when set, returns those of the elements, which are in order, that
	// are worth asking for: not what was refused before. It is not asked about
	// a range of which nothing is here: that is pulled as a whole.
	Wanted func(ctx context.Context, elements []records.Element) ([]records.Element, error)

	// View, when set, calls f with the set as it is at one time. All that one
	// request asks is answered from one view, and what it cost is charged.
	View func(ctx context.Context, f func(View) error) error

	// Origin says to whom the work for a peer is charged, such as its address: peer
	// ids cost nothing. Nil stands for the peer.
	Origin func(network.Conn) string

	// Chosen, when set, reports whether the peer is one that the user named or that
	// this node dialled. These are served beside all others, each for itself.
	Chosen func(peer.ID) bool

	// Offence, when set, is told when a peer that pulls breaks the protocol.
	Offence func(peer.ID, error)

	Log *slog.Logger // nil for none

	Limits Limits
}

// Limits bound a session and what is served. A zero field stands for the number
// in SPEC.md section 13.4, which other nodes count on; smaller ones are for
// tests.
type Limits struct {
	Serve    int           // sessions served at once, of strangers, and as many of chosen peers: 128
	Turns    int           // of these, requests answered at once: 1
	Requests int           // in a session: 64
	Bytes    int           // of a session, both directions together: 16 MiB
	Session  time.Duration // 60 s
	Idle     time.Duration // without a byte: 10 s
	First    time.Duration // until a peer that is asked has sent its first byte: 5 s

	// What an address may use up at once and what it gets back each second: 256
	// MiB and 8 MiB.
	Burst, Rate float64
}

func (l Limits) orDefault() Limits {
	d := Limits{Serve: 128, Turns: 1, Requests: 64, Bytes: 16 << 20, Session: time.Minute, Idle: 10 * time.Second, First: 5 * time.Second, Burst: 256 << 20, Rate: 8 << 20}
	if l.Serve > 0 {
		d.Serve = l.Serve
	}
	if l.Turns > 0 {
		d.Turns = l.Turns
	}
	if l.Requests > 0 {
		d.Requests = l.Requests
	}
	if l.Bytes > 0 {
		d.Bytes = l.Bytes
	}
	if l.Session > 0 {
		d.Session = l.Session
	}
	if l.Idle > 0 {
		d.Idle = l.Idle
	}
	if l.First > 0 {
		d.First = l.First
	}
	if l.Burst > 0 {
		d.Burst = l.Burst
	}
	if l.Rate > 0 {
		d.Rate = l.Rate
	}
	return d
}

var (
	// ErrBusy is returned when the peer serves too many others or has served
	// this node too much, and when a session with it is under way already. It
	// is worth trying again after some seconds.
	ErrBusy = errors.New("peer is busy")
	// ErrUnsupported is returned when the peer does not speak the protocol.
	ErrUnsupported = errors.New("peer does not reconcile")
)

// An OffenceError says that a peer broke the protocol in a way that no honest
// one can: whatever it says next, it is not worth asking for a while.
type OffenceError struct {
	Peer peer.ID
	Err  error
}

func (e *OffenceError) Error() string { return fmt.Sprintf("peer %s: %v", e.Peer, e.Err) }

func (e *OffenceError) Unwrap() error { return e.Err }

// Reconcile is one node's part in the protocol.
type Reconcile struct {
	host  host.Host
	cfg   Config
	admit *admission

	mu      sync.Mutex
	running bool
	closing bool
	streams map[network.Stream]struct{} // served
	asking  map[peer.ID]struct{}
	serving sync.WaitGroup
}

// New prepares reconciliation for h. Nothing is served before Run.
func New(h host.Host, cfg Config) (*Reconcile, error) {
	if cfg.Set == nil || cfg.Source == nil || cfg.Ingest == nil {
		return nil, errors.New("set up reconciliation: no set, no source or nobody who takes")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.orDefault()
	return &Reconcile{
		host:    h,
		cfg:     cfg,
		admit:   newAdmission(cfg.Limits),
		streams: make(map[network.Stream]struct{}),
		asking:  make(map[peer.ID]struct{}),
	}, nil
}

// Run answers peers until ctx ends, and then returns nil. When it has returned
// no stream that it served is open. It can be called once. Pull and Compare
// work without it.
func (r *Reconcile) Run(ctx context.Context) error {
	r.mu.Lock()
	again := r.running
	r.running = true
	r.mu.Unlock()
	if again {
		return errors.New("run reconciliation: Run was called twice")
	}
	r.host.SetStreamHandler(Protocol, func(s network.Stream) {
		if !r.enter(s) {
			_ = s.Reset()
			return
		}
		defer r.leave(s)
		r.serve(ctx, s)
	})
	<-ctx.Done()
	r.host.RemoveStreamHandler(Protocol)
	r.mu.Lock()
	r.closing = true
	for s := range r.streams {
		_ = s.Reset()
	}
	r.mu.Unlock()
	r.serving.Wait()
	return nil
}

func (r *Reconcile) enter(s network.Stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.streams[s] = struct{}{}
	r.serving.Add(1)
	return true
}

func (r *Reconcile) leave(s network.Stream) {
	r.mu.Lock()
	delete(r.streams, s)
	r.mu.Unlock()
	r.serving.Done()
}
