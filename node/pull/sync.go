package pull

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// Sync asks the peers that are there, those first that the user named: one, and the
// others for what that one did not have, or as soon as it is silent (docs/program.md [N82]).
// progress may be nil; calls do not overlap.
func (p *Puller) Sync(ctx context.Context, o api.SyncOptions, progress func(api.Synced)) (api.Synced, error) {
	p.cfg.Swarm.DialNamed(ctx)
	all, err := p.awaitPeers(ctx)
	if err != nil {
		return api.Synced{}, err
	}
	if len(all) == 0 && o.Search && p.cfg.Swarm.FindAnybody(ctx) {
		if all, err = p.awaitPeers(ctx); err != nil {
			return api.Synced{}, err
		}
	}
	all = p.cfg.Swarm.Ranked(all)
	r := &syncRun{Puller: p, options: o, progress: progress, answered: make(chan struct{}), settled: make(chan struct{}), sum: api.Synced{Complete: true}}
	r.ask(ctx, all[:min(len(all), maxPeers)])
	sum := r.sum
	if r.diskFull != nil {
		sum.Complete = false
		return sum, r.diskFull
	}
	sum.Refusing = p.cfg.Swarm.Refusals()
	if sum.Peers == 0 {
		sum.Complete = false
		return sum, ctx.Err()
	}
	if len(o.Authors) > 0 {
		return sum, ctx.Err()
	}
	// Who was asked when the time was over has been asked.
	return sum, errors.Join(p.cfg.SetSynced(time.Now()), ctx.Err())
}

// syncRun is what one Sync asks of peers.
type syncRun struct {
	*Puller
	options  api.SyncOptions
	progress func(api.Synced) // may be nil
	answered chan struct{}    // closed by the first peer that answers
	settled  chan struct{}    // closed by the first named or dialled peer that answers in full

	mu        sync.Mutex
	isSettled bool
	sum       api.Synced
	diskFull  error // what no peer is to blame for
}

// ask pulls from the peers, and returns when none is waited for any more.
func (r *syncRun) ask(ctx context.Context, peers []peer.ID) {
	var asking sync.WaitGroup
	for _, who := range peers {
		ended := make(chan struct{})
		asking.Go(func() {
			defer close(ended)
			r.one(ctx, who)
		})
		r.awaitAnswer(ctx, ended, r.answered)
	}
	asking.Wait()
}

func (r *syncRun) one(ctx context.Context, who peer.ID) {
	chosen := r.cfg.Swarm.Rank(who) != swarm.RankOther
	if !chosen {
		var watching sync.WaitGroup
		defer watching.Wait()
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		watching.Go(func() {
			r.awaitSilence(ctx, who)
			cancel()
		})
	}
	got, err := persist(ctx, chosen, r.answered, func() (reconcile.Result, error) { return r.pull(ctx, who, r.options, r.add) })
	err = api.DiskFull(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, api.ErrDiskFull) {
		r.diskFull = err
		return
	}
	if err != nil {
		r.cfg.Log.Debug("pull", "peer", who.String(), "err", err)
		r.sum.Failed++
		return
	}
	if r.sum.Peers++; r.sum.Peers == 1 {
		close(r.answered)
	}
	r.sum.Complete = r.sum.Complete && !got.More
	if chosen && !got.More && !r.isSettled {
		r.isSettled = true
		close(r.settled)
	}
}

// awaitSilence returns when ctx ends, and when nothing has come from the peer for
// silenceGrace since a named or dialled one has answered in full (docs/program.md [N271]).
func (r *syncRun) awaitSilence(ctx context.Context, who peer.ID) {
	select {
	case <-ctx.Done():
		return
	case <-r.settled:
	}
	tick := time.NewTicker(silenceGrace)
	defer tick.Stop()
	for before := r.batchesOf(who); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.batchesOf(who)
		if now == before {
			return
		}
		before = now
	}
}

// add counts what a session has brought.
func (r *syncRun) add(got reconcile.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Records += int64(got.Records)
	r.sum.Keys += int64(got.Keys)
	r.sum.Refused += int64(got.Refused)
	r.sum.Bytes += got.Received
	if r.progress != nil {
		r.progress(r.sum)
	}
}

// awaitAnswer waits until a pull has ended or somebody has answered, as long as
// records come.
func (p *Puller) awaitAnswer(ctx context.Context, ended, answered <-chan struct{}) {
	tick := time.NewTicker(silentAfter)
	defer tick.Stop()
	for before := int64(-1); p.received.Load() != before; {
		before = p.received.Load()
		select {
		case <-ended:
			return
		case <-answered:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// take notes that a peer sends something.
func (p *Puller) take(ctx context.Context, from peer.ID, items []records.Item) (reconcile.IngestResult, error) {
	p.received.Add(1)
	p.mu.Lock()
	session := p.sessions[from]
	p.mu.Unlock()
	session.batches.Add(1)
	return session.Ingest(ctx, items)
}

// batchesOf returns how many batches a peer has sent that is being pulled from.
func (p *Puller) batchesOf(who peer.ID) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if session := p.sessions[who]; session != nil {
		return session.batches.Load()
	}
	return 0
}

// persist pulls until it succeeds: again and again from a peer that is busy, as with the pull
// that its coming has begun, and once more from a chosen one that was late while nobody has
// answered (docs/program.md [N361]).
func persist(ctx context.Context, chosen bool, answered <-chan struct{}, pull func() (reconcile.Result, error)) (reconcile.Result, error) {
	start, late := time.Now(), false
	for tries := 0; ; tries++ {
		r, err := pull()
		if chosen && !late && isTimeout(err) && !closed(answered) && ctx.Err() == nil {
			late = true
			continue
		}
		if !errors.Is(err, reconcile.ErrBusy) || time.Since(start) > busyTimeout || tries >= busyTries && closed(answered) {
			return r, err
		}
		// Many that wait must not come back at once.
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(time.Duration((0.5 + rand.Float64()) * float64(busyRetry))):
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// awaitPeers waits a moment for peers that can be pulled from.
func (p *Puller) awaitPeers(ctx context.Context) ([]peer.ID, error) {
	if _, ok := p.cfg.Swarm.AwaitPeers(ctx); !ok {
		return nil, ctx.Err()
	}
	late := time.After(peerTimeout)
	dialled := p.cfg.Swarm.Dialled()
	for {
		change := p.cfg.Swarm.Changed()
		all := p.peers()
		if len(all) > 0 && dialled == nil {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return p.mayPull(), nil
		case <-dialled:
			dialled = nil
		case <-change:
		}
	}
}

// mayPull are the peers that can be pulled from, and if there are none those that have
// not said yet what they offer: they are slow, or the machine is.
func (p *Puller) mayPull() []peer.ID {
	silent := slices.DeleteFunc(p.cfg.Swarm.Connected(), func(who peer.ID) bool {
		offers, err := p.cfg.Swarm.Host().Peerstore().GetProtocols(who)
		return err != nil || len(offers) > 0
	})
	if all := p.peers(); len(all) > 0 { // also of those who have said it meanwhile
		return all
	}
	return silent
}
