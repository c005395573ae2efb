package gossip

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/everythingstays/es/simulation"
)

// full says to run the numbers of the threat table instead of a small part.
var full = os.Getenv("ES_FULL") != ""

// simulate runs f in virtual time with n hosts that are not connected.
func simulate(t *testing.T, n int, f func(t *testing.T, hosts []host.Host)) {
	t.Helper()
	simulation.Run(t, simulation.Config{Hosts: n, Latency: 5 * time.Millisecond}, func(t *testing.T, n *simulation.Network) {
		f(t, n.Hosts)
	})
}

func connect(t *testing.T, a, b host.Host) {
	t.Helper()
	simulation.Connect(t, a, b)
}

// A node is a Gossip that remembers what it was asked to validate.
type node struct {
	*Gossip
	host host.Host
	stop func()

	mu        sync.Mutex
	validated []string // topic and data, without this node's own
	drops     Drops
}

// bad is how the validators of these tests know an invalid message.
const bad = "bad"

func validateText(_ context.Context, m Message) Outcome {
	switch {
	case len(m.Data) >= len(bad) && string(m.Data[:len(bad)]) == bad:
		return Reject
	case string(m.Data) == "stale":
		return Ignore
	}
	return Accept
}

// start runs a node until stop is called or the test ends.
func start(t *testing.T, h host.Host, cfg Config) *node {
	t.Helper()
	n := &node{host: h}
	validate := cfg.Accept
	if validate == nil {
		validate = validateText
	}
	cfg.Accept = func(ctx context.Context, m Message) Outcome {
		outcome := validate(ctx, m)
		if !m.Local {
			n.mu.Lock()
			n.validated = append(n.validated, m.Topic+" "+string(m.Data))
			n.mu.Unlock()
		}
		return outcome
	}
	cfg.Dropped = func(d Drops) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.drops.Queue += d.Queue
		n.drops.Limited += d.Limited
		n.drops.Graylisted += d.Graylisted
		n.drops.Outbound += d.Outbound
	}
	g, err := New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Gossip = g
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	<-g.started
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return n
}

func (n *node) saw(message string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, m := range n.validated {
		if m == message {
			count++
		}
	}
	return count
}

// sawPrefix counts the different messages with a prefix.
func (n *node) sawPrefix(prefix string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := make(map[string]bool)
	for _, m := range n.validated {
		if len(m) >= len(prefix) && m[:len(prefix)] == prefix {
			seen[m] = true
		}
	}
	return len(seen)
}

func (n *node) dropped() Drops {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.drops
}

func (n *node) publish(t *testing.T, data string) int {
	t.Helper()
	peers, err := n.PublishRecord(t.Context(), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return peers
}

// meet waits until n has so many peers.
func (n *node) meet(t *testing.T, peers int) {
	t.Helper()
	for {
		change := n.changed.Wait()
		if len(n.Peers(TopicRecords)) >= peers && len(n.Peers(TopicKeys)) >= peers {
			return
		}
		if err := n.await(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
}

// settle lets virtual time pass.
func settle(d time.Duration) { simulation.Settle(d) }

// A hostile peer speaks gossipsub without any of our limits.
type hostile struct {
	host  host.Host
	topic *pubsub.Topic
	stop  context.CancelFunc
}

func startHostile(t *testing.T, h host.Host) *hostile {
	t.Helper()
	return startSubscribed(t, h, TopicRecords)
}

func startSubscribed(t *testing.T, h host.Host, name string) *hostile {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ps, err := pubsub.NewGossipSub(ctx, h,
		pubsub.WithGossipSubProtocols([]protocol.ID{pubsub.GossipSubID_v12}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerOutboundQueueSize(1<<16),
	)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := ps.Join(name)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := topic.Subscribe(pubsub.WithMessageFilter(func(*pubsub.Message) bool { return false }))
	if err != nil {
		t.Fatal(err)
	}
	_ = sub
	return &hostile{host: h, topic: topic, stop: cancel}
}

func (h *hostile) send(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := h.topic.Publish(t.Context(), fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
}
