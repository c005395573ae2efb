package reconcile

import (
	"errors"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// A Scope is the part of the set that a session is about: ranges in order that
// do not overlap. An empty one holds nothing.
type Scope []records.Range

// Everything is the whole set.
func Everything() Scope { return Scope{{}} }

// Authors is what is known of some authors: their records and key blocks.
func Authors(authors ...records.Fingerprint) Scope {
	ranges := make(Scope, 0, len(authors))
	for _, a := range authors {
		ranges = append(ranges, records.AuthorRange(a))
	}
	slices.SortFunc(ranges, byFrom)
	return slices.Compact(ranges)
}

// Without is s without some authors.
func (s Scope) Without(authors ...records.Fingerprint) Scope {
	out := Authors(authors...)
	var rest Scope
	for _, r := range s {
		for _, o := range out {
			if !before(r.From, o.To) || !before(o.From, r.To) {
				continue // they do not meet
			}
			if r.From < o.From {
				rest = append(rest, records.Range{From: r.From, To: o.From})
			}
			r.From = o.To
			if !before(r.From, r.To) {
				break
			}
		}
		if before(r.From, r.To) {
			rest = append(rest, r)
		}
	}
	return rest
}

// before reports whether a point lies before an upper bound, whose empty string
// stands for the end.
func before(point, bound string) bool { return bound == "" || point < bound }

var (
	errBadRange  = errors.New("range is empty or ends before it begins")
	errBadRanges = errors.New("ranges overlap or are not in order")
)

func (s Scope) check() error {
	for i, r := range s {
		if !before(r.From, r.To) {
			return errBadRange
		}
		if i > 0 && (s[i-1].To == "" || r.From < s[i-1].To) {
			return errBadRanges
		}
	}
	return nil
}

func byFrom(a, b records.Range) int { return strings.Compare(a.From, b.From) }

// union sorts ranges and joins those that meet.
func union(ranges ...records.Range) Scope {
	slices.SortFunc(ranges, byFrom)
	var joined Scope
	for _, r := range ranges {
		last := len(joined) - 1
		switch {
		case last < 0 || joined[last].To != "" && joined[last].To < r.From:
			joined = append(joined, r)
		case joined[last].To != "" && (r.To == "" || joined[last].To < r.To):
			joined[last].To = r.To
		}
	}
	return joined
}

// from returns the part of s from a point on.
func (s Scope) from(point string) Scope {
	for i, r := range s {
		if !before(point, r.To) {
			continue
		}
		rest := slices.Clone(s[i:])
		rest[0].From = max(r.From, point)
		return rest
	}
	return nil
}
