package mdns

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/node/address"
)

// maxPerIP is how many peers wait at one IP (docs/program.md [D13]).
const maxPerIP = 4

// peerQueue is of those heard on the LAN and not dialled yet. Anybody there can announce
// thousands of peers: their IPs take turns, so that one who announces many has no more
// of the turns.
type peerQueue struct {
	mu   sync.Mutex
	at   map[string]*ipQueue
	wake chan struct{} // for who waits in next
}

// ipQueue is an IP at which peers are said to be.
type ipQueue struct {
	turns   int // it had
	waiting []peer.AddrInfo
}

func newPeerQueue() *peerQueue {
	return &peerQueue{at: map[string]*ipQueue{}, wake: make(chan struct{}, 1)}
}

// add has a peer wait, unless many do at its IP.
func (c *peerQueue) add(info peer.AddrInfo) {
	ip, ok := address.PlainIP(info.Addrs[0])
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.at[ip.String()]
	if d == nil {
		d = new(ipQueue)
		c.at[ip.String()] = d
	}
	if len(d.waiting) >= maxPerIP || slices.ContainsFunc(d.waiting, func(w peer.AddrInfo) bool { return w.ID == info.ID }) {
		return
	}
	d.waiting = append(d.waiting, info)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *peerQueue) isEmpty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.best() == nil
}

// best is the ipQueue whose turn it is, nil for none. It is called with c.mu held.
func (c *peerQueue) best() *ipQueue {
	var best *ipQueue
	alike := 0
	for _, d := range c.at {
		if len(d.waiting) == 0 {
			continue
		}
		switch {
		case best == nil || d.turns < best.turns:
			best, alike = d, 1
		case d.turns == best.turns:
			if alike++; rand.IntN(alike) == 0 {
				best = d
			}
		}
	}
	return best
}

// next waits for somebody to dial. It returns false when ctx ends. One at a time may wait.
func (c *peerQueue) next(ctx context.Context) (peer.AddrInfo, bool) {
	for {
		c.mu.Lock()
		if d := c.best(); d != nil {
			i := rand.IntN(len(d.waiting))
			info := d.waiting[i]
			d.waiting = slices.Delete(d.waiting, i, i+1)
			d.turns++
			c.mu.Unlock()
			return info, true
		}
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-ctx.Done():
			return peer.AddrInfo{}, false
		}
	}
}
