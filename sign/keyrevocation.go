package sign

import (
	"cmp"
	"slices"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// addKeyRevocation takes a revocation of the primary key, wherever it stands. One that a
// block cannot hold makes the key unusable.
func (imp *keyImport) addKeyRevocation(body []byte) error {
	e, _, err := openpgp.ParseElement(imp.primary, nil, nil, body)
	if err == nil {
		imp.elements = append(imp.elements, e)
		return nil
	}
	made, _, why := imp.revocationAuthor(body, imp.primary.Hashed())
	if made != notOwner {
		return badKey("S150", "carries a revocation that es cannot keep: %w", cmp.Or(why, err))
	}
	if s, err := openpgp.ParseSignature(body); err == nil {
		for _, id := range openpgp.Issuers(s) {
			imp.thirdPartyRevokers = append(imp.thirdPartyRevokers, string(id))
		}
	}
	return nil
}

// A subkeyRevocation is a revocation of the subkey that it stood behind, or of another.
type subkeyRevocation struct {
	body []byte
	at   position
}

// mayConcern reports whether a revocation at this place that cannot be verified may be of
// a subkey: no other subkey stands before it.
func (at position) mayConcern(subkey *openpgp.PublicKey) bool {
	return !at.unknown && (at.subkey == nil || at.subkey.Fingerprint == subkey.Fingerprint)
}

// addSubkeyRevocations finds the signing subkeys that revocations are about.
func (imp *keyImport) addSubkeyRevocations() error {
	var subkeys []*openpgp.PublicKey
	for _, e := range imp.elements {
		if e.Role == openpgp.RoleSubkeyBinding && !slices.ContainsFunc(subkeys, func(k *openpgp.PublicKey) bool { return k.Fingerprint == e.Subkey.Fingerprint }) {
			subkeys = append(subkeys, e.Subkey)
		}
	}
	for _, r := range imp.subkeyRevocations {
		for _, subkey := range subkeys {
			e, _, err := openpgp.ParseElement(imp.primary, nil, subkey, r.body)
			if err == nil {
				imp.elements = append(imp.elements, e)
				continue
			}
			made, _, why := imp.revocationAuthor(r.body, imp.primary.Hashed(), subkey.Hashed())
			if made == ownerMade || made == undetermined && r.at.mayConcern(subkey) {
				return badKey("S150", "carries a revocation of a subkey that es cannot keep: %w", cmp.Or(why, err))
			}
		}
	}
	return nil
}

// certRevocation notes the revocation of a user id or attribute. Blocks do
// not carry that, because a user id is a label here; but it is no label to choose any
// more, and what it says of the key's end is no longer renewed.
func (imp *keyImport) certRevocation(body []byte) {
	if imp.at.certified == nil {
		imp.noteMisplaced(body)
		return
	}
	made, at, _ := imp.revocationAuthor(body, imp.primary.Hashed(), imp.at.certified)
	if made == notOwner {
		imp.noteMisplaced(body)
		return
	}
	imp.noteCertRevocation(string(imp.at.certified), body, at)
}

// noteCertRevocation keeps when something certified was revoked. What was said of it before
// no longer counts only if every program takes the revocation.
func (imp *keyImport) noteCertRevocation(certified string, body []byte, at uint32) {
	if imp.certRevoked == nil {
		imp.certRevoked, imp.certRevokedPlainly = make(map[string]uint32), make(map[string]uint32)
	}
	imp.certRevoked[certified] = max(imp.certRevoked[certified], at)
	if s, err := openpgp.ParseSignature(body); err == nil && at <= imp.latest && s.VerifiesCertRevocation(imp.primary, []byte(certified)) {
		imp.certRevokedPlainly[certified] = max(imp.certRevokedPlainly[certified], at)
	}
}

// noteRevokers reads whom the owner names to revoke in their place.
func (imp *keyImport) noteRevokers(s *openpgp.Signature) {
	const subRevoker = 12
	subs, err := openpgp.ParseSubpackets(s.Hashed)
	if err != nil {
		return
	}
	for _, p := range subs {
		if p.Type == subRevoker && len(p.Body) >= 22 {
			if imp.revokers == nil {
				imp.revokers = make(map[string]bool)
			}
			f := p.Body[2:]
			imp.revokers[string(f)] = true
			if len(f) == 20 {
				imp.revokers[string(f[12:])] = true
			} else {
				imp.revokers[string(f[:8])] = true
			}
		}
	}
}

// checkRevokers refuses a key with a revocation by somebody whom its owner named for
// that: their key is not at hand to check it by.
func (imp *keyImport) checkRevokers() error {
	for _, id := range imp.thirdPartyRevokers {
		if imp.revokers[id] {
			return badKey("S150", "carries a revocation by a key that its owner named as a revoker, which es cannot check")
		}
	}
	return nil
}
