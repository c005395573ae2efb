package trust

import (
	"context"
	"maps"
	"slices"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/internal/delegation"
)

// MaxFollowed bounds how many keys Followed returns.
const MaxFollowed = 10_000

// Followed returns the keys whose records matter to the user, sorted, at most
// MaxFollowed (docs/program.md [N43]): the user's own, those of lines in force, and those
// whom these lead to by delegations and successions in force, whatever the scopes. A
// delegation counts as deep as the line grants. A successor counts before it has
// accepted, which is in its own records, and delegates only where the line follows
// it. The error is one of Inputs.Load; without Load there is none.
func (ev *Evaluator) Followed(ctx context.Context) ([]records.Fingerprint, error) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	roots := ev.delegationRoots(ev.own)
	for _, in := range []map[records.Scope][]root{ev.scopes, ev.project} {
		for _, scope := range slices.Sorted(maps.Keys(in)) {
			for _, r := range in[scope] {
				if r.authority == nil { // a registry's key signs no record
					roots = append(roots, ev.delegationRoots([]root{r})...)
				}
			}
		}
	}
	for {
		keys, missing := delegation.Reach(roots, MaxFollowed, ev.knownFacts)
		if len(missing) == 0 {
			keys = slices.DeleteFunc(keys, ev.Denied)
			slices.SortFunc(keys, records.Fingerprint.Compare)
			return keys, nil
		}
		if err := ev.loadFacts(ctx, missing); err != nil {
			return nil, err
		}
	}
}

// delegationRoots returns what package delegation has to know of roots.
func (ev *Evaluator) delegationRoots(roots []root) []delegation.Root {
	list := make([]delegation.Root, len(roots))
	for i, r := range roots {
		list[i] = delegation.Root{Key: r.key, Depth: r.depth, Follow: r.follow, Denied: ev.Denied(r.key), Expired: r.expired, Shared: r.project, Registry: r.registry}
	}
	return list
}

// BelievesOthers reports whether a trust file lets a key in that is not the user's own, or
// pins anything.
func (ev *Evaluator) BelievesOthers() bool {
	if len(ev.pins) > 0 {
		return true
	}
	for _, in := range []map[records.Scope][]root{ev.scopes, ev.project} {
		for _, roots := range in {
			for _, r := range roots {
				if !r.expired && !ev.Denied(r.key) {
					return true
				}
			}
		}
	}
	return false
}

// Pins reports whether the user's trust file pins a version of the name.
func (ev *Evaluator) Pins(name records.Name) bool {
	for at := range ev.pins {
		if at.name == name {
			return true
		}
	}
	return false
}
