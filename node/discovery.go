package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
)

// How a peer was found.
const (
	foundAsked      = "asked"      // the user named it
	foundRemembered = "remembered" // it was met before
	foundLAN        = "lan"
	foundDHT        = "dht"
	foundIncoming   = "incoming" // it came by itself
)

// Bounds of searches in the DHT (SPEC.md [D32], [D33]).
const (
	enoughGossip   = 8               // peers that exchange records; fewer, and the DHT is asked for more
	searchFirst    = 5 * time.Second // between such searches at first, doubling up to ...
	searchMost     = 10 * time.Minute
	searchPeers    = 20 // found by one search
	searchDials    = 8  // at once
	searchDial     = 5 * time.Second
	searchFor      = 8 * time.Second // all of one search, for who waits for it
	lookAfter      = time.Second     // that a fetch waits for connected peers before it searches
	maxOrigins     = 1024
	doubleDial     = 10 * time.Second // between two connections that both ends made at the same time
	reprovideEvery = 22 * time.Hour   // records in the DHT live 48 h
)

// discovery finds peers. The peers that the user named and the remembered ones are
// dialled elsewhere (dialling.go).
type discovery struct {
	live   *live
	lan    *lan   // nil when off
	table  *table // nil when off
	offers *offers

	mu      sync.Mutex
	origins map[peer.ID]string
	reach   network.Reachability
}

func newDiscovery(l *live) *discovery {
	d := &discovery{live: l, origins: map[peer.ID]string{}}
	if k := l.node.cfg.DHT; k != "" && k != api.DHTOff {
		d.table = &table{live: l, kind: k}
	}
	d.offers = newOffers(d)
	return d
}

// run looks for peers, and lets others find this node, until ctx ends.
func (d *discovery) run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	if d.lan != nil {
		parts.Go(func() { d.lan.run(ctx) })
	}
	if d.live.node.cfg.Ephemeral {
		return
	}
	parts.Go(func() { d.watchReach(ctx) })
	parts.Go(func() { d.watchMoves(ctx) })
	parts.Go(func() { d.watchDoubles(ctx) })
	if d.table != nil {
		parts.Go(func() { d.gather(ctx) })
		parts.Go(func() { d.offers.run(ctx) })
	}
}

// awaitLAN waits until neighbours have had the time to answer, or somebody is
// connected.
func (d *discovery) awaitLAN(ctx context.Context) {
	for d.lan != nil && len(connected(d.live.host)) == 0 {
		change := d.live.changed.wait()
		select {
		case <-d.lan.looked:
			return
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}

// close ends this node's part in the DHT.
func (d *discovery) close() error {
	if d.table == nil {
		return nil
	}
	return d.table.close()
}

func (d *discovery) dhtStatus() api.DHTStatus {
	if d.table == nil {
		return api.DHTStatus{Network: api.DHTOff}
	}
	return d.table.status()
}

// relays finds peers that may relay connections to this node.
func (d *discovery) relays(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		k, err := d.table.ready(ctx)
		if err != nil {
			return
		}
		all := k.RoutingTable().ListPeers()
		for _, p := range all[:min(n, len(all))] {
			select {
			case out <- d.live.host.Peerstore().PeerInfo(p):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// dial connects to a peer and notes how it was found. Names are resolved only when
// the user named the peer, and what the DHT says is judged.
func (d *discovery) dial(ctx context.Context, info peer.AddrInfo, how string, limit time.Duration) error {
	if d.live.isConnected(info.ID) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	call := dial
	switch how {
	case foundAsked:
		call = d.live.insist
		if info.Addrs, err = address.Resolve(ctx, d.live.node.names, info); err != nil {
			return err
		}
	case foundRemembered, foundLAN:
		call = d.live.insist
	case foundDHT:
		info.Addrs = d.live.book().fit(info.ID, info.Addrs)
	}
	if err := call(ctx, d.live.host, info); err != nil {
		return err
	}
	d.note(info.ID, how)
	return nil
}

// told is how near addresses may lead that a DHT tells: one's own DHT is where its
// entrances are (SPEC.md [D82]).
func (d *discovery) told() address.Reach {
	if d.table == nil || d.table.kind != api.DHTOwn || len(d.live.node.bootstrap) == 0 {
		return address.Public
	}
	nearest, nets := address.Self, address.LocalNetworks()
	for _, info := range d.live.node.bootstrap {
		for _, a := range info.Addrs {
			ip, ok := address.PlainIP(a)
			if !ok {
				return address.Public
			}
			nearest = min(nearest, address.ReachOf(ip, nets))
		}
	}
	return nearest
}

func (d *discovery) note(p peer.ID, how string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.origins) >= maxOrigins {
		for p := range d.origins {
			if !d.live.isConnected(p) {
				delete(d.origins, p)
			}
		}
	}
	d.origins[p] = how
}

// found says how a connected peer was found.
func (d *discovery) found(p peer.ID, outbound bool) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if how, ok := d.origins[p]; ok {
		return how
	}
	if outbound {
		return foundDHT // which dials on its own
	}
	return foundIncoming
}

// watchMoves closes connections that the machine has left behind in another
// network: they would look alive for a minute, also when it comes back, and nobody
// would ask who is met again for news.
func (d *discovery) watchMoves(ctx context.Context) {
	tick := time.NewTicker(lanWatch)
	defer tick.Stop()
	for was := address.LocalNetworks(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		is := address.LocalNetworks()
		if is.String() == was.String() {
			continue
		}
		for _, c := range d.live.host.Network().Conns() {
			if leftBehind(c.LocalMultiaddr(), c.RemoteMultiaddr(), was, is) {
				if err := c.Close(); err != nil {
					d.live.log.Debug("close a connection left behind", "peer", c.RemotePeer().String(), "err", err)
				}
			}
		}
		was = is
	}
}

// watchDoubles closes the old connections of peers that have come again: nobody
// dials a peer that it is connected to, so they are dead, and whatever is sent on
// them waits in vain.
func (d *discovery) watchDoubles(ctx context.Context) {
	for {
		change := d.live.changed.wait()
		for _, p := range d.live.host.Network().Peers() {
			for _, c := range outdated(d.live.host.Network().ConnsToPeer(p)) {
				if err := c.Close(); err != nil {
					d.live.log.Debug("close an old connection", "peer", p.String(), "err", err)
				}
			}
		}
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}

// outdated are those of a peer's connections that are older than the newest by more
// than two that were made at the same time, from both ends, can be.
func outdated(conns []network.Conn) []network.Conn {
	var newest time.Time
	for _, c := range conns {
		if at := c.Stat().Opened; at.After(newest) {
			newest = at
		}
	}
	return slices.DeleteFunc(conns, func(c network.Conn) bool { return newest.Sub(c.Stat().Opened) <= doubleDial })
}

// leftBehind reports whether a connection cannot go on: its own address is gone, or
// the network that the peer is in.
func leftBehind(local, remote ma.Multiaddr, was, is address.Networks) bool {
	here, err := manet.ToIP(local)
	if err == nil && was.Has(here) && !is.Has(here) {
		return true
	}
	there, err := manet.ToIP(remote)
	return err == nil && was.Contains(there) && !is.Contains(there)
}

// watchReach follows what others say about whether they can reach this node.
func (d *discovery) watchReach(ctx context.Context) {
	sub, err := d.live.host.EventBus().Subscribe([]any{new(event.EvtLocalReachabilityChanged), new(event.EvtHostReachableAddrsChanged)})
	if err != nil {
		d.live.log.Error("watch reachability", "err", err)
		return
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-sub.Out():
			d.mu.Lock()
			switch e := e.(type) {
			case event.EvtLocalReachabilityChanged:
				d.reach = e.Reachability
			case event.EvtHostReachableAddrsChanged:
				if len(e.Reachable) > 0 {
					d.reach = network.ReachabilityPublic
				}
			}
			d.mu.Unlock()
		}
	}
}

// reachability is "public", "private" or "unknown".
func (d *discovery) reachability() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.reach {
	case network.ReachabilityPublic:
		return "public"
	case network.ReachabilityPrivate:
		return "private"
	}
	return "unknown"
}

// gather provides the rendezvous, and meets others who do while few peers exchange
// records with this node.
func (d *discovery) gather(ctx context.Context) {
	var provided time.Time
	pause := searchFirst
	for {
		if k, err := d.table.ready(ctx); err == nil {
			if time.Since(provided) >= d.live.node.reprovide {
				if err := k.Provide(ctx, rendezvousCID(), true); err != nil {
					d.live.log.Debug("provide the rendezvous", "err", err)
				} else {
					provided = time.Now()
				}
			}
			if len(d.live.gossip.Peers(gossip.TopicRecords)) < enoughGossip {
				d.meet(ctx, rendezvousCID())
			}
		} else {
			d.live.log.Debug("look for peers in the DHT", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, searchMost)
	}
}

// meet dials who provides c.
func (d *discovery) meet(ctx context.Context, c cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range d.search(ctx, c) {
	}
}

// seek finds somebody for a node of one command that knows nobody. It reports
// whether anybody is connected.
func (d *discovery) seek(ctx context.Context) bool {
	if d.table == nil || !d.live.node.cfg.Ephemeral {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	for range d.search(ctx, rendezvousCID()) {
		return true
	}
	return false
}

// search asks the DHT who provides c, dials them, and sends those who answer. The
// channel is closed when nobody more is to be expected or ctx has ended.
func (d *discovery) search(ctx context.Context, c cid.Cid) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, searchPeers)
	go func() {
		defer close(out)
		k, err := d.table.ready(ctx)
		if err != nil {
			d.live.log.Debug("search the DHT", "cid", c.String(), "err", err)
			return
		}
		var dials sync.WaitGroup
		defer dials.Wait()
		slots := make(chan struct{}, searchDials)
		for info := range k.FindProvidersAsync(ctx, c, searchPeers) {
			if info.ID == d.live.host.ID() {
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			dials.Go(func() {
				defer func() { <-slots }()
				info.Addrs = d.table.addrs(info.Addrs)
				if len(info.Addrs) == 0 && !d.live.isConnected(info.ID) {
					told, err := k.FindPeer(ctx, info.ID)
					if err != nil {
						return
					}
					info = told
				}
				if err := d.dial(ctx, info, foundDHT, searchDial); err != nil {
					d.live.log.Debug("dial a provider", "peer", info.ID.String(), "err", err)
					return
				}
				out <- info // has room for all
			})
		}
	}()
	return out
}
