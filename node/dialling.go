package node

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
	enoughPeers  = 16 // remembered peers are dialled until there are so many
	enoughChosen = 8  // ... and this node dialled so many of them: those who come by themselves may all be one
	firstDials   = 3 * time.Second
	redialFirst  = 5 * time.Second
	redialMost   = 5 * time.Minute
)

// attempt is when a peer may be dialled again.
type attempt struct {
	next  time.Time
	pause time.Duration
}

// keepDialling dials the bootstrap and remembered peers, and again those that are
// gone.
func (l *live) keepDialling(ctx context.Context) {
	tries := map[peer.ID]attempt{}
	l.firstRound(ctx, tries)
	close(l.dialled)
	l.changed.fire()
	tick := time.NewTicker(redialFirst)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.dialAll(ctx, tries)
		}
	}
}

// firstRound dials everybody once. When somebody has answered the others have
// firstDials to do so.
func (l *live) firstRound(ctx context.Context, tries map[peer.ID]attempt) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for len(connected(l.host)) == 0 {
			change := l.changed.wait()
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
	l.dialAll(ctx, tries)
	l.find.awaitLAN(ctx)
}

// isChosen reports whether this node dialled p.
func isChosen(h host.Host, p peer.ID) bool {
	return slices.ContainsFunc(h.Network().ConnsToPeer(p), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirOutbound
	})
}

// Whose word comes first, when not all can be asked.
const (
	rankNamed  = iota // the user named it
	rankChosen        // this node dialled it
	rankOther         // it came by itself: any number of those may be one
)

func (l *live) rank(p peer.ID) int {
	switch {
	case l.isNamed(p):
		return rankNamed
	case isChosen(l.host, p):
		return rankChosen
	}
	return rankOther
}

// ranked returns peers in the order of their rank, those of one rank in any.
func (l *live) ranked(peers []peer.ID) []peer.ID {
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	ranks := map[peer.ID]int{}
	for _, p := range peers {
		ranks[p] = l.rank(p)
	}
	slices.SortStableFunc(peers, func(a, b peer.ID) int { return cmp.Compare(ranks[a], ranks[b]) })
	return peers
}

// isNamed reports whether the user named p.
func (l *live) isNamed(p peer.ID) bool {
	return slices.ContainsFunc(l.node.bootstrap, func(i peer.AddrInfo) bool { return i.ID == p }) || l.find.found(p, false) == foundAsked
}

// callNamed dials those whom the user named and who are not connected, for a moment.
func (l *live) callNamed(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	for _, c := range l.candidates(func(p peer.ID) bool { return p == l.host.ID() }) {
		switch {
		case c.how != foundAsked:
		case l.isConnected(c.ID):
			l.find.note(c.ID, foundAsked) // it may have come by itself
		default:
			calls.Go(func() {
				if err := l.find.dial(ctx, c.AddrInfo, c.how, firstDials); err != nil {
					l.log.Debug("dial", "peer", c.ID.String(), "err", err)
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
func (l *live) candidates(skip func(peer.ID) bool) []candidate {
	var out []candidate
	if l.node.cfg.Alone {
		return nil
	}
	for _, info := range l.node.bootstrap {
		if skip(info.ID) {
			continue
		}
		out = append(out, candidate{info, foundAsked})
	}
	known, err := l.home.Peers().Known()
	if err != nil {
		l.log.Error("read remembered peers", "err", err)
	}
	peers := connected(l.host)
	chosen := slices.DeleteFunc(slices.Clone(peers), func(p peer.ID) bool { return !isChosen(l.host, p) })
	room := max(enoughPeers-len(peers), enoughChosen-len(chosen))
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

func (l *live) dialAll(ctx context.Context, tries map[peer.ID]attempt) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var vain []peer.ID
	skip := func(p peer.ID) bool {
		mu.Lock()
		defer mu.Unlock()
		return p == l.host.ID() || l.isConnected(p) || time.Now().Before(tries[p].next)
	}
	for _, info := range l.candidates(skip) {
		mu.Lock()
		t := tries[info.ID]
		mu.Unlock()
		wg.Go(func() {
			err := l.find.dial(ctx, info.AddrInfo, info.how, dialTimeout)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				delete(tries, info.ID)
				return
			}
			l.log.Debug("dial", "peer", info.ID.String(), "err", err)
			vain = append(vain, info.ID)
			t.pause = min(max(2*t.pause, redialFirst), redialMost)
			t.next = time.Now().Add(t.pause)
			tries[info.ID] = t
		})
	}
	wg.Wait()
	if len(vain) > 0 && ctx.Err() == nil && len(address.LocalNetworks().Nets) > 0 {
		if err := l.home.Peers().Forget(ctx, vain...); err != nil {
			l.log.Debug("forget peers that never answered", "err", err)
		}
	}
}

// awaitPeers waits for the first round of dialling when nobody is connected. It
// reports whether somebody is, or how many were dialled in vain.
func (l *live) awaitPeers(ctx context.Context) (tried int, ok bool) {
	for {
		change := l.changed.wait()
		if len(connected(l.host)) > 0 {
			return 0, true
		}
		select {
		case <-l.dialled:
			// Somebody may have come between the two looks.
			return len(l.candidates(func(peer.ID) bool { return false })), len(connected(l.host)) > 0
		default:
		}
		select {
		case <-change:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// awaitDialled lets a node for one command meet whom it knows, before it says who
// is there.
func (l *live) awaitDialled(ctx context.Context) {
	if !l.node.cfg.Ephemeral {
		return
	}
	select {
	case <-l.dialled:
	case <-time.After(firstDials):
	case <-ctx.Done():
	}
}

// plainDialError says why dialling failed in one line: libp2p's own error lists
// each address on a line of its own.
func plainDialError(err error) error {
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
		return foundAsked
	}
	return foundRemembered
}
