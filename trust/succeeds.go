package trust

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// Way is how the key comes to decide about the name; nil when it does not.
func (r *Ruling) Way(key records.Fingerprint) []Step {
	for _, g := range r.Deciders() {
		if g.Key == key {
			return g.Via
		}
	}
	return nil
}

// Succeeds reports whether both keys say that after succeeds before, and whether after
// decides about the name for that reason: before stands on its way, and only successions
// follow.
func (r *Ruling) Succeeds(after, before records.Fingerprint) (said, followed bool) {
	for _, s := range r.Succeeded {
		said = said || s.Key == before && slices.Contains(s.By, after)
	}
	way := r.Way(after)
	i := slices.IndexFunc(way, func(s Step) bool { return s.Key == before })
	followed = i >= 0 && i+1 < len(way) && !slices.ContainsFunc(way[i+1:], func(s Step) bool { return s.Kind != BySuccession })
	return said, followed
}
