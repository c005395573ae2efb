package trust

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// Succeeds reports whether both keys say that after succeeds before, and whether after
// decides about the name for that reason: before stands on its path, and only successions
// follow. Of a registry's keys each succeeds every other.
func (r *Ruling) Succeeds(after, before records.Fingerprint) (said, followed bool) {
	if r.sameRegistry(after, before) {
		return true, r.Decides(after)
	}
	for _, s := range r.Succeeded {
		said = said || s.Key == before && slices.Contains(s.By, after)
	}
	path := r.Path(after)
	i := slices.IndexFunc(path, func(s Step) bool { return s.Key == before })
	followed = i >= 0 && i+1 < len(path) && !slices.ContainsFunc(path[i+1:], func(s Step) bool { return s.Kind != BySuccession })
	return said, followed
}

// sameRegistry reports whether both are keys of one registry whose lines decide.
func (r *Ruling) sameRegistry(a, b records.Fingerprint) bool {
	of := func(key records.Fingerprint) int {
		i := slices.IndexFunc(r.roots, func(root root) bool { return root.key == key })
		if i < 0 {
			return 0
		}
		return r.roots[i].registry
	}
	return of(a) != 0 && of(a) == of(b)
}
