package reconcile

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/everythingstays/es/simulation"
)

// full says to run the numbers of the threat table instead of a small part.
var full = os.Getenv("ES_FULL") != ""

// simulate runs f in virtual time with n hosts that are not connected.
func simulate(t *testing.T, n int, f func(t *testing.T, hosts []host.Host)) {
	t.Helper()
	simulation.Run(t, simulation.Config{Hosts: n, Latency: 5 * time.Millisecond}, func(t *testing.T, n *simulation.Network) {
		f(t, n.Hosts)
	})
}

// settle lets virtual time pass.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A node is a Reconcile with its set.
type node struct {
	*Reconcile
	*memory
	host host.Host
	stop func()
}

// start runs a node until stop is called. What cfg leaves out is m.
func start(t *testing.T, h host.Host, m *memory, cfg Config) *node {
	t.Helper()
	n := &node{memory: m, host: h}
	if cfg.Set == nil {
		cfg.Set = m
	}
	if cfg.Source == nil {
		cfg.Source = m
	}
	if cfg.Ingest == nil {
		cfg.Ingest = m.take
	}
	r, err := New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Reconcile = r
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	synctest.Wait()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return n
}

// pull gets everything from another node, in as many sessions as it takes.
func (n *node) pull(t *testing.T, from *node, scope Scope) (all Result, sessions int) {
	t.Helper()
	for {
		got, err := n.Pull(t.Context(), from.host.ID(), scope)
		if err != nil {
			t.Fatal(err)
		}
		sessions++
		all.IngestResult.add(got.IngestResult)
		all.Items += got.Items
		all.Unwanted += got.Unwanted
		all.Lacks += got.Lacks
		all.Requests += got.Requests
		all.Sent += got.Sent
		all.Received += got.Received
		if !got.More {
			return all, sessions
		}
		if got.Items == 0 && slices.Equal(got.Left, scope) {
			t.Fatalf("session %d brought nothing and says that more is left", sessions)
		}
		scope = got.Left
	}
}

// pair runs two connected nodes.
func pair(t *testing.T, a, b *memory, f func(t *testing.T, x, y *node)) {
	t.Helper()
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		x, y := start(t, hosts[0], a, Config{}), start(t, hosts[1], b, Config{})
		defer x.stop()
		defer y.stop()
		simulation.Connect(t, hosts[0], hosts[1])
		f(t, x, y)
	})
}
