package sign

import (
	"bytes"
	"errors"
	"math"
	"slices"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// An authorship says whether a signature was made by the primary key.
type authorship int

const (
	notOwner     authorship = iota
	undetermined            // es cannot tell: an algorithm or a form that it does not know
	ownerMade               // whatever the algorithm is worth
)

// authorshipOf is authorship for a signature of any version.
func (imp *keyImport) authorshipOf(body []byte, s *openpgp.Signature, data [][]byte) authorship {
	if openpgp.IsV3(body) {
		made, _ := imp.authorshipV3(body, data...)
		return made
	}
	if s == nil {
		return undetermined
	}
	return imp.authorship(s, data...)
}

// authorship verifies s as the primary key's with any hash that there is.
func (imp *keyImport) authorship(s *openpgp.Signature, data ...[]byte) authorship {
	k := imp.primary
	if s.Version != k.Version || s.Algorithm != k.Algorithm {
		return authorshipUnchecked(imp, s)
	}
	h, ok := openpgp.AnyHash(s.Hash)
	if !ok {
		return authorshipUnchecked(imp, s)
	}
	if s.VerifyDigest(k, h, s.Digest(h, data...)) {
		return ownerMade
	}
	return notOwner
}

// authorshipUnchecked is for a signature that cannot be verified: it is the owner's unless it
// names somebody else.
func authorshipUnchecked(imp *keyImport, s *openpgp.Signature) authorship {
	if imp.isThirdParty(s) {
		return notOwner
	}
	return undetermined
}

// authorshipV3 is authorship for a signature of version 3, with when it was made.
func (imp *keyImport) authorshipV3(body []byte, data ...[]byte) (authorship, uint32) {
	s, tail, keyID, err := openpgp.ParseV3(body)
	if s == nil {
		return undetermined, math.MaxUint32
	}
	if !bytes.Equal(keyID, imp.primary.KeyID()) {
		return notOwner, s.Created
	}
	h, ok := openpgp.AnyHash(s.Hash)
	if err != nil || !ok || s.Algorithm != imp.primary.Algorithm {
		return undetermined, s.Created
	}
	if s.VerifyDigest(imp.primary, h, openpgp.DigestOf(h, append(data, tail)...)) {
		return ownerMade, s.Created
	}
	return notOwner, s.Created
}

// revocationAuthor says whether the primary key made a revocation over data, and when.
func (imp *keyImport) revocationAuthor(body []byte, data ...[]byte) (authorship, uint32, error) {
	if openpgp.IsV3(body) {
		v, at := imp.authorshipV3(body, data...)
		return v, at, errors.New("is of version 3")
	}
	s, err := openpgp.ParseSignature(body)
	if err != nil {
		if s != nil && imp.isThirdParty(s) {
			return notOwner, 0, err
		}
		return undetermined, math.MaxUint32, err
	}
	var st statement
	st.read(s, imp.primary)
	return imp.authorship(s, data...), st.created, nil
}

// isThirdParty reports whether s names an issuer other than the primary key.
func (imp *keyImport) isThirdParty(s *openpgp.Signature) bool {
	return slices.ContainsFunc(openpgp.Issuers(s), func(id []byte) bool { return !imp.isPrimary(id) })
}

// isPrimary reports whether id is the primary key's fingerprint or key id.
func (imp *keyImport) isPrimary(id []byte) bool {
	return bytes.Equal(id, imp.primary.Fingerprint.Bytes()) || bytes.Equal(id, imp.primary.KeyID())
}
