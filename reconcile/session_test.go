package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
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

// A pull is never disturbed by what is stored and dropped meanwhile.
func TestSetsChange(t *testing.T) {
	universe := history(10, 300)
	a, b := newMemory(universe[:1000]...), newMemory(universe[500:2000]...)
	before := b.all()
	limits := Config{Limits: Limits{Bytes: 128 << 10}}
	limited(t, a, b, limits, limits, func(t *testing.T, x, y *node) {
		stop := make(chan struct{})
		changed := make(chan struct{})
		go func() {
			defer close(changed)
			for _, it := range universe[2000:] {
				time.Sleep(time.Millisecond)
				select {
				case <-stop:
					return
				default:
				}
				b.mu.Lock()
				b.add(it)
				b.mu.Unlock()
				a.mu.Lock()
				a.add(universe[int(it.Bytes[100])])
				a.mu.Unlock()
			}
		}()
		func() {
			defer func() { close(stop); <-changed }()
			x.pull(t, y, Everything())
		}()
		has := map[records.Element]bool{}
		for _, e := range a.all() {
			has[e] = true
		}
		for _, e := range before {
			if !has[e] {
				t.Fatalf("%x was there before and was not pulled", string(e))
			}
		}
	})
}

func TestScope(t *testing.T) {
	theirs := history(12, 30)
	a, b := newMemory(record(author(3), 1)), newMemory(theirs...)
	pair(t, a, b, func(t *testing.T, x, y *node) {
		scope := Authors(author(3), author(5), author(3), author(99))
		x.pull(t, y, scope)
		if got := len(a.all()); got != 62 {
			t.Errorf("two authors have %d elements, want 62", got)
		}
		for _, e := range a.all() {
			if e.Author() != author(3) && e.Author() != author(5) {
				t.Errorf("author %s was not asked for", e.Author())
			}
		}
		x.pull(t, y, Everything().Without(author(7), author(0)))
		if got := len(a.all()); got != 10*31 {
			t.Errorf("all but two of 12 authors have %d elements", got)
		}
		if again, _ := x.pull(t, y, Everything().Without(author(0), author(7))); again.Items != 0 || !again.Has() {
			t.Errorf("again: %+v", again)
		}
		if got, _ := x.pull(t, y, nil); got.Items != 0 || got.Requests != 0 {
			t.Errorf("an empty scope: %+v", got)
		}
		if got, _ := x.pull(t, y, Authors(author(3), author(5)).Without(author(3), author(5))); got.Requests != 0 {
			t.Errorf("nobody: %+v", got)
		}
		for _, bad := range []Scope{{{From: "b", To: "a"}}, {{From: "a", To: "c"}, {From: "b"}}, {{}, {From: "a"}}} {
			if _, err := x.Pull(t.Context(), y.host.ID(), bad); err == nil {
				t.Errorf("%q was taken", bad)
			}
		}
	})
}

// SPEC E6 and E7. Counts alone.
func TestCompare(t *testing.T) {
	theirs := history(4, 60)
	more, fewer := slices.Concat(theirs, []records.Item{record(author(1), 1000)}), theirs[:3*61]
	other := slices.Concat(theirs[1:], []records.Item{keyBlock(author(0), 1)})
	authors := []records.Fingerprint{author(3), author(0), author(1), author(8)}
	for name, c := range map[string]struct {
		mine []records.Item
		want []Comparison
	}{
		"same":  {theirs, []Comparison{{author(3), 61, 61, true}, {author(0), 61, 61, true}, {author(1), 61, 61, true}, {author(8), 0, 0, true}}},
		"more":  {more, []Comparison{{author(3), 61, 61, true}, {author(0), 61, 61, true}, {author(1), 62, 61, false}, {author(8), 0, 0, true}}},
		"fewer": {fewer, []Comparison{{author(3), 0, 61, false}, {author(0), 61, 61, true}, {author(1), 61, 61, true}, {author(8), 0, 0, true}}},
		"other": {other, []Comparison{{author(3), 61, 61, true}, {author(0), 61, 61, false}, {author(1), 61, 61, true}, {author(8), 0, 0, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			pair(t, newMemory(c.mine...), newMemory(theirs...), func(t *testing.T, x, y *node) {
				got, err := x.Compare(t.Context(), y.host.ID(), authors)
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("%v, %v; want %v", got, err, c.want)
				}
			})
		})
	}
	t.Run("many", func(t *testing.T) {
		pair(t, newMemory(), newMemory(theirs...), func(t *testing.T, x, y *node) {
			var many []records.Fingerprint
			for i := range 2*maxRanges + 10 {
				many = append(many, author(i))
			}
			got, err := x.Compare(t.Context(), y.host.ID(), many)
			if err != nil || len(got) != len(many) || got[3].Theirs != 61 {
				t.Errorf("%d of %d authors, %v", len(got), len(many), err)
			}
		})
	})
}

func TestErrors(t *testing.T) {
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		x := start(t, hosts[0], newMemory(), Config{})
		simulation.Connect(t, hosts[0], hosts[1])
		if _, err := x.Pull(t.Context(), hosts[1].ID(), Everything()); !errors.Is(err, ErrUnsupported) {
			t.Errorf("a peer without the protocol: %v", err)
		}
		if _, err := x.Compare(t.Context(), hosts[1].ID(), []records.Fingerprint{author(0)}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("a peer without the protocol: %v", err)
		}
		if got, err := x.Pull(t.Context(), hosts[2].ID(), Everything()); err == nil || !got.More {
			t.Errorf("a peer that is not there: %+v, %v", got, err)
		}
		if err := x.Run(t.Context()); err == nil {
			t.Error("it was run twice")
		}
		hosts[1].SetStreamHandler(Protocol, func(s network.Stream) { time.Sleep(time.Minute); _ = s.Reset() })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := x.Pull(ctx, hosts[1].ID(), Everything())
			ended <- err
		}()
		settle(time.Second)
		cancel()
		synctest.Wait()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled pull: %v", err)
			}
		default:
			t.Error("a cancelled pull goes on")
		}
		x.stop()
		settle(2 * time.Minute)
		if s, err := hosts[1].NewStream(t.Context(), hosts[0].ID(), Protocol); err == nil {
			if _, err := s.Read(make([]byte, 1)); err == nil {
				t.Error("it serves after Run")
			}
		}
	})
	if _, err := New(nil, Config{}); err == nil {
		t.Error("a Config without a set was taken")
	}
}

// Run takes back what it serves when it ends.
func TestStop(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		y := start(t, hosts[1], newMemory(history(1, 10)...), Config{})
		simulation.Connect(t, hosts[0], hosts[1])
		s, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), Protocol)
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(s)
		if err := r.send(getAll().encode()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.receive(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		y.stop()
		if d := time.Since(begin); d > 0 {
			t.Errorf("it took %v to stop", d)
		}
		if n := y.served(); n != 0 {
			t.Errorf("%d streams are served after Run", n)
		}
	})
}
