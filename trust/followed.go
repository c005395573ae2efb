package trust

import (
	"context"
	"maps"
	"slices"

	"github.com/everythingstays/es/records"
)

// MaxFollowed bounds how many keys Followed returns.
const MaxFollowed = 10_000

// Followed returns the keys whose records matter to the user, sorted, at most
// MaxFollowed (SPEC.md [N43]): the user's own, those of lines in force, and those
// whom these lead to by delegations and successions in force, whatever the scopes. A
// delegation counts as deep as the line grants. A successor counts before it has
// accepted, which is in its own records, and delegates only where the line follows
// it. The error is one of Basis.Load; without Load there is none.
func (v *View) Followed(ctx context.Context) ([]records.Fingerprint, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := followWalk{view: v, grants: map[records.Fingerprint]followGrant{}}
	for _, r := range v.own {
		w.reach(r.key, followGrant{r.depth, r.follow})
	}
	lines := map[records.Fingerprint]followGrant{}
	for _, in := range []map[records.Scope][]root{v.scopes, v.project} {
		for _, roots := range in {
			for _, r := range roots {
				if !r.expired {
					lines[r.key] = lines[r.key].or(followGrant{r.depth, r.follow})
				}
			}
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(lines), records.Fingerprint.Compare) {
		w.reach(key, lines[key])
	}
	for len(w.next) > 0 {
		if err := w.step(ctx); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Keys(w.grants), records.Fingerprint.Compare), nil
}

// A followGrant says how far a key leads: by so many delegations, and whether its
// successors have what it has.
type followGrant struct {
	depth  int
	follow bool
}

func (g followGrant) or(h followGrant) followGrant {
	return followGrant{max(g.depth, h.depth), g.follow || h.follow}
}

// followWalk is the search for the keys that Followed returns, level by level.
type followWalk struct {
	view   *View
	grants map[records.Fingerprint]followGrant
	next   []records.Fingerprint // that are new, or lead further than was known
}

func (w *followWalk) reach(key records.Fingerprint, g followGrant) {
	known, ok := w.grants[key]
	if w.view.Denied(key) || ok && known == known.or(g) || !ok && len(w.grants) >= MaxFollowed {
		return
	}
	w.grants[key] = known.or(g)
	w.next = append(w.next, key)
}

// step takes what the keys of one level say.
func (w *followWalk) step(ctx context.Context) error {
	level := w.next
	w.next = nil
	var missing []records.Fingerprint
	for _, key := range level {
		if w.view.known[key] == nil && w.view.load != nil {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		if err := w.view.find(ctx, missing); err != nil {
			return err
		}
	}
	for _, key := range level {
		p, g := w.view.known[key], w.grants[key]
		if p == nil {
			continue
		}
		if g.depth > 0 {
			for i := range p.delegations {
				d := &p.delegations[i]
				w.reach(d.to, followGrant{depth: min(g.depth-1, int(d.depth))})
			}
		}
		var heir followGrant
		if g.follow {
			heir = g
		}
		for i := range p.nominated {
			w.reach(p.nominated[i].other, heir)
		}
	}
	return nil
}
