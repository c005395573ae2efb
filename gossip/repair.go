package gossip

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// repairEvery is the time between two looks for streams that are missing (docs/program.md
// G18).
const repairEvery = 2 * time.Second

// A repairer sees to it that peers which stay connected stay in gossip
// (docs/program.md G18). pubsub opens the stream to a peer again when it ends, but gives
// up for 10 minutes after the fourth time. With the stream it forgets what the peer
// subscribed to, which the peer says once in a stream of its own.
type repairer struct {
	wire    *wire
	changed event.Emitter
	missing map[peer.ID]bool // had no stream to them at the look before
	lost    map[peer.ID]int  // looks in a row at which their subscription was lost
}

func newRepairer(w *wire) (*repairer, error) {
	changed, err := w.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated))
	if err != nil {
		return nil, err
	}
	return &repairer{wire: w, changed: changed}, nil
}

func (r *repairer) close() error { return r.changed.Close() }

// look repairs what was missing before. Subscribed are the peers of the topics as pubsub
// knows them.
func (r *repairer) look(subscribed []peer.ID) error {
	r.restart(subscribed)
	return r.open()
}

// open has pubsub open the streams that are missing.
func (r *repairer) open() error {
	missing := make(map[peer.ID]bool)
	peers := r.wire.Network().Peers()
	open := r.wire.outbox.reachable(slices.Clone(peers))
	for _, p := range peers {
		if slices.Contains(open, p) || r.wire.Network().Connectedness(p) != network.Connected {
			continue
		}
		speaks, err := r.wire.Peerstore().SupportsProtocols(p, protocols...)
		if err != nil || len(speaks) == 0 {
			continue // nothing is known of it, or it does not take part
		}
		missing[p] = true
		if r.missing[p] {
			if err := r.changed.Emit(event.EvtPeerProtocolsUpdated{Peer: p, Added: speaks}); err != nil {
				return err
			}
		}
	}
	r.missing = missing
	return nil
}

// restart ends the streams to and from a peer whose subscription was lost: both sides open
// another and subscribe in it. Were one of the two left, its other end would lose in turn
// what this side subscribed to. One side is the first to act.
func (r *repairer) restart(subscribed []peer.ID) {
	lost := make(map[peer.ID]int)
	for _, p := range r.wire.subscribers() {
		if slices.Contains(subscribed, p) {
			continue
		}
		looks := 2
		if r.wire.ID() > p {
			looks = 4
		}
		if lost[p] = r.lost[p] + 1; lost[p] >= looks {
			r.wire.reset(p)
			delete(lost, p)
		}
	}
	r.lost = lost
}
