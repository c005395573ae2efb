package outbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// SPEC N38. Announcing stays below what peers take: 500 at once, then 50 a second.
func TestAnnouncingIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(Config{})
		start := time.Now()
		at := make([]time.Duration, 1000)
		for i := range at {
			if err := o.await(t.Context()); err != nil {
				t.Fatal(err)
			}
			at[i] = time.Since(start)
		}
		if at[399] != 0 || at[400] == 0 {
			t.Errorf("number 400 goes out after %v, 401 after %v", at[399], at[400])
		}
		if at[999] < 14*time.Second || at[999] > 16*time.Second {
			t.Errorf("number 1,000 goes out after %v", at[999])
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := o.await(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}
