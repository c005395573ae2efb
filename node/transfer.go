package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/transfer"
)

// strangersFirst is how long a fetch that is connected to nobody who speaks
// transfer waits for one before it turns to bitswap.
const strangersFirst = 500 * time.Millisecond

func newTransfer(l *live) *transfer.Exchange {
	return transfer.New(l.host, transfer.Config{
		Store:  transferStore{l.home.Blocks()},
		Served: func(peer.ID) { l.served.set() },
		Offence: func(p peer.ID, err error) {
			l.log.Warn("disconnect a peer that sent a bad block", "peer", p.String(), "err", err)
			if err := l.host.Network().ClosePeer(p); err != nil {
				l.log.Debug("disconnect", "peer", p.String(), "err", err)
			}
		},
	})
}

// transferStore is the block store as package transfer wants it, which verifies
// what it puts.
type transferStore struct{ *blocks.Store }

func (s transferStore) Put(ctx context.Context, c cid.Cid, b []byte) error {
	return s.PutVerified(ctx, c, b)
}

// transferTree fetches from peers that speak transfer.
func (l *live) transferTree(ctx context.Context, w records.Target, more func() <-chan peer.AddrInfo, progress func(api.Progress)) (transfer.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	peers, starved := make(chan peer.ID), make(chan struct{}, 1)
	asking.Go(func() { l.findProviders(ctx, w, more, peers, starved) })
	providers := transfer.Providers{Peers: peers, NeedPeers: func() {
		select {
		case starved <- struct{}{}:
		default:
		}
	}}
	return l.transfer.Fetch(ctx, w, providers, func(p transfer.Progress) {
		progress(api.Progress{Bytes: p.Bytes, Blocks: p.Blocks, Received: p.Received, From: p.Sources, Peers: len(connected(l.host))})
	})
}

// findProviders sends the peers that may give what w wants to peers, the best
// first, and closes it when nobody else is to be expected. It looks for others
// when those who are there do not suffice.
func (l *live) findProviders(ctx context.Context, w records.Target, more func() <-chan peer.AddrInfo, peers chan<- peer.ID, starved <-chan struct{}) {
	defer close(peers)
	var offered []peer.ID
	offer := func(p peer.ID) {
		if slices.Contains(offered, p) || !l.mayTransfer(p) {
			return
		}
		offered = append(offered, p)
		select {
		case peers <- p:
		case <-ctx.Done():
		}
	}
	sender, called := l.senderOf(ctx, w.Record), make(chan struct{})
	var calling sync.WaitGroup
	defer calling.Wait()
	calling.Go(func() {
		defer close(called)
		l.call(ctx, sender)
	})
	if l.isConnected(sender.ID) {
		offer(sender.ID)
	}
	strangers := time.NewTimer(strangersFirst)
	defer strangers.Stop()
	dialled := l.dialled
	for dialled != nil || called != nil {
		change := l.changed.wait()
		for _, p := range l.ranked(connected(l.host)) {
			offer(p)
		}
		select {
		case <-change:
		case <-dialled:
			dialled = nil
		case <-called:
			called = nil
		case <-strangers.C:
			if len(offered) == 0 && len(connected(l.host)) > 0 {
				return
			}
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-starved: // before anybody was there
	default:
	}
	for _, p := range l.ranked(connected(l.host)) {
		offer(p)
	}
	select {
	case <-starved:
	case <-ctx.Done():
		return
	}
	for found := more(); ; {
		select {
		case p, ok := <-found:
			if !ok {
				return
			}
			offer(p.ID)
		case <-ctx.Done():
			return
		}
	}
}

// mayTransfer reports whether a peer speaks transfer or has not said yet.
func (l *live) mayTransfer(p peer.ID) bool {
	protocols, err := l.host.Peerstore().GetProtocols(p)
	return err != nil || len(protocols) == 0 || slices.Contains(protocols, transfer.ID)
}

// strangers reports whether anybody is connected who has blocks and does not
// speak transfer.
func (l *live) strangers() bool {
	return slices.ContainsFunc(connected(l.host), func(p peer.ID) bool { return !l.mayTransfer(p) })
}

// senderOf returns the peer that sent a record, who is likely to have what it
// names.
func (l *live) senderOf(ctx context.Context, record cid.Cid) candidate {
	if !record.Defined() {
		return candidate{}
	}
	r, err := l.home.Index().Release(ctx, record)
	if err != nil || r.Peer == "" {
		return candidate{}
	}
	id, err := peer.Decode(r.Peer)
	if err != nil {
		return candidate{}
	}
	info := candidate{AddrInfo: peer.AddrInfo{ID: id}}
	known, err := l.home.Peers().Known()
	if err != nil {
		return info
	}
	for _, k := range known {
		if k.ID == id {
			return candidate{k.Info(), rememberedAs(k)}
		}
	}
	return info
}

// call connects to a peer. Failing is no error: others may have what it has.
func (l *live) call(ctx context.Context, p candidate) {
	if p.ID == "" || len(p.Addrs) == 0 {
		return
	}
	if err := l.find.dial(ctx, p.AddrInfo, p.how, dialTimeout); err != nil {
		l.log.Debug("dial the sender of a record", "peer", p.ID.String(), "err", err)
	}
}
