package resolve

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Claims returns what is claimed that name@version is, and who said what of the name in
// notices: everything, or of a large name the first thousand. It serves trust.Inputs.Changes: what a key that does not
// decide has taken back is known too.
func (x *Resolver) Claims(ctx context.Context, name records.Name, version records.Version, evaluator *trust.Evaluator) ([]trust.Claim, []trust.Notice, error) {
	c, err := x.nameClaims(ctx, name, evaluator, version)
	if err != nil {
		return nil, nil, err
	}
	claims := c.claims[version]
	retracted := map[records.Fingerprint]map[cid.Cid]bool{}
	for i, claim := range claims {
		if claim.Endorse == "" || c.Decides(claim.Author) {
			continue // looked up already
		}
		if _, known := retracted[claim.Author]; !known {
			if retracted[claim.Author], err = c.backdating.Retracted(ctx, claim.Author); err != nil {
				return nil, nil, err
			}
		}
		claims[i].Retracted = retracted[claim.Author][claim.Record]
	}
	return claims, c.notices, nil
}

// DecideWithNotices says what name@version is by the evaluator, and which notices about it count.
func (x *Resolver) DecideWithNotices(ctx context.Context, name records.Name, version records.Version, evaluator *trust.Evaluator) (trust.Decision, trust.VersionNotices, error) {
	c, err := x.nameClaims(ctx, name, evaluator, version)
	if err != nil {
		return trust.Decision{}, trust.VersionNotices{}, err
	}
	d := c.Decide(version, c.claims[version])
	return d, c.Notices(d, c.notices), nil
}
