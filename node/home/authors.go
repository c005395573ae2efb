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
	p, err := h.Trust()
	if err != nil {
		return nil, err
	}
	return h.AuthorsOf(ctx, p, now)
}

func (h *Home) AuthorsOf(ctx context.Context, p *trust.Policy, now time.Time) ([]records.Fingerprint, error) {
	evaluator, err := h.EvaluatorOf(p, now)
	if err != nil {
		return nil, err
	}
	return evaluator.Followed(ctx)
}
