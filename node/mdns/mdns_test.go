package mdns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
)

// fakeLAN is a Discovery that hears what a test says, and dials nobody.
func fakeLAN(t *testing.T, dials *atomic.Int64, entries func(chan<- *zeroconf.ServiceEntry)) *Discovery {
	t.Helper()
	here := netsOf(t, "192.0.2.1/24")
	here.Interfaces, here.V4 = []net.Interface{{Name: "lan0"}}, true
	d := New(Config{
		Self: "self", Addrs: func() []ma.Multiaddr { return nil },
		Dial: func(ctx context.Context, info peer.AddrInfo, timeout time.Duration) error {
			dials.Add(1)
			time.Sleep(timeout) // virtual; nobody answers
			return errors.New("no answer")
		},
		Connected: func() int { return 0 },
		Log:       slog.New(slog.DiscardHandler),
	})
	d.browse = func(ctx context.Context, _ string, out chan<- *zeroconf.ServiceEntry) error {
		defer close(out)
		entries(out)
		<-ctx.Done()
		return nil
	}
	d.nets = func() address.Networks { return here }
	return d
}

func fakePeer(t *testing.T) string {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// SPEC D13. Ten thousand announced peers cost bounded memory and few dials.
func TestFloodOfAnnouncements(t *testing.T) {
	const flood = 10_000
	var all []*zeroconf.ServiceEntry
	for i := range flood {
		addr := fmt.Sprintf("dnsaddr=/ip4/192.0.2.%d/tcp/4011/p2p/%s", 2+i%250, fakePeer(t))
		all = append(all, &zeroconf.ServiceEntry{Text: []string{addr}})
	}
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		heard := 0
		l := fakeLAN(t, &dials, func(out chan<- *zeroconf.ServiceEntry) {
			for heard < flood {
				out <- all[heard]
				heard++
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		time.Sleep(10 * time.Second)
		if n := dials.Load(); n < dialBurst || n > dialBurst+10*dialRate {
			t.Errorf("%d dials in 10 s", n)
		}
		if n := runtime.NumGoroutine(); n > 50 {
			t.Errorf("%d goroutines", n)
		}
		time.Sleep(time.Minute)
		l.mu.Lock()
		if len(l.tries) > maxTries {
			t.Errorf("%d peers are remembered", len(l.tries))
		}
		l.mu.Unlock()
		if n := dials.Load(); n > dialBurst+70*dialRate {
			t.Errorf("%d dials in 70 s", n)
		}
		cancel()
		<-done
	})
}

// TestThreat58FloodOfNeighbours has one honest neighbour among thousands of announced
// peers that do not answer, at 6 IPs, at any private one, and at every one of its own
// network: it is dialled among the first, by a node for one command before it gives
// up, though it is heard last (SPEC D13).
func TestThreat58FloodOfNeighbours(t *testing.T) {
	honest := fakePeer(t)
	good := &zeroconf.ServiceEntry{Text: []string{"dnsaddr=/ip4/192.0.2.77/tcp/4011/p2p/" + honest}}
	ids := make([]string, 3000)
	for i := range ids {
		ids[i] = fakePeer(t)
	}
	for name, c := range map[string]struct {
		ip     func(i int) string
		within time.Duration
	}{
		"6 IPs":           {func(i int) string { return fmt.Sprintf("192.0.2.%d", 10+i%6) }, floodWait},
		"private IPs":     {func(i int) string { return fmt.Sprintf("10.%d.%d.1", i/250, i%250) }, floodWait},
		"its own network": {func(i int) string { return fmt.Sprintf("192.0.2.%d", 100+i%150) }, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var dials atomic.Int64
			l := fakeLAN(t, &dials, func(out chan<- *zeroconf.ServiceEntry) {
				for i, id := range ids {
					out <- &zeroconf.ServiceEntry{Text: []string{"dnsaddr=/ip4/" + c.ip(i) + "/tcp/4011/p2p/" + id}}
				}
				out <- good
			})
			silent := l.cfg.Dial
			met := make(chan struct{})
			l.cfg.Dial = func(ctx context.Context, info peer.AddrInfo, limit time.Duration) error {
				if info.ID.String() != honest {
					return silent(ctx, info, limit)
				}
				close(met)
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { l.Run(ctx); close(done) }()
			select {
			case <-met:
				if c.within == floodWait {
					select {
					case <-l.queried:
						t.Errorf("%s: a command has given up before", name)
					default:
					}
				}
			case <-time.After(c.within):
				t.Errorf("%s: the honest neighbour is not dialled within %v, among %d dials", name, c.within, dials.Load())
			}
			cancel()
			<-done
		})
	}
}

// SPEC D11, D12. Whom a node believes to be a neighbour.
func TestAnnouncements(t *testing.T) {
	id, other := fakePeer(t), fakePeer(t)
	nets := netsOf(t, "203.0.113.5/24", "10.0.0.9/24")
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf("dnsaddr=/ip4/10.0.0.%d/tcp/4011/p2p/%s", i, id)
	}
	for _, c := range []struct {
		text []string
		want int // addresses
	}{
		{nil, 0},
		{[]string{"nonsense", "dnsaddr=", "dnsaddr=/ip4/10.0.0.1", "dnsaddr=/p2p/" + id}, 0},
		{[]string{"dnsaddr=/ip4/10.0.0.1/tcp/4011/p2p/" + id, "dnsaddr=/ip4/10.0.0.1/udp/4011/quic-v1/p2p/" + id}, 2},
		{[]string{"dnsaddr=/ip4/192.168.1.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/169.254.1.1/tcp/1/p2p/" + id, "dnsaddr=/ip6/fd00::1/tcp/1/p2p/" + id}, 0}, // by a router
		{[]string{"dnsaddr=/ip4/203.0.113.9/tcp/1/p2p/" + id}, 1},                                                                                     // on a network of this machine
		{[]string{"dnsaddr=/ip4/198.51.100.9/tcp/1/p2p/" + id}, 0},                                                                                    // elsewhere
		{[]string{"dnsaddr=/ip4/127.0.0.1/tcp/6379/p2p/" + id}, 0},                                                                                    // this machine's own services
		{[]string{"dnsaddr=/ip4/0.0.0.0/tcp/1/p2p/" + id}, 0},                                                                                         // likewise
		{[]string{"dnsaddr=/ip4/224.0.0.251/tcp/1/p2p/" + id}, 0},                                                                                     // all of them
		{[]string{"dnsaddr=/dns4/example.org/tcp/1/p2p/" + id}, 0},                                                                                    // a name
		{[]string{"dnsaddr=/ip4/10.0.0.1/udp/4011/p2p/" + id}, 0},                                                                                     // no transport of ours
		{[]string{"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + other + "/p2p-circuit/p2p/" + id}, 0},
		{[]string{"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + other}, 0}, // two peers
		{[]string{"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id + strings.Repeat("/ip4/10.0.0.1", 100)}, 0},
		{many, maxAddrs},
	} {
		info, ok := parseEntry(&zeroconf.ServiceEntry{Text: c.text}, nets)
		if ok != (c.want > 0) || len(info.Addrs) != c.want || ok && info.ID.String() != id {
			t.Errorf("%.100q: %v", c.text, info)
		}
	}
}

// SPEC D10. A machine that moves to another LAN is announced anew there.
func TestRoaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials, looks atomic.Int64
		l := fakeLAN(t, &dials, func(chan<- *zeroconf.ServiceEntry) { looks.Add(1) })
		start := l.nets()
		var here atomic.Pointer[address.Networks]
		here.Store(&start)
		l.nets = func() address.Networks { return *here.Load() }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { l.Run(ctx); close(done) }()
		time.Sleep(time.Minute)
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks in a minute", n)
		}
		_, there, err := net.ParseCIDR("10.9.0.0/16")
		if err != nil {
			t.Fatal(err)
		}
		here.Store(&address.Networks{Interfaces: start.Interfaces, V4: true, Nets: []*net.IPNet{there}})
		time.Sleep(2 * address.PollInterval)
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks after moving", n)
		}
		here.Store(&address.Networks{}) // no network at all
		time.Sleep(queryInterval)
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks with no network", n)
		}
		cancel()
		<-done
	})
}

func netsOf(t *testing.T, all ...string) (n address.Networks) {
	t.Helper()
	for _, s := range all {
		ip, ipnet, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		n.Nets = append(n.Nets, &net.IPNet{IP: ip, Mask: ipnet.Mask})
	}
	return n
}
