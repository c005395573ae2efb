package delegation

import "github.com/everythingstays/es/records"

// Reach returns the keys whose statements may matter to who decides about any name, at
// most limit: those of the roots that are neither denied nor expired, those that chains of
// delegations lead to from there whatever their scopes, and those that any of these name
// as successor. It asks facts as Walk does, and returns the keys whose facts are missing.
func Reach(roots []Root, limit int, facts func(records.Fingerprint) *KeyFacts) (keys, missing []records.Fingerprint) {
	r := reach{best: map[records.Fingerprint]reached{}, limit: limit}
	for _, root := range roots {
		if !root.Denied && !root.Expired {
			r.add(root.Key, root.Depth, root.Follow)
		}
	}
	asked := map[records.Fingerprint]bool{}
	for len(r.queue) > 0 {
		at := r.queue[0]
		r.queue = r.queue[1:]
		f := facts(at.key)
		if f == nil {
			if !asked[at.key] {
				asked[at.key] = true
				missing = append(missing, at.key)
			}
			continue
		}
		for i := range f.Delegations {
			if d := &f.Delegations[i]; at.depth > 0 {
				r.add(d.To, min(at.depth-1, d.Depth), false)
			}
		}
		for _, next := range f.Nominated {
			if at.follow {
				r.add(next.Key, at.depth, true)
			} else {
				r.add(next.Key, 0, false)
			}
		}
	}
	return r.keys, missing
}

// reach is the state of Reach.
type reach struct {
	limit int
	keys  []records.Fingerprint           // in the order in which they were found
	best  map[records.Fingerprint]reached // by key: the most that may start there
	queue []reached
}

// A reached is a key with what may start at it.
type reached struct {
	key    records.Fingerprint
	depth  int
	follow bool
}

// add queues a key unless as much may start there by what is known already. What is not
// to be expanded by one path alone is by all of them together: a successor of a key that
// is followed may get the depth that another path gave the key, and is read in vain.
func (r *reach) add(key records.Fingerprint, depth int, follow bool) {
	known, ok := r.best[key]
	if ok && known.depth >= depth && (known.follow || !follow) || !ok && len(r.keys) >= r.limit {
		return
	}
	if !ok {
		r.keys = append(r.keys, key)
	}
	next := reached{key, max(known.depth, depth), known.follow || follow}
	r.best[key] = next
	r.queue = append(r.queue, next)
}
