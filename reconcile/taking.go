package reconcile

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/records"
)

// A batch of items has about so many, or so many bytes.
const (
	batchItems = 256
	batchBytes = 512 << 10
)

// taking hands items to Take in batches while the next arrive. One batch is
// taken, one waits and one is collected at most.
type taking struct {
	take    func(ctx context.Context, from peer.ID, items []records.Item) (Taken, error)
	batches chan []records.Item
	done    chan struct{}

	batch []records.Item
	bytes int

	mu    sync.Mutex
	taken Taken
	err   error
}

// newTaking starts the goroutine that ends with finish. failed is called when
// Take fails.
func newTaking(ctx context.Context, take func(context.Context, peer.ID, []records.Item) (Taken, error), from peer.ID, failed func()) *taking {
	t := &taking{take: take, batches: make(chan []records.Item, 1), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		for batch := range t.batches {
			if t.failed() {
				continue
			}
			taken, err := take(ctx, from, batch)
			t.mu.Lock()
			t.taken.add(taken)
			t.err = err
			t.mu.Unlock()
			if err != nil {
				failed()
			}
		}
	}()
	return t
}

func (t *taking) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}

func (t *taking) add(ctx context.Context, it records.Item) error {
	t.batch = append(t.batch, it)
	t.bytes += len(it.Bytes)
	if len(t.batch) < batchItems && t.bytes < batchBytes {
		return nil
	}
	return t.flush(ctx)
}

func (t *taking) flush(ctx context.Context) error {
	if len(t.batch) == 0 {
		return nil
	}
	batch := t.batch
	t.batch, t.bytes = nil, 0
	select {
	case t.batches <- batch:
		return nil
	case <-ctx.Done():
		t.batch = batch // for finish
		return ctx.Err()
	}
}

// finish waits until everything is taken.
func (t *taking) finish() (Taken, error) {
	if len(t.batch) > 0 {
		t.batches <- t.batch
	}
	close(t.batches)
	<-t.done
	return t.taken, t.err
}
