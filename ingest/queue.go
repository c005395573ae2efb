package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// How what comes one by one is gathered (docs/program.md [N270]).
const (
	// MaxQueued is the most items of one batch: so many callers of Queue.Add are
	// worth having.
	MaxQueued = 64
	// queueDelay is the least time between the beginnings of two batches: a lone item
	// waits for nobody, and many that come one after the other are stored together.
	// It is queueShare times what the last batch took, at most maxQueueDelay, where
	// that is more: on a busy machine more of them are.
	queueDelay    = 10 * time.Millisecond
	maxQueueDelay = 50 * time.Millisecond
	queueShare    = 4
)

var errStopped = errors.New("ingesting has stopped")

// A Queue gathers items that come one by one into batches: what a batch costs, a
// commit above all, is paid once for all of them.
type Queue struct {
	batch   func(context.Context, []Item) ([]Result, error)
	added   chan *queued
	stopped chan struct{}
}

type queued struct {
	item   Item
	result chan Result
	// settled is set by whom the item is left to: a batch, or its caller, who waits no
	// longer.
	settled atomic.Bool
}

// NewQueue makes a queue of what g is to store. Nothing is taken before Run.
func NewQueue(g *Ingester) *Queue {
	return &Queue{batch: g.Batch, added: make(chan *queued), stopped: make(chan struct{})}
}

// Add waits until the item has been stored or turned down, in the order of Batch. An
// item that has not come into a batch when ctx ends is refused, and so are those that
// come when Run has returned.
func (q *Queue) Add(ctx context.Context, it Item) Result {
	w := &queued{item: it, result: make(chan Result, 1)}
	select {
	case q.added <- w:
	case <-ctx.Done():
		return Result{Err: ctx.Err()}
	case <-q.stopped:
		return Result{Err: errStopped}
	}
	select {
	case r := <-w.result:
		return r
	case <-ctx.Done():
		if w.settled.CompareAndSwap(false, true) {
			return Result{Err: ctx.Err()}
		}
	case <-q.stopped:
		return Result{Err: errStopped}
	}
	select { // a batch has it
	case r := <-w.result:
		return r
	case <-q.stopped:
		return Result{Err: errStopped}
	}
}

// Run makes batches of what is added, one after the other, until ctx ends, and then
// returns nil. It can be called once.
func (q *Queue) Run(ctx context.Context) error {
	defer close(q.stopped)
	var began time.Time
	var took time.Duration
	for {
		delay := min(max(queueDelay, queueShare*took), maxQueueDelay)
		waiting, ok := q.gather(ctx, delay-time.Since(began))
		if !ok || ctx.Err() != nil {
			return nil
		}
		began = time.Now()
		q.store(ctx, waiting)
		took = time.Since(began)
	}
}

// gather waits for a first item, and for more until the delay is over or there are
// enough; then it takes what is there.
func (q *Queue) gather(ctx context.Context, delay time.Duration) (waiting []*queued, ok bool) {
	due := time.NewTimer(max(delay, 0))
	defer due.Stop()
	select {
	case w := <-q.added:
		waiting = append(waiting, w)
	case <-ctx.Done():
		return nil, false
	}
	for over := false; len(waiting) < MaxQueued; {
		if over {
			select {
			case w := <-q.added:
				waiting = append(waiting, w)
				continue
			default:
				return waiting, true
			}
		}
		select {
		case w := <-q.added:
			waiting = append(waiting, w)
		case <-due.C:
			over = true
		case <-ctx.Done():
			return nil, false
		}
	}
	return waiting, true
}

func (q *Queue) store(ctx context.Context, waiting []*queued) {
	var items []Item
	var still []*queued
	for _, w := range waiting {
		if !w.settled.CompareAndSwap(false, true) {
			continue
		}
		items, still = append(items, w.item), append(still, w)
	}
	if len(items) == 0 {
		return
	}
	results, err := q.batch(ctx, items)
	for i, w := range still {
		if r := results[i]; err != nil && r.Outcome == Refused && r.Err == nil {
			w.result <- Result{Err: err}
		} else {
			w.result <- r
		}
	}
}
