package node

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// moreProviders looks for peers that have the module root beyond those that are
// connected: on the LAN, then in the DHT. It sends each to whom there is a
// connection now, and closes the channel after searchFor at the latest. Bitswap
// asks them by itself.
func (l *live) moreProviders(ctx context.Context, root cid.Cid) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, searchPeers)
	if l.find.lan != nil {
		l.find.lan.again()
	}
	if l.find.table == nil {
		close(out)
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	found := l.find.search(ctx, root)
	go func() {
		defer cancel()
		defer close(out)
		for info := range found {
			out <- info // has room for all
		}
	}()
	return out
}

// search is one fetch's search for providers: none while peers send what they are
// asked for, one when they do not.
type search struct {
	live  *live
	root  cid.Cid
	found func() // called for each provider

	once sync.Once
	out  chan peer.AddrInfo // closed at the end of the search
	done chan struct{}      // likewise

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func newSearch(l *live, root cid.Cid, found func()) *search {
	return &search{live: l, root: root, found: found, out: make(chan peer.AddrInfo, searchPeers), done: make(chan struct{})}
}

func (s *search) start(ctx context.Context) {
	s.once.Do(func() {
		go func() {
			defer close(s.done)
			defer close(s.out)
			for info := range s.live.moreProviders(ctx, s.root) {
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
		change := s.live.changed.wait()
		if len(connected(s.live.host)) > 0 {
			return true
		}
		select {
		case <-change:
		case <-s.done:
			return len(connected(s.live.host)) > 0
		case <-ctx.Done():
			return false
		}
	}
}

// soon searches when nothing has come after lookAfter.
func (s *search) soon(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil && !s.over {
		s.timer = time.AfterFunc(lookAfter, func() { s.start(ctx) })
	}
}

// enough says that blocks come.
func (s *search) enough() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// wait ends the search; its context must have ended.
func (s *search) wait() {
	s.enough()
	s.once.Do(func() { close(s.done) }) // never started
	<-s.done
}
