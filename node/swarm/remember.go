package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/reconcile"
)

// When peers are remembered, and how those who came are looked for (docs/program.md [N80]).
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
func (s *Swarm) keepRemembering(ctx context.Context) {
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s.rememberConnected(late)
	}()
	probed := map[peer.ID]time.Time{}
	next := time.Now().Add(rememberSoon)
	for {
		change := s.changed.Wait()
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
			s.rememberConnected(ctx)
			s.probeIncoming(ctx, probed)
			next = time.Now().Add(rememberEvery)
		case <-change:
			if soon := time.Now().Add(rememberSoon); soon.Before(next) {
				next = soon
			}
		}
	}
}

func (s *Swarm) rememberConnected(ctx context.Context) {
	if err := s.cfg.Peers.Remember(ctx, s.dialledNodes()...); err != nil && ctx.Err() == nil {
		s.cfg.Log.Debug("remember peers", "err", err)
	}
}

// Remember writes down now which es nodes are connected, and looks for those that came by
// themselves.
func (s *Swarm) Remember(ctx context.Context) {
	s.rememberConnected(ctx)
	s.probeIncoming(ctx, map[peer.ID]time.Time{})
}

// isNode reports whether a connected peer takes part in es.
func (s *Swarm) isNode(p peer.ID) bool {
	return s.Speaks(p, reconcile.Protocol) || slices.Contains(s.cfg.Gossiping(), p)
}

// dialledNodes returns the es nodes that answered when this one dialled them, and where.
func (s *Swarm) dialledNodes() []peerbook.Peer {
	var met []peerbook.Peer
	now := time.Now().Unix()
	for _, p := range s.Connected() {
		if !s.isNode(p) {
			continue
		}
		k := peerbook.Peer{ID: p, Seen: now, Answered: now}
		for _, a := range s.dialledAt(p) {
			k.Addrs = append(k.Addrs, a.String())
		}
		if len(k.Addrs) > 0 {
			met = append(met, k)
		}
	}
	return met
}

// dialledAt returns where this node reached a connected peer itself.
func (s *Swarm) dialledAt(p peer.ID) []ma.Multiaddr {
	var at []ma.Multiaddr
	for _, c := range s.host.Network().ConnsToPeer(p) {
		a := c.RemoteMultiaddr()
		_, err := a.ValueForProtocol(ma.P_CIRCUIT)
		if c.Stat().Direction == network.DirOutbound && err != nil {
			at = append(at, a)
		}
	}
	return ma.Unique(at)
}

// probeIncoming looks whether es nodes that came by themselves can be dialled where
// they say: each at the IP from which it came, so that nobody has this node knock at
// the doors of others.
func (s *Swarm) probeIncoming(ctx context.Context, probed map[peer.ID]time.Time) {
	for p, at := range probed {
		if time.Since(at) > probeAgain {
			delete(probed, p)
		}
	}
	left := probeMost
	for _, p := range s.Connected() {
		if _, lately := probed[p]; lately || left == 0 || len(probed) >= maxProbed || !s.isNode(p) || len(s.dialledAt(p)) > 0 {
			continue
		}
		probed[p] = time.Now()
		left--
		if err := s.rememberIncoming(ctx, p); err != nil {
			s.cfg.Log.Debug("look for a peer that came", "peer", p.String(), "err", err)
		}
	}
}

func (s *Swarm) rememberIncoming(ctx context.Context, p peer.ID) error {
	addrs := s.addrsAtOrigin(p)
	if len(addrs) == 0 {
		return errors.New("it does not say that it listens where it came from")
	}
	at, err := s.cfg.Probe(ctx, peer.AddrInfo{ID: p, Addrs: addrs})
	if err != nil {
		return err
	}
	now := time.Now().Unix()
	return s.cfg.Peers.Remember(ctx, peerbook.Peer{ID: p, Addrs: []string{at.String()}, Seen: now, Answered: now})
}

// addrsAtOrigin are the addresses that a connected peer says it listens on, at the IP
// from which it came.
func (s *Swarm) addrsAtOrigin(p peer.ID) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, c := range s.host.Network().ConnsToPeer(p) {
		from, ok := address.PlainIP(c.RemoteMultiaddr())
		if _, err := c.RemoteMultiaddr().ValueForProtocol(ma.P_CIRCUIT); !ok || err == nil {
			continue
		}
		for _, a := range s.host.Peerstore().Addrs(p) {
			if ip, ok := address.PlainIP(a); ok && ip.Equal(from) {
				out = append(out, a)
			}
		}
	}
	return ma.Unique(out)
}

// probe dials a peer at these addresses and no others, as a stranger, and returns
// where it answered: a peer is asked over one connection as a rule, whatever else it
// was told.
func (s *Swarm) probe(ctx context.Context, info peer.AddrInfo) (ma.Multiaddr, error) {
	key, err := NewIdentity()
	if err != nil {
		return nil, err
	}
	h, err := newHost(hostConfig{key: key, version: s.cfg.Version, swarmKey: s.cfg.SwarmKey, gate: newGate()})
	if err != nil {
		return nil, err
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := connect(ctx, h, info); err != nil {
		return nil, err
	}
	for _, c := range h.Network().ConnsToPeer(info.ID) {
		return c.RemoteMultiaddr(), nil
	}
	return nil, fmt.Errorf("%s has gone at once", info.ID)
}

// Connect dials a multiaddr that ends in /p2p/PEER, remembers it and returns whose it is.
// The error is a *api.WrongAddrError when the peer does not answer there.
func (s *Swarm) Connect(ctx context.Context, addr string) (peer.ID, error) {
	info, err := address.Parse(addr)
	if err != nil {
		return "", err
	}
	if info.ID == s.host.ID() {
		return "", fmt.Errorf("connect to %s: that is this node itself", info.ID)
	}
	if err := s.dialAt(ctx, *info); err != nil {
		return "", err
	}
	now := time.Now().Unix()
	met := peerbook.Peer{ID: info.ID, Seen: now, Asked: true, Answered: now}
	for _, a := range info.Addrs {
		met.Addrs = append(met.Addrs, a.String())
	}
	if err := s.cfg.Peers.Remember(ctx, met); err != nil {
		return "", err
	}
	return info.ID, nil
}

// dialAt connects to a peer, and makes sure that it answers at the addresses that
// the user gave: libp2p takes whatever connection there is. The error is a
// *WrongAddrError.
func (s *Swarm) dialAt(ctx context.Context, info peer.AddrInfo) error {
	found, err := address.Resolve(ctx, s.cfg.Names, info)
	if err == nil {
		err = s.Dial(ctx, peer.AddrInfo{ID: info.ID, Addrs: found}, ByUser, s.cfg.DialTimeout)
	}
	if err == nil && !slices.ContainsFunc(s.dialledAt(info.ID), func(a ma.Multiaddr) bool { return ma.Contains(found, a) }) {
		_, err = s.cfg.Probe(ctx, peer.AddrInfo{ID: info.ID, Addrs: found})
	}
	if err == nil {
		s.note(info.ID, ByUser)
		return nil
	}
	err = fmt.Errorf("connect to %s: %w", info.ID, oneLine(err))
	return &api.WrongAddrError{At: s.rememberedAt(info.ID, info.Addrs), Err: err}
}

// rememberedAt is where a peer is remembered, if not at one of addrs.
func (s *Swarm) rememberedAt(p peer.ID, addrs []ma.Multiaddr) string {
	known, err := s.cfg.Peers.Known()
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
