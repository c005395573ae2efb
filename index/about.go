package index

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Claims returns what is claimed that name@version is, and who said what of the name in
// notices: everything, or of a crowd the first thousand. It serves trust.Basis.Changes: what a key that does not
// decide has taken back is known too.
func (x *Index) Claims(ctx context.Context, name records.Name, version records.Version, view *trust.View) ([]trust.Claim, []trust.Notice, error) {
	c, err := x.claimed(ctx, name, view, version)
	if err != nil {
		return nil, nil, err
	}
	claims := c.claims[version]
	withdrawn := map[records.Fingerprint]map[cid.Cid]bool{}
	for i, claim := range claims {
		if claim.Endorse == "" || c.Decides(claim.Author) {
			continue // looked up already
		}
		if _, known := withdrawn[claim.Author]; !known {
			if withdrawn[claim.Author], err = x.Withdrawn(ctx, claim.Author); err != nil {
				return nil, nil, err
			}
		}
		claims[i].Retracted = withdrawn[claim.Author][claim.Record]
	}
	return claims, c.notices, nil
}

// About says what name@version is for the view, and which notices about it count.
func (x *Index) About(ctx context.Context, name records.Name, version records.Version, view *trust.View) (trust.Decision, trust.Applying, error) {
	c, err := x.claimed(ctx, name, view, version)
	if err != nil {
		return trust.Decision{}, trust.Applying{}, err
	}
	d := c.Decide(version, c.claims[version])
	return d, c.Notices(d, c.notices), nil
}

// CountClaims returns how many releases of name@version there are, and by how many keys.
func (x *Index) CountClaims(ctx context.Context, name records.Name, version records.Version) (claims, keys int, err error) {
	err = x.r.QueryRowContext(ctx, "SELECT count(*), count(DISTINCT author) FROM releases WHERE name = ? AND version = ?", string(name), string(version)).Scan(&claims, &keys)
	if err != nil {
		return 0, 0, x.explain("count releases", err)
	}
	return claims, keys, nil
}
