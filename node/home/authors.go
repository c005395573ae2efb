package home

import (
	"context"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Authors returns whose records a node of this home pulls, sorted: the own keys, those
// that the trust file lists, and whom these lead to (docs/program.md [N43]).
func (h *Home) Authors(ctx context.Context, now time.Time) ([]records.Fingerprint, error) {
	f, err := h.Trust()
	if err != nil {
		return nil, err
	}
	return h.AuthorsOf(ctx, f, now)
}

func (h *Home) AuthorsOf(ctx context.Context, f *trust.File, now time.Time) ([]records.Fingerprint, error) {
	view, err := h.ViewOf(f, now)
	if err != nil {
		return nil, err
	}
	return view.Followed(ctx)
}
