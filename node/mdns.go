package node

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/home"
)

// Bounds of discovery on the LAN (SPEC.md [D10] to [D13]). Anybody there can
// announce as many peers as they like.
const (
	lanFirst   = time.Second // that a command waits for answers when it knows nobody
	lanRound   = 5 * time.Minute
	lanWatch   = 2 * time.Second // for other addresses: the machine may move to another LAN
	lanPause   = 10 * time.Second
	lanFlood   = 4 * time.Second // the same when so many answer that not all are dialled yet
	lanHeard   = 4096            // announcements heard in one round, after which the next one begins
	lanEnough  = 32              // peers are dialled while fewer are connected
	lanRate    = 8.0             // dials a second
	lanBurst   = 32
	lanAtOnce  = 16
	lanDial    = 2 * time.Second
	lanAddrs   = 8 // of one peer
	lanAgain   = 30 * time.Second
	lanTries   = 512 // peers whose last attempt is remembered
	lanTTL     = 120 // seconds
	lanDomain  = "local"
	addrPrefix = "dnsaddr="
)

// lan finds peers on the local network by multicast DNS, and lets them find this
// node when it listens.
type lan struct {
	self    peer.ID
	listens func() []ma.Multiaddr
	service string
	met     func(ctx context.Context, info peer.AddrInfo, how string, limit time.Duration) error
	peers   func() int // connected
	fail    func(msg string, args ...any)

	// browse and nets are zeroconf's and the machine's, in tests others.
	browse func(ctx context.Context, service string, entries chan<- *zeroconf.ServiceEntry) error
	nets   func() address.Networks

	looked chan struct{} // closed when who is there has had the time to answer
	kick   chan struct{}

	mu    sync.Mutex
	pace  *rate.Limiter
	tries map[peer.ID]time.Time
	retry time.Time // when to ask anew because of a peer that was not met; zero for none
}

func newLAN(l *live, key home.SwarmKey) *lan {
	return &lan{
		self: l.host.ID(), listens: l.host.Network().ListenAddresses, service: key.LANService(), met: l.find.dial,
		peers:  func() int { return len(connected(l.host)) },
		fail:   l.log.Debug,
		browse: browseLAN, nets: address.LocalNetworks,
		looked: make(chan struct{}), kick: make(chan struct{}, 1),
		pace: rate.NewLimiter(lanRate, lanBurst), tries: map[peer.ID]time.Time{},
	}
}

// browseLAN asks for the service on all interfaces until ctx ends, and then closes
// entries.
func browseLAN(ctx context.Context, service string, entries chan<- *zeroconf.ServiceEntry) error {
	n := address.LocalNetworks()
	kinds := zeroconf.IPv4AndIPv6
	switch {
	case !n.V6:
		kinds = zeroconf.IPv4
	case !n.V4:
		kinds = zeroconf.IPv6
	}
	return zeroconf.Browse(ctx, service, lanDomain, entries, zeroconf.SelectIfaces(n.Interfaces), zeroconf.SelectIPTraffic(kinds))
}

// run announces this node and looks for others until ctx ends.
func (n *lan) run(ctx context.Context) {
	var once sync.Once
	looked := func() { once.Do(func() { close(n.looked) }) }
	defer looked()
	for ctx.Err() == nil {
		nets := n.nets()
		if len(nets.Interfaces) == 0 {
			looked()
			n.unchanged(ctx, nets, lanRound)
			continue
		}
		n.mu.Lock()
		clear(n.tries) // whoever could not be reached from elsewhere can be from here
		n.mu.Unlock()
		stop := n.announce(nets)
		n.stay(ctx, nets, looked)
		stop()
	}
}

// stay looks for peers until the machine's networks change.
func (n *lan) stay(ctx context.Context, nets address.Networks, looked func()) {
	for ctx.Err() == nil {
		round, cancel := context.WithCancel(ctx)
		same := make(chan bool, 1)
		go func() {
			same <- n.unchanged(round, nets, lanRound)
			cancel()
		}()
		n.look(round, nets, looked)
		early := round.Err() == nil
		cancel()
		if !<-same {
			return
		}
		if early && !n.unchanged(ctx, nets, lanPause) {
			return
		}
	}
}

// unchanged waits until ctx ends, the time is over, or somebody needs peers now,
// and returns false as soon as the machine has other addresses.
func (n *lan) unchanged(ctx context.Context, nets address.Networks, most time.Duration) bool {
	tick := time.NewTicker(lanWatch)
	defer tick.Stop()
	end := time.NewTimer(most)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-end.C:
			return true
		case <-n.kick:
			return true
		case <-tick.C:
			if n.nets().String() != nets.String() {
				return false
			}
			if n.isRetry() {
				return true
			}
		}
	}
}

// again has the LAN asked again.
func (n *lan) again() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// look listens to announcements, and dials whom it hears of, until ctx ends or it
// has heard so many that the browser's memory of them must be given up.
func (n *lan) look(ctx context.Context, nets address.Networks, looked func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		if err := n.browse(ctx, n.service, entries); err != nil {
			n.fail("look for peers on the LAN", "err", err)
		}
	}()
	heard := newHeardPeers()
	var dials sync.WaitGroup
	dials.Go(func() { n.dialCrowd(ctx, heard) })
	first := time.AfterFunc(lanFirst, func() {
		if heard.isEmpty() {
			looked()
		}
	})
	defer first.Stop()
	late := time.AfterFunc(lanFlood, looked)
	defer late.Stop()
	for count := 0; count < lanHeard && ctx.Err() == nil; count++ {
		select {
		case e, ok := <-entries:
			if !ok {
				entries = nil // it has ended, and cancels
				continue
			}
			if info, ok := announced(e, nets); ok && info.ID != n.self {
				heard.add(info)
			}
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil { // a flood: some of it is dialled before it is asked for again
		pause := time.NewTimer(lanPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	cancel()
	drain(entries, ended)
	dials.Wait()
}

// drain reads entries, which the browser may be about to send, until it has ended.
func drain(entries <-chan *zeroconf.ServiceEntry, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case _, ok := <-entries:
			if !ok {
				entries = nil
			}
		}
	}
}

// dialCrowd dials who was heard, each in a slot of its own, as far as the limits allow.
func (n *lan) dialCrowd(ctx context.Context, heard *heardPeers) {
	var dials sync.WaitGroup
	defer dials.Wait()
	slots := make(chan struct{}, lanAtOnce)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		info, ok := heard.next(ctx)
		if !ok {
			return
		}
		if n.peers() >= lanEnough || !n.try(info.ID) {
			<-slots
			continue
		}
		if !n.await(ctx) {
			return
		}
		dials.Go(func() {
			defer func() { <-slots }()
			err := n.met(ctx, info, foundLAN, lanDial)
			n.mu.Lock()
			defer n.mu.Unlock()
			if err != nil {
				n.fail("dial a peer on the LAN", "peer", info.ID.String(), "err", err)
				n.later()
				return
			}
			delete(n.tries, info.ID)
		})
	}
}

// later has the LAN asked again for a peer that was not met. It is called with
// n.mu held.
func (n *lan) later() {
	if n.retry.IsZero() {
		n.retry = time.Now().Add(lanAgain)
	}
}

// isRetry reports whether it is time for that.
func (n *lan) isRetry() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.retry.IsZero() || time.Now().Before(n.retry) {
		return false
	}
	n.retry = time.Time{}
	return true
}

// try reports whether p may be dialled now, and notes that it is.
func (n *lan) try(p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if last, ok := n.tries[p]; ok && now.Sub(last) < lanAgain {
		n.later()
		return false
	}
	if len(n.tries) >= lanTries {
		for p, last := range n.tries {
			if now.Sub(last) >= lanAgain {
				delete(n.tries, p)
			}
		}
	}
	if len(n.tries) >= lanTries {
		return false
	}
	n.tries[p] = now
	return true
}

// await keeps dialling below lanRate.
func (n *lan) await(ctx context.Context) bool { return n.pace.Wait(ctx) == nil }

// announced reads who an announcement is about. It has one peer, and addresses on
// the LAN alone.
func announced(e *zeroconf.ServiceEntry, nets address.Networks) (info peer.AddrInfo, ok bool) {
	for _, text := range e.Text[:min(len(e.Text), 4*lanAddrs)] {
		s, ok := strings.CutPrefix(text, addrPrefix)
		if !ok || len(s) > 255 {
			continue
		}
		one, err := peer.AddrInfoFromString(s)
		if err != nil || len(one.Addrs) != 1 || !onLAN(one.Addrs[0], nets) {
			continue
		}
		if info.ID != "" && info.ID != one.ID {
			return peer.AddrInfo{}, false
		}
		info.ID = one.ID
		if info.Addrs = append(info.Addrs, one.Addrs[0]); len(info.Addrs) == lanAddrs {
			break
		}
	}
	return info, info.ID != ""
}

// onLAN reports whether a is a direct address of a neighbour.
func onLAN(a ma.Multiaddr, nets address.Networks) bool {
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil {
		return false
	}
	_, tcp := a.ValueForProtocol(ma.P_TCP)
	_, quic := a.ValueForProtocol(ma.P_QUIC_V1)
	ip, err := manet.ToIP(a)
	return err == nil && (tcp == nil || quic == nil) && nets.Near(ip)
}

// announce says where this node listens. A node that does not says nothing.
func (n *lan) announce(nets address.Networks) (stop func()) {
	var texts, ips []string
	for _, a := range n.addrs(nets) {
		texts = append(texts, addrPrefix+a.String()+"/p2p/"+n.self.String())
		if ip, err := manet.ToIP(a); err == nil && !slices.Contains(ips, ip.String()) {
			ips = append(ips, ip.String())
		}
	}
	if len(texts) == 0 {
		return func() {}
	}
	// The name says nothing of the machine, and is another one on each LAN.
	name := strings.ToLower(rand.Text())
	server, err := zeroconf.RegisterProxy(name, n.service, lanDomain, address.DefaultPort, name, ips, texts, nets.Interfaces, zeroconf.TTL(lanTTL))
	if err != nil {
		n.fail("announce this node on the LAN", "err", err)
		return func() {}
	}
	return server.Shutdown
}

// addrs are the addresses of this node that neighbours can dial.
func (n *lan) addrs(nets address.Networks) []ma.Multiaddr {
	var local []ma.Multiaddr
	for _, x := range nets.Nets {
		if a, err := manet.FromIP(x.IP); err == nil {
			local = append(local, a)
		}
	}
	all, err := manet.ResolveUnspecifiedAddresses(n.listens(), local)
	if err != nil {
		return nil
	}
	all = slices.DeleteFunc(all, func(a ma.Multiaddr) bool { return !onLAN(a, nets) })
	return all[:min(len(all), lanAddrs)]
}
