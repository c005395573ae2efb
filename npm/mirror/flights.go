package mirror

import (
	"context"
	"errors"
	"sync"
)

// flights have work done once for all who want it at the same time. Who came first does
// it; when that one leaves, another begins again.
type flights struct {
	mu    sync.Mutex
	byKey map[string]*flight
}

type flight struct {
	done chan struct{}
	err  error // once done is closed
}

func (f *flights) do(ctx context.Context, key string, work func(context.Context) error) error {
	for {
		f.mu.Lock()
		other := f.byKey[key]
		if other == nil {
			if f.byKey == nil {
				f.byKey = make(map[string]*flight)
			}
			own := &flight{done: make(chan struct{})}
			f.byKey[key] = own
			f.mu.Unlock()
			own.err = work(ctx)
			f.mu.Lock()
			delete(f.byKey, key)
			f.mu.Unlock()
			close(own.done)
			return own.err
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-other.done:
		}
		if !errors.Is(other.err, context.Canceled) {
			return other.err
		}
	}
}
