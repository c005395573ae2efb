package swarm

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

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/dht"
)

// Bounds of searches in the DHT (docs/program.md [D32], [D33]).
const (
	enoughGossip      = 8               // peers that exchange records; fewer, and the DHT is asked for more
	searchFirst       = 5 * time.Second // between such searches at first, doubling up to ...
	searchMost        = 10 * time.Minute
	MaxProviders      = 20 // found by one search
	searchDials       = 8  // at once
	searchDial        = 5 * time.Second
	searchFor         = 8 * time.Second // all of one search, for who waits for it
	lookAfter         = time.Second     // that a fetch waits for connected peers before it searches
	maxFound          = 1024
	doubleDial        = 10 * time.Second // between two connections that both ends made at the same time
	ReprovideInterval = 22 * time.Hour   // records in the DHT live 48 h
)

// awaitMDNS waits until neighbours have had the time to answer, or somebody is
// connected.
func (s *Swarm) awaitMDNS(ctx context.Context) {
	for s.mdns != nil && len(s.Connected()) == 0 {
		change := s.changed.Wait()
		select {
		case <-s.mdns.Queried():
			return
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}

// relays finds peers that may relay connections to this node.
func (s *Swarm) relays(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() { // ends with ctx, or when libp2p has what it asked for
		defer close(out)
		select {
		case <-s.made:
		case <-ctx.Done():
			return
		}
		peers, err := s.table.Peers(ctx, n)
		if err != nil {
			return
		}
		for _, p := range peers {
			select {
			case out <- s.host.Peerstore().PeerInfo(p):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Dial connects to a peer and notes how it was found. Names are resolved only when
// the user named the peer, and what the DHT says is judged.
func (s *Swarm) Dial(ctx context.Context, info peer.AddrInfo, how string, limit time.Duration) error {
	if s.IsConnected(info.ID) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	call := s.connect
	switch how {
	case ByUser:
		call = s.connectInsisting
		if info.Addrs, err = address.Resolve(ctx, s.cfg.Names, info); err != nil {
			return err
		}
	case Remembered, LAN:
		call = s.connectInsisting
	case DHT:
		info.Addrs = s.host.Peerstore().(*addrBook).believable(info.ID, info.Addrs)
	}
	if err := call(ctx, info); err != nil {
		return err
	}
	s.note(info.ID, how)
	return nil
}

// hearsayReach is how near addresses may lead that a DHT tells: one's own DHT is where its
// bootstrap peers are (SPEC.md [D82]).
func (s *Swarm) hearsayReach() address.Reach {
	if s.cfg.DHT != api.DHTOwn || len(s.cfg.Bootstrap) == 0 {
		return address.Public
	}
	nearest, nets := address.Self, address.LocalNetworks()
	for _, info := range s.cfg.Bootstrap {
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

func (s *Swarm) note(p peer.ID, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.foundBy) >= maxFound {
		for p := range s.foundBy {
			if !s.IsConnected(p) {
				delete(s.foundBy, p)
			}
		}
	}
	s.foundBy[p] = how
}

// Found says how a connected peer was found.
func (s *Swarm) Found(p peer.ID, outbound bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if how, ok := s.foundBy[p]; ok {
		return how
	}
	if outbound {
		return DHT // which dials on its own
	}
	return Incoming
}

// watchNetworkChange closes connections that the machine has left behind in another
// network: they would look alive for a minute, also when it comes back, and nobody
// would ask who is met again for news.
func (s *Swarm) watchNetworkChange(ctx context.Context) {
	tick := time.NewTicker(address.PollInterval)
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
		for _, c := range s.host.Network().Conns() {
			if isStale(c.LocalMultiaddr(), c.RemoteMultiaddr(), was, is) {
				if err := c.Close(); err != nil {
					s.cfg.Log.Debug("close a connection left behind", "peer", c.RemotePeer().String(), "err", err)
				}
			}
		}
		was = is
	}
}

// closeDuplicateConns closes the old connections of peers that have come again: nobody
// dials a peer that it is connected to, so they are dead, and whatever is sent on
// them waits in vain.
func (s *Swarm) closeDuplicateConns(ctx context.Context) {
	for {
		change := s.changed.Wait()
		for _, p := range s.host.Network().Peers() {
			for _, c := range outdated(s.host.Network().ConnsToPeer(p)) {
				if err := c.Close(); err != nil {
					s.cfg.Log.Debug("close an old connection", "peer", p.String(), "err", err)
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

// isStale reports whether a connection cannot go on: its own address is gone, or
// the network that the peer is in.
func isStale(local, remote ma.Multiaddr, was, is address.Networks) bool {
	here, err := manet.ToIP(local)
	if err == nil && was.Has(here) && !is.Has(here) {
		return true
	}
	there, err := manet.ToIP(remote)
	return err == nil && was.Contains(there) && !is.Contains(there)
}

// watchReachability follows what others say about whether they can reach this node.
func (s *Swarm) watchReachability(ctx context.Context) {
	sub, err := s.host.EventBus().Subscribe([]any{new(event.EvtLocalReachabilityChanged), new(event.EvtHostReachableAddrsChanged)})
	if err != nil {
		s.cfg.Log.Error("watch reachability", "err", err)
		return
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-sub.Out():
			s.mu.Lock()
			switch e := e.(type) {
			case event.EvtLocalReachabilityChanged:
				s.reachability = e.Reachability
			case event.EvtHostReachableAddrsChanged:
				if len(e.Reachable) > 0 {
					s.reachability = network.ReachabilityPublic
				}
			}
			s.mu.Unlock()
		}
	}
}

// Reachability is "public", "private" or "unknown".
func (s *Swarm) Reachability() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.reachability {
	case network.ReachabilityPublic:
		return "public"
	case network.ReachabilityPrivate:
		return "private"
	}
	return "unknown"
}

// bootstrap provides the rendezvous, and meets others who do while few peers exchange
// records with this node.
func (s *Swarm) bootstrap(ctx context.Context) {
	var provided time.Time
	pause := searchFirst
	for {
		err := s.table.Ready(ctx)
		if err != nil {
			s.cfg.Log.Debug("look for peers in the DHT", "err", err)
		}
		if err == nil && time.Since(provided) >= s.cfg.ReprovideInterval {
			if err := s.table.Provide(ctx, dht.Rendezvous()); err != nil {
				s.cfg.Log.Debug("provide the rendezvous", "err", err)
			} else {
				provided = time.Now()
			}
		}
		if err == nil && len(s.cfg.Gossiping()) < enoughGossip {
			s.dialProviders(ctx, dht.Rendezvous())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, searchMost)
	}
}

// dialProviders dials who provides c.
func (s *Swarm) dialProviders(ctx context.Context, c cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range s.search(ctx, c) {
	}
}

// FindAnybody finds somebody for a node of one command that knows nobody. It reports
// whether anybody is connected.
func (s *Swarm) FindAnybody(ctx context.Context) bool {
	if s.table == nil || !s.cfg.Ephemeral {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	found := s.search(ctx, dht.Rendezvous())
	_, ok := <-found
	cancel()
	for range found { // until the search has ended
	}
	return ok
}

// search asks the DHT who provides c, dials them, and sends those who answer. The
// channel is closed when nobody more is to be expected or ctx has ended: whoever calls
// reads it until then.
func (s *Swarm) search(ctx context.Context, c cid.Cid) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, MaxProviders)
	go func() {
		defer close(out)
		var dials sync.WaitGroup
		defer dials.Wait()
		slots := make(chan struct{}, searchDials)
		err := s.table.FindProviders(ctx, c, MaxProviders, func(info peer.AddrInfo) bool {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return false
			}
			dials.Go(func() {
				defer func() { <-slots }()
				if len(info.Addrs) == 0 && !s.IsConnected(info.ID) {
					said, err := s.table.FindPeer(ctx, info.ID)
					if err != nil {
						return
					}
					info = said
				}
				if err := s.Dial(ctx, info, DHT, searchDial); err != nil {
					s.cfg.Log.Debug("dial a provider", "peer", info.ID.String(), "err", err)
					return
				}
				out <- info // has room for all
			})
			return true
		})
		if err != nil {
			s.cfg.Log.Debug("search the DHT", "cid", c.String(), "err", err)
		}
	}()
	return out
}

// FindProviders looks for peers that have the module root beyond those that are
// connected: on the LAN, then in the DHT. It sends each to whom there is a
// connection now, and closes the channel after searchFor at the latest. Bitswap
// asks them by itself.
func (s *Swarm) FindProviders(ctx context.Context, root cid.Cid) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, MaxProviders)
	if s.mdns != nil {
		s.mdns.Requery()
	}
	if s.table == nil {
		close(out)
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	found := s.search(ctx, root)
	go func() { // ends with the search
		defer cancel()
		defer close(out)
		for info := range found {
			out <- info // has room for all
		}
	}()
	return out
}
