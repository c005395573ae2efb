package search

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A Hit is one name that a search found.
type Hit struct {
	Name records.Name
	// Decision is about the shown version: the newest trusted one; else one
	// that those who decide disagree about; else the newest by the first of Claimants.
	Decision trust.Decision
	Release  index.Release        // the shown version; by a key that decides when trusted
	Notices  trust.VersionNotices // about the shown version
	Label    string               // what the trust file calls the release's author, or ""
	// Claimants are who released versions of the name, at most resolve.MaxClaimants of Keys.
	Claimants []resolve.Claimant
	Keys      int

	shown cid.Cid // the record of Release
}

// Retired reports whether the shown version is yanked or deprecated.
func (h *Hit) Retired() bool { return len(h.Notices.Yanked)+len(h.Notices.Deprecated) > 0 }

// Describe says what is known of a name that a search found.
func (s *Searcher) Describe(ctx context.Context, name records.Name, evaluator *trust.Evaluator) (h Hit, err error) {
	h.Name = name
	if h.Decision, h.shown, err = s.resolver.Shown(ctx, name, evaluator); err != nil {
		return h, err
	}
	if h.Claimants, h.Keys, err = s.resolver.Claimants(ctx, name, evaluator); err != nil {
		return h, err
	}
	version := h.Decision.Version
	if !h.shown.Defined() {
		if h.Keys == 0 {
			return h, &resolve.NotFoundError{Name: name}
		}
		newest := h.Claimants[0]
		h.shown, version = newest.Record, newest.Newest
	}
	if h.Decision, h.Notices, err = s.resolver.DecideWithNotices(ctx, name, version, evaluator); err != nil {
		return h, err
	}
	if h.Release, err = s.index.Release(ctx, h.shown); err != nil {
		return h, err
	}
	h.Label = evaluator.Label(h.Release.Author)
	return h, nil
}
