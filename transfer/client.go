package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

const (
	maxProviders  = 32 // that one fetch uses
	progressEvery = 100 * time.Millisecond
)

// Progress is how far a fetch is.
type Progress struct {
	Blocks, Bytes int64 // here, also those that were before
	Received      int64 // bytes of blocks that came for this fetch
	Sources       int   // peers that some of them came from
}

// Result is what became of a fetch.
type Result struct {
	Complete bool // the whole tree is here, and every block of it was verified
	Failed   int  // peers that failed, so that they may yet have what is missing
}

// Providers are the peers that may have a tree, the best first.
type Providers struct {
	Peers <-chan peer.ID // closed when no more are to be expected
	// NeedPeers, if not nil, is called, perhaps many times, while nobody who came
	// from Peers can give more. It must not block.
	NeedPeers func()
}

// Fetch brings the tree of b here from its providers, until it is complete or
// nobody can give more: that is when no more are to be expected and each of them
// lacks what is missing, or failed.
//
// progress is called at most ten times a second, and before Fetch returns. The
// error is a *unixfs.RuleError when the tree breaks a rule or b; errors of the
// Store are wrapped.
func (x *Exchange) Fetch(ctx context.Context, b records.Target, from Providers, progress func(Progress)) (Result, error) {
	if _, err := unixfs.Links(b.CID, nil); errors.As(err, new(*unixfs.RuleError)) {
		return Result{}, fmt.Errorf("transfer: %w", err) // no CID that a tree may have
	}
	j := newJob(x, b)
	fresh, err := j.discover(ctx, []cid.Cid{b.CID})
	if err != nil {
		return Result{}, fmt.Errorf("transfer %s: %w", b.CID, err)
	}
	defer func() { progress(j.progress()) }()
	if j.missing == 0 {
		return Result{Complete: true}, nil
	}
	x.mu.Lock()
	j.queue(fresh)
	x.jobs = append(x.jobs, j)
	x.mu.Unlock()
	defer x.drop(j)
	if err := j.run(ctx, from, progress); err != nil {
		return Result{}, fmt.Errorf("transfer %s: %w", b.CID, err)
	}
	return j.result(), nil
}

func (j *job) result() Result {
	j.x.mu.Lock()
	defer j.x.mu.Unlock()
	r := Result{Complete: j.missing == 0}
	for _, l := range j.queues {
		if l.gone {
			r.Failed++
		}
	}
	return r
}

// run waits for the end of a job that is among x.jobs.
func (j *job) run(ctx context.Context, from Providers, progress func(Progress)) error {
	x := j.x
	look := time.NewTicker(min(x.cfg.timeouts.steal/4, progressEvery))
	defer look.Stop()
	var reported time.Time
	peers := from.Peers
	for {
		select {
		case p, more := <-peers:
			x.mu.Lock()
			if more {
				j.join(p)
			} else {
				peers = nil
			}
			x.mu.Unlock()
		case <-j.wake:
		case <-look.C:
			x.mu.Lock()
			x.dispatch(j)
			x.mu.Unlock()
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := time.Now(); now.Sub(reported) >= progressEvery {
			reported = now
			progress(j.progress())
		}
		x.mu.Lock()
		err, needsPeers := j.err, j.needsPeers()
		over := x.closed || j.missing == 0 || needsPeers && peers == nil
		x.mu.Unlock()
		if err != nil || over {
			return err
		}
		if needsPeers && from.NeedPeers != nil {
			from.NeedPeers()
		}
	}
}

func (j *job) progress() Progress {
	j.x.mu.Lock()
	defer j.x.mu.Unlock()
	p := Progress{Blocks: j.blocks, Bytes: j.bytes, Received: j.received}
	for _, given := range j.sources {
		if given > 0 {
			p.Sources++
		}
	}
	return p
}

// join adds a peer to those that a job uses. It is called with x.mu held.
func (j *job) join(p peer.ID) {
	x := j.x
	if p == x.host.ID() || len(j.queues) == maxProviders || x.isBanned(p) {
		return
	}
	l := x.queues[p]
	if l == nil {
		l = &peerQueue{x: x, peer: p}
		x.queues[p] = l
	}
	if slices.Contains(j.queues, l) {
		return
	}
	j.queues = append(j.queues, l)
	x.dispatch(j)
}

// drop forgets a job. Answers that are on their way are read and passed over.
func (x *Exchange) drop(j *job) {
	x.mu.Lock()
	defer x.mu.Unlock()
	j.ended = true
	x.jobs = slices.DeleteFunc(x.jobs, func(other *job) bool { return other == j })
	for _, l := range j.queues {
		x.retire(l)
	}
}

// retire forgets a queue that nobody uses.
func (x *Exchange) retire(l *peerQueue) {
	if len(l.streams) > 0 || l.gone || slices.ContainsFunc(x.jobs, func(j *job) bool { return slices.Contains(j.queues, l) }) {
		return
	}
	l.gone = true
	delete(x.queues, l.peer)
}

// dispatch gives out what there is to ask for, to all peers evenly. It is called with
// x.mu held.
func (x *Exchange) dispatch(j *job) {
	for given := true; given; {
		given = false
		for _, l := range j.queues {
			given = x.assign(l) || given
		}
	}
}

func (x *Exchange) isBanned(p peer.ID) bool {
	until, ok := x.banned.Peek(p)
	return ok && time.Now().Before(until)
}
