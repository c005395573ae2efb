package ingest

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxPeers bounds the peers that receivedCounts remembers.
const maxPeers = 1024

// receivedCounts counts the records that each peer has sent and that were new here.
type receivedCounts struct {
	mu    sync.Mutex
	peers *simplelru.LRU[string, int64]
}

func newReceivedCounts() *receivedCounts {
	return &receivedCounts{peers: newLRU[string, int64](maxPeers)}
}

// newLRU makes a map that forgets what was used longest ago.
func newLRU[K comparable, V any](size int) *simplelru.LRU[K, V] {
	m, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // the size is 0
	}
	return m
}

func (c *receivedCounts) add(peer string) {
	if peer == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _ := c.peers.Get(peer)
	c.peers.Add(peer, n+1)
}

func (c *receivedCounts) by(peer string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _ := c.peers.Peek(peer)
	return n
}
