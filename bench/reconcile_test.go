//go:build unix

// Package bench_test has the measurements that no single package can make.
package bench_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

var (
	sizes  = flag.String("sizes", "1000", "numbers of records, growing")
	latest = flag.Int("nothing", 1000, "the number of records that a node without any pulls")
)

// from is when the records begin.
var from = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// An author signs one record after another.
type author struct {
	name   string
	secret *sign.SecretKey
	seq    int64
	prev   []cid.Cid
}

func (a *author) release(ctx context.Context) (index.Item, error) {
	module, err := cid.Decode("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
	if err != nil {
		return index.Item{}, err
	}
	r := &records.Record{Author: a.secret.Key().Fingerprint(), Seq: a.seq, Prev: a.prev, Time: from.Unix() + a.seq, Body: &records.Release{
		Name: records.Name(fmt.Sprintf("%s-pkg-%d", a.name, a.seq/10)), Version: records.Version(fmt.Sprintf("1.%d.0", a.seq%10)),
		Module: module, Size: 5230, Files: 4,
		Manifest: records.Manifest{Description: "A module that does one thing and does it well", License: "MIT",
			Dependencies: map[string]string{"left-pad": "^1.3.0", "right-pad": "~2.0.0"}},
	}}
	v, err := sign.Sign(ctx, a.secret, r)
	if err != nil {
		return index.Item{}, err
	}
	a.seq, a.prev = a.seq+1, []cid.Cid{v.ID()}
	return index.Item{Verified: v, Key: a.secret.Key(), Source: index.Source{At: from}}, nil
}

// A store is an index and who fills it.
type store struct {
	path    string
	index   *index.Index
	authors []*author
	count   int
}

func openIndex(t *testing.T, path string) *index.Index {
	t.Helper()
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// grow adds records until there are n.
func (s *store) grow(t *testing.T, n int) {
	t.Helper()
	for s.count < n {
		batch := make([]index.Item, min(500, n-s.count))
		var signing errgroup.Group
		for i := range s.authors { // an author's records one after another
			signing.Go(func() (err error) {
				for j := i; j < len(batch) && err == nil; j += len(s.authors) {
					batch[j], err = s.authors[i].release(t.Context())
				}
				return err
			})
		}
		if err := signing.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.index.AddAll(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		s.count += len(batch)
	}
}

// copy returns another index with the same records.
func (s *store) copy(t *testing.T, path string) *index.Index {
	t.Helper()
	if err := s.index.Close(); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	s.index = openIndex(t, s.path)
	return openIndex(t, path)
}

// A side is one of two hosts on loopback.
type side struct {
	host  host.Host
	pulls *reconcile.Reconcile
	bytes int64 // of items
}

func newSide(t *testing.T, x *index.Index, keys sign.KeyRing) *side {
	t.Helper()
	h, err := libp2p.New(libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &side{host: h}
	s.pulls, err = reconcile.New(h, reconcile.Config{Set: x, Source: x, Ingest: func(ctx context.Context, _ peer.ID, items []records.Item) (reconcile.IngestResult, error) {
		return s.take(ctx, x, keys, items)
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.pulls.Run(ctx) })
	t.Cleanup(func() { // before the index is closed
		cancel()
		running.Wait()
		h.Close()
	})
	return s
}

// take verifies on all cores and stores, as a node does.
func (s *side) take(ctx context.Context, x *index.Index, keys sign.KeyRing, items []records.Item) (taken reconcile.IngestResult, err error) {
	opened := make([]sign.Verified, len(items))
	var verifying errgroup.Group
	verifying.SetLimit(runtime.NumCPU())
	for i, it := range items {
		s.bytes += int64(len(it.Bytes))
		if it.Element.Kind() == records.ElementKey {
			continue
		}
		verifying.Go(func() (err error) {
			opened[i], err = sign.Open(it.Bytes, keys)
			return err
		})
	}
	if err := verifying.Wait(); err != nil {
		return taken, err
	}
	var batch []index.Item
	for i, it := range items {
		author := it.Element.Author()
		if it.Element.Kind() == records.ElementKey {
			taken.Keys++
			continue
		}
		batch = append(batch, index.Item{Verified: opened[i], Key: keys[author], Source: index.Source{At: from}})
	}
	results, err := x.AddAll(ctx, batch)
	for _, r := range results {
		if r.Outcome == index.Stored {
			taken.Records++
		}
	}
	return taken, err
}

// processor returns the processor time that this process has used.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// pull pulls everything.
func pull(t *testing.T, to, from *side) (all reconcile.Result, sessions int, took time.Duration) {
	t.Helper()
	if err := to.host.Connect(t.Context(), peer.AddrInfo{ID: from.host.ID(), Addrs: from.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for scope := reconcile.Everything(); ; {
		got, err := to.pulls.Pull(t.Context(), from.host.ID(), scope)
		if err != nil {
			t.Fatal(err)
		}
		sessions++
		all.Records += got.Records
		all.Requests += got.Requests
		all.Sent += got.Sent
		all.Received += got.Received
		if !got.More {
			return all, sessions, time.Since(begin)
		}
		scope = got.Left
	}
}

// TestReconcile pulls 10 missing records of sets of growing size, and a whole set,
// between two hosts on loopback with the index that nodes use. bench/reconcile.sh
// runs it with the sizes of bench/README.md.
func TestReconcile(t *testing.T) {
	dir := t.TempDir()
	s := &store{path: filepath.Join(dir, "index.db")}
	s.index = openIndex(t, s.path)
	t.Cleanup(func() { s.index.Close() })
	keys := sign.KeyRing{}
	for i := range 20 {
		name := fmt.Sprintf("a%02d", i)
		secret, err := sign.NewSecretKey(name, name+"@example.com", from.Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		s.authors = append(s.authors, &author{name: name, secret: secret})
		keys[secret.Key().Fingerprint()] = secret.Key()
	}
	for _, text := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(text, func(t *testing.T) {
			s.grow(t, n-10)
			behind := s.copy(t, filepath.Join(dir, text+".db"))
			t.Cleanup(func() { behind.Close() })
			s.grow(t, n)
			a, b := newSide(t, behind, keys), newSide(t, s.index, keys)
			got, sessions, took := pull(t, a, b)
			if got.Records != 10 || sessions != 1 || got.Sent+got.Received > 256<<10 {
				t.Errorf("10 were missing: %+v in %d sessions", got, sessions)
			}
			t.Logf("row: 10 missing of %d | %d | %d | %.0f ms", n, got.Requests, got.Sent+got.Received, took.Seconds()*1000)
			again, _, took := pull(t, a, b)
			t.Logf("row: none missing of %d | %d | %d | %.0f ms", n, again.Requests, again.Sent+again.Received, took.Seconds()*1000)
			if again.Records != 0 || again.Requests != 1 {
				t.Errorf("none was missing: %+v", again)
			}
			if n == *latest {
				s.fromNothing(t, filepath.Join(dir, "new.db"), keys, b)
			}
		})
	}
}

func (s *store) fromNothing(t *testing.T, path string, keys sign.KeyRing, from *side) {
	t.Helper()
	x := openIndex(t, path)
	t.Cleanup(func() { x.Close() })
	c := newSide(t, x, keys)
	begin := processor(t)
	got, sessions, took := pull(t, c, from)
	ratio := float64(got.Sent+got.Received) / float64(c.bytes)
	if got.Records != s.count || ratio > 1.2 {
		t.Errorf("%d of %d records, %.3f bytes for each of theirs", got.Records, s.count, ratio)
	}
	t.Logf("row: all %d, %d sessions, verified and stored | %d | %d (%.3f of the items) | %.1f s, %.1f s of processor time on both sides",
		s.count, sessions, got.Requests, got.Sent+got.Received, ratio, took.Seconds(), (processor(t) - begin).Seconds())
}
