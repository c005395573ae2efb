package resolve

import (
	"context"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// endorsed returns the endorsements of a name as claims, by version. Whether one was
// taken back is only looked up where it matters: of keys that decide.
func (x *Resolver) endorsed(ctx context.Context, c *nameClaims) (map[records.Version][]trust.Claim, error) {
	all, err := x.index.StatementsAbout(ctx, "endorse", index.Filter{Name: c.name, Authors: c.authors})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return x.endorsementClaims(ctx, c, all)
}

func (x *Resolver) endorsementClaims(ctx context.Context, c *nameClaims, all []index.Statement) (_ map[records.Version][]trust.Claim, err error) {
	retracted := map[records.Fingerprint]map[cid.Cid]bool{}
	claims := map[records.Version][]trust.Claim{}
	for _, s := range all {
		body, ok := s.Record.Body.(*records.Endorse)
		if !ok {
			continue
		}
		if retracted[s.Author] == nil && c.Decides(s.Author) {
			if retracted[s.Author], err = c.backdating.Retracted(ctx, s.Author); err != nil {
				return nil, err
			}
		}
		claims[body.Version] = append(claims[body.Version], trust.Claim{
			Author: s.Author, Module: body.Module, Record: s.ID, Invalid: s.Invalid,
			Endorse: body.Claim, Retracted: retracted[s.Author][s.ID], Time: s.Time, FirstSeen: s.FirstSeen,
		})
	}
	return claims, nil
}

// noticeAuthors are those whose notices are read, nil for everybody: besides the keys
// that decide, those of the records that pins have used ([T43]).
func (c *nameClaims) noticeAuthors() []records.Fingerprint {
	if c.authors == nil {
		return nil
	}
	authors := slices.Clone(c.authors)
	for _, p := range c.Pinned() {
		if d := c.Decide(p.Version, c.claims[p.Version]); d.Pin != 0 {
			authors = append(authors, d.Signer)
		}
	}
	return authors
}

// notices returns what is said of a name in notices.
func (x *Resolver) notices(ctx context.Context, c *nameClaims) ([]trust.Notice, error) {
	all, err := x.index.StatementsAbout(ctx, "notice", index.Filter{Name: c.name, Authors: c.noticeAuthors()})
	if err != nil {
		return nil, err
	}
	var ns []trust.Notice
	for _, s := range all {
		if n, ok := s.Record.Body.(*records.Notice); ok {
			said := authorlog.TrustStatement(s.Meta, false)
			if n.Text == "" && c.Decides(s.Author) {
				if said.Backdated, err = c.backdating.Is(ctx, s.Meta); err != nil {
					return nil, err
				}
			}
			ns = append(ns, trust.Notice{
				Statement: said, Name: n.Name, Kind: n.NoticeOf, Range: n.Range, About: n.Record, Text: n.Text,
				Severity: n.Severity, Fixed: n.Fixed, Refs: n.Refs,
			})
		}
	}
	return ns, nil
}
