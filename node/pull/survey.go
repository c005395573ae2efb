package pull

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

// Survey asks peers how their records of the authors compare with those here, and what
// time it is.
func (p *Puller) Survey(ctx context.Context, authors []records.Fingerprint) ([]api.Answer, error) {
	peers, err := p.awaitPeers(ctx)
	if err != nil {
		return nil, err
	}
	peers = p.cfg.Swarm.Ranked(peers)
	peers = peers[:min(len(peers), surveyPeers)]
	answers := []api.Answer{}
	var mu sync.Mutex
	var asking errgroup.Group
	for _, who := range peers {
		asking.Go(func() error {
			compared, err := p.reconcile.Compare(ctx, who, authors)
			if err != nil {
				p.cfg.Log.Debug("compare with a peer", "peer", who.String(), "err", err)
				return nil
			}
			a := api.Answer{Peer: who.String(), Authors: map[records.Fingerprint]api.Agreement{}}
			if a.Offset, err = p.clockOffset(ctx, who); err != nil {
				p.cfg.Log.Debug("ask a peer for the time", "peer", who.String(), "err", err)
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
