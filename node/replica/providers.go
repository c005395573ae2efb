package replica

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/node/swarm"
)

// searchAfter is how long a fetch waits for connected peers before it searches.
const searchAfter = time.Second

// search is one fetch's search for providers: none while peers send what they are
// asked for, one when they do not.
type search struct {
	swarm *swarm.Swarm
	root  cid.Cid
	found func() // called for each provider

	once sync.Once
	out  chan peer.AddrInfo // closed at the end of the search
	done chan struct{}      // likewise

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func newSearch(s *swarm.Swarm, root cid.Cid, found func()) *search {
	return &search{swarm: s, root: root, found: found, out: make(chan peer.AddrInfo, swarm.MaxProviders), done: make(chan struct{})}
}

func (s *search) start(ctx context.Context) {
	s.once.Do(func() {
		go func() {
			defer close(s.done)
			defer close(s.out)
			for info := range s.swarm.FindProviders(ctx, s.root) {
				s.found()
				s.out <- info // has room for all
			}
		}()
	})
}

// providers returns a function that searches, and sends whom it finds.
func (s *search) providers(ctx context.Context) func() <-chan peer.AddrInfo {
	return func() <-chan peer.AddrInfo {
		s.start(ctx)
		return s.out
	}
}

// await searches and waits until somebody is connected, which it reports.
func (s *search) await(ctx context.Context) bool {
	s.start(ctx)
	for {
		change := s.swarm.Changed()
		if len(s.swarm.Connected()) > 0 {
			return true
		}
		select {
		case <-change:
		case <-s.done:
			return len(s.swarm.Connected()) > 0
		case <-ctx.Done():
			return false
		}
	}
}

// startAfter searches when nothing has come after searchAfter.
func (s *search) startAfter(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil && !s.over {
		s.timer = time.AfterFunc(searchAfter, func() { s.start(ctx) })
	}
}

// stop says that blocks come.
func (s *search) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// wait ends the search; its context must have ended.
func (s *search) wait() {
	s.stop()
	s.once.Do(func() { close(s.done) }) // never started
	<-s.done
}
