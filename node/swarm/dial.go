package swarm

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/peerbook"
)

const (
	enoughPeers   = 16 // remembered peers are dialled until there are so many
	enoughDialled = 8  // ... and this node dialled so many of them: those who come by themselves may all be one
	firstDials    = 3 * time.Second
	redialFirst   = 5 * time.Second
	redialMost    = 5 * time.Minute
)

// attempt is when a peer may be dialled again.
type attempt struct {
	next  time.Time
	pause time.Duration
}

// keepDialling dials the bootstrap and remembered peers, and again those that are
// gone.
func (s *Swarm) keepDialling(ctx context.Context) {
	tries := map[peer.ID]attempt{}
	s.dialFirst(ctx, tries)
	close(s.dialled)
	s.changed.Notify()
	tick := time.NewTicker(redialFirst)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.dialAll(ctx, tries)
		}
	}
}

// dialFirst dials everybody once. When somebody has answered the others have
// firstDials to do so.
func (s *Swarm) dialFirst(ctx context.Context, tries map[peer.ID]attempt) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for len(s.Connected()) == 0 {
			change := s.changed.Wait()
			select {
			case <-change:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(firstDials):
			cancel()
		case <-ctx.Done():
		}
	})
	s.dialAll(ctx, tries)
	s.awaitMDNS(ctx)
}

// hasDialled reports whether this node dialled p.
func hasDialled(h host.Host, p peer.ID) bool {
	return slices.ContainsFunc(h.Network().ConnsToPeer(p), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirOutbound
	})
}

// Whose word comes first, when not all can be asked.
const (
	RankNamed   = iota // the user named it
	RankDialled        // this node dialled it
	RankOther          // it came by itself: any number of those may be one
)

func (s *Swarm) Rank(p peer.ID) int {
	switch {
	case s.isNamed(p):
		return RankNamed
	case hasDialled(s.host, p):
		return RankDialled
	}
	return RankOther
}

// Ranked returns peers in the order of their rank, those of one rank in any.
func (s *Swarm) Ranked(peers []peer.ID) []peer.ID {
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	ranks := map[peer.ID]int{}
	for _, p := range peers {
		ranks[p] = s.Rank(p)
	}
	slices.SortStableFunc(peers, func(a, b peer.ID) int { return cmp.Compare(ranks[a], ranks[b]) })
	return peers
}

// isNamed reports whether the user named p.
func (s *Swarm) isNamed(p peer.ID) bool {
	return slices.ContainsFunc(s.cfg.Bootstrap, func(i peer.AddrInfo) bool { return i.ID == p }) || s.Found(p, false) == ByUser
}

// DialNamed dials those whom the user named and who are not connected, for a moment.
func (s *Swarm) DialNamed(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	for _, c := range s.candidates(func(p peer.ID) bool { return p == s.host.ID() }) {
		switch {
		case c.how != ByUser:
		case s.IsConnected(c.ID):
			s.note(c.ID, ByUser) // it may have come by itself
		default:
			calls.Go(func() {
				if err := s.Dial(ctx, c.AddrInfo, c.how, firstDials); err != nil {
					s.cfg.Log.Debug("dial", "peer", c.ID.String(), "err", err)
				}
			})
		}
	}
}

// candidate is a peer to dial, and how it was found.
type candidate struct {
	peer.AddrInfo
	how string
}

// candidates are the peers to dial, best first, without those that skip holds
// for.
func (s *Swarm) candidates(skip func(peer.ID) bool) []candidate {
	var out []candidate
	if s.cfg.Alone {
		return nil
	}
	for _, info := range s.cfg.Bootstrap {
		if skip(info.ID) {
			continue
		}
		out = append(out, candidate{info, ByUser})
	}
	known, err := s.cfg.Peers.Known()
	if err != nil {
		s.cfg.Log.Error("read remembered peers", "err", err)
	}
	peers := s.Connected()
	chosen := slices.DeleteFunc(slices.Clone(peers), func(p peer.ID) bool { return !hasDialled(s.host, p) })
	room := max(enoughPeers-len(peers), enoughDialled-len(chosen))
	for _, k := range known {
		if skip(k.ID) {
			continue
		}
		if k.Asked || room > 0 {
			out = append(out, candidate{k.Info(), rememberedAs(k)})
			room--
		}
	}
	return out
}

func (s *Swarm) dialAll(ctx context.Context, tries map[peer.ID]attempt) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var vain []peer.ID
	skip := func(p peer.ID) bool {
		mu.Lock()
		defer mu.Unlock()
		return p == s.host.ID() || s.IsConnected(p) || time.Now().Before(tries[p].next)
	}
	for _, info := range s.candidates(skip) {
		mu.Lock()
		t := tries[info.ID]
		mu.Unlock()
		wg.Go(func() {
			err := s.Dial(ctx, info.AddrInfo, info.how, s.cfg.DialTimeout)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				delete(tries, info.ID)
				return
			}
			s.cfg.Log.Debug("dial", "peer", info.ID.String(), "err", err)
			vain = append(vain, info.ID)
			t.pause = min(max(2*t.pause, redialFirst), redialMost)
			t.next = time.Now().Add(t.pause)
			tries[info.ID] = t
		})
	}
	wg.Wait()
	if len(vain) > 0 && ctx.Err() == nil && len(address.LocalNetworks().Nets) > 0 {
		if err := s.cfg.Peers.Forget(ctx, vain...); err != nil {
			s.cfg.Log.Debug("forget peers that never answered", "err", err)
		}
	}
}

// AwaitPeers waits for the first round of dialling when nobody is connected. It
// reports whether somebody is, or how many were dialled in vain.
func (s *Swarm) AwaitPeers(ctx context.Context) (tried int, ok bool) {
	for {
		change := s.changed.Wait()
		if len(s.Connected()) > 0 {
			return 0, true
		}
		select {
		case <-s.dialled:
			// Somebody may have come between the two looks.
			return len(s.candidates(func(peer.ID) bool { return false })), len(s.Connected()) > 0
		default:
		}
		select {
		case <-change:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// AwaitDialled gives a node for one command the time to dial whom it knows, before it says who
// is there.
func (s *Swarm) AwaitDialled(ctx context.Context) {
	if !s.cfg.Ephemeral {
		return
	}
	select {
	case <-s.dialled:
	case <-time.After(firstDials):
	case <-ctx.Done():
	}
}

// oneLine says why dialling failed in one line: libp2p's own error lists
// each address on a line of its own.
func oneLine(err error) error {
	if errors.As(err, new(*RefusedError)) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer")
	}
	var d *swarm.DialError
	if !errors.As(err, &d) || len(d.DialErrors) == 0 {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	last := d.DialErrors[0]
	return errors.New(strings.ReplaceAll(last.Address.String()+": "+last.Cause.Error(), "\n", " "))
}

// rememberedAs says as what a remembered peer counts when it is dialled.
func rememberedAs(k peerbook.Peer) string {
	if k.Asked {
		return ByUser
	}
	return Remembered
}
