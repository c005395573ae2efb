package transfer

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
)

// startAt is start with peers whose address is what at says.
func startAt(t *testing.T, h host.Host, store *memory, at map[string]string) *node {
	t.Helper()
	return startWith(t, h, Config{Store: store, Origin: func(c network.Conn) string { return at[string(c.RemotePeer())] }})
}

// count is how many are being sent.
func (a *answers) count() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, sending := range a.sending {
		n += len(sending)
	}
	return n
}

// keepOpen has the hosts open all streams that they may have at once, again and again, and do
// with each what use does, until the test ends.
func keepOpen(t *testing.T, hosts []host.Host, server host.Host, use func(context.Context, network.Stream)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	for _, h := range hosts {
		if err := h.Connect(ctx, server.Peerstore().PeerInfo(server.ID())); err != nil {
			t.Fatal(err)
		}
		for range maxPeerStreams {
			all.Go(func() {
				for ctx.Err() == nil {
					if s, err := h.NewStream(ctx, server.ID(), ID); err == nil {
						use(ctx, s)
						_ = s.Reset()
					}
					sleep(ctx, 100*time.Millisecond)
				}
			})
		}
	}
}

// slowly takes all of a stream, each 64 KiB just before it would be late.
func slowly(ctx context.Context, s network.Stream) {
	for piece := make([]byte, pieceSize); ctx.Err() == nil; sleep(ctx, idleTimeout-time.Second) {
		if _, err := io.ReadFull(s, piece); err != nil {
			return
		}
	}
}

// Threat 33, SPEC B8 and E370. Throw-away peers of two addresses take all answers that a node
// sends at once, and read slowly: an honest fetch from another address goes on.
func TestThreat33SlowReaders(t *testing.T) {
	blocks, bounds := tree(t, 8, 40)
	var large []digest
	for i := range 24 {
		d := digest{byte(i), 33}
		blocks.blocks[d] = noise(uint64(i), 1<<20)
		large = append(large, d)
	}
	const attackers = 10
	simulate(t, attackers+2, func(t *testing.T, hosts []host.Host) {
		at := map[string]string{string(hosts[1].ID()): "honest"}
		for i, h := range hosts[2:] {
			at[string(h.ID())] = []string{"one", "other"}[i%2]
		}
		server := startAt(t, hosts[0], blocks, at)
		synctest.Wait()
		keepOpen(t, hosts[2:], hosts[0], func(ctx context.Context, s network.Stream) {
			if _, err := s.Write(appendRequest(nil, askBlocks, large)); err == nil {
				slowly(ctx, s)
			}
		})
		time.Sleep(5 * time.Second)
		client := start(t, hosts[1], newMemory())
		begin := time.Now()
		complete, err := client.fetch(bounds, server)
		if !complete || err != nil {
			t.Errorf("an honest fetch: complete %v, %v", complete, err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("an honest fetch takes %v", took)
		}
	})
}

// Threat 33, SPEC B8 and E370. Throw-away peers of one address hold as many streams as a node
// has for all: who comes from another address gets one.
func TestThreat33IdleStreams(t *testing.T) {
	blocks, bounds := tree(t, 9, 40)
	const attackers = maxStreams/maxPeerStreams + 1
	simulate(t, attackers+2, func(t *testing.T, hosts []host.Host) {
		at := map[string]string{string(hosts[1].ID()): "honest"}
		for _, h := range hosts[2:] {
			at[string(h.ID())] = "hostile"
		}
		server := startAt(t, hosts[0], blocks, at)
		synctest.Wait()
		keepOpen(t, hosts[2:], hosts[0], func(ctx context.Context, s network.Stream) {
			if _, err := s.Write([]byte{byte(askBlocks)}); err == nil {
				_, _ = s.Read(make([]byte, 1)) // until it is reset
			}
		})
		time.Sleep(5 * time.Second)
		client := start(t, hosts[1], newMemory())
		begin := time.Now()
		complete, err := client.fetch(bounds, server)
		if !complete || err != nil {
			t.Errorf("an honest fetch: complete %v, %v", complete, err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("an honest fetch takes %v", took)
		}
	})
}
