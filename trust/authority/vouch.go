package authority

import (
	"crypto/sha512"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

// Unpacked is what this home made of a registry's tarball itself.
type Unpacked struct {
	Name        string
	Version     records.Version
	Module      cid.Cid
	Size, Files int64
	Manifest    records.Manifest
	Registries  []string // that this home itself took the tarball from
}

// Differs says in what a release is not what the tarball holds; "" when it is.
func (u *Unpacked) Differs(r *records.Release) string {
	switch {
	case u.Name != string(r.Name) || u.Version != r.Version:
		return fmt.Sprintf("the tarball is of %q@%q", u.Name, u.Version)
	case u.Module != r.Module:
		return "the tarball holds the module " + u.Module.String()
	case u.Size != r.Size || u.Files != r.Files:
		return fmt.Sprintf("the module has %d bytes in %d files, and not %d in %d", u.Size, u.Files, r.Size, r.Files)
	case len(r.Pins) > 0:
		return "it pins modules, which no registry has"
	}
	if field := u.Manifest.Difference(&r.Manifest); field != "" {
		return "the package.json of the tarball says another " + field
	}
	return ""
}

// Facts are what an authority's word depends on besides the release.
type Facts struct {
	Denied   func(records.Fingerprint) bool
	Unpacked func([sha512.Size]byte) *Unpacked // nil for a tarball that this home did not unpack
}

// Vouch returns the first key of the line that vouches for the release, or says why
// none does.
func (a *Authority) Vouch(release *records.Release, facts Facts) (key records.Fingerprint, why string) {
	t, ok := TarballOf(release)
	if !ok {
		return key, "its origin names no SHA-512"
	}
	if a.Unsigned {
		key = UnsignedFingerprint(a.Registry)
		switch u := facts.Unpacked(t.SHA512); {
		case facts.Denied(key):
			return key, "the trust file denies the registry"
		case u == nil || !slices.Contains(u.Registries, a.Registry):
			return key, "this home did not take it from " + a.Registry + " itself, which signs nothing"
		}
		return key, ""
	}
	var live []npm.SigningKey
	for i := range a.Keys {
		if key := KeyFingerprint(&a.Keys[i]); facts.Denied(key) {
			why = fmt.Sprintf("the trust file denies the registry's key %s", key)
			continue
		}
		live = append(live, a.Keys[i])
		if _, err := npm.Verify(a.Keys[i:i+1], t, release.Origin.Signatures, publishedAt(release.Origin)); err == nil {
			return KeyFingerprint(&a.Keys[i]), ""
		}
	}
	if len(live) == 0 {
		return key, why
	}
	_, err := npm.Verify(live, t, release.Origin.Signatures, publishedAt(release.Origin))
	return key, err.Error()
}

// TarballOf returns the tarball that a release was imported from, as registries sign it.
func TarballOf(r *records.Release) (t npm.Tarball, ok bool) {
	if r.Origin == nil || len(r.Origin.SHA512) != sha512.Size {
		return t, false
	}
	return npm.Tarball{Name: string(r.Name), Version: r.Version, SHA512: [sha512.Size]byte(r.Origin.SHA512)}, true
}

// publishedAt is when the release claims that it was published; zero when it does not.
func publishedAt(o *records.Origin) time.Time {
	if o.Published == 0 {
		return time.Time{}
	}
	return time.Unix(o.Published, 0)
}

// Vouchers returns all keys of the line that vouch for the release, denied ones too.
func (a *Authority) Vouchers(r *records.Release, unpacked func([sha512.Size]byte) *Unpacked) []records.Fingerprint {
	facts := Facts{Denied: func(records.Fingerprint) bool { return false }, Unpacked: unpacked}
	if a.Unsigned {
		if key, why := a.Vouch(r, facts); why == "" {
			return []records.Fingerprint{key}
		}
		return nil
	}
	var all []records.Fingerprint
	for i := range a.Keys {
		one := Authority{Registry: a.Registry, Keys: a.Keys[i : i+1]}
		if key, why := one.Vouch(r, facts); why == "" {
			all = append(all, key)
		}
	}
	return all
}
