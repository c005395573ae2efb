package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// running waits until the node is ready.
func (n *Node) running(ctx context.Context) (*parts, error) {
	select {
	case <-n.ready:
	case <-n.done:
		return nil, api.ErrClosed
	case <-n.closing:
		return nil, api.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-n.done:
		return nil, api.ErrClosed
	default:
		return n.parts, nil
	}
}

// Announce implements api.Network.
func (n *Node) Announce(ctx context.Context, ids []cid.Cid) (api.Announced, error) {
	p, err := n.running(ctx)
	if err != nil {
		return api.Announced{}, err
	}
	return p.outbox.Announce(ctx, ids)
}

// AnnounceKey implements api.Network.
func (n *Node) AnnounceKey(ctx context.Context, key records.Fingerprint) (api.Announced, error) {
	p, err := n.running(ctx)
	if err != nil {
		return api.Announced{}, err
	}
	return p.outbox.AnnounceKey(ctx, key)
}

// Fetch implements api.Network.
func (n *Node) Fetch(ctx context.Context, w records.Target, progress func(api.Progress)) error {
	p, err := n.running(ctx)
	if err != nil {
		return err
	}
	return p.fetcher.Fetch(ctx, w, progress)
}

// Sync implements api.Network.
func (n *Node) Sync(ctx context.Context, o api.SyncOptions, progress func(api.Synced)) (api.Synced, error) {
	p, err := n.running(ctx)
	if err != nil {
		return api.Synced{}, err
	}
	return p.puller.Sync(ctx, o, progress)
}

// Holders implements api.Network.
func (n *Node) Holders(ctx context.Context, root cid.Cid) (api.Holders, error) {
	p, err := n.running(ctx)
	if err != nil {
		return api.Holders{}, err
	}
	h, err := p.fetcher.Holders(ctx, root)
	h.Idle = time.Since(p.served.get())
	return h, err
}

// Survey implements api.Network.
func (n *Node) Survey(ctx context.Context, authors []records.Fingerprint) ([]api.Answer, error) {
	p, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	return p.puller.Survey(ctx, authors)
}

// Connect implements api.Network.
func (n *Node) Connect(ctx context.Context, addr string) (api.PeerInfo, error) {
	p, err := n.running(ctx)
	if err != nil {
		return api.PeerInfo{}, err
	}
	id, err := p.swarm.Connect(ctx, addr)
	if err != nil {
		return api.PeerInfo{}, err
	}
	return p.peerInfo(id), nil
}

// Peers implements api.Network.
func (n *Node) Peers(ctx context.Context) ([]api.PeerInfo, error) {
	p, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	p.swarm.AwaitDialled(ctx)
	out := []api.PeerInfo{}
	for _, id := range p.swarm.Connected() {
		out = append(out, p.peerInfo(id))
	}
	slices.SortFunc(out, func(a, b api.PeerInfo) int { return strings.Compare(a.Peer, b.Peer) })
	return out, nil
}

func (p *parts) peerInfo(id peer.ID) api.PeerInfo {
	info := api.PeerInfo{Peer: id.String(), Addrs: []string{}}
	h := p.swarm.Host()
	for _, c := range h.Network().ConnsToPeer(id) {
		info.Addrs = append(info.Addrs, c.RemoteMultiaddr().String()+"/p2p/"+id.String())
		info.Outbound = info.Outbound || c.Stat().Direction == network.DirOutbound
	}
	if agent, err := h.Peerstore().Get(id, "AgentVersion"); err == nil {
		if s, ok := agent.(string); ok {
			info.Agent = records.CleanText(s, 64)
		}
	}
	info.Records = p.ingester.Received(id.String())
	moved := p.fetcher.Stats(id)
	info.Received, info.Sent = moved.BytesIn, moved.BytesOut
	info.Gossip = slices.Contains(p.gossip.Mesh(gossip.TopicRecords), id)
	info.Found = p.swarm.Found(id, info.Outbound)
	return info
}

// Status implements api.Network.
func (n *Node) Status(ctx context.Context) (api.Status, error) {
	p, err := n.running(ctx)
	if err != nil {
		return api.Status{}, err
	}
	p.swarm.AwaitDialled(ctx)
	c, err := n.home.Index().Counts(ctx)
	if err != nil {
		return api.Status{}, err
	}
	synced, err := n.home.Synced()
	if err != nil {
		return api.Status{}, err
	}
	return api.Status{
		Peer:     p.swarm.Host().ID().String(),
		Addrs:    p.swarm.Addrs(),
		Listen:   p.swarm.Listening(),
		Peers:    len(p.swarm.Connected()),
		Inbound:  p.swarm.Inbound(),
		Seed:     n.cfg.Seed,
		Authors:  c.Authors,
		Records:  c.Records,
		Releases: c.Releases,
		Pending:  c.Pending,
		Synced:   synced,
		Daemon:   !n.cfg.Ephemeral,
		Version:  n.cfg.Version,

		Reachability: p.swarm.Reachability(),
		DHT:          p.swarm.DHTStatus(),
		MDNS:         n.cfg.MDNS,
		Private:      n.swarm.SwarmKey != nil,
	}, nil
}
