package node

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxGiven bounds how many peers are remembered for what they gave.
const maxGiven = 1024

// given counts the records that came from each peer and were new here.
type given struct {
	mu    sync.Mutex
	peers map[peer.ID]int64
}

func newGiven() *given { return &given{peers: map[peer.ID]int64{}} }

func (g *given) add(from peer.ID, records int) {
	if g == nil || records == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.peers[from]; !ok && len(g.peers) >= maxGiven {
		for p := range g.peers {
			delete(g.peers, p)
			break
		}
	}
	g.peers[from] += int64(records)
}

func (g *given) by(p peer.ID) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers[p]
}
