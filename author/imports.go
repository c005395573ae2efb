package author

import (
	"context"
	"fmt"

	"github.com/everythingstays/es/records"
)

// SignImport signs a release of what was taken from a registry, with its origin, and stores
// it. What the key has released as the same module is not signed again; as another it is a
// *PublishedError or *FrozenError. No tag moves: a registry's tags are its own.
func (a *Author) SignImport(ctx context.Context, r *records.Release) (Signed, error) {
	if r.Origin == nil {
		return Signed{}, fmt.Errorf("sign the import of %s@%s: it has no origin", r.Name, r.Version)
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return Signed{}, err
	}
	defer unlock()
	all, err := a.index.ReleasesOf(ctx, r.Name, r.Version)
	if err != nil {
		return Signed{}, err
	}
	for _, have := range all {
		switch {
		case have.Author != a.Fingerprint():
		case have.Body.Module != r.Module:
			return Signed{}, &PublishedError{Name: r.Name, Version: r.Version, Author: a.Fingerprint(), Before: have.Body.Module, Now: r.Module}
		default:
			return a.again(ctx, have.ID)
		}
	}
	return a.sign(ctx, r)
}
