package gossip

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// TestStreamsComeBack: a peer that stays connected stays in gossip, however often the
// stream to it or from it ends (SPEC G18).
func TestStreamsComeBack(t *testing.T) {
	for name, end := range map[string]func(a, b *node){
		"to":   func(a, b *node) { a.resetStreams(b.host.ID(), false) },
		"from": func(a, b *node) { a.resetStreams(b.host.ID(), true) },
		"both": func(a, b *node) {
			a.resetStreams(b.host.ID(), false)
			a.resetStreams(b.host.ID(), true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 2, func(t *testing.T, hosts []host.Host) {
				a, b := start(t, hosts[0], Config{}), start(t, hosts[1], Config{})
				defer a.stop()
				defer b.stop()
				connect(t, hosts[0], hosts[1])
				a.meet(t, 1)
				b.meet(t, 1)
				for i := range 12 { // pubsub gives up after the fourth
					end(a, b)
					settle(20 * time.Second)
					for _, x := range []struct{ from, to *node }{{a, b}, {b, a}} {
						text := fmt.Sprintf("%d from %s", i, x.from.host.ID())
						if n := x.from.publish(t, text); n != 1 {
							t.Fatalf("after %d resets a record was queued for %d peers", i+1, n)
						}
						settle(time.Second)
						if x.to.saw(TopicRecords+" "+text) != 1 {
							t.Fatalf("after %d resets a record does not arrive", i+1)
						}
					}
				}
			})
		})
	}
}

// TestNoRepairForOthers: a peer that speaks gossipsub and has none of the topics keeps its
// streams.
func TestNoRepairForOthers(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		n := start(t, hosts[0], Config{})
		defer n.stop()
		other := startSubscribed(t, hosts[1], "elsewhere")
		defer other.stop()
		connect(t, hosts[0], hosts[1])
		settle(3 * time.Second)
		before := n.streamsFrom()
		settle(time.Minute)
		after := n.streamsFrom()
		if len(before) != 1 || len(after) != 1 || before[0] != after[0] {
			t.Errorf("%v became %v", before, after)
		}
	})
}

func (n *node) streamsFrom() []network.Stream {
	n.wire.mu.Lock()
	defer n.wire.mu.Unlock()
	return slices.Collect(maps.Keys(n.wire.in))
}

// resetStreams ends the streams to a peer, or those from it.
func (n *node) resetStreams(p peer.ID, from bool) {
	found := n.streamsFrom()
	if !from {
		found = nil
		n.wire.mu.Lock()
		for s := range n.wire.out {
			found = append(found, s)
		}
		n.wire.mu.Unlock()
	}
	for _, s := range found {
		if s.Conn().RemotePeer() == p {
			_ = s.Reset()
		}
	}
}
