package interop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// serving starts a node with records in it, at a place of its own.
func serving(t *testing.T, net *internet, records int) (there *daemon, author *user) {
	t.Helper()
	author, _ = newAuthor(t, "ada")
	for i := range records {
		author.publish(small(t, fmt.Sprintf("served-%d", i)))
	}
	author.at(net.host("author"))
	return author.daemon(), author
}

// served has users with fresh homes do what CI does, all at once, and returns how
// long the slowest took.
func served(t *testing.T, there *daemon, where []place, addr string, records int) time.Duration {
	t.Helper()
	var all sync.WaitGroup
	took := make([]time.Duration, len(where))
	failed := make([]string, len(where))
	for i, p := range where {
		u := newUser(t).at(p)
		all.Go(func() {
			start := time.Now()
			defer func() { took[i] = time.Since(start) }()
			for _, args := range [][]string{{"connect", addr}, {"sync"}, {"search", "served"}} {
				r := u.try("", args...)
				if r.code != 0 {
					failed[i] = r.String()
					return
				}
				if n := strings.Count(r.stdout, "served-"); args[0] == "search" && n < records {
					failed[i] = fmt.Sprintf("%d of %d records: %v", n, records, r)
				}
			}
		})
	}
	all.Wait()
	bad := slices.DeleteFunc(slices.Clone(failed), func(s string) bool { return s == "" })
	if len(bad) > 0 {
		t.Errorf("%d of %d were not served; the first: %s", len(bad), len(where), strings.Join(bad, "\n\n"))
	}
	slices.Sort(took)
	t.Logf("%d clients: median %v, slowest %v", len(where), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	return took[len(took)-1]
}

// TestOffice has clients with fresh homes, all behind one address, do what they do
// at once: none is refused, by TCP, by QUIC, by IPv4, by IPv6.
func TestOffice(t *testing.T) {
	const records = 5
	for _, c := range []struct {
		name, prefix string
		clients      int
		limit        time.Duration // for the machine, which has a hundred of them to run
	}{
		{"6 by TCP", "/ip4/5.1.1.2/tcp/", 6, 30 * time.Second},
		{"60 by TCP", "/ip4/5.1.1.2/tcp/", 60, 2 * time.Minute},
		{"100 by IPv6", "/ip6/2a00:5e5:1::2/tcp/", 100, 3 * time.Minute},
		{"60 by QUIC", "/ip4/5.1.1.2/udp/", 60, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			net := newInternet(t)
			there, _ := serving(t, net, records)
			i := slices.IndexFunc(there.addrs, func(a string) bool { return strings.HasPrefix(a, c.prefix) })
			office := net.host("office")
			if took := served(t, there, slices.Repeat([]place{office}, c.clients), there.addrs[i], records); took > c.limit {
				t.Errorf("the slowest of %d took %v, want at most %v", c.clients, took, c.limit)
			}
		})
	}
}
