package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

const (
	// maxDepth is how often a range may be split. An honest peer with 2^40
	// elements needs ten.
	maxDepth = 24
	// comparedAtOnce is how many ranges one request compares: about as many as
	// an answer has room for.
	comparedAtOnce = 512
	// fetchedAtOnce is about how many items are found before they are fetched,
	// while more is to be compared.
	fetchedAtOnce = 2000
	// endlessRoom is how many bytes a session must have left for an answer that
	// leaves something out to need an item: room for any item.
	endlessRoom = 20 << 10
	// answerRoom is how many bytes a session must have left to be worth another
	// request.
	answerRoom = 32 << 10
)

// A Result is what one session brought. It is right as far as the session came,
// also beside an error.
type Result struct {
	IngestResult

	Items    int   // received; those that were neither new nor refused were known after all
	Unwanted int   // elements of the peer's that Wanted left out
	Lacks    int   // elements of ours that the peer lacks, of the part that was compared
	Requests int   // round trips
	Sent     int64 // bytes
	Received int64 // bytes

	// More says that limits ended the session before all was compared or
	// fetched, and Left what there still is to do: the Scope of the next Pull.
	More bool
	Left Scope
}

// Has reports whether the peer has everything that we have in the scope.
func (r Result) Has() bool { return !r.More && r.Lacks == 0 }

// Pull gets from a peer what it has in scope and we lack, in one session of at
// most 60 s, 64 requests and 16 MiB. When more is left than that, Result.More
// is set; a peer that is worth another session gave something in this one.
//
// The error is ErrBusy, ErrUnsupported or an *OffenceError, one of Ingest's, or
// says how the connection failed. What was ingested before it is stored.
func (r *Reconcile) Pull(ctx context.Context, from peer.ID, scope Scope) (Result, error) {
	if err := scope.check(); err != nil {
		return Result{}, fmt.Errorf("pull: %w", err)
	}
	p := &puller{r: r, peer: from, scope: scope}
	err := r.ask(ctx, from, func(session context.Context, s *stream) error {
		// What has arrived when the session's time is over is still ingested.
		p.take = newBatcher(ctx, r.cfg.Ingest, from, func() { _ = s.Reset() })
		return p.run(session, s)
	})
	p.result.Left = p.left()
	p.result.More = len(p.result.Left) > 0
	if err != nil {
		return p.result, fmt.Errorf("pull from %s: %w", from, err)
	}
	return p.result, nil
}

// ask opens a session with a peer, the only one, and runs f in it.
func (r *Reconcile) ask(ctx context.Context, p peer.ID, f func(context.Context, *stream) error) error {
	r.mu.Lock()
	_, again := r.asking[p]
	r.asking[p] = struct{}{}
	r.mu.Unlock()
	if again {
		return ErrBusy
	}
	defer func() {
		r.mu.Lock()
		delete(r.asking, p)
		r.mu.Unlock()
	}()
	now := time.Now()
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Limits.Session)
	defer cancel()
	s, err := open(ctx, r.host, p, r.cfg.Limits.First)
	if err != nil {
		return err
	}
	st := newStream(s, r.cfg.Limits, now)
	st.first = r.cfg.Limits.First
	// Whatever waits for the peer ends with ctx.
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if err := f(ctx, st); err != nil {
		_ = s.Reset()
		if outer.Err() != nil {
			return outer.Err()
		}
		return explain(p, err)
	}
	_ = s.Close() // the peer may have gone first
	return nil
}

func open(ctx context.Context, h host.Host, p peer.ID, first time.Duration) (_ network.Stream, err error) {
	ctx, cancel := context.WithTimeout(ctx, first)
	defer cancel()
	s, err := h.NewStream(ctx, p, Protocol)
	return s, explain(p, err)
}

// explain gives the errors that callers know their names.
func explain(p peer.ID, err error) error {
	var unsupported multistream.ErrNotSupported[protocol.ID]
	var bad offence
	var code refusal
	switch {
	case errors.As(err, &unsupported):
		return ErrUnsupported
	case errors.As(err, &code) && code == refusedBusy:
		return ErrBusy
	case errors.As(err, &bad):
		return &OffenceError{Peer: p, Err: bad}
	}
	return err
}

// request sends a request and returns the first message of the answer.
func (s *stream) request(q request) ([]byte, error) {
	writeErr := s.writeFrame(q.encode())
	if errors.Is(writeErr, errBudget) {
		return nil, writeErr
	}
	// A peer that refuses may have closed its side already: what it said counts.
	body, err := s.answer()
	if writeErr != nil && !errors.As(err, new(refusal)) {
		return nil, writeErr
	}
	return body, err
}

// answer returns a message that is no refusal.
func (s *stream) answer() ([]byte, error) {
	body, err := s.readFrame()
	switch {
	case errors.Is(err, errBudget):
		return nil, offence("peer sends more than the session has bytes")
	case err != nil:
		return nil, err
	case body[0] != typeRefused:
		return body, nil
	}
	code, err := decodeRefused(body)
	if err != nil {
		return nil, offence(err.Error())
	}
	return nil, code
}
