package search

import (
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
	Release  index.Release // the shown version; by a key that decides when trusted
	Label    string        // what the trust file calls the release's author, or ""
	// Claimants are who released versions of the name, at most resolve.MaxClaimants of Keys.
	Claimants []resolve.Claimant
	Keys      int

	shown cid.Cid // the record of Release
}
