package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
)

// SPEC N9
func TestSettings(t *testing.T) {
	h := testHome(t)
	if s, err := h.Settings(); err != nil || s.DHT != "" || s.MDNS != "" || s.Bootstrap != nil {
		t.Errorf("a new home has settings %+v: %v", s, err)
	}
	addr := "/ip4/192.0.2.7/tcp/4011/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv"
	want := home.Settings{DHT: api.DHTOwn, MDNS: "off", Bootstrap: []string{addr, addr}, Listen: []string{loopback, "/ip6/::/udp/4011/quic-v1"},
		Announce: []string{"/ip4/5.1.0.9/tcp/4011"}, Seed: api.SeedAll}
	if err := h.SaveSettings(want); err != nil {
		t.Fatal(err)
	}
	got, err := h.Settings()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v: %v", got, err)
	}
	for _, text := range []string{"dht", "dht on", "dht  PUBLIC", "mdns yes", "mdns", "bootstrap /ip4/192.0.2.7/tcp/4011", "relay on", "listen", "listen /p2p-circuit", "announce /ip4/0.0.0.0/tcp/4011", "seed some", "dht off\nnonsense",
		strings.Repeat("# ", home.MaxSettings)} {
		if s, err := home.ParseSettings([]byte(text)); err == nil {
			t.Errorf("%.30q is read as %+v", text, s)
		}
	}
	s, err := home.ParseSettings([]byte("\xef\xbb\xbf\n  # a comment\n\tdht \t own \r\nmdns on\n"))
	if err != nil || s.DHT != api.DHTOwn || s.MDNS != "on" {
		t.Errorf("read %+v: %v", s, err)
	}
}

// SPEC D20. The key of a private network is kept, and nothing else is taken for it.
func TestSwarmKey(t *testing.T) {
	h := testHome(t)
	if key, err := h.SwarmKey(); key != nil || err != nil {
		t.Fatalf("a new home has key %x: %v", key, err)
	}
	key := home.NewSwarmKey()
	if err := h.SetSwarmKey(key); err != nil {
		t.Fatal(err)
	}
	if got, err := h.SwarmKey(); err != nil || !bytes.Equal(got, key) {
		t.Fatalf("read %x: %v", got, err)
	}
	if err := h.SetSwarmKey(key); err != nil {
		t.Errorf("the same key again: %v", err)
	}
	if err := h.SetSwarmKey(home.NewSwarmKey()); !errors.Is(err, home.ErrSwarmKey) {
		t.Errorf("another key: %v", err)
	}
	if info, err := os.Stat(filepath.Join(h.Dir(), "swarm.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	for _, bad := range []string{"", "nonsense", "/key/swarm/psk/1.0.0/\n/base16/\n", "/key/swarm/psk/1.0.0/\n/base16/\n00ff",
		"/key/swarm/psk/1.0.0/\n/base32/\n" + strings.Repeat("00", 32), strings.Repeat("x", home.MaxSwarmKey+1)} {
		if err := os.WriteFile(filepath.Join(h.Dir(), "swarm.key"), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := h.SwarmKey(); key != nil || err == nil {
			t.Errorf("%.40q is key %x", bad, key)
		}
		// What cannot be read never means the public network.
		if _, err := New(t.Context(), h, Config{}); err == nil {
			t.Errorf("a node runs with the key %.40q", bad)
		}
	}
}

// SPEC D21, D22. Nodes with another key, or none, are not let in.
func TestPrivateNetwork(t *testing.T) {
	ctx := t.Context()
	key := home.NewSwarmKey()
	private := func(key home.SwarmKey) *testNode {
		h := testHome(t)
		if err := h.SetSwarmKey(key); err != nil {
			t.Fatal(err)
		}
		return startNode(t, h, Config{})
	}
	a, b, other, public := private(key), private(key), private(home.NewSwarmKey()), startNode(t, testHome(t), Config{})
	for _, stranger := range []*testNode{other, public} {
		if _, err := stranger.Connect(ctx, a.addr()); err == nil {
			t.Error("a stranger is let in")
		}
		if _, err := a.Connect(ctx, stranger.addr()); err == nil {
			t.Error("a stranger is met")
		}
	}
	b.join(a)
	if s, err := a.Status(ctx); err != nil || !s.Private || s.Peers != 1 {
		t.Errorf("status %+v: %v", s, err)
	}
	if s, err := public.Status(ctx); err != nil || s.Private {
		t.Errorf("status %+v: %v", s, err)
	}
	for _, cfg := range []Config{{DHT: api.DHTPublic}, {Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}}} {
		if _, err := New(ctx, a.home, cfg); err == nil {
			t.Errorf("%+v in a private network", cfg)
		}
	}
	if n, err := New(ctx, a.home, Config{DHT: api.DHTOwn}); err != nil || n.swarmKey == nil {
		t.Errorf("one's own DHT in a private network: %v", err)
	}
	// SPEC D10. They do not even meet on the LAN.
	names := map[string]bool{home.SwarmKey(nil).LANService(): true, key.LANService(): true, home.NewSwarmKey().LANService(): true}
	if len(names) != 3 || !names["_es._udp"] {
		t.Errorf("mDNS services %v", names)
	}
	fixed := home.SwarmKey(bytes.Repeat([]byte{7}, 32))
	if got := fixed.LANService(); got != "_es-6db2488f6ca2._udp" {
		t.Errorf("mDNS service %q", got)
	}
}

// fakeLAN is a lan that hears what a test says, and dials nobody.
func fakeLAN(t *testing.T, dials *atomic.Int64, entries func(chan<- *zeroconf.ServiceEntry)) *lan {
	t.Helper()
	here := netsOf(t, "192.0.2.1/24")
	here.Interfaces, here.V4 = []net.Interface{{Name: "lan0"}}, true
	return &lan{
		self: "self", listens: func() []ma.Multiaddr { return nil },
		met: func(ctx context.Context, info peer.AddrInfo, how string, limit time.Duration) error {
			dials.Add(1)
			time.Sleep(limit) // virtual; nobody answers
			return errors.New("no answer")
		},
		peers: func() int { return 0 },
		fail:  func(string, ...any) {},
		browse: func(ctx context.Context, _ string, out chan<- *zeroconf.ServiceEntry) error {
			defer close(out)
			entries(out)
			<-ctx.Done()
			return nil
		},
		nets:   func() address.Networks { return here },
		looked: make(chan struct{}), kick: make(chan struct{}, 1),
		pace: rate.NewLimiter(lanRate, lanBurst), tries: map[peer.ID]time.Time{},
	}
}

func fakePeer(t *testing.T) string {
	key, err := passingIdentity()
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
		go func() { l.run(ctx); close(done) }()
		time.Sleep(10 * time.Second)
		if n := dials.Load(); n < lanBurst || n > lanBurst+10*lanRate {
			t.Errorf("%d dials in 10 s", n)
		}
		if n := runtime.NumGoroutine(); n > 50 {
			t.Errorf("%d goroutines", n)
		}
		time.Sleep(time.Minute)
		l.mu.Lock()
		if len(l.tries) > lanTries {
			t.Errorf("%d peers are remembered", len(l.tries))
		}
		l.mu.Unlock()
		if n := dials.Load(); n > lanBurst+70*lanRate {
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
		"6 IPs":           {func(i int) string { return fmt.Sprintf("192.0.2.%d", 10+i%6) }, lanFlood},
		"private IPs":     {func(i int) string { return fmt.Sprintf("10.%d.%d.1", i/250, i%250) }, lanFlood},
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
			silent := l.met
			met := make(chan struct{})
			l.met = func(ctx context.Context, info peer.AddrInfo, how string, limit time.Duration) error {
				if info.ID.String() != honest {
					return silent(ctx, info, how, limit)
				}
				close(met)
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { l.run(ctx); close(done) }()
			select {
			case <-met:
				if c.within == lanFlood {
					select {
					case <-l.looked:
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
		{many, lanAddrs},
	} {
		info, ok := announced(&zeroconf.ServiceEntry{Text: c.text}, nets)
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
		go func() { l.run(ctx); close(done) }()
		time.Sleep(time.Minute)
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks in a minute", n)
		}
		_, there, err := net.ParseCIDR("10.9.0.0/16")
		if err != nil {
			t.Fatal(err)
		}
		here.Store(&address.Networks{Interfaces: start.Interfaces, V4: true, Nets: []*net.IPNet{there}})
		time.Sleep(2 * lanWatch)
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks after moving", n)
		}
		here.Store(&address.Networks{}) // no network at all
		time.Sleep(lanRound)
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks with no network", n)
		}
		cancel()
		<-done
	})
}

// SPEC N22
func TestGate(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGate()
	g.now = func() time.Time { return now }
	if !g.InterceptPeerDial("a") || !g.InterceptSecured(0, "a", nil) {
		t.Error("a stranger is kept out")
	}
	g.shun("a", time.Minute)
	if g.InterceptPeerDial("a") || g.InterceptSecured(0, "a", nil) || !g.InterceptPeerDial("b") {
		t.Error("a shunned peer is let in")
	}
	now = now.Add(time.Minute)
	if !g.InterceptPeerDial("a") {
		t.Error("shunned for ever")
	}
	for i := range 2 * maxShunned {
		g.shun(peer.ID(fmt.Sprint(i)), time.Duration(i+1)*time.Second)
	}
	if len(g.shunned) != maxShunned || g.InterceptPeerDial(peer.ID(fmt.Sprint(2*maxShunned-1))) {
		t.Errorf("%d shunned", len(g.shunned))
	}
	for addr, want := range map[string]bool{
		"/ip4/10.0.0.1/tcp/1": true, "/ip4/127.0.0.1/tcp/1": true, "/ip6/::1/tcp/1": true, "/dns4/example.org/tcp/1": false,
		"/ip4/0.0.0.0/tcp/1": false, "/ip6/::/udp/1/quic-v1": false, "/ip4/224.0.0.1/tcp/1": false, "/ip6/ff02::1/tcp/1": false, "/ip4/255.255.255.255/tcp/1": false,
	} {
		if got := g.InterceptAddrDial("b", ma.StringCast(addr)); got != want {
			t.Errorf("%s is dialled: %v", addr, got)
		}
	}
}

// SPEC D1. How peers were found is told, and what gossips is remembered.
func TestFound(t *testing.T) {
	ctx := t.Context()
	a, b := startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{})
	a.join(b)
	for n, want := range map[*testNode]string{a: foundAsked, b: foundIncoming} {
		all, err := n.Peers(ctx)
		if err != nil || len(all) != 1 || all[0].Found != want {
			t.Errorf("peers %+v, want one that was %s: %v", all, want, err)
		}
	}
	b.live.probeComers(ctx, map[peer.ID]time.Time{})
	b.stop()
	again := startNode(t, b.home, Config{})
	until(t, "dialled again", func() bool {
		all, err := again.Peers(ctx)
		return err == nil && len(all) == 1 && all[0].Found == foundRemembered
	})
	if _, err := os.Stat(filepath.Join(b.home.Dir(), "network")); err == nil {
		t.Error("the home has settings that nobody made")
	}
}

// SPEC N24. Which connections a machine leaves behind when it moves.
func TestLeftBehind(t *testing.T) {
	nets := func(all ...string) (n address.Networks) {
		for _, s := range all {
			ip, ipnet, err := net.ParseCIDR(s)
			if err != nil {
				t.Fatal(err)
			}
			n.Nets = append(n.Nets, &net.IPNet{IP: ip, Mask: ipnet.Mask})
		}
		return n
	}
	was, is := nets("10.71.0.4/24", "192.0.2.7/24"), nets("10.72.0.4/24", "192.0.2.7/24")
	for _, c := range []struct {
		local, remote string
		want          bool
	}{
		{"/ip4/10.71.0.4/tcp/1", "/ip4/10.71.0.1/tcp/4011", true},
		{"/ip4/10.71.0.4/tcp/1", "/ip4/198.51.100.1/tcp/4011", true},                // through a router that is gone
		{"/ip4/0.0.0.0/udp/1/quic-v1", "/ip4/10.71.0.1/udp/4011/quic-v1", true},     // QUIC does not say from where
		{"/ip4/0.0.0.0/udp/1/quic-v1", "/ip4/198.51.100.1/udp/4011/quic-v1", false}, // and may go on
		{"/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.9/tcp/4011", false},
		{"/ip4/192.0.2.7/tcp/1", "/ip4/198.51.100.1/tcp/4011", false},
		{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/4011", false},
	} {
		if got := leftBehind(ma.StringCast(c.local), ma.StringCast(c.remote), was, is); got != c.want {
			t.Errorf("%s to %s is left behind: %v", c.local, c.remote, got)
		}
	}
}

// oldConn is a connection that was opened at some time.
type oldConn struct {
	network.Conn
	at time.Time
}

func (c oldConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: c.at}}
}

// SPEC N24. Of several connections of one peer the old ones are dead.
func TestOutdated(t *testing.T) {
	now := time.Unix(1e9, 0)
	both := []network.Conn{oldConn{at: now}, oldConn{at: now.Add(time.Second)}}
	if old := outdated(both); len(old) != 0 {
		t.Errorf("of two at the same time %v are outdated", old)
	}
	again := []network.Conn{oldConn{at: now}, oldConn{at: now.Add(time.Minute)}, oldConn{at: now.Add(time.Second)}}
	if old := outdated(again); len(old) != 2 || !old[0].Stat().Opened.Equal(now) || !old[1].Stat().Opened.Equal(now.Add(time.Second)) {
		t.Errorf("%v are outdated", old)
	}
	if old := outdated(nil); len(old) != 0 {
		t.Errorf("of none %v", old)
	}
}
