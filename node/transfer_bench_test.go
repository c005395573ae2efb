package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node/home"
)

// BenchmarkTransfer moves modules of 36 files with 9 KiB on average from one node
// to an empty one, 16 modules at a time. Real trees: bench/transfer.sh.
func BenchmarkTransfer(b *testing.B) {
	const count, files = 100, 36
	server := benchNode(b)
	var all []*modules.Module
	for i := range count {
		all = append(all, packNoise(b, server.home, i, files))
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		client := benchNode(b)
		s, err := server.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := client.Connect(b.Context(), s.Addrs[0]); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		var g errgroup.Group
		g.SetLimit(16)
		for _, m := range all {
			g.Go(func() error { return client.Fetch(b.Context(), wantOf(m), nil) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		got := client.parts.fetcher.Stats(server.parts.swarm.Host().ID())
		b.SetBytes(got.BytesIn)
		b.ReportMetric(float64(got.BlocksIn), "blocks/op")
		b.StartTimer()
	}
}

func benchNode(b *testing.B) *Node {
	h, err := home.Open(b.Context(), filepath.Join(b.TempDir(), "home"))
	if err != nil {
		b.Fatal(err)
	}
	n, err := New(b.Context(), h, Config{Listen: []string{loopback}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("run node: %v", err)
		}
		h.Close()
	})
	<-n.Ready()
	return n
}

func packNoise(b *testing.B, h *home.Home, seed, files int) *modules.Module {
	dir := b.TempDir()
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	write := func(name string, text []byte) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	write("package.json", fmt.Appendf(nil, `{"name":"m%d","version":"1.0.0"}`, seed))
	for i := range files {
		text := make([]byte, r.Uint64()%(18<<10))
		_, _ = r.Read(text)
		write(fmt.Sprintf("lib/%d/%d.js", i/8, i), text)
	}
	set, err := modules.Scan(dir)
	if err != nil {
		b.Fatal(err)
	}
	m, err := set.Pack(b.Context(), unsynced{h.Blocks()})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// unsynced stores blocks that need not survive a power cut.
type unsynced struct{ *blocks.Store }

func (s unsynced) Put(ctx context.Context, c cid.Cid, b []byte) error {
	return s.PutUnsynced(ctx, c, b)
}
