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
	// maxDeciders is how many keys one query asks about.
	maxDeciders = 10_000
)

// inCrowd returns the keys that decide about the name when a crowd speaks of it and
// only they matter: nobody's word but theirs lets a version in, unless it is pinned.
func (x *Index) inCrowd(ctx context.Context, name records.Name, ruling *trust.Ruling) ([]records.Fingerprint, error) {
	var crowded bool
	err := x.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM releases WHERE name = ?1 LIMIT 1 OFFSET ?2)
		OR EXISTS (SELECT 1 FROM remarks WHERE name = ?1 LIMIT 1 OFFSET ?2)
		OR EXISTS (SELECT 1 FROM tags WHERE name = ?1 LIMIT 1 OFFSET ?2)`, string(name), x.crowd).Scan(&crowded)
	if err != nil {
		return nil, x.explain("find releases", err)
	}
	if !crowded || ruling.Pins() {
		return nil, nil
	}
	var keys []records.Fingerprint
	for _, g := range ruling.Deciders() {
		keys = append(keys, g.Key)
	}
	if len(keys) > maxDeciders {
		return nil, nil
	}
	return keys, nil
}

// among is the condition that a record about the name is by one of the authors, and
// all arguments of a query about the name.
func (c *claimed) among(column string) (condition string, args []any) {
	args = []any{string(c.name)}
	if c.authors == nil {
		return "", args
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
