package resolve

import (
	"context"
	"errors"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/trust"
)

// PeersMayKnow reports whether peers may have records that change the outcome of Resolve,
// which returned err: they cannot when exactly the version that was asked for is here, nor
// when no line of a trust file speaks of the name.
func PeersMayKnow(exact bool, err error) bool {
	if err == nil {
		return !exact
	}
	var untrusted *UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted.Decision.Rule.Scope != ""
	}
	return errors.As(err, new(*NotFoundError))
}

// Cosigned returns the releases of the resolved module by other keys that count.
func (x *Resolver) Cosigned(ctx context.Context, r Resolution) ([]index.Release, error) {
	var all []index.Release
	for _, c := range r.Decision.Claims {
		if c.Effect != trust.Counts || c.Endorse != "" || c.Module != r.Release.Body.Module || c.Author == r.Release.Author {
			continue
		}
		other, err := x.index.Release(ctx, c.Record)
		if err != nil {
			return nil, err
		}
		all = append(all, other)
	}
	return all, nil
}
