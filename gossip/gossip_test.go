package gossip

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
)

// SPEC G1
func TestDeliverAlongALine(t *testing.T) {
	simulate(t, 5, func(t *testing.T, hosts []host.Host) {
		var nodes []*node
		for _, h := range hosts {
			n := start(t, h, Config{})
			defer n.stop()
			nodes = append(nodes, n)
		}
		for i := range 4 {
			connect(t, hosts[i], hosts[i+1])
		}
		settle(3 * time.Second)

		if got := nodes[0].publish(t, "hello"); got != 1 {
			t.Errorf("the record was queued for %d peers, want 1", got)
		}
		if n, err := nodes[2].PublishKey(t.Context(), []byte("key")); n != 2 || err != nil {
			t.Errorf("the key was queued for %d peers (%v), want 2", n, err)
		}
		settle(time.Second)

		for i, n := range nodes {
			if want := min(i, 1); n.saw(TopicRecords+" hello") != want {
				t.Errorf("node %d validated the record %d times, want %d", i, n.saw(TopicRecords+" hello"), want)
			}
			want := 1
			if i == 2 {
				want = 0
			}
			if got := n.saw(TopicKeys + " key"); got != want {
				t.Errorf("node %d validated the key %d times, want %d", i, got, want)
			}
		}
	})
}
