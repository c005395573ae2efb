package reconcile

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/simulation"
)

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
