// Package simulation is a network of libp2p hosts in virtual time, for tests: it
// has latency, loss and partitions, and hours pass in seconds. Its own tests
// simulate what is larger than one package: many nodes that gossip and reconcile,
// and attackers.
//
// A simulation is not repeated exactly by its seed: which goroutine runs first,
// and the keys of the hosts, differ.
package simulation

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
)

// Config describes a network.
type Config struct {
	Hosts   int           // made at once, connected to nobody
	Latency time.Duration // one way, between two hosts
	Jitter  float64       // fraction of Latency by which pairs of hosts differ from it at most
	Loss    float64       // fraction of packets that are lost
	Mbps    int           // that a host can send, and receive; 0 means 100
	Seed    uint64

	// Conns says how many connections each of Hosts may have: from high on its
	// connection manager closes those that are older than 20 s, down to low. Nil
	// is for any number.
	Conns func(i int) (low, high int)
}

// raceEnabled is set in builds with the race detector.
var raceEnabled bool

// A Network is where hosts meet. Its methods may be called while packets travel.
type Network struct {
	Hosts []host.Host
	Rand  *rand.Rand // for the test, of the seed

	cfg Config
	sim *simnet.Simnet

	mu   sync.Mutex
	dice *rand.Rand
	loss float64
	side map[int]int // of hosts that are not on side 0
	sent int
	lost int
}

// Run runs f in virtual time, within a synctest bubble. It closes Hosts, and
// whatever else f started has to end with f. The seed is logged on failure.
func Run(t *testing.T, cfg Config, f func(t *testing.T, n *Network)) {
	t.Helper()
	if raceEnabled { // https://github.com/golang/go/issues/78156
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", cfg.Seed)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		n := &Network{
			Rand: rand.New(rand.NewPCG(cfg.Seed, 1)),
			cfg:  cfg,
			dice: rand.New(rand.NewPCG(cfg.Seed, 2)),
			loss: cfg.Loss,
			side: make(map[int]int),
		}
		if err := n.make(); err != nil {
			t.Fatal(err)
		}
		n.sim.Start()
		defer n.sim.Close()
		hung := time.AfterFunc(100*time.Hour, func() { panic("the test waits for ever") })
		defer hung.Stop()
		synctest.Wait() // until identify hears of new protocols
		defer func() {
			for _, h := range n.Hosts {
				h.Close()
			}
		}()
		f(t, n)
	})
}

func (n *Network) make() error {
	settings := simlibp2p.NetworkSettings{UseBlankHost: true}
	var err error
	settings.BlankHostOptsForHostIdx = func(i int) simlibp2p.BlankHostOpts {
		low, high := 1<<20, 1<<20
		if n.cfg.Conns != nil {
			low, high = n.cfg.Conns(i)
		}
		conns, failed := connmgr.NewConnManager(low, high, connmgr.WithGracePeriod(20*time.Second))
		if failed != nil {
			err = failed
		}
		return simlibp2p.BlankHostOpts{ConnMgr: conns}
	}
	sim, meta, failed := simlibp2p.SimpleLibp2pNetwork(
		[]simlibp2p.NodeLinkSettingsAndCount{{LinkSettings: n.link(), Count: n.cfg.Hosts}}, n.route, settings)
	if failed != nil {
		return failed
	}
	sim.Logger = slog.New(slog.DiscardHandler) // it logs what route loses
	n.sim = sim
	for _, h := range meta.Nodes {
		n.Hosts = append(n.Hosts, &simulated{Host: h})
	}
	return err
}

// simulated is a host that may be closed twice: by a test, and at the end.
type simulated struct {
	host.Host
	closing sync.Once
}

func (h *simulated) Close() (err error) {
	h.closing.Do(func() { err = h.Host.Close() })
	return err
}

func (n *Network) link() simnet.NodeBiDiLinkSettings {
	mbps := n.cfg.Mbps
	if mbps == 0 {
		mbps = 100
	}
	link := simnet.LinkSettings{BitsPerSecond: mbps * simlibp2p.OneMbps}
	return simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}
}

// HostOptions make a host of libp2p.New the i-th of the network, where it
// listens. It takes the place of an earlier one with that number, which has to be
// closed. Only one such host may be made at a time.
func (n *Network) HostOptions(i int) []libp2p.Option {
	return []libp2p.Option{
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))),
		simlibp2p.QUICSimnet(n.sim, n.link()),
		libp2p.DisableIdentifyAddressDiscovery(), // stops virtual time
	}
}

// nowhere is an address that no host has.
var nowhere = &net.UDPAddr{IP: net.IPv4(255, 255, 255, 255), Port: 1}

// route says how long a packet takes, and sends those that are lost to nowhere.
func (n *Network) route(p *simnet.Packet) time.Duration {
	from, to := number(p.From), number(p.To)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent++
	if n.side[from] != n.side[to] || n.loss > 0 && n.dice.Float64() < n.loss {
		n.lost++
		p.To = nowhere
		return 0
	}
	if n.cfg.Jitter == 0 {
		return n.cfg.Latency
	}
	// The same for all packets of a pair, both ways: reordering is not what is
	// simulated.
	pair := uint64(min(from, to))<<32 | uint64(max(from, to))
	off := float64((pair^n.cfg.Seed)*0x9e3779b97f4a7c15>>11)/(1<<52) - 1
	return time.Duration(float64(n.cfg.Latency) * (1 + n.cfg.Jitter*off))
}

// number is the inverse of simnet.IntToPublicIPv4.
func number(a net.Addr) int {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return -1
	}
	ip := udp.IP.To4()
	if ip == nil {
		return -1
	}
	return int(ip[1])<<16 + int(ip[2])<<8 + int(ip[3]) - 1
}

// Lose changes the fraction of packets that are lost.
func (n *Network) Lose(fraction float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = fraction
}

// Move puts hosts, by their numbers, on a side. No packet passes between sides.
// At first all are on side 0.
func (n *Network) Move(side int, hosts ...int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range hosts {
		n.side[i] = side
	}
}

// Heal puts all hosts on one side.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.side)
}

// Packets returns how many packets were sent, and how many of these were lost.
func (n *Network) Packets() (sent, lost int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent, n.lost
}

// Settle lets virtual time pass.
func Settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Connect has a dial b.
func Connect(t *testing.T, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), b.Peerstore().PeerInfo(b.ID())); err != nil {
		t.Fatal(err)
	}
}
