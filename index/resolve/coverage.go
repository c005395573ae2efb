package resolve

import (
	"context"
	"maps"
	"slices"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// RuleCoverage is how much is trusted by one line of a trust file.
type RuleCoverage struct {
	Names    int
	Versions int
}

// A Line is one of the user's trust file or of the project's; line 0 of the user's is
// the own keys.
type Line struct {
	Project bool
	Number  int
}

// Coverage counts, by line of the trust files, the trusted versions that a claim
// which counts by that line is about. Only names that one of
// the keys has released are looked at, and those that somebody imported: name all whom the
// files lead to.
func (x *Resolver) Coverage(ctx context.Context, evaluator *trust.Evaluator, keys []records.Fingerprint) (map[Line]RuleCoverage, error) {
	names := map[records.Name]bool{}
	for _, key := range keys {
		released, err := x.index.ReleasedNames(ctx, key)
		if err != nil {
			return nil, err
		}
		for _, n := range released {
			names[n] = true
		}
	}
	if evaluator.HasRegistries() {
		imported, err := x.index.ImportedNames(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range imported {
			names[n] = true
		}
	}
	lines := map[Line]RuleCoverage{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c, err := x.nameClaims(ctx, name, evaluator)
		if err != nil {
			return nil, err
		}
		versions := map[Line]int{}
		for v, claims := range c.claims {
			d := c.Decide(v, claims)
			if d.State != trust.Trusted {
				continue
			}
			by := map[Line]bool{}
			for _, claim := range d.Claims {
				if claim.Module == d.Module && (claim.Effect == trust.Counts || claim.Effect == trust.Pinned) {
					by[Line{claim.Project, claim.Line}] = true
				}
			}
			for line := range by {
				versions[line]++
			}
		}
		for line, n := range versions {
			l := lines[line]
			lines[line] = RuleCoverage{l.Names + 1, l.Versions + n}
		}
	}
	return lines, nil
}
