package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// An Agreement is how a peer's records of an author compare with those here.
type Agreement string

const (
	SameRecords Agreement = "same"
	MoreThere   Agreement = "more" // the peer has more than this node
	MoreHere    Agreement = "less"
	Differ      Agreement = "differs"
)

// An Answer is what a peer says to a survey.
type Answer struct {
	Peer    string                            `json:"peer"`
	Offset  time.Duration                     `json:"offset"` // how far its clock is ahead, in ns
	Authors map[records.Fingerprint]Agreement `json:"authors"`
}

// surveyPeers is how many peers one survey asks at once and in all.
const surveyPeers = 8

// Survey implements Network.
func (n *Node) Survey(ctx context.Context, authors []records.Fingerprint) ([]Answer, error) {
	l, err := n.running(ctx)
	if err != nil {
		return nil, err
	}
	return l.survey(ctx, authors)
}

func (l *live) survey(ctx context.Context, authors []records.Fingerprint) ([]Answer, error) {
	peers, err := l.syncer.meet(ctx)
	if err != nil {
		return nil, err
	}
	peers = l.ranked(peers)
	peers = peers[:min(len(peers), surveyPeers)]
	answers := []Answer{}
	var mu sync.Mutex
	var asking errgroup.Group
	for _, p := range peers {
		asking.Go(func() error {
			compared, err := l.reconcile.Compare(ctx, p, authors)
			if err != nil {
				l.log.Debug("compare with a peer", "peer", p.String(), "err", err)
				return nil
			}
			a := Answer{Peer: p.String(), Authors: map[records.Fingerprint]Agreement{}}
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

func agreement(c reconcile.Comparison) Agreement {
	switch {
	case c.Same:
		return SameRecords
	case c.Theirs > c.Ours:
		return MoreThere
	case c.Theirs < c.Ours:
		return MoreHere
	}
	return Differ
}

// MedianOffset returns how far the peers' clocks are ahead of this one, and how
// many there are.
func MedianOffset(answers []Answer) (time.Duration, int) {
	var all []time.Duration
	for _, a := range answers {
		all = append(all, a.Offset)
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0, 0
	}
	return all[len(all)/2], len(all)
}
