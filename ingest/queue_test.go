package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everythingstays/es/records"
)

// counter is a queue whose batches take a while and store nothing.
type counter struct {
	*Queue
	takes time.Duration

	mu    sync.Mutex
	sizes []int
}

func newCounter(t *testing.T, takes time.Duration) (c *counter, stop func()) {
	c = &counter{takes: takes}
	c.Queue = &Queue{added: make(chan *queued), stopped: make(chan struct{}), batch: func(_ context.Context, items []Item) ([]Result, error) {
		time.Sleep(c.takes)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sizes = append(c.sizes, len(items))
		results := make([]Result, len(items))
		for i, it := range items {
			results[i] = Result{Outcome: Stored, Err: errors.New(string(it.Data))}
		}
		return results, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// SPEC N270. What comes alone waits for nobody, what follows closely waits a few
// milliseconds, a batch has a bound, and each item gets its own result.
func TestQueueGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := newCounter(t, 0)
		defer stop()
		for range 3 {
			start := time.Now()
			c.Add(t.Context(), Item{})
			if took := time.Since(start); took != 0 {
				t.Errorf("a lone item waited %v", took)
			}
			time.Sleep(queueDelay)
		}
		// One in a millisecond: the first is alone, and the others come together.
		c.sizes = nil
		var wg sync.WaitGroup
		for i := range 25 {
			wg.Go(func() {
				start := time.Now()
				r := c.Add(t.Context(), Item{Data: fmt.Append(nil, i)})
				if took := time.Since(start); took > queueDelay {
					t.Errorf("item %d waited %v", i, took)
				}
				if r.Outcome != Stored || r.Err.Error() != fmt.Sprint(i) {
					t.Errorf("item %d got %+v", i, r)
				}
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if len(c.sizes) > 4 {
			t.Errorf("25 items in 25 ms came in batches of %v", c.sizes)
		}
		// Where a batch takes long, more come together, and nobody waits for long.
		time.Sleep(time.Second)
		c.sizes, c.takes = nil, maxQueueDelay/queueShare
		for range 100 {
			wg.Go(func() {
				start := time.Now()
				c.Add(t.Context(), Item{})
				if took := time.Since(start); took > maxQueueDelay+c.takes {
					t.Errorf("an item waited %v", took)
				}
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if len(c.sizes) > 4 {
			t.Errorf("100 items in 100 ms came in batches of %v", c.sizes)
		}
		c.sizes = nil
		c.takes = time.Second // nobody waits longer than the batch before
		for range 3 * MaxQueued {
			wg.Go(func() { c.Add(t.Context(), Item{}) })
		}
		wg.Wait()
		total := 0
		for _, n := range c.sizes {
			if total += n; n > MaxQueued {
				t.Errorf("a batch of %d", n)
			}
		}
		if total != 3*MaxQueued || len(c.sizes) > 4 {
			t.Errorf("batches of %v", c.sizes)
		}
	})
}

// What has not come into a batch when its caller gives up is refused, and so is what
// comes when the queue has stopped; nobody waits for ever.
func TestQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := newCounter(t, time.Minute)
		go c.Add(t.Context(), Item{}) // fills a batch
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if r := c.Add(ctx, Item{}); r.Outcome != Refused || !errors.Is(r.Err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("it got %+v after %v", r, time.Since(start))
		}
		results := make(chan Result)
		go func() { results <- c.Add(t.Context(), Item{}) }()
		stop()
		if r := <-results; r.Outcome != Refused || r.Err == nil {
			t.Errorf("while stopping: %+v", r)
		}
		if r := c.Add(t.Context(), Item{}); r.Outcome != Refused || !errors.Is(r.Err, errStopped) {
			t.Errorf("after the end: %+v", r)
		}
	})
}

// TestQueueStores has many authors' records come at once, with bad ones among them:
// each gets the verdict that it would get alone.
func TestQueueStores(t *testing.T) {
	r := newReceiver(t)
	q := NewQueue(r.Ingester)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	var wg sync.WaitGroup
	for i := range 20 {
		a := newAuthor(t)
		v := a.sign(time.Now(), testRelease("1.0.0", someModule(i)))
		broken := a.sign(time.Now(), testRelease("1.0.1", someModule(i)))
		forged, err := records.EncodeEnvelope(broken.RecordBytes(), v.Signature())
		if err != nil {
			t.Fatal(err)
		}
		source := Source{Peer: fmt.Sprint(i), Origin: fmt.Sprint(i)}
		wg.Go(func() {
			if got := verdictOf(q.Add(ctx, Item{Kind: Frame, Data: a.frame(v), Source: source})); got != accept {
				t.Errorf("record %d: %s", i, got)
			}
		})
		wg.Go(func() {
			if got := verdictOf(q.Add(ctx, Item{Kind: Frame, Data: frameOf(t, a.block(), forged), Source: source})); got != reject {
				t.Errorf("forged record %d: %s", i, got)
			}
		})
	}
	wg.Wait()
	cancel()
	if err := <-done; err != nil || r.count() != 20 {
		t.Errorf("%v; %d records are stored", err, r.count())
	}
}

// TestQueueAbandoned has the caller of an item go while it waits for a batch to begin: it
// is refused then, and no batch has it.
func TestQueueAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stop := newCounter(t, 5*time.Millisecond)
		defer stop()
		c.Add(t.Context(), Item{}) // the next batch begins 20 ms after this one
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		start := time.Now()
		if r := c.Add(ctx, Item{}); r.Outcome != Refused || !errors.Is(r.Err, context.DeadlineExceeded) || time.Since(start) != 5*time.Millisecond {
			t.Errorf("it got %+v after %v", r, time.Since(start))
		}
		if r := c.Add(t.Context(), Item{}); r.Outcome != Stored || !slices.Equal(c.sizes, []int{1, 1}) {
			t.Errorf("then %+v, and batches of %d", r, c.sizes)
		}
	})
}
