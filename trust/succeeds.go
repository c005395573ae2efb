package trust

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// Succeeds reports whether both keys say that after succeeds before, and whether after
// decides about the name for that reason: before stands on its path, and only successions
// follow.
func (r *Ruling) Succeeds(after, before records.Fingerprint) (said, followed bool) {
	for _, s := range r.Succeeded {
		said = said || s.Key == before && slices.Contains(s.By, after)
	}
	path := r.Path(after)
	i := slices.IndexFunc(path, func(s Step) bool { return s.Key == before })
	followed = i >= 0 && i+1 < len(path) && !slices.ContainsFunc(path[i+1:], func(s Step) bool { return s.Kind != BySuccession })
	return said, followed
}
