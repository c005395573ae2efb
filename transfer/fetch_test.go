package transfer

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
)

// A tree comes whole from one peer, each block once.
func TestFetch(t *testing.T) {
	blocks, bounds := tree(t, 1, 300)
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		server, client := start(t, hosts[0], blocks), start(t, hosts[1], newMemory())
		complete, err := client.fetch(bounds, server)
		if !complete || err != nil {
			t.Fatalf("fetch: complete %v, %v", complete, err)
		}
		if err := client.whole(bounds); err != nil {
			t.Error(err)
		}
		for d, n := range blocks.reads {
			if n > 1 {
				t.Errorf("block %s was sent %d times", d.cid(true), n)
			}
		}
		got, sent := client.Stats(server.host.ID()), server.Stats(client.host.ID())
		if got.BytesIn == 0 || got.BytesIn != sent.BytesOut || got.BlocksIn != sent.BlocksOut || int(got.BlocksIn) != len(blocks.blocks) {
			t.Errorf("the client counts %+v, the server %+v", got, sent)
		}
	})
}
