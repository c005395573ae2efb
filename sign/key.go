package sign

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// A Key is an author's public key: a minimal key block, every signature in it
// verified. It is immutable and may be shared.
type Key struct {
	primary  *openpgp.PublicKey
	elements []*openpgp.Element // in block order
	block    []byte
}

// Revocation says that and since when a key is revoked.
type Revocation struct {
	Hard   bool      // the key may be in other hands: nothing it ever signed counts
	At     time.Time // a soft revocation counts from here on
	Reason uint8     // the code of RFC 9580 section 5.2.3.31
	Text   string    // the owner's words, cleaned for display
}

// ParseKey reads a minimal key block as it travels between nodes: binary, at
// most records.MaxKeyBlock bytes, in its one canonical form. The error is a
// *KeyBlockError and final.
func ParseKey(block []byte) (*Key, error) {
	if len(block) > records.MaxKeyBlock {
		return nil, badKey("S30", "has %d bytes, the limit is %d", len(block), records.MaxKeyBlock)
	}
	packets, err := canonicalPackets(block)
	if err != nil {
		return nil, err
	}
	if packets[0].Type != openpgp.PacketPublicKey {
		return nil, badKey("S32", "begins with packet type %d, not with a public key", packets[0].Type)
	}
	primary, err := openpgp.ParsePublicKey(packets[0].Body)
	if err != nil {
		return nil, badKey("S33", "primary key %w", err)
	}
	elements, err := parseElements(primary, packets[1:])
	if err != nil {
		return nil, err
	}
	if !hasRole(elements, openpgp.MainRole(primary)) {
		return nil, badKey("S42", "has no self-signature that says what the primary key is for")
	}
	unique := openpgp.Union(elements)
	if len(unique) != len(elements) {
		return nil, badKey("S43", "has a signature twice")
	}
	k := newKey(primary, unique)
	if len(k.elements) != len(unique) {
		return nil, badKey("S44", "holds more than fits")
	}
	if !bytes.Equal(k.block, block) {
		return nil, badKey("S43", "is not in canonical order and form")
	}
	return k, nil
}

// canonicalPackets splits a block whose every packet has a canonical header.
func canonicalPackets(block []byte) ([]openpgp.Packet, error) {
	var packets []openpgp.Packet
	for rest := block; len(rest) > 0 || packets == nil; {
		p, after, err := openpgp.NextPacket(rest)
		if err != nil {
			return nil, badKey("S31", "%w", err)
		}
		if !p.Canonical {
			return nil, badKey("S31", "has a packet header that is not new-format with the shortest length")
		}
		packets = append(packets, p)
		rest = after
	}
	return packets, nil
}

func parseElements(primary *openpgp.PublicKey, packets []openpgp.Packet) ([]*openpgp.Element, error) {
	var elements []*openpgp.Element
	var uid *string
	var subkey *openpgp.PublicKey
	for i, p := range packets {
		switch p.Type {
		case openpgp.PacketSignature:
			e, rule, err := openpgp.ParseElement(primary, uid, subkey, p.Body)
			if err != nil {
				return nil, &KeyBlockError{Rule: rule, Err: err}
			}
			if !bytes.Equal(e.Packet, openpgp.AppendPacket(nil, openpgp.PacketSignature, p.Body)) {
				return nil, badKey("S39", "has a self-signature that is not in its canonical form")
			}
			elements = append(elements, e)
		case openpgp.PacketUserID:
			if len(p.Body) > openpgp.MaxUserID {
				return nil, badKey("S35", "has a user id of %d bytes, the limit is %d", len(p.Body), openpgp.MaxUserID)
			}
			s := string(p.Body)
			uid, subkey = &s, nil
		case openpgp.PacketPublicSubkey:
			k, err := openpgp.ParsePublicKey(p.Body)
			if err != nil {
				return nil, badKey("S33", "subkey %w", err)
			}
			if k.Version != primary.Version {
				return nil, badKey("S33", "subkey has version %d, the primary key %d", k.Version, primary.Version)
			}
			uid, subkey = nil, k
		case openpgp.PacketPublicKey:
			return nil, badKey("S32", "holds more than one key")
		default:
			return nil, badKey("S34", "has a packet of type %d", p.Type)
		}
		if p.Type != openpgp.PacketSignature && (i+1 == len(packets) || packets[i+1].Type != openpgp.PacketSignature) {
			return nil, badKey("S43", "has a user id or subkey without a signature")
		}
	}
	return elements, nil
}

func hasRole(elements []*openpgp.Element, r openpgp.Role) bool {
	return slices.ContainsFunc(elements, func(e *openpgp.Element) bool { return e.Role == r })
}

// newKey takes verified elements, at least one of them of the main role.
func newKey(primary *openpgp.PublicKey, elements []*openpgp.Element) *Key {
	kept := openpgp.Limit(primary, openpgp.Union(elements))
	return &Key{primary: primary, elements: kept, block: openpgp.EncodeBlock(primary, kept)}
}

// Merge returns the union of what two blocks of the same key say. It commutes,
// associates and is idempotent, also where SPEC.md's limits make it drop
// something. The effect of a revocation is never lost. The error is a *KeyBlockError
// when the fingerprints differ, and a *KeyError when they are all that is the same.
func (k *Key) Merge(other *Key) (*Key, error) {
	if k.primary.Fingerprint != other.primary.Fingerprint {
		return nil, badKey("S46", "cannot be merged with that of another key")
	}
	if bytes.Equal(k.block, other.block) {
		return k, nil
	}
	if !bytes.Equal(k.primary.Body, other.primary.Body) {
		// Two v4 keys can be made to share a fingerprint, at some cost. Which of them
		// a node knows is no fault of whoever sent it the other.
		return nil, &KeyError{Fingerprint: k.primary.Fingerprint, Problem: DifferentOwner, Rule: "S46"}
	}
	return newKey(k.primary, openpgp.Union(k.elements, other.elements)), nil
}

// Fingerprint returns the primary key's fingerprint: the author.
func (k *Key) Fingerprint() records.Fingerprint { return k.primary.Fingerprint }

// Block returns the key block that ParseKey reads back as this key.
func (k *Key) Block() []byte { return bytes.Clone(k.block) }

// Created returns when the primary key was made, as it says.
func (k *Key) Created() time.Time { return unixTime(int64(k.primary.Created)) }

// Expires returns the first moment at which the primary key is no longer valid,
// and whether there is one.
func (k *Key) Expires() (time.Time, bool) {
	at, ok := k.primaryExpiry()
	return unixTime(at), ok
}

// UserID returns the name and address that the key carries, cleaned for display:
// of several the one marked primary, or else the newest. A v6 key may have none.
// Anybody can make a key with any user id.
func (k *Key) UserID() string {
	var best *openpgp.Element
	for _, e := range k.elements {
		if e.Role == openpgp.RoleCertification && (best == nil || compareUserIDs(e, best) < 0) {
			best = e
		}
	}
	if best == nil {
		return ""
	}
	return records.CleanText(best.UserID, openpgp.MaxUserID)
}

// compareUserIDs orders certifications by how well their user id names the owner.
func compareUserIDs(a, b *openpgp.Element) int {
	return cmp.Or(trueFirst(a.Signature.PrimaryUserID, b.Signature.PrimaryUserID), openpgp.ByPriority(a, b))
}

// Revocation returns the most severe revocation of the primary key, if any.
func (k *Key) Revocation() (Revocation, bool) {
	e := k.revocation(nil)
	if e == nil {
		return Revocation{}, false
	}
	r := Revocation{Hard: e.IsHard(), At: unixTime(int64(e.Signature.Created)), Text: records.CleanText(e.Signature.RevocationText, openpgp.MaxUserID)}
	if e.Signature.RevocationReason != nil {
		r.Reason = *e.Signature.RevocationReason
	}
	return r, true
}

// revocation returns the most severe revocation of a subkey, or of the primary
// key when subkey is nil.
func (k *Key) revocation(subkey *openpgp.PublicKey) *openpgp.Element {
	var worst *openpgp.Element
	for _, e := range k.elements {
		if e.IsRevocation() && sameKey(e.Subkey, subkey) && (worst == nil || openpgp.ByPriority(e, worst) < 0) {
			worst = e
		}
	}
	return worst
}

func sameKey(a, b *openpgp.PublicKey) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Fingerprint == b.Fingerprint
}

func unixTime(s int64) time.Time { return time.Unix(s, 0).UTC() }
