package replica

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/transfer"
)

// transferFirst is how long a fetch that is connected to nobody who speaks
// transfer waits for one before it turns to bitswap.
const transferFirst = 500 * time.Millisecond

func newTransfer(cfg Config) *transfer.Exchange {
	return transfer.New(cfg.Swarm.Host(), transfer.Config{
		Store:  transferStore{cfg.Blocks},
		Origin: swarm.Origin,
		Chosen: cfg.Swarm.IsChosen,
		Served: func(peer.ID) { cfg.Served() },
		Offence: func(p peer.ID, err error) {
			cfg.Log.Warn("disconnect a peer that sent a bad block", "peer", p.String(), "err", err)
			if err := cfg.Swarm.Host().Network().ClosePeer(p); err != nil {
				cfg.Log.Debug("disconnect", "peer", p.String(), "err", err)
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
func (f *Fetcher) transferTree(ctx context.Context, w records.Target, more func() <-chan peer.AddrInfo, progress func(api.Progress)) (transfer.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	peers, needPeers := make(chan peer.ID), make(chan struct{}, 1)
	asking.Go(func() { f.sendProviders(ctx, w, more, peers, needPeers) })
	providers := transfer.Providers{Peers: peers, NeedPeers: func() {
		select {
		case needPeers <- struct{}{}:
		default:
		}
	}}
	return f.transfer.Fetch(ctx, w, providers, func(p transfer.Progress) {
		progress(api.Progress{Bytes: p.Bytes, Blocks: p.Blocks, Received: p.Received, From: p.Sources, Peers: len(f.cfg.Swarm.Connected())})
	})
}

// sendProviders sends the peers that may give what w wants to peers, the best
// first, and closes it when nobody else is to be expected. It looks for others
// when those who are there do not suffice.
func (f *Fetcher) sendProviders(ctx context.Context, w records.Target, more func() <-chan peer.AddrInfo, peers chan<- peer.ID, needPeers <-chan struct{}) {
	defer close(peers)
	o := &offering{fetcher: f, to: peers}
	sender, dialledSender := f.senderOf(ctx, w.Record), make(chan struct{})
	var dialling sync.WaitGroup
	defer dialling.Wait()
	dialling.Go(func() {
		defer close(dialledSender)
		f.dialSender(ctx, sender)
	})
	if f.cfg.Swarm.IsConnected(sender) {
		o.add(ctx, sender)
	}
	if !o.addConnected(ctx, dialledSender) {
		return
	}
	select {
	case <-needPeers: // before anybody was there
	default:
	}
	o.add(ctx, f.cfg.Swarm.Ranked(f.cfg.Swarm.Connected())...)
	select {
	case <-needPeers:
	case <-ctx.Done():
		return
	}
	for found := more(); ; {
		select {
		case p, ok := <-found:
			if !ok {
				return
			}
			o.add(ctx, p.ID)
		case <-ctx.Done():
			return
		}
	}
}

// offering sends each peer that may speak transfer once.
type offering struct {
	fetcher *Fetcher
	to      chan<- peer.ID
	sent    []peer.ID
}

func (o *offering) add(ctx context.Context, peers ...peer.ID) {
	for _, p := range peers {
		if slices.Contains(o.sent, p) || !o.fetcher.mayTransfer(p) {
			continue
		}
		o.sent = append(o.sent, p)
		select {
		case o.to <- p:
		case <-ctx.Done():
			return
		}
	}
}

// addConnected adds who is connected, until everybody who is known has been dialled. It
// returns false when nobody is to be expected who speaks transfer, or ctx has ended.
func (o *offering) addConnected(ctx context.Context, dialledSender <-chan struct{}) bool {
	s := o.fetcher.cfg.Swarm
	strangers := time.NewTimer(transferFirst)
	defer strangers.Stop()
	dialled := s.Dialled()
	for dialled != nil || dialledSender != nil {
		change := s.Changed()
		o.add(ctx, s.Ranked(s.Connected())...)
		select {
		case <-change:
		case <-dialled:
			dialled = nil
		case <-dialledSender:
			dialledSender = nil
		case <-strangers.C:
			if len(o.sent) == 0 && len(s.Connected()) > 0 {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// mayTransfer reports whether a peer speaks transfer or has not said yet.
func (f *Fetcher) mayTransfer(p peer.ID) bool {
	protocols, err := f.cfg.Swarm.Host().Peerstore().GetProtocols(p)
	return err != nil || len(protocols) == 0 || slices.Contains(protocols, transfer.ID)
}

// hasStrangers reports whether anybody is connected who has blocks and does not
// speak transfer.
func (f *Fetcher) hasStrangers() bool {
	return slices.ContainsFunc(f.cfg.Swarm.Connected(), func(p peer.ID) bool { return !f.mayTransfer(p) })
}

// senderOf returns the peer that sent a record, who is likely to have what it names; ""
// when nobody did.
func (f *Fetcher) senderOf(ctx context.Context, record cid.Cid) peer.ID {
	if !record.Defined() {
		return ""
	}
	r, err := f.cfg.Index.Release(ctx, record)
	if err != nil || r.Peer == "" {
		return ""
	}
	id, err := peer.Decode(r.Peer)
	if err != nil {
		return ""
	}
	return id
}

// dialSender connects to the sender of a record. Failing is no error: others may have
// what it has.
func (f *Fetcher) dialSender(ctx context.Context, p peer.ID) {
	if p == "" {
		return
	}
	if err := f.cfg.Swarm.DialKnown(ctx, p); err != nil {
		f.cfg.Log.Debug("dial the sender of a record", "peer", p.String(), "err", err)
	}
}
