package resolve

import (
	"context"
	"errors"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// PeersMayKnow reports whether peers may have records that change the outcome of Resolve,
// which returned err: they cannot when exactly the version that was asked for is here, nor
// when no line of a trust file speaks of the name.
func PeersMayKnow(exact bool, err error) bool {
	if err == nil || errors.As(err, new(*UncheckedError)) {
		return !exact
	}
	var untrusted *UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted.Decision.Rule.Scope != ""
	}
	return errors.As(err, new(*NotFoundError))
}

// A Cosigned is a release of a resolved module, with the key that it counts by: its author's
// or that of a registry.
type Cosigned struct {
	index.Release
	Signer records.Fingerprint
}

// Cosigned returns the releases of the resolved module by other keys that count.
func (x *Resolver) Cosigned(ctx context.Context, r Resolution) ([]Cosigned, error) {
	var all []Cosigned
	for _, c := range r.Decision.Claims {
		if c.Effect != trust.Counts || c.Endorse != "" || c.Module != r.Release.Body.Module || c.Author == r.Decision.Signer {
			continue
		}
		other, err := x.index.Release(ctx, c.Record)
		if err != nil {
			return nil, err
		}
		all = append(all, Cosigned{other, c.Author})
	}
	return all, nil
}
