package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// full says to run the numbers of the threat table instead of a small part.
var full = os.Getenv("ES_FULL") != ""

// raceEnabled is set in builds with the race detector.
var raceEnabled bool

// simulate runs f in virtual time with n hosts that are not connected.
func simulate(t *testing.T, n int, f func(t *testing.T, hosts []host.Host)) {
	t.Helper()
	if raceEnabled { // https://github.com/golang/go/issues/78156
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, func(t *testing.T) {
		network, meta, err := simlibp2p.SimpleLibp2pNetwork(
			[]simlibp2p.NodeLinkSettingsAndCount{{
				LinkSettings: simnet.NodeBiDiLinkSettings{
					Downlink: simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
					Uplink:   simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
				},
				Count: n,
			}},
			simnet.StaticLatency(5*time.Millisecond),
			simlibp2p.NetworkSettings{UseBlankHost: true},
		)
		if err != nil {
			t.Fatal(err)
		}
		network.Start()
		hung := time.AfterFunc(12*time.Hour, func() { panic("the test waits for ever") })
		defer hung.Stop()
		synctest.Wait() // until identify hears of new protocols
		defer network.Close()
		defer func() {
			for _, h := range meta.Nodes {
				h.Close()
			}
		}()
		f(t, meta.Nodes)
	})
}

// memory is a Store that notes what is done with it.
type memory struct {
	mu     sync.Mutex
	blocks map[digest][]byte
	bad    int // blocks that were put and are not what they are called
	puts   int
	reads  map[digest]int // of blocks that are here

	// spoil, if not nil, may return other bytes for a block, or wait.
	spoil func(ctx context.Context, b []byte) []byte
	full  error // what Put says
}

func newMemory() *memory { return &memory{blocks: map[digest][]byte{}, reads: map[digest]int{}} }

var errAbsent = errors.New("not here")

func (m *memory) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	b, ok := m.blocks[digestOf(c)]
	if ok {
		m.reads[digestOf(c)]++
	}
	m.mu.Unlock()
	if !ok {
		return nil, errAbsent
	}
	if m.spoil != nil {
		return m.spoil(ctx, b), nil
	}
	return b, nil
}

func (m *memory) Put(_ context.Context, c cid.Cid, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	if m.full != nil {
		return m.full
	}
	if sha256.Sum256(b) != digestOf(c) {
		m.bad++
	}
	m.blocks[digestOf(c)] = append([]byte{}, b...)
	return nil
}

// clone returns a store with the same blocks, without those that drop names.
func (m *memory) clone(drop func(b []byte) bool) *memory {
	c := newMemory()
	for d, b := range m.blocks {
		if drop == nil || !drop(b) {
			c.blocks[d] = b
		}
	}
	return c
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

// tree packs a module of so many small files in directories, and one of several
// chunks, an executable and an empty one.
func tree(t testing.TB, seed uint64, files int) (*memory, records.Target) {
	t.Helper()
	dir := t.TempDir()
	write := func(path string, b []byte, mode os.FileMode) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("package.json", fmt.Appendf(nil, `{"name":"tree","version":"1.0.%d"}`, seed), 0o644)
	write("empty", nil, 0o644)
	write("run.sh", noise(seed+1, 100), 0o755)
	write("deep/er/large", noise(seed+2, 2<<20+77), 0o644)
	for i := range files {
		write(fmt.Sprintf("lib/%d/%d.js", i/16, i), noise(seed+3+uint64(i), 200+i%5000), 0o644)
	}
	set, err := modules.Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	blocks := newMemory()
	m, err := set.Pack(t.Context(), blocks)
	if err != nil {
		t.Fatal(err)
	}
	return blocks, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}
}

// node is an Exchange that runs until the test ends.
type node struct {
	*Exchange
	t        *testing.T
	store    *memory
	offences atomic.Int64
}

func start(t *testing.T, h host.Host, store *memory) *node {
	t.Helper()
	return startWith(t, h, Config{Store: store})
}

func startWith(t *testing.T, h host.Host, cfg Config) *node {
	t.Helper()
	n := &node{t: t, store: cfg.Store.(*memory)}
	cfg.Offence = func(peer.ID, error) { n.offences.Add(1) }
	n.Exchange = New(h, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return n
}

// fetch fetches from peers that are all known from the start.
func (n *node) fetch(b records.Target, from ...*node) (bool, error) {
	n.t.Helper()
	peers := make(chan peer.ID, len(from))
	for _, p := range from {
		if err := n.host.Connect(n.t.Context(), p.host.Peerstore().PeerInfo(p.host.ID())); err != nil {
			n.t.Fatal(err)
		}
		peers <- p.host.ID()
	}
	close(peers)
	r, err := n.Fetch(n.t.Context(), b, Providers{Peers: peers}, func(Progress) {})
	return r.Complete, err
}

// whole reports whether a tree is complete, and nothing bad was stored on the way.
func (n *node) whole(b records.Target) error {
	if n.store.bad > 0 {
		return fmt.Errorf("%d bad blocks are stored", n.store.bad)
	}
	_, err := unixfs.Inspect(n.t.Context(), n.store, b)
	return err
}
