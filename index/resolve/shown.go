package resolve

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Shown says which release of a name is shown to somebody who names no version: the one
// that Resolve chooses, or the newest that those who decide disagree about, or that is
// held. The record is undefined where nothing is decided.
func (x *Resolver) Shown(ctx context.Context, name records.Name, evaluator *trust.Evaluator) (d trust.Decision, record cid.Cid, err error) {
	c, err := x.nameClaims(ctx, name, evaluator)
	if err != nil {
		return trust.Decision{}, cid.Undef, err
	}
	ch := c.choose(c.latest(), false)
	if ch.version != "" {
		return ch.decision, ch.decision.Record, nil
	}
	if len(ch.skipped) > 0 {
		d = ch.skipped[0].Decision
		for _, claim := range d.Claims {
			if claim.Invalid == "" && claim.Endorse == "" {
				return d, claim.Record, nil
			}
		}
	}
	return d, cid.Undef, nil
}
