package node

import (
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
)

// stall opens streams to n from several hosts, since one has at most maxPerPeer,
// starts a message on each and says no more.
func stall(t *testing.T, n *testNode, hosts int) (hostile []host.Host, streams int) {
	t.Helper()
	addr, err := address.Parse(n.addr())
	if err != nil {
		t.Fatal(err)
	}
	protocols := []protocol.ID{"/ipfs/bitswap/1.2.0", "/ipfs/bitswap/1.1.0", "/ipfs/lan/kad/1.0.0", "/ipfs/ping/1.0.0", "/ipfs/id/push/1.0.0"}
	for range hosts {
		stranger := testSwarm(t, swarm.Config{})
		h := stranger.Host()
		hostile = append(hostile, h)
		if err := stranger.Dial(t.Context(), *addr, swarm.Incoming, swarm.DialTimeout); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			s, err := h.NewStream(t.Context(), addr.ID, protocols[i%len(protocols)])
			if err != nil {
				continue // of some protocols a peer has few
			}
			if _, err := s.Write([]byte{0x80}); err == nil {
				streams++
			}
		}
	}
	return hostile, streams
}

// open counts the streams of all connections.
func (n *testNode) open() int {
	count := 0
	for _, c := range n.parts.swarm.Host().Network().Conns() {
		count += len(c.GetStreams())
	}
	return count
}

// SPEC N23. Threat 34: whoever opens streams and says nothing on them loses them
// all, and what they cost.
func TestStalledStreams(t *testing.T) {
	// With the real times it takes half a minute; nothing else differs.
	idle, most := 500*time.Millisecond, 20*time.Second
	if full {
		idle, most = swarm.IdleStream, 30*time.Second
	}
	n := startNodeWith(t, testHome(t), Config{DHT: api.DHTOwn}, func(n *Node) { n.swarm.StreamTimeout = idle })
	drop := func(hostile []host.Host) {
		for _, h := range hostile {
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "they are gone", func() bool { return len(n.parts.swarm.Host().Network().Conns()) == 0 })
	}
	first, _ := stall(t, n, 1) // which starts what runs from the first peer on
	drop(first)
	before := runtime.NumGoroutine()

	hostile, streams := stall(t, n, 20)
	if streams < 500 {
		t.Fatalf("opened %d streams", streams)
	}
	start, end := time.Now(), time.After(most)
	for n.open() > 0 {
		select {
		case <-end:
			t.Fatalf("%d of %d streams are open after %v", n.open(), streams, most)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Logf("%d streams, all closed after %v", streams, time.Since(start))
	drop(hostile)
	until(t, "goroutines are back to what they were", func() bool { return runtime.NumGoroutine() <= before+20 })
}
