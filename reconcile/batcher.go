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

// A batcher hands items to Ingest in batches while the next arrive. One batch is
// ingested, one waits and one is collected at most.
type batcher struct {
	ingest  func(ctx context.Context, from peer.ID, items []records.Item) (IngestResult, error)
	batches chan []records.Item
	done    chan struct{}

	batch []records.Item
	bytes int

	mu     sync.Mutex
	result IngestResult
	err    error
}

// newBatcher starts the goroutine that ends with finish. failed is called when
// Ingest fails.
func newBatcher(ctx context.Context, ingest func(context.Context, peer.ID, []records.Item) (IngestResult, error), from peer.ID, failed func()) *batcher {
	t := &batcher{ingest: ingest, batches: make(chan []records.Item, 1), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		for batch := range t.batches {
			if t.failed() {
				continue
			}
			ingested, err := ingest(ctx, from, batch)
			t.mu.Lock()
			t.result.add(ingested)
			t.err = err
			t.mu.Unlock()
			if err != nil {
				failed()
			}
		}
	}()
	return t
}

func (t *batcher) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}

func (t *batcher) add(ctx context.Context, it records.Item) error {
	t.batch = append(t.batch, it)
	t.bytes += len(it.Bytes)
	if len(t.batch) < batchItems && t.bytes < batchBytes {
		return nil
	}
	return t.flush(ctx)
}

func (t *batcher) flush(ctx context.Context) error {
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

// finish waits until everything is ingested.
func (t *batcher) finish() (IngestResult, error) {
	if len(t.batch) > 0 {
		t.batches <- t.batch
	}
	close(t.batches)
	<-t.done
	return t.result, t.err
}
