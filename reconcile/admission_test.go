package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// floodCost is what answering one request of 2,048 ranges would cost at most that a
// turn does not end.
const floodCost = longTurn + 64<<10

// flood has peers of some addresses ask for as much as they get, each with one
// request at a time, under ever new ids, until the context ends. It returns what
// they have got.
func flood(ctx context.Context, a *admission, addresses, each int) (got func() int64, ended *sync.WaitGroup) {
	var mu sync.Mutex
	var sum int64
	ended = new(sync.WaitGroup)
	for i := range addresses * each {
		ended.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s := &served{peer: peer.ID(fmt.Sprint("hostile ", i, n)), payer: fmt.Sprint("from ", i%addresses), yield: func() {}}
				if !a.enter(s, time.Now()) {
					time.Sleep(100 * time.Millisecond)
					continue
				}
				if limit, err := a.begin(ctx, s); err == nil {
					cost := limit + 64<<10
					time.Sleep(time.Duration(cost) * time.Second / (64 << 20)) // what it takes a core
					a.done(s, cost)
					mu.Lock()
					sum += cost
					mu.Unlock()
				}
				a.leave(s)
			}
		})
	}
	return func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return sum
	}, ended
}

// sync has a peer make the 5 requests of a session with little to bring, and
// returns how long it took.
func (a *admission) sync(ctx context.Context, s *served) (time.Duration, error) {
	begin := time.Now()
	if !a.enter(s, begin) {
		return 0, ErrBusy
	}
	defer a.leave(s)
	for range 5 {
		if _, err := a.begin(ctx, s); err != nil {
			return time.Since(begin), err
		}
		a.done(s, 32<<10)
	}
	return time.Since(begin), nil
}

// TestThreat56Work floods a node with requests by 6 and by 60 peers of one address,
// and of six. They get no more than the addresses' rates, and a peer of the same
// address, one of another, and one that the node chose are served meanwhile, each
// in a time that the askers wait for. SPEC E16, E17 and E160.
func TestThreat56Work(t *testing.T) {
	for _, c := range []struct{ addresses, each int }{{1, 6}, {1, 60}, {6, 5}} {
		t.Run(fmt.Sprintf("%d addresses of %d", c.addresses, c.each), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				limits := Limits{}.orDefault()
				a := newAdmission(limits)
				got, ended := flood(ctx, a, c.addresses, c.each)
				defer ended.Wait()
				defer cancel()
				const lasts = 60 * time.Second
				settle(lasts)
				if most := float64(c.addresses) * (limits.Burst + limits.Rate*lasts.Seconds() + float64(c.each*floodCost)); float64(got()) > most {
					t.Errorf("the flood got %d, at most %.0f", got(), most)
				}
				for name, w := range map[string]struct {
					seat *served
					most time.Duration
				}{
					"of the same address": {&served{peer: "same", payer: "from 0", yield: func() {}}, 20 * time.Second},
					"of another address":  {&served{peer: "other", payer: "from elsewhere", yield: func() {}}, 500 * time.Millisecond},
					"chosen":              {&served{peer: "chosen", payer: "chosen", chosen: true, yield: func() {}}, time.Millisecond},
				} {
					if took, err := a.sync(ctx, w.seat); err != nil || took > w.most {
						t.Errorf("a peer %s: %v after %v, at most %v", name, err, took, w.most)
					}
				}
			})
		})
	}
}

// TestThreat56Office has a hundred clients of one address come at once, each for a
// session: all are served within seconds. SPEC E16, E17.
func TestThreat56Office(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Limits{}.orDefault())
		var mu sync.Mutex
		var took []time.Duration
		for i := range 100 {
			go func() {
				s := &served{peer: peer.ID(fmt.Sprint(i)), payer: "the office", yield: func() {}}
				for began := time.Now(); time.Since(began) < time.Minute; {
					if _, err := a.sync(t.Context(), s); err == nil {
						mu.Lock()
						took = append(took, time.Since(began))
						mu.Unlock()
						return
					}
					time.Sleep(time.Second)
				}
			}()
		}
		settle(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(took) != 100 || slices.Max(took) > 5*time.Second {
			t.Errorf("%d of 100 clients were served, %v", len(took), took)
		}
	})
}

// SPEC E17 and E160. What an address has used up comes back, and a request waits for it; one
// that would wait for too long is refused as busy.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Limits{Burst: 1000, Rate: 200}.orDefault())
		s := &served{peer: "p", payer: "from p", yield: func() {}}
		turn := func(cost int64) (time.Duration, error) {
			began := time.Now()
			_, err := a.begin(t.Context(), s)
			if err == nil {
				a.done(s, cost)
			}
			return time.Since(began), err
		}
		if took, err := turn(1500); err != nil || took != 0 {
			t.Errorf("the first turn: %v after %v", err, took)
		}
		if took, err := turn(2000); err != nil || took < 2500*time.Millisecond || took > 3*time.Second {
			t.Errorf("500 overdrawn: %v after %v", err, took)
		}
		if took, err := turn(0); !errors.Is(err, refusedBusy) || took != turnWait {
			t.Errorf("2,000 overdrawn: %v after %v", err, took)
		}
		if n := len(a.strangers.waiting); n != 0 || a.strangers.busy != 0 {
			t.Errorf("%d wait, %d are busy", n, a.strangers.busy)
		}
	})
}
