package simulation

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// full asks for the numbers of bench/README.md instead of a small part.
var full = os.Getenv("ES_FULL") != ""

// seed is 1 or ES_SEED.
var seed = func() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("ES_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}()

// mesh has each of the members dial so many random others, and lets them know
// these.
func mesh(t *testing.T, n *Network, members []*member, degree int) {
	t.Helper()
	for i, m := range members {
		others := n.Rand.Perm(len(members))
		others = slices.DeleteFunc(others, func(j int) bool { return j == i })
		for _, j := range others[:min(degree, len(others))] {
			m.knows(members[j].host)
		}
	}
}

// hops returns how many connections a record takes from one member to each
// other one at least.
func hops(members []*member, from int) []int {
	number := make(map[peer.ID]int)
	for i, m := range members {
		number[m.host.ID()] = i
	}
	hops := make([]int, len(members))
	for i := range hops {
		hops[i] = -1
	}
	hops[from] = 0
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, p := range members[queue[0]].host.Network().Peers() {
			if j, ok := number[p]; ok && hops[j] < 0 {
				hops[j] = hops[queue[0]] + 1
				queue = append(queue, j)
			}
		}
	}
	return hops
}

// percentile sorts values.
func percentile[T int | time.Duration](values []T, p float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(p*float64(len(values))))]
}

// A record that one of many nodes publishes reaches all of them by gossip, in a
// few times the latency of the links.
func TestPublishReachesAll(t *testing.T) {
	nodes, publishes := 30, 3
	if full {
		nodes, publishes = 1000, 50
	}
	const latency = 50 * time.Millisecond
	Run(t, Config{Hosts: nodes, Latency: latency, Seed: seed}, func(t *testing.T, n *Network) {
		w := newWorld(seed)
		var members []*member
		for i := range nodes {
			m := join(t, n, w, i)
			defer m.stop()
			members = append(members, m)
		}
		mesh(t, n, members, 8)
		Settle(30 * time.Second)
		var times []time.Duration
		var least []int
		for range publishes {
			from := n.Rand.IntN(nodes)
			least = append(least, hops(members, from)...)
			r := members[from].publish()
			Settle(5 * time.Second)
			arrived := r.arrivals()
			if len(arrived) != nodes {
				t.Errorf("a record of node %d reached %d of %d nodes", from, len(arrived), nodes)
			}
			for _, a := range arrived {
				if a.pulled {
					t.Error("a record was pulled before it was announced")
				}
				times = append(times, a.at.Sub(r.published))
			}
		}
		bound := func(p float64) string {
			h := percentile(least, p)
			return fmt.Sprintf("%d hops x %v = %v", h, latency, time.Duration(h)*latency)
		}
		for _, p := range []float64{0.5, 0.99, 1} {
			t.Logf("%d nodes, %d records, p%g: %v beside %s", nodes, publishes, 100*p, percentile(times, p).Round(time.Millisecond), bound(p))
		}
		if p99, most := percentile(times, 0.99), 3*time.Duration(percentile(least, 0.99))*latency; p99 > most {
			t.Errorf("p99 is %v, want at most three times what the links need: %v", p99, most)
		}
	})
}
