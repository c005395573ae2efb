package publishcmd

import (
	"context"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

// SignImports signs releases of what was taken from registries with an own key, and
// announces them. It returns how many were signed that were not before.
func SignImports(ctx context.Context, a cli.App, h *home.Home, key string, releases []*records.Release) (signed int, err error) {
	own, err := signingKey(ctx, a, h, key)
	if err != nil {
		return 0, err
	}
	by := newAuthor(ctx, a, h, own)
	if err := catchUp(ctx, a, h, own, by, false); err != nil {
		return 0, err
	}
	for _, r := range releases {
		made, err := by.SignImport(ctx, r)
		if err != nil {
			return signed, authorRefusal(err)
		}
		if !made.Before {
			signed++
		}
	}
	if len(by.Made()) > 0 {
		announce(ctx, a, h, by.Made())
	}
	return signed, nil
}
