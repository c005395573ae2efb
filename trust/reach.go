package trust

import (
	"cmp"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// grants returns the keys that decide about the name by the roots, sorted.
func (v *View) grants(name records.Name, roots []root) []Grant {
	var all []Grant
	for i := range roots {
		all = v.reach(all, name, &roots[i])
	}
	// Of one key, what is in force comes first, then the shortest way, then
	// the first line: own keys have none.
	slices.SortStableFunc(all, func(a, b Grant) int {
		return cmp.Or(compareKeys(a.Key, b.Key), compareBool(a.Expired, b.Expired), cmp.Compare(len(a.Via), len(b.Via)),
			compareBool(a.Line == 0, b.Line == 0), cmp.Compare(a.Line, b.Line))
	})
	grants := all[:0]
	for _, g := range all {
		if n := len(grants); n > 0 && grants[n-1].Key == g.Key {
			if !g.Expired {
				grants[n-1].roots = append(grants[n-1].roots, g.roots...)
			}
			continue
		}
		grants = append(grants, g)
	}
	return grants
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// A reached key is one that a root leads to.
type reached struct {
	key   records.Fingerprint
	via   []Step
	depth int // how many delegations may start here
}

// reach adds to grants the keys that decide about the name by one root.
func (v *View) reach(grants []Grant, name records.Name, r *root) []Grant {
	first := Step{Kind: ByLine, Key: r.key, Line: r.line, Project: r.project}
	if r.line == 0 {
		first.Kind = ByOwn
	}
	var room [1]reached
	keys := append(room[:0], reached{r.key, []Step{first}, r.depth})
	if !r.expired && v.denied[r.key] == 0 {
		if r.follow {
			keys = v.follow(keys)
		}
		if r.depth > 0 {
			keys = v.delegate(keys, name)
		}
	}
	for i, k := range keys {
		g := Grant{Key: k.key, Label: v.labels[k.key], Line: r.line, Project: r.project, Expired: r.expired, Via: k.via}
		if i == 0 && r.project && g.Label == "" {
			g.Label = r.label
		}
		if !r.expired {
			g.roots = []records.Fingerprint{r.voice}
		}
		grants = append(grants, g)
	}
	return grants
}

// follow adds the successors of the only key.
func (v *View) follow(keys []reached) []reached {
	chain, _ := v.chain(keys[0].key)
	for _, s := range chain {
		last := keys[len(keys)-1]
		step := Step{Kind: BySuccession, Key: s.key, Records: []cid.Cid{s.nominated, s.accepted}}
		keys = append(keys, reached{s.key, slices.Concat(last.via, []Step{step}), last.depth})
	}
	return keys
}

// delegate adds the keys that delegations lead to, those after the fewest first
// and then by fingerprint, until there are maxReached beside the first.
func (v *View) delegate(keys []reached, name records.Name) []reached {
	for from := slices.Clone(keys); len(from) > 0; {
		l := level{keys: keys}
		for _, k := range from {
			if k.depth > 0 {
				v.delegated(&l, k, name)
			}
		}
		slices.SortFunc(l.found, func(a, b reached) int { return compareKeys(a.key, b.key) })
		l.found = l.found[:min(len(l.found), 1+maxReached-len(keys))]
		keys = append(keys, l.found...)
		from = append(l.deeper, l.found...)
	}
	return keys
}

// A level is what the delegations of the keys of the level before lead to.
type level struct {
	keys   []reached // of all levels before
	found  []reached // new keys
	deeper []reached // of keys, by another way, by which they may delegate further
}

func (v *View) delegated(l *level, from reached, name records.Name) {
	list := v.delegations[from.key]
	for i := range list {
		d := &list[i]
		if v.denied[d.To] != 0 || !slices.ContainsFunc(d.Scopes, func(s records.Scope) bool { return s.Contains(name) }) {
			continue
		}
		same := func(k reached) bool { return k.key == d.To }
		depth := min(from.depth-1, d.Depth)
		old := slices.IndexFunc(l.keys, same)
		if old >= 0 && depth <= l.keys[old].depth {
			continue
		}
		to := reached{d.To, slices.Concat(from.via, []Step{{Kind: ByDelegation, Key: d.To, Records: []cid.Cid{d.Record}}}), depth}
		if old >= 0 {
			l.keys[old].depth = depth
			l.deeper = append(l.deeper, to)
			continue
		}
		if i := slices.IndexFunc(l.found, same); i < 0 {
			l.found = append(l.found, to)
		} else if depth > l.found[i].depth {
			l.found[i] = to
		}
	}
}
