package tree

import (
	"context"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// A Resolution is the release that a name and a spec mean to this user.
type Resolution struct {
	records.Release
	Record  cid.Cid
	Signer  records.Fingerprint
	Invalid string // why the signature does not count any more, or ""
	// Registries are keys of registries of which it is known here that they vouch for a
	// release with an origin: each may be the Signer.
	Registries []records.Fingerprint
	Others     []*Resolution // the same module, as other keys that decide released it
}

// Locked returns what es-lock.json keeps of r.
func (r *Resolution) Locked() *lockfile.Package {
	p := lockfile.New(&r.Release)
	p.Record, p.Signer = r.Record, r.Signer
	return p
}

// A Resolver decides which release a dependency means: the newest that the user
// trusts among those that spec matches, where spec is never of kind CID and name
// is never an alias. For a range, npm prefers the version tagged latest when it
// matches. Errors reach the caller wrapped in a *DependencyError.
type Resolver interface {
	Resolve(ctx context.Context, name records.Name, spec packagejson.Spec) (*Resolution, error)
}
