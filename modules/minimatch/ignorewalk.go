package minimatch

import "slices"

// MatchEntry reports whether the rule matches the path of an entry, as ignore-walk asks.
// With partial, the entry may be a directory that something is under; base is the name of
// what is looked for, when entry is a path to it.
func (r *Rule) MatchEntry(entry string, partial bool, base string) bool {
	if r.match("/"+entry, false) || r.match(entry, false) {
		return true
	}
	if !partial {
		return false
	}
	if r.matchDirectory(entry) {
		return true
	}
	return base != "" && r.isRelative() && r.matchDirectory(base)
}

func (r *Rule) matchDirectory(entry string) bool {
	return r.match("/"+entry+"/", false) || r.match(entry+"/", false) ||
		r.Negate && (r.match("/"+entry, true) || r.match(entry, true))
}

// isRelative reports whether a pattern is for base names.
func (r *Rule) isRelative() bool {
	return slices.ContainsFunc(r.parts, func(parts []string) bool {
		if parts[len(parts)-1] == "" {
			return len(parts) <= 2
		}
		return len(parts) <= 1
	})
}
