package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/simulation"
)

// limited runs two connected nodes with limits and options.
func limited(t *testing.T, a, b *memory, asker, answerer Config, f func(t *testing.T, x, y *node)) {
	t.Helper()
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		x, y := start(t, hosts[0], a, asker), start(t, hosts[1], b, answerer)
		defer x.stop()
		defer y.stop()
		simulation.Connect(t, hosts[0], hosts[1])
		f(t, x, y)
	})
}

// SPEC E14. Whichever limit ends a session, and whichever side's it is, the next
// goes on where it ended: nothing comes twice.
func TestResume(t *testing.T) {
	theirs := history(10, 200)
	var mine []records.Item
	for i, it := range theirs {
		if i%7 == 0 {
			mine = append(mine, it)
		}
	}
	for name, c := range map[string]struct{ asker, answerer Limits }{
		"bytes of both":         {Limits{Bytes: 96 << 10}, Limits{Bytes: 96 << 10}},
		"requests of the asker": {Limits{Requests: 2}, Limits{}},
		"requests of both":      {Limits{Requests: 2}, Limits{Requests: 2}},
		"requests of the other": {Limits{}, Limits{Requests: 2}},
		"time of the asker":     {Limits{Session: 60 * time.Millisecond}, Limits{}},
		"time of the other":     {Limits{}, Limits{Session: 60 * time.Millisecond}},
	} {
		for start, had := range map[string][]records.Item{"nothing": nil, "some": mine} {
			t.Run(name+", "+start, func(t *testing.T) {
				a, b := newMemory(had...), newMemory(theirs...)
				limited(t, a, b, Config{Limits: c.asker}, Config{Limits: c.answerer}, func(t *testing.T, x, y *node) {
					got, sessions := x.pull(t, y, Everything())
					if !slices.Equal(a.all(), b.all()) {
						t.Errorf("%d of %d after %d sessions", len(a.all()), len(b.all()), sessions)
					}
					if got.Items != len(theirs)-len(had) {
						t.Errorf("%d items came, %d were missing", got.Items, len(theirs)-len(had))
					}
					if sessions < 2 && (start == "some" || strings.HasPrefix(name, "bytes")) {
						t.Errorf("%d sessions: the limit did not hold", sessions)
					}
					t.Logf("%d sessions, %d requests, %d bytes", sessions, got.Requests, got.Received+got.Sent)
				})
			})
		}
	}
}

// SPEC E14. With the limits of the specification.
func TestSessionBytes(t *testing.T) {
	count := 2000
	if full {
		count = 40000
	}
	var theirs []records.Item
	for i := range count {
		theirs = append(theirs, signed(author(0), i, 1000))
	}
	a, b := newMemory(), newMemory(theirs...)
	limits := Limits{Bytes: count * 420} // 16.8 MB of 40,000
	if full {
		limits = Limits{}
	}
	bytes := limits.orDefault().Bytes
	limited(t, a, b, Config{Limits: limits}, Config{Limits: limits}, func(t *testing.T, x, y *node) {
		scope := Everything()
		for range 3 {
			got, err := x.Pull(t.Context(), y.host.ID(), scope)
			if err != nil {
				t.Fatal(err)
			}
			used := int(got.Sent + got.Received)
			if used > bytes || got.More && used < bytes-endlessRoom {
				t.Errorf("a session took %d bytes of %d", used, bytes)
			}
			scope = got.Left
		}
		if len(a.all()) != count {
			t.Errorf("%d of %d", len(a.all()), count)
		}
	})
}

// SPEC E13 and E14. A peer that sends more than a session may have is at fault.
func TestTooMuch(t *testing.T) {
	a, b := newMemory(), newMemory(history(5, 200)...)
	limited(t, a, b, Config{Limits: Limits{Bytes: 64 << 10}}, Config{}, func(t *testing.T, x, y *node) {
		got, err := x.Pull(t.Context(), y.host.ID(), Everything())
		if !errors.As(err, new(*OffenceError)) || got.Received > 64<<10 {
			t.Errorf("%d bytes came: %v", got.Received, err)
		}
	})
}

// SPEC E14. A node that takes slowly does not lose what it has.
func TestSlowIngest(t *testing.T) {
	a, b := newMemory(), newMemory(history(20, 200)...)
	slow := func(ctx context.Context, from peer.ID, items []records.Item) (IngestResult, error) {
		time.Sleep(25 * time.Second)
		return a.take(ctx, from, items)
	}
	limited(t, a, b, Config{Ingest: slow}, Config{}, func(t *testing.T, x, y *node) {
		sessions := 0
		for scope := Everything(); ; sessions++ {
			begin := time.Now()
			got, err := x.Pull(t.Context(), y.host.ID(), scope)
			if d := time.Since(begin); d > 3*time.Minute {
				t.Errorf("a session took %v", d)
			}
			if len(a.all()) != got.Items && sessions == 0 {
				t.Errorf("%d were taken, %d came", len(a.all()), got.Items)
			}
			if err == nil && !got.More {
				break
			}
			if got.Items == 0 {
				t.Fatalf("session %d brought nothing: %v", sessions, err)
			}
			scope = got.Left
		}
		if !slices.Equal(a.all(), b.all()) || len(a.taken) != len(b.all()) {
			t.Errorf("%d of %d, %d came", len(a.all()), len(b.all()), len(a.taken))
		}
		t.Logf("%d sessions", sessions)
	})
}

// SPEC E16
func TestPlaces(t *testing.T) {
	simulate(t, 6, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], newMemory(history(2, 20)...), Config{Limits: Limits{Serve: 4}})
		defer victim.stop()
		open := func(h host.Host) *raw {
			simulation.Connect(t, h, hosts[0])
			s, err := h.NewStream(t.Context(), hosts[0].ID(), Protocol)
			if err != nil {
				t.Fatal(err)
			}
			r := newRaw(s)
			_ = r.send(getAll().encode())
			return r
		}
		served := func(r *raw) bool {
			body, err := r.receive()
			return err == nil && body[0] == typeItems
		}
		var first []*raw
		for _, h := range hosts[1:5] {
			r := open(h)
			if !served(r) {
				t.Fatal("one of four is not served")
			}
			first = append(first, r)
			settle(100 * time.Millisecond)
		}
		// The first is the one that was waited for for longest, but not for long.
		if r := open(hosts[5]); served(r) {
			t.Error("five are served at once")
		}
		if err := first[1].send(getAll().encode()); err != nil {
			t.Fatal(err)
		}
		settle(2 * time.Second)
		if r := open(hosts[5]); !served(r) {
			t.Error("four that do nothing keep the fifth out")
		}
		settle(time.Second)
		for i, r := range first {
			err := r.send(getAll().encode())
			settle(time.Second)
			if err == nil {
				if _, err = r.receive(); err == nil { // what is left of the first answer
					_, err = r.receive()
				}
			}
			if ended := err != nil; ended != (i == 0) {
				t.Errorf("session %d was ended: %v", i, ended)
			}
		}
		// A second session of one peer takes the place of its first.
		again := open(hosts[2])
		if !served(again) {
			t.Error("a peer's second session is not served")
		}
		settle(time.Second)
		if n := victim.served(); n > 4 {
			t.Errorf("%d sessions are served", n)
		}
	})
}

// SPEC E16
func TestOnePullPerPeer(t *testing.T) {
	a, b := newMemory(), newMemory(history(1, 10)...)
	pair(t, a, b, func(t *testing.T, x, y *node) {
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := x.Pull(t.Context(), y.host.ID(), Everything())
				errs <- err
			}()
		}
		one, other := <-errs, <-errs
		if one == nil {
			one, other = other, one
		}
		if !errors.Is(one, ErrBusy) || other != nil {
			t.Errorf("two pulls at once end in %v and %v", one, other)
		}
	})
}

// SPEC E17. The accounts of many addresses take bounded memory.
func TestAccounts(t *testing.T) {
	a := newAdmission(Limits{}.orDefault())
	seat := func(p string) *served { return &served{peer: peer.ID(p), payer: p, yield: func() {}} }
	for i := range 3 * maxAccounts {
		a.charge(seat(fmt.Sprint(i)), int64(i%1000))
	}
	if n := len(a.accounts); n > maxAccounts {
		t.Errorf("%d accounts", n)
	}
	a.charge(seat("spent"), 2<<30)
	for i := range 2 * maxAccounts {
		a.charge(seat(fmt.Sprint("new ", i)), 0)
	}
	if acc := a.accounts["spent"]; acc == nil || acc.tokens > 0 {
		t.Error("an address's debt was forgotten before others' credit")
	}
}

func TestWanted(t *testing.T) {
	theirs := history(3, 100)
	mine := slices.Concat(theirs[:50], theirs[60:]) // so that the ten are listed
	a, b := newMemory(mine...), newMemory(theirs...)
	var refused []records.Element
	for _, it := range theirs[50:55] {
		refused = append(refused, it.Element)
	}
	asked := 0
	wanted := func(_ context.Context, elements []records.Element) ([]records.Element, error) {
		if !slices.IsSorted(elements) {
			t.Error("the elements are not in order")
		}
		asked += len(elements)
		return slices.DeleteFunc(slices.Clone(elements), func(e records.Element) bool { return slices.Contains(refused, e) }), nil
	}
	limited(t, a, b, Config{Wanted: wanted}, Config{}, func(t *testing.T, x, y *node) {
		got, _ := x.pull(t, y, Everything())
		if asked != 10 || got.Unwanted != 5 || got.Items != 5 || got.Records != 5 {
			t.Errorf("of 10 missing ones %d were asked about: %+v", asked, got)
		}
		for _, e := range refused {
			if slices.Contains(a.taken, e) {
				t.Error("what is not wanted was fetched")
			}
		}
	})
}

func TestIngestFails(t *testing.T) {
	b := newMemory(history(5, 200)...)
	wrong := errors.New("the signature is wrong")
	for name, c := range map[string]struct {
		err     func(peer.ID) error
		offence bool
	}{
		"disk full": {func(peer.ID) error { return wrong }, false},
		"offence":   {func(p peer.ID) error { return &OffenceError{Peer: p, Err: wrong} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newMemory()
			calls := 0
			take := func(ctx context.Context, from peer.ID, items []records.Item) (IngestResult, error) {
				if calls++; calls == 2 {
					return IngestResult{Refused: 1}, c.err(from)
				}
				return a.take(ctx, from, items)
			}
			limited(t, a, b, Config{Ingest: take}, Config{}, func(t *testing.T, x, y *node) {
				got, err := x.Pull(t.Context(), y.host.ID(), Everything())
				if !errors.Is(err, wrong) || errors.As(err, new(*OffenceError)) != c.offence {
					t.Errorf("the error is %v", err)
				}
				if calls != 2 || got.Records+got.Keys != len(a.all()) || got.Refused != 1 {
					t.Errorf("after %d calls %d are here: %+v", calls, len(a.all()), got)
				}
				if !got.More || !slices.Equal(got.Left, Everything()) {
					t.Errorf("left is %v", got.Left)
				}
				x.pull(t, y, Everything())
				if !slices.Equal(a.all(), b.all()) {
					t.Error("the next pull does not get the rest")
				}
			})
		})
	}
}
