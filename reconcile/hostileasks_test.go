package reconcile

import (
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/simulation"
)

func getAll() request { return request{kind: typeGet, ranges: []rangeRequest{{}}} }

func askForever(r *raw, pause time.Duration, q request) error {
	for {
		if err := r.send(q.encode()); err != nil {
			return err
		}
		for {
			body, err := r.receive()
			if err != nil {
				return err
			}
			if len(body) > 0 && (body[0] == typeEnd || body[0] == typeCompared) {
				break
			}
			if len(body) > 0 && body[0] == typeRefused {
				return nil
			}
		}
		time.Sleep(pause)
	}
}

// SPEC E13 and E14. Whatever a peer that asks does, the session ends
// within 60 s and 16 MiB, and others are served meanwhile.
func TestThreat32HostileAsks(t *testing.T) {
	if len(hostileAsks) < 15 {
		t.Fatalf("only %d", len(hostileAsks))
	}
	items := history(10, 100)
	for name, ask := range hostileAsks {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, hosts []host.Host) {
				victim := start(t, hosts[0], newMemory(items...), Config{})
				defer victim.stop()
				honest := start(t, hosts[1], newMemory(), Config{})
				defer honest.stop()
				simulation.Connect(t, hosts[1], hosts[0])
				simulation.Connect(t, hosts[2], hosts[0])
				s, err := hosts[2].NewStream(t.Context(), hosts[0].ID(), Protocol)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				r := newRaw(s)
				asking := make(chan error, 1)
				go func() { asking <- ask(r) }()
				honest.pull(t, victim, Everything())
				if len(honest.all()) != len(items) {
					t.Errorf("an honest peer got %d of %d", len(honest.all()), len(items))
				}
				settle(time.Minute + time.Second - time.Since(begin))
				if n := victim.served(); n != 0 {
					t.Errorf("%d sessions are served after %v", n, time.Since(begin))
				}
				_ = s.Reset()
				<-asking
				if r.bytes > 16<<20 {
					t.Errorf("the session took %d bytes", r.bytes)
				}
			})
		})
	}
}

// served counts the streams that are served.
func (r *Reconcile) served() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.streams)
}

// SPEC E13. An asker's offences are told.
func TestOffence(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		told := make(chan error, 10)
		victim := start(t, hosts[0], newMemory(), Config{Offence: func(p peer.ID, err error) {
			if p != hosts[1].ID() {
				t.Errorf("%s is said to have done it", p)
			}
			told <- err
		}})
		defer victim.stop()
		simulation.Connect(t, hosts[1], hosts[0])
		s, err := hosts[1].NewStream(t.Context(), hosts[0].ID(), Protocol)
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(s)
		if err := r.send([]byte{typeGet}); err != nil {
			t.Fatal(err)
		}
		body, err := r.receive()
		if code, refusedErr := decodeRefused(body); err != nil || refusedErr != nil || code != refusedBad {
			t.Errorf("the answer is %x, %v", body, err)
		}
		select {
		case <-told:
		default:
			t.Error("nobody was told")
		}
	})
}

// SPEC E14. Threat 34: streams that stall are closed.
func TestStalledStreams(t *testing.T) {
	streams := 500
	simulate(t, 11, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], newMemory(history(2, 100)...), Config{})
		defer victim.stop()
		for _, h := range hosts[1:] {
			simulation.Connect(t, h, hosts[0])
		}
		settle(time.Second)
		before := runtime.NumGoroutine()
		var open []network.Stream
		busy := 0
		for i := range streams {
			s, err := hosts[1+i%10].NewStream(t.Context(), hosts[0].ID(), Protocol)
			if err != nil {
				t.Fatal(err)
			}
			// Some say nothing, some half a request, some a request whose answer they do not read.
			switch i % 3 {
			case 1:
				_, err = s.Write([]byte{100, typeGet})
			case 2:
				_, err = s.Write(append([]byte{5}, getAll().encode()...))
			}
			if err != nil {
				busy++
			}
			open = append(open, s)
		}
		if busy > streams/2 {
			t.Errorf("%d of %d streams were closed before they stalled", busy, streams)
		}
		settle(30 * time.Second)
		if n := victim.served(); n != 0 {
			t.Errorf("%d of %d streams are open after 30 s", n, streams)
		}
		for _, s := range open {
			_ = s.Reset()
		}
		settle(10 * time.Second)
		if after := runtime.NumGoroutine(); after > before+20 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
		honest := start(t, hosts[1], newMemory(), Config{})
		defer honest.stop()
		honest.pull(t, victim, Everything())
		if len(honest.all()) != 202 {
			t.Errorf("an honest peer got %d afterwards", len(honest.all()))
		}
	})
}
