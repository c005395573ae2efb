package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/node/api"
)

// hasProtocol asks a peer whether it has a whole module (SPEC.md [B80]).
const (
	hasProtocol = "/es/has/1"
	hasTimeout  = 3 * time.Second
	hasWorkers  = 2 // questions that are looked into at once
	hasPeers    = 32
	hasMemory   = 256 // modules that were found whole
	hasFor      = time.Minute
)

// Holders asks the peers that are there, 32 at most, whether they have all of a module.
// Idle is left to the caller.
func (f *Fetcher) Holders(ctx context.Context, root cid.Cid) (api.Holders, error) {
	if !root.Defined() {
		return api.Holders{}, errors.New("ask for holders: there is no CID")
	}
	peers := slices.DeleteFunc(f.cfg.Swarm.Ranked(f.cfg.Swarm.Connected()), func(p peer.ID) bool { return !f.cfg.Swarm.Speaks(p, hasProtocol) })
	peers = peers[:min(len(peers), hasPeers)]
	h := api.Holders{Asked: len(peers)}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, p := range peers {
		asking.Go(func() {
			has, err := f.askHas(ctx, p, root)
			if err != nil {
				f.cfg.Log.Debug("ask for a module", "peer", p.String(), "err", err)
			}
			if has {
				mu.Lock()
				defer mu.Unlock()
				h.Have++
			}
		})
	}
	asking.Wait()
	return h, ctx.Err()
}

func (f *Fetcher) askHas(ctx context.Context, p peer.ID, root cid.Cid) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, hasTimeout)
	defer cancel()
	s, err := f.cfg.Swarm.Host().NewStream(network.WithNoDial(ctx, "has"), p, hasProtocol)
	if err != nil {
		return false, fmt.Errorf("ask %s for %s: %w", p, root, err)
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	if _, err := s.Write(append([]byte{byte(root.ByteLen())}, root.Bytes()...)); err != nil {
		return false, fmt.Errorf("ask %s for %s: %w", p, root, err)
	}
	var answer [1]byte
	if _, err := io.ReadFull(s, answer[:]); err != nil {
		return false, fmt.Errorf("ask %s for %s: %w", p, root, err)
	}
	return answer[0] == 1, nil
}

// holder answers whether modules are here.
type holder struct {
	store *blocks.Store
	log   *slog.Logger
	slots chan struct{}

	mu    sync.Mutex
	whole map[cid.Cid]time.Time // found so lately
}

func newHolder(cfg Config) *holder {
	return &holder{store: cfg.Blocks, log: cfg.Log, slots: make(chan struct{}, hasWorkers), whole: map[cid.Cid]time.Time{}}
}

func (h *holder) serve(ctx context.Context, s network.Stream) {
	if err := h.answer(ctx, s); err != nil {
		h.log.Debug("answer whether a module is here", "peer", s.Conn().RemotePeer().String(), "err", err)
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

func (h *holder) answer(ctx context.Context, s network.Stream) error {
	if err := s.SetDeadline(time.Now().Add(hasTimeout)); err != nil {
		return err
	}
	var b [256]byte
	if _, err := io.ReadFull(s, b[:1]); err != nil {
		return err
	}
	n := int(b[0])
	if _, err := io.ReadFull(s, b[:n]); err != nil {
		return err
	}
	root, err := cid.Cast(b[:n])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hasTimeout)
	defer cancel()
	whole, err := h.has(ctx, root)
	if err != nil {
		return err
	}
	answer := []byte{0}
	if whole {
		answer[0] = 1
	}
	_, err = s.Write(answer)
	return err
}

// has looks whether all blocks of a module are here, two modules at once. What was
// whole a moment ago still is.
func (h *holder) has(ctx context.Context, root cid.Cid) (bool, error) {
	if ok, err := h.store.Has(ctx, root); err != nil || !ok {
		return false, err
	}
	h.mu.Lock()
	at, known := h.whole[root]
	h.mu.Unlock()
	if known && time.Since(at) < hasFor {
		return true, nil
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	whole, err := h.store.Complete(ctx, root)
	if err != nil || !whole {
		return false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.whole) >= hasMemory {
		clear(h.whole)
	}
	h.whole[root] = time.Now()
	return true, nil
}
