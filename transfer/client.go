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
	Givers        int   // peers that some of them came from
}

// Budget is how many bytes the distinct blocks of a tree may have (SPEC.md [B12]):
// its files, and what directories and chunks add.
func Budget(b records.Target) int64 {
	size, files := b.Size, b.Files
	if size < 0 {
		size = records.MaxModuleSize
	}
	if files < 0 {
		files = records.MaxFiles
	}
	return size + size/16 + files*8<<10 + 1<<20
}

// Result is what became of a fetch.
type Result struct {
	Complete bool // the whole tree is here, and every block of it was verified
	Failed   int  // peers that failed, so that they may yet have what is missing
}

// Providers are the peers that may have a tree, the best first.
type Providers struct {
	Peers <-chan peer.ID // closed when no more are to be expected
	// Starved, if not nil, is called, perhaps many times, while nobody who came
	// from Peers can give more. It must not block.
	Starved func()
}

// Fetch brings the tree of b here from its providers, until it is complete or
// nobody can give more: that is when no more are to be expected and each of them
// lacks what is missing, or failed.
//
// progress is called at most ten times a second, and before Fetch returns. The
// error is a *modules.RuleError when the tree breaks a rule or b; errors of the
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
	for _, l := range j.lines {
		if l.gone {
			r.Failed++
		}
	}
	return r
}

// run waits for the end of a job that is among x.jobs.
func (j *job) run(ctx context.Context, from Providers, progress func(Progress)) error {
	x := j.x
	look := time.NewTicker(min(x.cfg.patience.steal/4, progressEvery))
	defer look.Stop()
	var told time.Time
	peers := from.Peers
	for {
		select {
		case p, more := <-peers:
			x.mu.Lock()
			if more {
				j.join(ctx, p)
			} else {
				peers = nil
			}
			x.mu.Unlock()
		case <-j.wake:
		case <-look.C:
			x.mu.Lock()
			x.kick(j)
			x.mu.Unlock()
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := time.Now(); now.Sub(told) >= progressEvery {
			told = now
			progress(j.progress())
		}
		x.mu.Lock()
		err, starved := j.err, j.starved()
		over := x.closed || j.missing == 0 || starved && peers == nil
		x.mu.Unlock()
		if err != nil || over {
			return err
		}
		if starved && from.Starved != nil {
			from.Starved()
		}
	}
}

func (j *job) progress() Progress {
	j.x.mu.Lock()
	defer j.x.mu.Unlock()
	p := Progress{Blocks: j.blocks, Bytes: j.bytes, Received: j.received}
	for _, given := range j.givers {
		if given > 0 {
			p.Givers++
		}
	}
	return p
}

// join adds a peer to those that a job uses. It is called with x.mu held.
func (j *job) join(ctx context.Context, p peer.ID) {
	x := j.x
	if p == x.host.ID() || len(j.lines) == maxProviders || x.shunnedNow(p) {
		return
	}
	l := x.lines[p]
	if l == nil {
		l = &line{x: x, peer: p}
		x.lines[p] = l
	}
	if slices.Contains(j.lines, l) {
		return
	}
	l.ctx = context.WithoutCancel(ctx)
	j.lines = append(j.lines, l)
	x.kick(j)
}

// drop forgets a job. Answers that are on their way are read and passed over.
func (x *Exchange) drop(j *job) {
	x.mu.Lock()
	defer x.mu.Unlock()
	j.ended = true
	x.jobs = slices.DeleteFunc(x.jobs, func(other *job) bool { return other == j })
	for _, l := range j.lines {
		x.retire(l)
	}
}

// retire forgets a line that nobody uses.
func (x *Exchange) retire(l *line) {
	if len(l.streams) > 0 || l.gone || slices.ContainsFunc(x.jobs, func(j *job) bool { return slices.Contains(j.lines, l) }) {
		return
	}
	l.gone = true
	delete(x.lines, l.peer)
}

// kick gives out what there is to ask for, to all peers evenly. It is called with
// x.mu held.
func (x *Exchange) kick(j *job) {
	for given := true; given; {
		given = false
		for _, l := range j.lines {
			given = x.assign(l) || given
		}
	}
}

func (x *Exchange) shunnedNow(p peer.ID) bool {
	until, ok := x.shunned[p]
	if ok && !time.Now().Before(until) {
		delete(x.shunned, p)
		return false
	}
	return ok
}

// shun is called with x.mu held.
func (x *Exchange) shun(p peer.ID, d time.Duration) {
	now := time.Now()
	for other, until := range x.shunned {
		if now.After(until) {
			delete(x.shunned, other)
		}
	}
	if len(x.shunned) < maxPeersKnown {
		x.shunned[p] = now.Add(d)
	}
}
