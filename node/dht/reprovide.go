package dht

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
)

// Bounds of providing (docs/program.md [D34]).
const (
	workers    = 4
	maxFresh   = 1024 // new modules that wait; the next round has the others
	pageSize   = 256  // modules read from the index at once
	retryAfter = 5 * time.Minute
)

// Modules are those that may be provided.
type Modules interface {
	// List returns up to limit roots of modules that releases name, from after on, and
	// the last one's position.
	List(ctx context.Context, after int64, limit int) (roots []cid.Cid, last int64, err error)
	// Has reports whether the root is here, Complete whether all blocks of its tree are.
	Has(ctx context.Context, root cid.Cid) (bool, error)
	Complete(ctx context.Context, root cid.Cid) (bool, error)
}

// Reprovider tells the DHT which modules are here, and again before that is forgotten.
type Reprovider struct {
	table    *Table
	modules  Modules
	interval time.Duration
	log      *slog.Logger
	fresh    chan cid.Cid

	mu     sync.Mutex
	done   map[cid.Cid]time.Time // when each was last provided
	failed bool                  // some could not be
}

// NewReprovider makes a Reprovider of modules, each of which is provided anew before
// interval is over.
func NewReprovider(t *Table, m Modules, interval time.Duration) *Reprovider {
	return &Reprovider{table: t, modules: m, interval: interval, log: t.cfg.Log, fresh: make(chan cid.Cid, maxFresh), done: map[cid.Cid]time.Time{}}
}

// Add says that a module is here now. It does not block.
func (r *Reprovider) Add(root cid.Cid) {
	select {
	case r.fresh <- root:
	default:
	}
}

// ProvidedAt returns when the DHT was last told of a module; zero when it was not.
func (r *Reprovider) ProvidedAt(root cid.Cid) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done[root]
}

// Run provides modules until ctx ends.
func (r *Reprovider) Run(ctx context.Context) {
	due := make(chan cid.Cid)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() { r.work(ctx, due) })
	}
	for {
		pause := r.interval / 4
		if !r.round(ctx, due) {
			pause = min(pause, retryAfter)
		}
		select {
		case <-ctx.Done():
			working.Wait()
			return
		case <-time.After(pause):
		}
	}
}

// work provides modules, new ones first.
func (r *Reprovider) work(ctx context.Context, due <-chan cid.Cid) {
	for {
		var root cid.Cid
		select {
		case root = <-r.fresh:
		default:
			select {
			case root = <-r.fresh:
			case root = <-due:
			case <-ctx.Done():
				return
			}
		}
		if err := r.provide(ctx, root); err != nil && ctx.Err() == nil {
			r.log.Debug("provide a module", "module", root.String(), "err", err)
			r.mu.Lock()
			r.failed = true
			r.mu.Unlock()
		}
	}
}

// round has every module that is here, and that was not provided lately, provided.
// It returns false when there is reason to try again soon.
func (r *Reprovider) round(ctx context.Context, due chan<- cid.Cid) bool {
	if _, err := r.table.ready(ctx); err != nil {
		return false
	}
	r.mu.Lock()
	r.failed = false
	before := slices.Collect(maps.Keys(r.done)) // with those that no release names
	r.mu.Unlock()
	if !r.offer(ctx, due, before) {
		return false
	}
	for after := int64(0); ; {
		roots, last, err := r.modules.List(ctx, after, pageSize)
		if err != nil {
			r.log.Error("list modules", "err", err)
			return false
		}
		if len(roots) == 0 {
			break
		}
		if !r.offer(ctx, due, roots) {
			return false
		}
		after = last
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.failed
}

// offer hands over those of roots that are here and due.
func (r *Reprovider) offer(ctx context.Context, due chan<- cid.Cid, roots []cid.Cid) bool {
	for _, root := range roots {
		if ok, err := r.modules.Has(ctx, root); err != nil || !ok || !r.isDue(root) {
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

func (r *Reprovider) isDue(root cid.Cid) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.done[root]) >= r.interval*3/4
}

func (r *Reprovider) provide(ctx context.Context, root cid.Cid) error {
	whole, err := r.modules.Complete(ctx, root)
	if err != nil || !whole {
		return err
	}
	if err := r.table.Provide(ctx, root); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[root] = time.Now()
	return nil
}
