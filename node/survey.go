package node

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// surveyPeers is how many peers one survey asks at once and in all.
const surveyPeers = 8

// Survey implements Network.
func (n *Node) Survey(ctx context.Context, authors []records.Fingerprint) ([]api.Answer, error) {
	l, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	return l.survey(ctx, authors)
}

func (l *live) survey(ctx context.Context, authors []records.Fingerprint) ([]api.Answer, error) {
	peers, err := l.syncer.meet(ctx)
	if err != nil {
		return nil, err
	}
	peers = l.ranked(peers)
	peers = peers[:min(len(peers), surveyPeers)]
	answers := []api.Answer{}
	var mu sync.Mutex
	var asking errgroup.Group
	for _, p := range peers {
		asking.Go(func() error {
			compared, err := l.reconcile.Compare(ctx, p, authors)
			if err != nil {
				l.log.Debug("compare with a peer", "peer", p.String(), "err", err)
				return nil
			}
			a := api.Answer{Peer: p.String(), Authors: map[records.Fingerprint]api.Agreement{}}
			if a.Offset, err = l.clockOffset(ctx, p); err != nil {
				l.log.Debug("ask a peer for the time", "peer", p.String(), "err", err)
				return nil
			}
			for _, c := range compared {
				a.Authors[c.Author] = agreement(c)
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, a)
			return nil
		})
	}
	_ = asking.Wait() // peers that do not answer are left out
	return answers, ctx.Err()
}

func agreement(c reconcile.Comparison) api.Agreement {
	switch {
	case c.Same:
		return api.SameRecords
	case c.Theirs > c.Ours:
		return api.MoreThere
	case c.Theirs < c.Ours:
		return api.MoreHere
	}
	return api.Differ
}
