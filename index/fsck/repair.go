package fsck

import (
	"context"

	"github.com/everythingstays/es/index"
)

// Repair takes out of the store what Verify found to have wrong bytes, so that peers
// bring it again, and makes everything anew that is derived from what is left, as
// index.Rebuild does.
func Repair(ctx context.Context, x *index.Index, damage []Damage, aside func(name string, b []byte) error) error {
	var d index.Discard
	for _, found := range damage {
		switch {
		case found.key:
			d.Keys = append(d.Keys, found.Key)
		case found.num != 0:
			d.Records = append(d.Records, found.num)
		}
	}
	return x.Rebuild(ctx, d, aside)
}
