package node

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/node/pull"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A load is how much TestSteady does.
type load struct {
	nodes   int
	rate    int // records a second, all nodes together
	seconds int
}

// steadyLoad is small, or 20 nodes at 50 records a second for the time that
// ES_STEADY says, such as 10m.
func steadyLoad(t *testing.T) load {
	t.Helper()
	s := os.Getenv("ES_STEADY")
	if s == "" {
		return load{nodes: 5, rate: 50, seconds: 2}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return load{nodes: 20, rate: 50, seconds: int(d.Seconds())}
}

// sample is what all nodes together take at one moment.
type sample struct {
	after      time.Duration
	goroutines int
	heap       uint64 // bytes in use after a collection
}

func sampleNow(start time.Time) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{time.Since(start).Round(time.Second), runtime.NumGoroutine(), m.HeapAlloc}
}

// Nodes that publish without a pause lose nothing. With ES_STEADY it is threat row
// "steady gossip" of the load targets: bench/steady.sh.
func TestSteady(t *testing.T) {
	ctx := t.Context()
	l := steadyLoad(t)
	random := rand.New(rand.NewPCG(1, 2))
	var nodes []*testNode
	var authors []*author
	everybody := new(trust.Policy)
	for range l.nodes {
		a := newAuthor(t, testHome(t))
		authors = append(authors, a)
		if _, err := everybody.AddKey(trust.Entry{Fingerprint: a.fingerprint(), Scopes: []records.Scope{"*"}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range authors {
		if err := atomicfile.Replace(a.home.TrustPath(), everybody.Bytes()); err != nil {
			t.Fatal(err)
		}
		n := startNode(t, a.home, Config{})
		nodes = append(nodes, n)
		for _, j := range random.Perm(i)[:min(i, 4)] {
			if _, err := n.Connect(ctx, nodes[j].addr()); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(t, "in a mesh", func() bool {
		return !slices.ContainsFunc(nodes, func(n *testNode) bool { return len(n.parts.gossip.Mesh("/es/1/records")) == 0 })
	})

	start := time.Now()
	samples := []sample{sampleNow(start)}
	said := make([][]cid.Cid, l.nodes)
	var publishing sync.WaitGroup
	for who := range l.nodes {
		publishing.Go(func() { said[who] = l.publish(t, nodes[who], authors[who], who) })
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(30 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				samples = append(samples, sampleNow(start))
			}
		}
	})
	publishing.Wait()
	close(stop)
	watching.Wait()
	published := time.Since(start)
	everywhere := func() bool {
		for _, n := range nodes {
			c, err := n.home.Index().Counts(ctx)
			if err != nil || c.Records != int64(l.rate*l.seconds) {
				return false
			}
		}
		return true
	}
	untilWithin(t, 2*pull.DefaultInterval, "everywhere", everywhere) // at the latest by a pull
	samples = append(samples, sampleNow(start))
	late := delays(t, nodes, said)
	t.Logf("%d nodes, %d records in %v, all everywhere %v after the start", l.nodes, l.rate*l.seconds, published.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	t.Logf("from stored at the author to stored elsewhere: p50 %v, p99 %v, most %v", late[len(late)/2], late[len(late)*99/100], late[len(late)-1])
	for _, s := range samples {
		t.Logf("after %8v: %5d goroutines, %4d MB of heap for %d nodes", s.after, s.goroutines, s.heap>>20, l.nodes)
	}
	for i, s := range samples[1:] {
		if base := samples[min(1, i)]; float64(s.goroutines) > 1.05*float64(base.goroutines)+50 {
			t.Errorf("goroutines grow: %d after %v, %d after %v", base.goroutines, base.after, s.goroutines, s.after)
		}
	}
}

// publish says a record at each tick, which come at the node's part of the rate, and
// returns their ids. A tick that comes while it is busy is made up for.
func (l load) publish(t *testing.T, n *testNode, a *author, who int) []cid.Cid {
	var ids []cid.Cid
	every := time.Second * time.Duration(l.nodes) / time.Duration(l.rate)
	begin := time.Now()
	for i := range l.rate * l.seconds / l.nodes {
		if wait := time.Until(begin.Add(time.Duration(i) * every)); wait > 0 {
			select {
			case <-time.After(wait):
			case <-t.Context().Done():
				return ids
			}
		}
		id := a.store(a.sign(time.Now(), testRelease(fmt.Sprintf("%d.%d.0", who, i), someModule(who*1_000_000+i))))
		ids = append(ids, id)
		if _, err := n.Announce(t.Context(), []cid.Cid{id}); err != nil {
			t.Error(err)
		}
	}
	return ids
}

// delays returns, sorted, how long each record took to each other node.
func delays(t *testing.T, nodes []*testNode, said [][]cid.Cid) []time.Duration {
	t.Helper()
	var all []time.Duration
	for i, ids := range said {
		for _, id := range ids {
			first, err := nodes[i].home.Index().Statement(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			for j, n := range nodes {
				if j == i {
					continue
				}
				s, err := n.home.Index().Statement(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, s.FirstSeen.Sub(first.FirstSeen))
			}
		}
	}
	slices.Sort(all)
	return all
}
