package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
)

// Bounds of providing (SPEC.md [D34]).
const (
	offerWorkers = 4
	offerFresh   = 1024 // new modules that wait; the next round has the others
	offerPage    = 256  // modules read from the index at once
	offerRetry   = 5 * time.Minute
)

// offers tells the DHT which modules are here, and again before that is forgotten.
type offers struct {
	find  *discovery
	fresh chan cid.Cid

	mu     sync.Mutex
	done   map[cid.Cid]time.Time // when each was last provided
	failed bool                  // some could not be
}

func newOffers(d *discovery) *offers {
	return &offers{find: d, fresh: make(chan cid.Cid, offerFresh), done: map[cid.Cid]time.Time{}}
}

// have says that a module is here now. It does not block.
func (o *offers) have(root cid.Cid) {
	if o.find.table == nil || o.find.live.node.cfg.Ephemeral {
		return // a node for one command is gone before anybody comes
	}
	select {
	case o.fresh <- root:
	default:
	}
}

func (o *offers) run(ctx context.Context) {
	due := make(chan cid.Cid)
	var workers sync.WaitGroup
	for range offerWorkers {
		workers.Go(func() { o.work(ctx, due) })
	}
	for {
		pause := o.find.live.node.reprovide / 4
		if !o.round(ctx, due) {
			pause = min(pause, offerRetry)
		}
		select {
		case <-ctx.Done():
			workers.Wait()
			return
		case <-time.After(pause):
		}
	}
}

// work provides modules, new ones first.
func (o *offers) work(ctx context.Context, due <-chan cid.Cid) {
	for {
		var root cid.Cid
		select {
		case root = <-o.fresh:
		default:
			select {
			case root = <-o.fresh:
			case root = <-due:
			case <-ctx.Done():
				return
			}
		}
		if err := o.provide(ctx, root); err != nil && ctx.Err() == nil {
			o.find.live.log.Debug("provide a module", "module", root.String(), "err", err)
			o.mu.Lock()
			o.failed = true
			o.mu.Unlock()
		}
	}
}

// round has every module that is here, and that was not provided lately, provided.
// It returns false when there is reason to try again soon.
func (o *offers) round(ctx context.Context, due chan<- cid.Cid) bool {
	if _, err := o.find.table.ready(ctx); err != nil {
		return false
	}
	o.mu.Lock()
	o.failed = false
	before := slices.Collect(maps.Keys(o.done)) // with those that no release names
	o.mu.Unlock()
	if !o.offer(ctx, due, before) {
		return false
	}
	for after := int64(0); ; {
		roots, last, err := o.find.live.home.Index().Modules(ctx, after, offerPage)
		if err != nil {
			o.find.live.log.Error("list modules", "err", err)
			return false
		}
		if len(roots) == 0 {
			break
		}
		if !o.offer(ctx, due, roots) {
			return false
		}
		after = last
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.failed
}

// offer hands over those of roots that are here and due.
func (o *offers) offer(ctx context.Context, due chan<- cid.Cid, roots []cid.Cid) bool {
	for _, root := range roots {
		if ok, err := o.find.live.home.Blocks().Has(ctx, root); err != nil || !ok || !o.isDue(root) {
			continue
		}
		select {
		case due <- root:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (o *offers) isDue(root cid.Cid) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.done[root]) >= o.find.live.node.reprovide*3/4
}

func (o *offers) provide(ctx context.Context, root cid.Cid) error {
	whole, err := o.find.live.home.Blocks().Complete(ctx, root)
	if err != nil || !whole {
		return err
	}
	k, err := o.find.table.ready(ctx)
	if err != nil {
		return err
	}
	if err := k.Provide(ctx, root, true); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done[root] = time.Now()
	return nil
}
