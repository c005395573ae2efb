package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/reconcile"
)

// When peers are remembered, and how those who came are looked for (SPEC.md [N80]).
const (
	rememberEvery = 30 * time.Second
	rememberSoon  = 2 * time.Second // after somebody has come
	probeTimeout  = 3 * time.Second
	probeAgain    = 10 * time.Minute
	probeMost     = 4 // in one round
	maxProbed     = 1024
)

// keepRemembering writes down which es nodes this one meets, and where they
// answered: now and then, soon after somebody has come, and at the end.
func (l *live) keepRemembering(ctx context.Context) {
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		l.rememberMet(late)
	}()
	probed := map[peer.ID]time.Time{}
	next := time.Now().Add(rememberSoon)
	for {
		change := l.changed.wait()
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
			l.rememberMet(ctx)
			l.probeComers(ctx, probed)
			next = time.Now().Add(rememberEvery)
		case <-change:
			if soon := time.Now().Add(rememberSoon); soon.Before(next) {
				next = soon
			}
		}
	}
}

func (l *live) rememberMet(ctx context.Context) {
	if err := l.home.Peers().Remember(ctx, l.met()...); err != nil && ctx.Err() == nil {
		l.log.Debug("remember peers", "err", err)
	}
}

// isNode reports whether a connected peer takes part in es.
func (l *live) isNode(p peer.ID) bool {
	spoken, err := l.host.Peerstore().SupportsProtocols(p, reconcile.Protocol)
	return err == nil && len(spoken) > 0 || slices.Contains(l.gossip.Peers(gossip.TopicRecords), p)
}

// met returns the es nodes that answered when this one dialled them, and where.
func (l *live) met() []peerbook.Peer {
	var met []peerbook.Peer
	now := time.Now().Unix()
	for _, p := range connected(l.host) {
		if !l.isNode(p) {
			continue
		}
		k := peerbook.Peer{ID: p, Seen: now, Answered: now}
		for _, a := range l.dialledAt(p) {
			k.Addrs = append(k.Addrs, a.String())
		}
		if len(k.Addrs) > 0 {
			met = append(met, k)
		}
	}
	return met
}

// dialledAt returns where this node reached a connected peer itself.
func (l *live) dialledAt(p peer.ID) []ma.Multiaddr {
	var at []ma.Multiaddr
	for _, c := range l.host.Network().ConnsToPeer(p) {
		a := c.RemoteMultiaddr()
		_, err := a.ValueForProtocol(ma.P_CIRCUIT)
		if c.Stat().Direction == network.DirOutbound && err != nil {
			at = append(at, a)
		}
	}
	return ma.Unique(at)
}

// probeComers looks whether es nodes that came by themselves can be dialled where
// they say: each at the IP from which it came, so that nobody has this node knock at
// the doors of others.
func (l *live) probeComers(ctx context.Context, probed map[peer.ID]time.Time) {
	for p, at := range probed {
		if time.Since(at) > probeAgain {
			delete(probed, p)
		}
	}
	left := probeMost
	for _, p := range connected(l.host) {
		if _, lately := probed[p]; lately || left == 0 || len(probed) >= maxProbed || !l.isNode(p) || len(l.dialledAt(p)) > 0 {
			continue
		}
		probed[p] = time.Now()
		left--
		if err := l.rememberComer(ctx, p); err != nil {
			l.log.Debug("look for a peer that came", "peer", p.String(), "err", err)
		}
	}
}

func (l *live) rememberComer(ctx context.Context, p peer.ID) error {
	addrs := l.saidHere(p)
	if len(addrs) == 0 {
		return errors.New("it does not say that it listens where it came from")
	}
	at, err := l.node.probe(ctx, peer.AddrInfo{ID: p, Addrs: addrs})
	if err != nil {
		return err
	}
	now := time.Now().Unix()
	return l.home.Peers().Remember(ctx, peerbook.Peer{ID: p, Addrs: []string{at.String()}, Seen: now, Answered: now})
}

// saidHere are the addresses that a connected peer says it listens on, at the IP
// from which it came.
func (l *live) saidHere(p peer.ID) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, c := range l.host.Network().ConnsToPeer(p) {
		from, ok := address.PlainIP(c.RemoteMultiaddr())
		if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT); !ok || err == nil {
			continue
		}
		for _, a := range l.host.Peerstore().Addrs(p) {
			if ip, ok := address.PlainIP(a); ok && ip.Equal(from) {
				out = append(out, a)
			}
		}
	}
	return ma.Unique(out)
}

// dialOnly dials a peer at these addresses and no others, as a stranger, and returns
// where it answered: a peer is asked over one connection as a rule, whatever else it
// was told.
func (n *Node) dialOnly(ctx context.Context, info peer.AddrInfo) (ma.Multiaddr, error) {
	key, err := passingIdentity()
	if err != nil {
		return nil, err
	}
	h, err := newHost(hostConfig{key: key, version: n.cfg.Version, swarmKey: n.swarmKey, gate: newGate()})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := dial(ctx, h, info); err != nil {
		return nil, err
	}
	for _, c := range h.Network().ConnsToPeer(info.ID) {
		return c.RemoteMultiaddr(), nil
	}
	return nil, fmt.Errorf("%s has gone at once", info.ID)
}

// connect implements Network.Connect.
func (l *live) connect(ctx context.Context, addr string) (api.PeerInfo, error) {
	info, err := address.Parse(addr)
	if err != nil {
		return api.PeerInfo{}, err
	}
	if info.ID == l.host.ID() {
		return api.PeerInfo{}, fmt.Errorf("connect to %s: that is this node itself", info.ID)
	}
	if err := l.reachAt(ctx, *info); err != nil {
		return api.PeerInfo{}, err
	}
	now := time.Now().Unix()
	met := peerbook.Peer{ID: info.ID, Seen: now, Asked: true, Answered: now}
	for _, a := range info.Addrs {
		met.Addrs = append(met.Addrs, a.String())
	}
	if err := l.home.Peers().Remember(ctx, met); err != nil {
		return api.PeerInfo{}, err
	}
	return l.peer(info.ID), nil
}

// reachAt connects to a peer, and makes sure that it answers at the addresses that
// the user gave: libp2p takes whatever connection there is. The error is a
// *WrongAddrError.
func (l *live) reachAt(ctx context.Context, info peer.AddrInfo) error {
	found, err := address.Resolve(ctx, l.node.names, info)
	if err == nil {
		err = l.find.dial(ctx, peer.AddrInfo{ID: info.ID, Addrs: found}, foundAsked, dialTimeout)
	}
	if err == nil && !slices.ContainsFunc(l.dialledAt(info.ID), func(a ma.Multiaddr) bool { return ma.Contains(found, a) }) {
		_, err = l.node.probe(ctx, peer.AddrInfo{ID: info.ID, Addrs: found})
	}
	if err == nil {
		l.find.note(info.ID, foundAsked)
		return nil
	}
	err = fmt.Errorf("connect to %s: %w", info.ID, plainDialError(err))
	return &api.WrongAddrError{At: l.rememberedAt(info.ID, info.Addrs), Err: err}
}

// rememberedAt is where a peer is remembered, if not at one of addrs.
func (l *live) rememberedAt(p peer.ID, addrs []ma.Multiaddr) string {
	known, err := l.home.Peers().Known()
	if err != nil {
		return ""
	}
	for _, k := range known {
		for _, a := range k.Info().Addrs {
			if k.ID == p && !ma.Contains(addrs, a) {
				return a.String() + "/p2p/" + p.String()
			}
		}
	}
	return ""
}
