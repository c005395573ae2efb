package mdns

import (
	"context"
	"crypto/rand"
	"log/slog"
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
)

// Bounds of discovery on the LAN (SPEC.md [D10] to [D13]). Anybody there can
// announce as many peers as they like.
const (
	firstQuery    = time.Second // that a command waits for answers when it knows nobody
	queryInterval = 5 * time.Minute
	queryPause    = 10 * time.Second
	floodWait     = 4 * time.Second // the same when so many answer that not all are dialled yet
	maxEntries    = 4096            // announcements read in one round, after which the next one begins
	enoughPeers   = 32              // peers are dialled while fewer are connected
	dialRate      = 8.0             // dials a second
	dialBurst     = 32
	maxDials      = 16
	dialTimeout   = 2 * time.Second
	maxAddrs      = 8 // of one peer
	retryAfter    = 30 * time.Second
	maxTries      = 512 // peers whose last attempt is remembered
	recordTTL     = 120 // seconds
	domain        = "local"
	addrPrefix    = "dnsaddr="
)

// Config says on whose behalf a Discovery announces and asks.
type Config struct {
	Self      peer.ID
	Addrs     func() []ma.Multiaddr // that the node listens on
	Service   string                // as home.SwarmKey.LANService says
	Dial      func(ctx context.Context, info peer.AddrInfo, timeout time.Duration) error
	Connected func() int // peers
	Log       *slog.Logger
}

// Discovery finds peers on the local network by multicast DNS, and lets them find this
// node when it listens.
type Discovery struct {
	cfg Config

	// browse and nets are zeroconf's and the machine's, in tests others.
	browse func(ctx context.Context, service string, entries chan<- *zeroconf.ServiceEntry) error
	nets   func() address.Networks

	queried chan struct{} // closed when who is there has had the time to answer
	wake    chan struct{}

	mu      sync.Mutex
	pace    *rate.Limiter
	tries   map[peer.ID]time.Time
	retryAt time.Time // when to ask anew because of a peer that was not met; zero for none
}

// New makes a Discovery. Nothing is asked or announced before Run.
func New(cfg Config) *Discovery {
	return &Discovery{
		cfg:    cfg,
		browse: browse, nets: address.LocalNetworks,
		queried: make(chan struct{}), wake: make(chan struct{}, 1),
		pace: rate.NewLimiter(dialRate, dialBurst), tries: map[peer.ID]time.Time{},
	}
}

// Queried is closed when those who are there have had the time to answer.
func (n *Discovery) Queried() <-chan struct{} { return n.queried }

// browse asks for the service on all interfaces until ctx ends, and then closes
// entries.
func browse(ctx context.Context, service string, entries chan<- *zeroconf.ServiceEntry) error {
	n := address.LocalNetworks()
	kinds := zeroconf.IPv4AndIPv6
	switch {
	case !n.V6:
		kinds = zeroconf.IPv4
	case !n.V4:
		kinds = zeroconf.IPv6
	}
	return zeroconf.Browse(ctx, service, domain, entries, zeroconf.SelectIfaces(n.Interfaces), zeroconf.SelectIPTraffic(kinds))
}

// Run announces this node and looks for others until ctx ends.
func (n *Discovery) Run(ctx context.Context) {
	var once sync.Once
	queried := func() { once.Do(func() { close(n.queried) }) }
	defer queried()
	for ctx.Err() == nil {
		nets := n.nets()
		if len(nets.Interfaces) == 0 {
			queried()
			n.awaitChange(ctx, nets, queryInterval)
			continue
		}
		n.mu.Lock()
		clear(n.tries) // whoever could not be reached from elsewhere can be from here
		n.mu.Unlock()
		stop := n.announce(nets)
		n.maintain(ctx, nets, queried)
		stop()
	}
}

// maintain looks for peers until the machine's networks change.
func (n *Discovery) maintain(ctx context.Context, nets address.Networks, queried func()) {
	for ctx.Err() == nil {
		round, cancel := context.WithCancel(ctx)
		same := make(chan bool, 1)
		go func() { // ended by what reads same
			same <- n.awaitChange(round, nets, queryInterval)
			cancel()
		}()
		n.query(round, nets, queried)
		early := round.Err() == nil
		cancel()
		if !<-same {
			return
		}
		if early && !n.awaitChange(ctx, nets, queryPause) {
			return
		}
	}
}

// awaitChange waits until ctx ends, the time is over, or somebody needs peers now,
// and returns false as soon as the machine has other addresses.
func (n *Discovery) awaitChange(ctx context.Context, nets address.Networks, most time.Duration) bool {
	tick := time.NewTicker(address.PollInterval)
	defer tick.Stop()
	end := time.NewTimer(most)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-end.C:
			return true
		case <-n.wake:
			return true
		case <-tick.C:
			if n.nets().String() != nets.String() {
				return false
			}
			if n.retryDue() {
				return true
			}
		}
	}
}

// Requery has the LAN asked again.
func (n *Discovery) Requery() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// query listens to announcements, and dials whom it hears of, until ctx ends or it
// has heard so many that the browser's memory of them must be given up.
func (n *Discovery) query(ctx context.Context, nets address.Networks, queried func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	entries := make(chan *zeroconf.ServiceEntry)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		if err := n.browse(ctx, n.cfg.Service, entries); err != nil {
			n.cfg.Log.Debug("look for peers on the LAN", "err", err)
		}
	}()
	queue := newPeerQueue()
	var dials sync.WaitGroup
	dials.Go(func() { n.dialQueued(ctx, queue) })
	first := time.AfterFunc(firstQuery, func() {
		if queue.isEmpty() {
			queried()
		}
	})
	defer first.Stop()
	late := time.AfterFunc(floodWait, queried)
	defer late.Stop()
	for count := 0; count < maxEntries && ctx.Err() == nil; count++ {
		select {
		case e, ok := <-entries:
			if !ok {
				entries = nil // it has ended, and cancels
				continue
			}
			if info, ok := parseEntry(e, nets); ok && info.ID != n.cfg.Self {
				queue.add(info)
			}
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil { // a flood: some of it is dialled before it is asked for again
		pause := time.NewTimer(queryPause)
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

// dialQueued dials who was heard, each in a slot of its own, as far as the limits allow.
func (n *Discovery) dialQueued(ctx context.Context, queue *peerQueue) {
	var dials sync.WaitGroup
	defer dials.Wait()
	slots := make(chan struct{}, maxDials)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		info, ok := queue.next(ctx)
		if !ok {
			return
		}
		if n.cfg.Connected() >= enoughPeers || !n.claim(info.ID) {
			<-slots
			continue
		}
		if !n.await(ctx) {
			return
		}
		dials.Go(func() {
			defer func() { <-slots }()
			err := n.cfg.Dial(ctx, info, dialTimeout)
			n.mu.Lock()
			defer n.mu.Unlock()
			if err != nil {
				n.cfg.Log.Debug("dial a peer on the LAN", "peer", info.ID.String(), "err", err)
				n.retryLater()
				return
			}
			delete(n.tries, info.ID)
		})
	}
}

// retryLater has the LAN asked again for a peer that was not met. It is called with
// n.mu held.
func (n *Discovery) retryLater() {
	if n.retryAt.IsZero() {
		n.retryAt = time.Now().Add(retryAfter)
	}
}

// retryDue reports whether it is time for that.
func (n *Discovery) retryDue() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.retryAt.IsZero() || time.Now().Before(n.retryAt) {
		return false
	}
	n.retryAt = time.Time{}
	return true
}

// claim reports whether p may be dialled now, and notes that it is.
func (n *Discovery) claim(p peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if last, ok := n.tries[p]; ok && now.Sub(last) < retryAfter {
		n.retryLater()
		return false
	}
	if len(n.tries) >= maxTries {
		for p, last := range n.tries {
			if now.Sub(last) >= retryAfter {
				delete(n.tries, p)
			}
		}
	}
	if len(n.tries) >= maxTries {
		return false
	}
	n.tries[p] = now
	return true
}

// await keeps dialling below dialRate.
func (n *Discovery) await(ctx context.Context) bool { return n.pace.Wait(ctx) == nil }

// parseEntry reads who an announcement is about. It has one peer, and addresses on
// the LAN alone.
func parseEntry(e *zeroconf.ServiceEntry, nets address.Networks) (info peer.AddrInfo, ok bool) {
	for _, text := range e.Text[:min(len(e.Text), 4*maxAddrs)] {
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
		if info.Addrs = append(info.Addrs, one.Addrs[0]); len(info.Addrs) == maxAddrs {
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
func (n *Discovery) announce(nets address.Networks) (stop func()) {
	var texts, ips []string
	for _, a := range n.addrs(nets) {
		texts = append(texts, addrPrefix+a.String()+"/p2p/"+n.cfg.Self.String())
		if ip, err := manet.ToIP(a); err == nil && !slices.Contains(ips, ip.String()) {
			ips = append(ips, ip.String())
		}
	}
	if len(texts) == 0 {
		return func() {}
	}
	// The name says nothing of the machine, and is another one on each LAN.
	name := strings.ToLower(rand.Text())
	server, err := zeroconf.RegisterProxy(name, n.cfg.Service, domain, address.DefaultPort, name, ips, texts, nets.Interfaces, zeroconf.TTL(recordTTL))
	if err != nil {
		n.cfg.Log.Debug("announce this node on the LAN", "err", err)
		return func() {}
	}
	return server.Shutdown
}

// addrs are the addresses of this node that neighbours can dial.
func (n *Discovery) addrs(nets address.Networks) []ma.Multiaddr {
	var local []ma.Multiaddr
	for _, x := range nets.Nets {
		if a, err := manet.FromIP(x.IP); err == nil {
			local = append(local, a)
		}
	}
	all, err := manet.ResolveUnspecifiedAddresses(n.cfg.Addrs(), local)
	if err != nil {
		return nil
	}
	all = slices.DeleteFunc(all, func(a ma.Multiaddr) bool { return !onLAN(a, nets) })
	return all[:min(len(all), maxAddrs)]
}
