package transfer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// rounds is how often the worst case of the threat table has to go well.
func rounds() int {
	if full {
		return 50
	}
	return 4
}

// Threat 45, SPEC B10 and B13. One of three providers corrupts 10% of the blocks,
// or stalls for 30 s: every fetch succeeds, and no bad block is stored.
func TestThreat45(t *testing.T) {
	blocks, bounds := tree(t, 1, 300)
	for name, spoil := range map[string]func(chance func(int) int) func(context.Context, []byte) []byte{
		"corrupts": func(chance func(int) int) func(context.Context, []byte) []byte {
			return func(_ context.Context, b []byte) []byte {
				if chance(10) > 0 {
					return b
				}
				bad := append([]byte{}, b...)
				bad[chance(len(bad))] ^= 1 << chance(8)
				return bad
			}
		},
		"stalls": func(chance func(int) int) func(context.Context, []byte) []byte {
			return func(ctx context.Context, b []byte) []byte {
				if chance(10) == 0 {
					sleep(ctx, 30*time.Second)
				}
				return b
			}
		},
	} {
		var slowest time.Duration
		spoiled := 0
		for round := range rounds() {
			simulate(t, 4, func(t *testing.T, hosts []host.Host) {
				held := blocks.clone(nil)
				r := rand.New(rand.NewPCG(uint64(round), 45))
				held.spoil = spoil(func(n int) int {
					held.mu.Lock()
					defer held.mu.Unlock()
					return r.IntN(n)
				})
				bad, good, other := start(t, hosts[0], held), start(t, hosts[1], blocks.clone(nil)), start(t, hosts[2], blocks.clone(nil))
				client := start(t, hosts[3], newMemory())
				from := []*node{bad, good, other}
				from[0], from[round%3] = from[round%3], from[0]
				begin := time.Now()
				complete, err := client.fetch(bounds, from...)
				slowest = max(slowest, time.Since(begin))
				if !complete || err != nil {
					t.Errorf("%s, round %d: complete %v, %v", name, round, complete, err)
				}
				if err := client.whole(bounds); err != nil {
					t.Errorf("%s, round %d: %v", name, round, err)
				}
				spoiled += int(client.offences.Load())
				if time.Since(begin) > stealAfter {
					spoiled++
				}
			})
		}
		if spoiled == 0 {
			t.Errorf("%s: nothing was spoiled: the test shows nothing", name)
		}
		t.Logf("%s: %d of %d fetches succeeded, the slowest in %v of virtual time", name, rounds(), rounds(), slowest)
		if slowest > 15*time.Second {
			t.Errorf("%s: a fetch took %v", name, slowest)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// SPEC B10 and B13. The only provider that lies or stalls is left, and is not asked
// again for as long as the rules say.
func TestBanned(t *testing.T) {
	blocks, bounds := tree(t, 2, 20)
	for name, c := range map[string]struct {
		spoil   func(context.Context, []byte) []byte
		penalty time.Duration
	}{
		"lies":   {func(_ context.Context, b []byte) []byte { return append([]byte("x"), b...) }, integrityBan},
		"stalls": {func(ctx context.Context, b []byte) []byte { sleep(ctx, time.Hour); return b }, stallBan},
	} {
		simulate(t, 2, func(t *testing.T, hosts []host.Host) {
			held := blocks.clone(nil)
			held.spoil = c.spoil
			bad, client := start(t, hosts[0], held), start(t, hosts[1], newMemory())
			asked := func() int {
				held.mu.Lock()
				defer held.mu.Unlock()
				n := 0
				for _, reads := range held.reads {
					n += reads
				}
				return n
			}
			for i, want := range []int{1, 1, 2} {
				begin := time.Now()
				if complete, err := client.fetch(bounds, bad); complete || err != nil {
					t.Fatalf("%s: complete %v, %v", name, complete, err)
				}
				if took := time.Since(begin); took > idleTimeout+stealAfter {
					t.Errorf("%s: it took %v", name, took)
				}
				if got := asked(); got != want {
					t.Errorf("%s: fetch %d: asked %d times, want %d", name, i, got, want)
				}
				if i == 1 {
					time.Sleep(c.penalty)
				}
			}
		})
	}
}

// Threat 25. One bit of one object is wrong, each object in its turn: all are
// caught, none is stored.
func TestThreat25(t *testing.T) {
	files := 100
	if full {
		files = 5000
	}
	blocks, bounds := tree(t, 3, files)
	caught := 0
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		held := blocks.clone(nil)
		bad := start(t, hosts[0], held)
		for d, b := range blocks.blocks {
			flipped := append([]byte{}, b...)
			flipped[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
			held.blocks[d] = flipped
			missing := blocks.clone(nil)
			delete(missing.blocks, d)
			client := New(hosts[1], Config{Store: missing})
			n := &node{Exchange: client, t: t, store: missing}
			if complete, err := n.fetch(bounds, bad); complete || err != nil {
				t.Fatalf("fetch of %s: complete %v, %v", d.cid(true), complete, err)
			}
			if _, stored := missing.blocks[d]; !stored && client.banned.Len() == 1 {
				caught++
			}
			held.blocks[d] = b
		}
	})
	if caught != len(blocks.blocks) {
		t.Errorf("%d of %d are caught", caught, len(blocks.blocks))
	}
	t.Logf("%d of %d caught", caught, len(blocks.blocks))
}

// SPEC B13. A provider that drips does not keep what others could send.
func TestDrip(t *testing.T) {
	blocks, bounds := tree(t, 4, 100)
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		held := blocks.clone(nil)
		held.spoil = func(ctx context.Context, b []byte) []byte { sleep(ctx, 9*time.Second); return b }
		slow, good := start(t, hosts[0], held), start(t, hosts[1], blocks.clone(nil))
		client := start(t, hosts[2], newMemory())
		begin := time.Now()
		if complete, err := client.fetch(bounds, slow, good); !complete || err != nil {
			t.Fatalf("fetch: complete %v, %v", complete, err)
		}
		if took := time.Since(begin); took > 4*stealAfter {
			t.Errorf("it took %v", took)
		}
	})
}

// SPEC B15. A busy provider is asked again, and in the end given up.
func TestBusy(t *testing.T) {
	blocks, bounds := tree(t, 5, 20)
	for _, busy := range []int{1, maxBusy - 1, maxBusy} {
		simulate(t, 2, func(t *testing.T, hosts []host.Host) {
			server, client := start(t, hosts[0], blocks.clone(nil)), start(t, hosts[1], newMemory())
			synctest.Wait()
			var said atomic.Int64
			hosts[0].SetStreamHandler(ID, func(s network.Stream) {
				for {
					k, asked, err := readRequest(s)
					if err != nil {
						_ = s.Close()
						return
					}
					if said.Add(1) <= int64(busy) {
						_, _ = s.Write(headerEnd[:])
					} else if server.answer(t.Context(), s, k, asked) != nil {
						return
					}
				}
			})
			begin := time.Now()
			complete, err := client.fetch(bounds, server)
			if complete != (busy < maxBusy) || err != nil {
				t.Errorf("busy %d times: complete %v, %v", busy, complete, err)
			}
			if took := time.Since(begin); took < busyPause {
				t.Errorf("busy %d times: it was asked again after %v", busy, took)
			}
		})
	}
}

// Threat 34, SPEC B8 and B9. Streams that stall, before, in and after a request,
// are closed, and whoever has too many gets no more.
func TestThreat34(t *testing.T) {
	peers := 10
	if full {
		peers = 63
	}
	blocks, bounds := tree(t, 6, 40)
	large := 0
	for _, b := range blocks.blocks {
		large = max(large, len(b))
	}
	simulate(t, peers+2, func(t *testing.T, hosts []host.Host) {
		server := start(t, hosts[0], blocks)
		synctest.Wait()
		before := runtime.NumGoroutine()
		var refused, opened atomic.Int64
		request := appendRequest(nil, askNodes, []digest{digestOf(bounds.CID)})
		for _, h := range hosts[2:] {
			if err := h.Connect(t.Context(), hosts[0].Peerstore().PeerInfo(hosts[0].ID())); err != nil {
				t.Fatal(err)
			}
			for i := range maxPeerStreams + 2 {
				s, err := h.NewStream(t.Context(), hosts[0].ID(), ID)
				if err != nil {
					refused.Add(1)
					continue
				}
				opened.Add(1)
				_, _ = s.Write(request[:i*len(request)/(maxPeerStreams+1)])
			}
		}
		synctest.Wait()
		server.mu.Lock()
		total := 0
		for p, n := range server.serving {
			if total += n; n > maxPeerStreams {
				t.Errorf("%s has %d streams", p, n)
			}
		}
		server.mu.Unlock()
		if want := min(peers*maxPeerStreams, maxStreams); total > want || total < want/2 {
			t.Errorf("%d streams are open, want about %d", total, want)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		server.mu.Lock()
		if len(server.serving) > 0 || len(server.streams) > 0 {
			t.Errorf("%d peers have streams after 30 s", len(server.serving))
		}
		server.mu.Unlock()
		client := start(t, hosts[1], newMemory())
		if complete, err := client.fetch(bounds, server); !complete || err != nil {
			t.Errorf("an honest fetch: complete %v, %v", complete, err)
		}
		t.Logf("%d streams, %d goroutines more than before", opened.Load(), runtime.NumGoroutine()-before)
	})
}

// SPEC B9. Whoever does not read loses the stream.
func TestReaderStalls(t *testing.T) {
	blocks := newMemory()
	var asked []digest
	for i := range 32 {
		b := noise(uint64(i), 1<<20)
		d := digest{byte(i)}
		blocks.blocks[d] = b
		asked = append(asked, d)
	}
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		server := start(t, hosts[0], blocks)
		if err := hosts[1].Connect(t.Context(), hosts[0].Peerstore().PeerInfo(hosts[0].ID())); err != nil {
			t.Fatal(err)
		}
		s, err := hosts[1].NewStream(t.Context(), hosts[0].ID(), ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(appendRequest(nil, askBlocks, asked)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := server.blockAnswers.count(); n != 1 {
			t.Errorf("%d answers are being sent", n)
		}
		time.Sleep(idleTimeout + time.Second)
		synctest.Wait()
		if server.blockAnswers.count() != 0 {
			t.Error("the answer is still being sent")
		}
	})
}

// SPEC B4. A length that no block has is refused before anything is read for it.
func TestHugeFrame(t *testing.T) {
	for _, n := range []uint32{2<<20 + 2, 1 << 31, 0xFFFFFFFE} {
		head := binary.BigEndian.AppendUint32(nil, n)
		_, buf, err := readFrame(readerOf(head), nil)
		if err == nil || cap(buf) > 0 {
			t.Errorf("length %d: %v, %d bytes allocated", n, err, cap(buf))
		}
	}
}

// readerOf reads b and then fails the test's purpose with an error.
func readerOf(b []byte) *oneRead { return &oneRead{b} }

type oneRead struct{ b []byte }

func (r *oneRead) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, fmt.Errorf("more was read than the header")
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// TestBansAreBounded: of too many bans the newest are kept, so that peers without number
// do not undo each other's.
func TestBansAreBounded(t *testing.T) {
	x := New(nil, Config{})
	last := peer.ID("")
	for i := range maxBanned + 1 {
		last = peer.ID(fmt.Sprint(i))
		x.failed(&peerQueue{x: x, peer: last}, &OffenceError{"a block with another hash"})
	}
	if !x.isBanned(last) || x.isBanned("0") || x.banned.Len() != maxBanned {
		t.Errorf("the newest is banned: %v, the oldest: %v; of %d", x.isBanned(last), x.isBanned("0"), x.banned.Len())
	}
}
