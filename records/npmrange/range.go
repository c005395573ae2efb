// Package npmrange reads version ranges and constraints as npm does (SPEC.md
// sections 3.2 and 11.1): it is the only reader of them. What a range means is
// what node-semver 7.8.6 makes of it, strict and without includePrerelease;
// versions are compared as package records does, exactly. It resolves nothing:
// what a tag stands for is package index's to say.
//
// Reading takes time linear in the length, without regular expressions.
package npmrange

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// MaxRange is the most bytes of a range (SPEC.md [R120]).
const MaxRange = records.MaxLongText

// A Range is a set of versions. The zero Range holds none.
type Range struct {
	sets       [][]comparator // any of them, and of that all
	prerelease bool
}

// Parse reads a range. The empty text holds every version that is not a
// pre-release. The error does not repeat s.
func Parse(s string) (Range, error) { return parse(s, false) }

// ParsePrerelease reads a range that holds pre-releases like other versions, as
// npm reads what a package says of engines.
func ParsePrerelease(s string) (Range, error) { return parse(s, true) }

// Contains reports whether the range s holds v; a text that is no range holds no
// version.
func Contains(s string, v records.Version) bool {
	r, err := Parse(s)
	return err == nil && r.Match(v)
}

var errRange = errors.New("is not an npm version range")

func parse(s string, prerelease bool) (Range, error) {
	if len(s) > MaxRange {
		return Range{}, fmt.Errorf("has %d bytes, the limit is %d", len(s), MaxRange)
	}
	r := Range{prerelease: prerelease}
	for part := range strings.SplitSeq(collapse(s), "||") {
		set, err := parseSet(strings.Trim(part, " "), prerelease)
		if err != nil {
			return Range{}, err
		}
		r.sets = append(r.sets, set)
	}
	// Beside "*" nothing else counts, also not the pre-releases that it names.
	if slices.ContainsFunc(r.sets, func(set []comparator) bool { return len(set) == 0 }) {
		r.sets = [][]comparator{{}}
	}
	return r, nil
}

// Match reports whether r holds v. A pre-release is held only by a set that names
// a pre-release of the same major, minor and patch, unless r was made by
// ParsePrerelease.
func (r Range) Match(v records.Version) bool {
	for _, set := range r.sets {
		if matchSet(set, v, r.prerelease) {
			return true
		}
	}
	return false
}

func matchSet(set []comparator, v records.Version, prerelease bool) bool {
	core, _, isPre := strings.Cut(string(v), "-")
	named := prerelease || !isPre
	for _, c := range set {
		if !c.match(v) {
			return false
		}
		at, _, pre := strings.Cut(string(c.version), "-")
		named = named || pre && at == core
	}
	return named
}

// A comparator is one bound; op is "", "<", "<=", ">" or ">=".
type comparator struct {
	op      string
	version records.Version
}

func (c comparator) match(v records.Version) bool {
	order := v.Compare(c.version)
	switch c.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return order == 0
}
