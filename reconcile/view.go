package reconcile

import (
	"context"

	"github.com/everythingstays/es/records"
)

// A View is a Set as it is at one time, which says what reading it has cost. It is
// for one goroutine.
type View interface {
	Set
	// Work returns how many elements were read or summed so far.
	Work() int64
}

// view calls f with a view of the set.
func (r *Reconcile) view(ctx context.Context, f func(View) error) error {
	if r.cfg.View != nil {
		return r.cfg.View(ctx, f)
	}
	return f(&estimate{Set: r.cfg.Set})
}

// An estimate is a View of a set that does not say what it costs.
type estimate struct {
	Set
	work int64
}

// sumWork is what a sum is taken to cost: that of a page.
const sumWork = 64

func (e *estimate) Sum(ctx context.Context, r records.Range) (records.Sum, error) {
	e.work += sumWork
	return e.Set.Sum(ctx, r)
}

func (e *estimate) Split(ctx context.Context, r records.Range, n int) ([]records.RangeSum, error) {
	e.work += int64(n) * sumWork
	return e.Set.Split(ctx, r, n)
}

func (e *estimate) Elements(ctx context.Context, r records.Range, limit int) ([]records.Element, error) {
	all, err := e.Set.Elements(ctx, r, limit)
	e.work += int64(len(all))
	return all, err
}

func (e *estimate) Work() int64 { return e.work }
