package broadcast

import (
	"sync"
	"testing"
)

// TestSignal has many wait: a change wakes all of them once, and nobody who asks later.
func TestSignal(t *testing.T) {
	var s Signal
	s.Notify() // nobody waits
	var woken sync.WaitGroup
	for range 8 {
		change := s.Wait()
		select {
		case <-change:
			t.Fatal("a change before one waited")
		default:
		}
		woken.Go(func() { <-change })
	}
	s.Notify()
	woken.Wait()
	select {
	case <-s.Wait():
		t.Error("an old change wakes who waits now")
	default:
	}
}
