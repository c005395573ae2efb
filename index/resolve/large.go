package resolve

import (
	"context"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

const (
	// largeNameThreshold is Resolver.LargeName where nobody sets another.
	largeNameThreshold = 1000
	// maxOthers is how many claims about one version of a large name are read, and how
	// many of its endorsements.
	maxOthers = 1000
	// maxDeciders is how many keys one query asks about.
	maxDeciders = 10_000
)

// isLarge reports whether there are more records about the name than are read, and then
// which keys decide about it: nobody's word but theirs makes a version trusted, unless it
// is pinned.
func (x *Resolver) isLarge(ctx context.Context, name records.Name, ruling *trust.Ruling) (deciders []records.Fingerprint, large bool, err error) {
	if large, err = x.index.HasMoreThan(ctx, name, x.LargeName); err != nil || !large {
		return nil, false, err
	}
	for _, g := range ruling.Deciders() {
		deciders = append(deciders, g.Key)
	}
	return deciders, len(deciders) <= maxDeciders, nil
}

// addVersions adds the endorsed versions that only others released.
func (x *Resolver) addVersions(ctx context.Context, c *nameClaims, endorsed map[records.Version][]trust.Claim) error {
	for v := range endorsed {
		if c.claims[v] != nil {
			continue
		}
		released, err := x.index.HasRelease(ctx, index.Filter{Name: c.name, Version: v})
		if err != nil {
			return err
		}
		if released {
			c.versions, c.claims[v] = append(c.versions, v), nil
		}
	}
	return nil
}

// addImports adds the imports of a large name, where a registry decides about it: whoever
// imported them, it may have signed them. The others' bytes are bounded by what is kept of
// strangers.
func (x *Resolver) addImports(ctx context.Context, c *nameClaims) error {
	if !c.HasRegistry() {
		return nil
	}
	return x.addClaims(ctx, c, index.Filter{Name: c.name, Valid: true, Imports: true})
}

// addOthers adds, of what is claimed of a large name, what makes a pin come true and what
// is about the versions, at most maxOthers claims each. Claims may be there twice then.
func (x *Resolver) addOthers(ctx context.Context, c *nameClaims, about []records.Version) error {
	for _, p := range c.Pinned() {
		// By author, so that the record is the same that all claims would give.
		err := x.addClaims(ctx, c, index.Filter{Name: c.name, Version: p.Version, Module: p.Module, Valid: true, Order: index.ByAuthor, Limit: maxOthers})
		if err != nil {
			return err
		}
	}
	for _, v := range about {
		if err := x.addClaims(ctx, c, index.Filter{Name: c.name, Version: v, Order: index.ValidByArrival, Limit: maxOthers}); err != nil {
			return err
		}
	}
	if len(about) == 0 {
		return nil
	}
	all, err := x.index.StatementsAbout(ctx, "endorse", index.Filter{Name: c.name, Limit: maxOthers})
	if err != nil {
		return err
	}
	endorsed, err := x.endorsementClaims(ctx, c, all)
	if err != nil {
		return err
	}
	for _, v := range about {
		if _, released := c.claims[v]; released {
			c.claims[v] = append(c.claims[v], endorsed[v]...)
		}
	}
	return nil
}
