package idealtree

import (
	"errors"
	"strings"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records/npmrange"
)

// overrides are the rules that hold below one place of the tree: those of the root's
// package.json, or of one entry in it, which hold below the package that it names. The
// rules of what is around hold too, unless one within says otherwise.
type overrides struct {
	parent  *overrides
	key     string // as written: NAME or NAME@RANGE
	name    string
	keySpec string // which of the dependencies of that name; "*" for all
	value   string // what they get instead; the keySpec if only what is within counts
	within  []*overrides
}

// rulesOf makes the rules of a project's overrides; nil without any.
func rulesOf(list []manifest.Override) *overrides {
	if len(list) == 0 {
		return nil
	}
	root := &overrides{}
	root.fill(list)
	return root
}

func (o *overrides) fill(list []manifest.Override) {
	for _, m := range list {
		w := &overrides{parent: o, key: m.Key, name: m.Name, keySpec: m.Range, value: m.Value}
		w.fill(m.Within)
		o.within = append(o.within, w)
	}
}

// rules are all that hold here, the nearest first.
func (o *overrides) rules() []*overrides {
	var all []*overrides
	seen := make(map[string]bool)
	add := func(r *overrides) {
		if !seen[r.key] {
			seen[r.key] = true
			all = append(all, r)
		}
	}
	for at := o; at != nil; at = at.parent {
		for _, w := range at.within {
			add(w)
		}
		if at.parent != nil {
			add(at)
		}
	}
	return all
}

// forEdge is the rule that an edge from here is under: one that names it, or what holds
// here.
func (o *overrides) forEdge(e *edge) *overrides {
	for _, r := range o.rules() {
		if r.name == e.name && r.applies(e) {
			return r
		}
	}
	return o
}

func (o *overrides) applies(e *edge) bool {
	if o.keySpec == "*" {
		return true
	}
	w := e.parse(e.raw)
	if w.Kind != manifest.Registry || w.Constraint.Kind == npmrange.Tag {
		return w.Kind != manifest.Refused
	}
	key, err := npmrange.Parse(o.keySpec)
	if err != nil {
		return false
	}
	r, err := npmrange.Parse(w.Text)
	return err == nil && r.Intersects(key)
}

func (o *overrides) equal(p *overrides) bool {
	switch {
	case o == p:
		return true
	case o == nil || p == nil:
		return false
	case o.key != p.key || o.value != p.value || !o.sameWithin(p):
		return false
	}
	return o.parent.equal(p.parent)
}

func (o *overrides) sameWithin(p *overrides) bool {
	if len(o.within) != len(p.within) {
		return false
	}
	for i, w := range o.within {
		if v := p.within[i]; w != v && (w.key != v.key || w.value != v.value || !w.sameWithin(v)) {
			return false
		}
	}
	return true
}

var errOverridesConflict = errors.New("overrides contradict each other")

// specific is the narrower of two sets of rules that hold for one package, or what is
// around both if neither is within the other.
func specific(a, b *overrides) (*overrides, error) {
	for at := b; at != nil; at = at.parent {
		if at.equal(a) {
			return b, nil
		}
	}
	for at := a; at != nil; at = at.parent {
		if at.equal(b) {
			return a, nil
		}
	}
	if contradict(a, b) {
		return nil, errOverridesConflict
	}
	for at := b; at != nil; at = at.parent {
		for up := a; up != nil; up = up.parent {
			if up.equal(at) {
				return up, nil
			}
		}
	}
	return nil, nil
}

// contradict reports whether two sets of rules ask for versions of one package that no
// version can be both of.
func contradict(a, b *overrides) bool {
	of := make(map[string]*overrides)
	for _, r := range b.rules() {
		of[r.key] = r
	}
	for _, r := range a.rules() {
		other := of[r.key]
		if other == nil || r == other || r.equal(other) || strings.HasPrefix(r.value, "$") || strings.HasPrefix(other.value, "$") {
			continue
		}
		x, errX := npmrange.Parse(r.value)
		y, errY := npmrange.Parse(other.value)
		if errX == nil && errY == nil && !x.Intersects(y) {
			return true
		}
	}
	return false
}
