package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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
		// Clients and node share this machine, so the node may be late for some: QUIC waits for 5 s.
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

// holdConnections opens and keeps as many connections as an address lets it, until its input ends.
func holdConnections(addr string) {
	for range 300 {
		go func() {
			for {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, c) // until it is thrown out
				c.Close()
			}
		}()
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// crowded has a place open connections to a node until the test, or stop, ends it.
func crowded(t *testing.T, p place, addr string) (stop func()) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", p.netns, os.Args[0])
	cmd.Env = environment([]string{"ES_TEST_CROWD=" + addr})
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
	stop = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the connections: %v", err)
		}
	})
	t.Cleanup(stop)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return stop
}

// TestRefusedIsSaid has an address whose places are all taken: whoever comes from there
// is told so, others notice nothing, and when there is room again they are let in.
func TestRefusedIsSaid(t *testing.T) {
	network := newInternet(t)
	there, _ := serving(t, network, 1)
	const addr = "/ip4/5.1.1.2/tcp/"
	i := slices.IndexFunc(there.addrs, func(a string) bool { return strings.HasPrefix(a, addr) })
	office, elsewhere := network.host("office"), network.host("elsewhere")
	known := newUser(t).at(office)
	known.es("", "connect", there.addrs[i])
	stop := crowded(t, office, "5.1.1.2:4011")

	fresh := newUser(t).at(office)
	eventually(t, 2*time.Minute, "all places of the address are taken", func() bool {
		r := fresh.try("", "connect", there.addrs[i])
		return r.code == 6 && strings.Contains(r.stderr, "refused: ") && strings.Contains(r.stderr, "too many from one address") &&
			strings.Contains(r.stderr, "hint: try again in a minute")
	})
	r := known.try("", "sync")
	if r.code != 6 || !strings.Contains(r.stderr, "1 peer refused: too many connections from this address") {
		t.Errorf("a refused sync says: %v", r)
	}
	if strings.Contains(r.stderr, "EOF") || strings.Contains(r.stderr, "negotiate") {
		t.Errorf("words of a library: %v", r)
	}
	served(t, there, []place{elsewhere}, there.addrs[i], 1)
	stop()
	served(t, there, []place{office}, there.addrs[i], 1)
}
