package node

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
)

// raceEnabled is set in builds with the race detector, which take several times as
// much memory.
var raceEnabled bool

// TestMain makes this program a node when ES_TEST_NODE names a home: some tests
// measure a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ES_TEST_NODE"); dir != "" {
		if err := runForTest(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runForTest runs a node, which says where it is, until its input ends.
func runForTest(ctx context.Context, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h, err := home.Open(ctx, dir)
	if err != nil {
		return err
	}
	defer h.Close()
	n, err := New(ctx, h, Config{Listen: []string{loopback}, DHT: api.DHTOwn, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-done:
		return err
	}
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Println(s.Addrs[0])
	bufio.NewReader(os.Stdin).ReadString('\n')
	cancel()
	return <-done
}

// victim starts a node in a process of its own.
func victim(t *testing.T) (addr string, pid int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ES_TEST_NODE="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the node ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid
}

// peakMemory is the largest resident size that a process has had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("the system does not say how much memory a process has")
	return 0
}

// flood dials a node from many hosts at once and opens streams on which it says
// nothing, until ctx ends. It dials again when it is thrown out.
type flood struct {
	dialled, opened atomic.Int64
}

func (c *flood) run(ctx context.Context, t *testing.T, target peer.AddrInfo, dialers, streams int) {
	var all sync.WaitGroup
	for range dialers {
		all.Go(func() {
			h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics())
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			protocols := []protocol.ID{"/ipfs/bitswap/1.2.0", "/ipfs/lan/kad/1.0.0", "/ipfs/ping/1.0.0", "/meshsub/1.2.0", "/es/reconcile/2", "/es/transfer/1"}
			for ctx.Err() == nil {
				if h.Connect(ctx, target) == nil {
					c.dialled.Add(1)
					for i := range streams {
						s, err := h.NewStream(ctx, target.ID, protocols[i%len(protocols)])
						if err != nil {
							continue
						}
						if _, err := s.Write([]byte{0x80}); err == nil {
							c.opened.Add(1)
						}
					}
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
	}
	all.Wait()
}

// SPEC N21: a thousand dialers with a hundred streams each, from an
// address without a limit of its own, cost bounded memory, and honest peers do not
// notice.
func TestThreat33HostileCrowd(t *testing.T) {
	dialers, streams, long := 60, 20, 5*time.Second
	if full {
		dialers, streams, long = 1000, 100, time.Minute
	}
	addr, pid := victim(t)
	target, err := address.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	honest := startNode(t, testHome(t), Config{})
	if _, err := honest.Connect(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if err := honest.parts.gossip.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "they gossip", func() bool {
		all, err := honest.Peers(t.Context())
		return err == nil && len(all) == 1 && all[0].Gossip
	})

	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var c flood
	var attack sync.WaitGroup
	attack.Go(func() { c.run(ctx, t, *target, dialers, streams) })
	var took []time.Duration
	for ctx.Err() == nil {
		start := time.Now()
		one, stop := context.WithTimeout(t.Context(), 10*time.Second)
		r := <-ping.Ping(one, honest.parts.swarm.Host(), target.ID)
		stop()
		if r.Error != nil {
			t.Errorf("an honest peer's round trip: %v", r.Error)
			break
		}
		took = append(took, time.Since(start))
		time.Sleep(20 * time.Millisecond)
	}
	attack.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		t.Fatal("no round trip was measured")
	}
	p99, peak := took[len(took)*99/100], peakMemory(t, pid)
	t.Logf("%d connections and %d streams by %d dialers: at most %d MiB; %d honest round trips, median %v, p99 %v, slowest %v",
		c.dialled.Load(), c.opened.Load(), dialers, peak>>20, len(took), took[len(took)/2], p99, took[len(took)-1])
	if c.opened.Load() < int64(dialers) {
		t.Errorf("only %d hostile streams were opened", c.opened.Load())
	}
	if peak > 512<<20 && !raceEnabled {
		t.Errorf("the node had %d MiB", peak>>20)
	}
	if full && p99 > time.Second {
		t.Errorf("p99 of an honest peer's round trips is %v", p99)
	}
	// And new ones get in again.
	late := startNode(t, testHome(t), Config{})
	until(t, "a new peer gets in", func() bool {
		_, err := late.Connect(t.Context(), addr)
		return err == nil
	})
}
