package index

import (
	"context"
	"strings"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

const (
	// crowd is how many records of one kind about a name are so many that those by
	// keys that decide nothing are not read unless they must be.
	crowd = 1000
	// maxOthers is how many claims about one version are read of a crowd, and how many
	// of its endorsements of a name.
	maxOthers = 1000
	// maxDeciders is how many keys one query asks about.
	maxDeciders = 10_000
)

// inCrowd reports whether a crowd speaks of the name, and then which keys decide about
// it: nobody's word but theirs lets a version in, unless it is pinned.
func (x *Index) inCrowd(ctx context.Context, name records.Name, ruling *trust.Ruling) (deciders []records.Fingerprint, crowded bool, err error) {
	err = x.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM releases WHERE name = ?1 LIMIT 1 OFFSET ?2)
		OR EXISTS (SELECT 1 FROM remarks WHERE name = ?1 LIMIT 1 OFFSET ?2)
		OR EXISTS (SELECT 1 FROM tags WHERE name = ?1 LIMIT 1 OFFSET ?2)`, string(name), x.crowd).Scan(&crowded)
	if err != nil {
		return nil, false, x.explain("find releases", err)
	}
	if !crowded {
		return nil, false, nil
	}
	for _, g := range ruling.Deciders() {
		deciders = append(deciders, g.Key)
	}
	return deciders, len(deciders) <= maxDeciders, nil
}

// among is the condition that a record about the name is by one of the authors, and
// all arguments of a query about the name.
func (c *claimed) among(column string) (condition string, args []any) {
	args = []any{string(c.name)}
	switch {
	case c.authors == nil:
		return "", args
	case len(c.authors) == 0:
		return " AND 0", args
	}
	for _, a := range c.authors {
		args = append(args, a.Bytes())
	}
	return " AND " + column + " IN (?" + strings.Repeat(", ?", len(c.authors)-1) + ")", args
}

// addVersions adds the versions among those vouched for that only others released.
func (x *Index) addVersions(ctx context.Context, c *claimed, vouched map[records.Version][]trust.Claim) error {
	for v := range vouched {
		if c.claims[v] != nil {
			continue
		}
		var released bool
		err := x.r.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM releases WHERE name = ? AND version = ?)", string(c.name), string(v)).Scan(&released)
		if err != nil {
			return x.explain("find releases", err)
		}
		if released {
			c.versions, c.claims[v] = append(c.versions, v), nil
		}
	}
	return nil
}

// addOthers adds, of what a crowd claims, what makes a pin come true and what is about
// the versions, at most maxOthers claims each. Claims may be there twice then.
func (x *Index) addOthers(ctx context.Context, c *claimed, about []records.Version) error {
	for _, p := range c.Pinned() {
		// By author, so that the record is the same that all claims would give.
		err := x.addClaims(ctx, c, "name = ? AND version = ? AND module = ? AND void = '' ORDER BY releases.author, id LIMIT ?",
			string(c.name), string(p.Version), p.Module.Bytes(), maxOthers)
		if err != nil {
			return err
		}
	}
	for _, v := range about {
		err := x.addClaims(ctx, c, "name = ? AND version = ? ORDER BY void <> '', record LIMIT ?", string(c.name), string(v), maxOthers)
		if err != nil {
			return err
		}
	}
	if len(about) == 0 {
		return nil
	}
	all, err := x.statements(ctx, "find remarks", "SELECT "+statementColumns+
		" FROM remarks JOIN records ON num = record WHERE name = ? AND remarks.kind = 'endorse' ORDER BY num LIMIT ?", string(c.name), maxOthers)
	if err != nil {
		return err
	}
	vouched, err := x.endorsing(ctx, c, all)
	if err != nil {
		return err
	}
	for _, v := range about {
		if _, released := c.claims[v]; released {
			c.claims[v] = append(c.claims[v], vouched[v]...)
		}
	}
	return nil
}
