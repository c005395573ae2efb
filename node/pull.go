package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// pull brings what p has and this node lacks, in as many sessions as that takes.
func (s *syncer) pull(ctx context.Context, p peer.ID, o api.SyncOptions, told func(reconcile.Result)) (reconcile.Result, error) {
	var sum reconcile.Result
	if !s.begin(p) {
		return sum, reconcile.ErrBusy
	}
	defer s.end(p)
	scope, wide, err := s.scope(ctx, o)
	asked := map[records.Range]bool{}
	note(asked, scope)
	for err == nil && len(scope) > 0 {
		var r reconcile.Result
		r, err = s.live.reconcile.Pull(ctx, p, scope)
		add(&sum, r)
		if told != nil {
			told(r)
		}
		if err != nil || r.Items == 0 {
			break // with more that it does not give
		}
		scope = r.Left
		if !wide && len(scope) == 0 {
			scope, err = s.led(ctx, o, asked)
		}
		if full := false; wide && len(scope) > 0 {
			if full, err = s.live.home.Index().StrangersFull(ctx); err == nil && full {
				scope, wide, err = s.scope(ctx, o)
			}
		}
	}
	switch {
	case errors.As(err, new(*reconcile.OffenceError)):
		s.shunned(p, syncShun)
	case err != nil && ctx.Err() == nil && sum.Items == 0 && !errors.Is(err, reconcile.ErrBusy) && s.live.rank(p) == rankOther:
		s.shunned(p, syncMute)
	}
	return sum, err
}

// led returns what is pulled now that nobody was asked for: what has come may name
// delegates and successors.
func (s *syncer) led(ctx context.Context, o api.SyncOptions, asked map[records.Range]bool) (reconcile.Scope, error) {
	scope, wide, err := s.scope(ctx, o)
	if err != nil || wide {
		return nil, err
	}
	return note(asked, scope), nil
}

// note returns the ranges that are not among those asked for, and adds them.
func note(asked map[records.Range]bool, scope reconcile.Scope) (fresh reconcile.Scope) {
	for _, r := range scope {
		if !asked[r] {
			asked[r] = true
			fresh = append(fresh, r)
		}
	}
	return fresh
}

func (s *syncer) shunned(p peer.ID, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shun[p] = time.Now().Add(d)
}

// scope is what this node pulls now, and whether that is wide: not only of authors
// whom it chose. It changes with the trust file, and with how much is kept of
// strangers.
func (s *syncer) scope(ctx context.Context, o api.SyncOptions) (scope reconcile.Scope, wide bool, err error) {
	if len(o.Authors) > 0 {
		return reconcile.Authors(o.Authors...), false, nil
	}
	f := s.live.ingest.Trust()
	if o.All || s.live.node.cfg.Seed == api.SeedAll || len(f.Entries()) == 0 {
		full, err := s.live.home.Index().StrangersFull(ctx)
		if err != nil {
			return nil, false, err
		}
		if !full {
			var denied []records.Fingerprint
			for _, d := range f.Denials() {
				denied = append(denied, d.Fingerprint)
			}
			return reconcile.Everything().Without(denied...), true, nil
		}
	}
	authors, err := s.live.ingest.Followed(ctx)
	return reconcile.Authors(authors...), false, err
}

func add(sum *reconcile.Result, r reconcile.Result) {
	sum.Records += r.Records
	sum.Keys += r.Keys
	sum.Refused += r.Refused
	sum.Items += r.Items
	sum.Received += r.Received
	sum.Sent += r.Sent
	sum.More = r.More
}

// Sync implements Network.
func (n *Node) Sync(ctx context.Context, o api.SyncOptions, progress func(api.Synced)) (api.Synced, error) {
	l, err := n.running(ctx)
	if err != nil {
		return api.Synced{}, err
	}
	return l.syncer.sync(ctx, o, progress)
}

// sync asks the peers that are there, those first that the user named: one, and the
// others for what that one did not have, or as soon as it is silent (SPEC.md [N82]).
func (s *syncer) sync(ctx context.Context, o api.SyncOptions, progress func(api.Synced)) (api.Synced, error) {
	s.live.callNamed(ctx)
	all, err := s.meet(ctx)
	if err != nil {
		return api.Synced{}, err
	}
	if len(all) == 0 && o.Search && s.live.find.seek(ctx) {
		if all, err = s.meet(ctx); err != nil {
			return api.Synced{}, err
		}
	}
	all = s.live.ranked(all)
	r := &syncRun{syncer: s, options: o, progress: progress, answered: make(chan struct{}), settled: make(chan struct{}), sum: api.Synced{Complete: true}}
	r.ask(ctx, all[:min(len(all), syncPeers)])
	sum := r.sum
	if r.diskFull != nil {
		sum.Complete = false
		return sum, r.diskFull
	}
	sum.Crowded = s.live.refusals.count()
	if sum.Peers == 0 {
		sum.Complete = false
		return sum, ctx.Err()
	}
	if len(o.Authors) > 0 {
		return sum, ctx.Err()
	}
	// Who was asked when the time was over has been asked.
	return sum, errors.Join(s.live.home.SetSynced(time.Now()), ctx.Err())
}

// syncRun is what one Sync asks of peers.
type syncRun struct {
	*syncer
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
	for _, p := range peers {
		ended := make(chan struct{})
		asking.Go(func() {
			defer close(ended)
			r.one(ctx, p)
		})
		r.awaitAnswer(ctx, ended, r.answered)
	}
	asking.Wait()
}

func (r *syncRun) one(ctx context.Context, p peer.ID) {
	chosen := r.live.rank(p) != rankOther
	if !chosen {
		var watching sync.WaitGroup
		defer watching.Wait()
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		watching.Go(func() {
			r.awaitSilence(ctx, p)
			cancel()
		})
	}
	got, err := r.pullPatiently(ctx, p, r.options, r.answered, r.brings)
	err = api.DiskFull(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, api.ErrDiskFull) {
		r.diskFull = err
		return
	}
	if err != nil {
		r.live.log.Debug("pull", "peer", p.String(), "err", err)
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
// syncGrace since a named or dialled one has answered in full (docs/program.md [N271]).
func (r *syncRun) awaitSilence(ctx context.Context, p peer.ID) {
	select {
	case <-ctx.Done():
		return
	case <-r.settled:
	}
	tick := time.NewTicker(syncGrace)
	defer tick.Stop()
	for before := r.batchesOf(p); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.batchesOf(p)
		if now == before {
			return
		}
		before = now
	}
}

// brings adds what a session has brought.
func (r *syncRun) brings(got reconcile.Result) {
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
func (s *syncer) awaitAnswer(ctx context.Context, ended, answered <-chan struct{}) {
	tick := time.NewTicker(syncSilent)
	defer tick.Stop()
	for before := int64(-1); s.brought.Load() != before; {
		before = s.brought.Load()
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
func (s *syncer) take(ctx context.Context, from peer.ID, items []records.Item) (reconcile.IngestResult, error) {
	s.brought.Add(1)
	s.mu.Lock()
	session := s.sessions[from]
	s.mu.Unlock()
	session.batches.Add(1)
	return ingestPulled(ctx, s.live.ingest, from, originOf(s.live.host, from), &session.Session, items)
}

// batchesOf returns how many batches a peer has sent that is being pulled from.
func (s *syncer) batchesOf(p peer.ID) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session := s.sessions[p]; session != nil {
		return session.batches.Load()
	}
	return 0
}

// pullPatiently waits for a peer that is busy, as with the pull that its coming
// has begun.
func (s *syncer) pullPatiently(ctx context.Context, p peer.ID, o api.SyncOptions, answered <-chan struct{}, told func(reconcile.Result)) (reconcile.Result, error) {
	start := time.Now()
	for tries := 0; ; tries++ {
		r, err := s.pull(ctx, p, o, told)
		if !errors.Is(err, reconcile.ErrBusy) || time.Since(start) > syncBusy || tries >= syncTries && closed(answered) {
			return r, err
		}
		// A crowd must not come back at once.
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(time.Duration((0.5 + rand.Float64()) * float64(syncAgain))):
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// meet waits a moment for peers that can be pulled from.
func (s *syncer) meet(ctx context.Context) ([]peer.ID, error) {
	if _, ok := s.live.awaitPeers(ctx); !ok {
		return nil, ctx.Err()
	}
	late := time.After(meetTimeout)
	dialled := s.live.dialled
	for {
		change := s.live.changed.wait()
		all := s.peers()
		if len(all) > 0 && dialled == nil {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return s.perhaps(), nil
		case <-dialled:
			dialled = nil
		case <-change:
		}
	}
}

// perhaps are the peers that can be pulled from, and if there are none those that have
// not said yet what they offer: they are slow, or the machine is.
func (s *syncer) perhaps() []peer.ID {
	silent := slices.DeleteFunc(connected(s.live.host), func(p peer.ID) bool {
		offers, err := s.live.host.Peerstore().GetProtocols(p)
		return err != nil || len(offers) > 0
	})
	if all := s.peers(); len(all) > 0 { // also of those who have said it meanwhile
		return all
	}
	return silent
}
