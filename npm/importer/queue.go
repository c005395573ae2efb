package importer

import (
	"context"
	"fmt"
	"time"
)

// A Queue imports packages as they are asked for, by any number of goroutines. What was
// imported is durable, and in Trees, a little later: many packages share what that costs.
type Queue struct {
	im    *importer
	slots chan struct{}
	wake  chan struct{}
}

// NewQueue returns a Queue, which Run makes work.
func NewQueue(cfg Config) *Queue {
	return &Queue{im: &importer{cfg: cfg}, slots: make(chan struct{}, workers), wake: make(chan struct{}, 1)}
}

// Import imports one package, unless it is here. Its blocks are here when it returns.
func (q *Queue) Import(ctx context.Context, p Package) Result {
	select {
	case q.slots <- struct{}{}:
	case <-ctx.Done():
		return Result{Package: p, Err: ctx.Err()}
	}
	defer func() { <-q.slots }()
	r := q.im.one(ctx, p)
	if r.Err == nil && !r.Known {
		q.im.mu.Lock()
		q.im.ready = append(q.im.ready, r.Tree)
		q.im.mu.Unlock()
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return r
}

// Run makes what was imported durable until ctx ends. The error is what could not be.
func (q *Queue) Run(ctx context.Context) error {
	for {
		select {
		case <-q.wake:
			q.gather(ctx)
			if err := q.keep(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("keep imported packages: %w", err)
			}
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
			defer cancel()
			if err := q.keep(ctx); err != nil {
				return fmt.Errorf("keep imported packages: %w", err)
			}
			return nil
		}
	}
}

// gatherTime is how long what was imported waits for more, which becomes durable with it:
// to write a few files out alone costs nearly as much as hundreds.
const gatherTime = 2 * time.Second

// gather waits until a batch is full, or for a while.
func (q *Queue) gather(ctx context.Context) {
	enough := time.NewTimer(gatherTime)
	defer enough.Stop()
	for {
		q.im.mu.Lock()
		full := len(q.im.ready) >= batchSize
		q.im.mu.Unlock()
		if full {
			return
		}
		select {
		case <-q.wake:
		case <-enough.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// keep makes durable what is ready; what fails stays ready.
func (q *Queue) keep(ctx context.Context) error {
	q.im.mu.Lock()
	ready := q.im.ready
	q.im.ready = nil
	q.im.mu.Unlock()
	if len(ready) == 0 {
		return nil
	}
	err := q.im.cfg.Batch.Commit(ctx)
	for len(ready) > 0 && err == nil {
		if err = q.im.cfg.Trees.Put(ready[0]); err == nil {
			ready = ready[1:]
		}
	}
	q.im.mu.Lock()
	q.im.ready = append(ready, q.im.ready...)
	q.im.mu.Unlock()
	return err
}
