package gossip

import (
	"context"
	"maps"
	"slices"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// tracer hears of everything that pubsub does, mostly inside pubsub's loop. It
// must not block.
type tracer struct{ g *Gossip }

func (t tracer) RejectMessage(_ *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectValidationQueueFull, pubsub.RejectValidationThrottled:
		t.g.drops.add(func(d *Drops) { d.Queue++ })
	}
}

func (t tracer) DropRPC(rpc *pubsub.RPC, _ peer.ID) {
	if n := len(rpc.GetPublish()); n > 0 {
		t.g.drops.add(func(d *Drops) { d.Outbound += uint64(n) })
	}
}

func (t tracer) SendRPC(rpc *pubsub.RPC, p peer.ID) { t.g.outbox.queued(p, rpc.GetPublish()) }

func (t tracer) OnNewOutboundStream(peer.ID, protocol.ID) { t.g.changed.Notify() }

func (t tracer) OnClosedOutboundStream(p peer.ID) {
	t.g.mesh.forget(p)
	t.g.changed.Notify()
}

func (t tracer) RecvRPC(rpc *pubsub.RPC) {
	for _, s := range rpc.GetSubscriptions() {
		if slices.Contains(topics, s.GetTopicid()) {
			t.g.wire.subscribed(rpc.From(), s.GetSubscribe())
		}
	}
	if len(rpc.GetSubscriptions()) > 0 {
		t.g.changed.Notify()
	}
}

func (tracer) Join(string)                          {}
func (tracer) Leave(string)                         {}
func (t tracer) Graft(p peer.ID, topic string)      { t.g.mesh.set(topic, p, true) }
func (t tracer) Prune(p peer.ID, topic string)      { t.g.mesh.set(topic, p, false) }
func (tracer) ValidateMessage(*pubsub.Message)      {}
func (tracer) DeliverMessage(*pubsub.Message)       {}
func (tracer) DuplicateMessage(*pubsub.Message)     {}
func (tracer) ThrottlePeer(peer.ID)                 {}
func (tracer) UndeliverableMessage(*pubsub.Message) {}

// dropCounter collects drops until they are reported.
type dropCounter struct {
	mu    sync.Mutex
	drops Drops
	some  chan struct{}
}

func newDropCounter() *dropCounter { return &dropCounter{some: make(chan struct{}, 1)} }

func (c *dropCounter) add(count func(*Drops)) {
	c.mu.Lock()
	count(&c.drops)
	c.mu.Unlock()
	select {
	case c.some <- struct{}{}:
	default:
	}
}

// report calls f with what was dropped until ctx ends.
func (c *dropCounter) report(ctx context.Context, f func(Drops)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.some:
		}
		c.mu.Lock()
		drops := c.drops
		c.drops = Drops{}
		c.mu.Unlock()
		if f != nil && drops.total() > 0 {
			f(drops)
		}
	}
}

// mesh is who is in gossipsub's mesh of each topic.
type mesh struct {
	mu    sync.Mutex
	peers map[string]map[peer.ID]bool
}

func (m *mesh) set(topic string, p peer.ID, in bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.peers == nil {
		m.peers = map[string]map[peer.ID]bool{}
	}
	if m.peers[topic] == nil {
		m.peers[topic] = map[peer.ID]bool{}
	}
	if in {
		m.peers[topic][p] = true
	} else {
		delete(m.peers[topic], p)
	}
}

func (m *mesh) forget(p peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, peers := range m.peers {
		delete(peers, p)
	}
}

func (m *mesh) list(topic string) []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.peers[topic]))
}
