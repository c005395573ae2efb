package transfer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// SPEC B1, B5, B6 and B7. A tree comes whole from one peer, each block once.
func TestFetch(t *testing.T) {
	blocks, bounds := tree(t, 1, 300)
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		server, client := start(t, hosts[0], blocks), start(t, hosts[1], newMemory())
		complete, err := client.fetch(bounds, server)
		if !complete || err != nil {
			t.Fatalf("fetch: complete %v, %v", complete, err)
		}
		if err := client.whole(bounds); err != nil {
			t.Error(err)
		}
		for d, n := range blocks.reads {
			if n > 1 {
				t.Errorf("block %s was sent %d times", d.cid(true), n)
			}
		}
		got, sent := client.Stats(server.host.ID()), server.Stats(client.host.ID())
		if got.BytesIn == 0 || got.BytesIn != sent.BytesOut || got.BlocksIn != sent.BlocksOut || int(got.BlocksIn) != len(blocks.blocks) {
			t.Errorf("the client counts %+v, the server %+v", got, sent)
		}
	})
}

// SPEC B11. What is here is not asked for: all but some leaves, and then nothing.
func TestFetchResumes(t *testing.T) {
	blocks, bounds := tree(t, 2, 200)
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		dropped := 0
		held := blocks.clone(func(b []byte) bool {
			if len(b) > 250 && len(b) < 300 && b[0] != 0x12 {
				dropped++
				return true
			}
			return false
		})
		if dropped == 0 {
			t.Fatal("nothing is missing")
		}
		server, client := start(t, hosts[0], blocks), start(t, hosts[1], held)
		for _, want := range []int{dropped, dropped} {
			if complete, err := client.fetch(bounds, server); !complete || err != nil {
				t.Fatalf("fetch: complete %v, %v", complete, err)
			}
			if got := client.Stats(server.host.ID()).BlocksIn; int(got) != want {
				t.Errorf("%d blocks were sent, %d were missing", got, want)
			}
		}
	})
}

// SPEC B14 and B16. Two peers that have half of the leaves each, and a third that
// has nothing, give everything; without one of them the rest is missing.
func TestFetchFromPartialProviders(t *testing.T) {
	blocks, bounds := tree(t, 3, 200)
	half := func(odd byte) *memory {
		return blocks.clone(func(b []byte) bool { return len(b) > 190 && len(b) < 6000 && b[0] != 0x12 && b[len(b)-1]&1 == odd })
	}
	simulate(t, 4, func(t *testing.T, hosts []host.Host) {
		none, a, b := start(t, hosts[0], newMemory()), start(t, hosts[1], half(0)), start(t, hosts[2], half(1))
		client := start(t, hosts[3], newMemory())
		begin := time.Now()
		if complete, err := client.fetch(bounds, none, a); complete || err != nil {
			t.Errorf("fetch of half: complete %v, %v", complete, err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v to find out that nobody has the rest", took)
		}
		if complete, err := client.fetch(bounds, none, b, a); !complete || err != nil {
			t.Errorf("fetch: complete %v, %v", complete, err)
		}
		if err := client.whole(bounds); err != nil {
			t.Error(err)
		}
		if client.Stats(a.host.ID()).BlocksIn == 0 || client.Stats(b.host.ID()).BlocksIn == 0 {
			t.Error("one of them gave nothing: the test shows nothing")
		}
	})
}

// A provider that comes late is used, and is asked for when the others starve.
func TestLateProvider(t *testing.T) {
	blocks, bounds := tree(t, 4, 20)
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		none, late := start(t, hosts[0], newMemory()), start(t, hosts[1], blocks)
		client := start(t, hosts[2], newMemory())
		peers, needPeers := make(chan peer.ID), make(chan struct{}, 1)
		for _, h := range []host.Host{none.host, late.host} {
			if err := client.host.Connect(t.Context(), h.Peerstore().PeerInfo(h.ID())); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			defer close(peers)
			peers <- none.host.ID()
			<-needPeers
			time.Sleep(time.Minute)
			peers <- late.host.ID()
		}()
		from := Providers{Peers: peers, NeedPeers: func() {
			select {
			case needPeers <- struct{}{}:
			default:
			}
		}}
		if r, err := client.Fetch(t.Context(), bounds, from, func(Progress) {}); !r.Complete || err != nil {
			t.Errorf("fetch: %+v, %v", r, err)
		}
	})
}

// SPEC B1. Many fetches at once share the streams to a peer.
func TestManyFetches(t *testing.T) {
	const count = 60
	all := newMemory()
	var bounds []records.Target
	for i := range count {
		m, b := tree(t, uint64(10+1000*i), 8)
		for d, block := range m.blocks {
			all.blocks[d] = block
		}
		bounds = append(bounds, b)
	}
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		server, client := start(t, hosts[0], all), start(t, hosts[1], newMemory())
		most := 0
		all.spoil = func(_ context.Context, b []byte) []byte {
			server.mu.Lock()
			defer server.mu.Unlock()
			most = max(most, server.serving[client.host.ID()])
			return b
		}
		var fetches sync.WaitGroup
		for _, b := range bounds {
			fetches.Go(func() {
				if complete, err := client.fetch(b, server); !complete || err != nil {
					t.Errorf("fetch: complete %v, %v", complete, err)
				}
			})
		}
		fetches.Wait()
		if most == 0 || most > streamsPerPeer {
			t.Errorf("%d streams were open at once", most)
		}
		time.Sleep(streamPause + time.Second)
		synctest.Wait()
		client.mu.Lock()
		defer client.mu.Unlock()
		if len(client.queues) > 0 || len(client.jobs) > 0 || len(client.streams) > 0 {
			t.Errorf("%d queues, %d jobs and %d streams are left", len(client.queues), len(client.jobs), len(client.streams))
		}
	})
}

// SPEC B12. A tree with more bytes than was signed is refused, wherever they are.
func TestFetchBounds(t *testing.T) {
	blocks, bounds := tree(t, 5, 10)
	for name, held := range map[string]*memory{"from a peer": newMemory(), "here": blocks.clone(nil)} {
		simulate(t, 2, func(t *testing.T, hosts []host.Host) {
			server, client := start(t, hosts[0], blocks), start(t, hosts[1], held)
			small := bounds
			small.Size, small.Files = 1000, 1
			var rule *unixfs.RuleError
			if _, err := client.fetch(small, server); !errors.As(err, &rule) || rule.Rule != "M26" {
				t.Errorf("%s: %v", name, err)
			}
			if client.offences.Load() > 0 {
				t.Errorf("%s: the peer is blamed", name)
			}
			if complete, err := client.fetch(bounds, server); !complete || err != nil {
				t.Errorf("%s: with the right bounds: complete %v, %v", name, complete, err)
			}
		})
	}
}

// A store that is full ends the fetch with its error, and blames nobody.
func TestFetchIntoFullStore(t *testing.T) {
	blocks, bounds := tree(t, 6, 10)
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		store := newMemory()
		store.full = errors.New("no space left")
		server, client := start(t, hosts[0], blocks), start(t, hosts[1], store)
		if _, err := client.fetch(bounds, server); !errors.Is(err, store.full) || client.offences.Load() > 0 {
			t.Errorf("fetch: %v, %d offences", err, client.offences.Load())
		}
	})
}

// A fetch that is given up leaves the streams to others in order.
func TestFetchIsCancelled(t *testing.T) {
	blocks, bounds := tree(t, 7, 300)
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		server, client := start(t, hosts[0], blocks), start(t, hosts[1], newMemory())
		peers := make(chan peer.ID, 1)
		peers <- server.host.ID()
		if err := client.host.Connect(t.Context(), server.host.Peerstore().PeerInfo(server.host.ID())); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		if _, err := client.Fetch(ctx, bounds, Providers{Peers: peers}, func(Progress) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("fetch: %v", err)
		}
		if n := client.Stats(server.host.ID()).BlocksIn; n == 0 || int(n) == len(blocks.blocks) {
			t.Fatalf("%d blocks came: the test shows nothing", n)
		}
		if complete, err := client.fetch(bounds, server); !complete || err != nil {
			t.Errorf("fetch again: complete %v, %v", complete, err)
		}
	})
}
