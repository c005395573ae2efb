package sign

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/everythingstays/es/records"
)

// A Key is an author's public key: a minimal key block, every signature in it
// verified. It is immutable and may be shared.
type Key struct {
	primary  *publicKey
	elements []*element // in block order
	block    []byte
}

// Revocation says that and since when an owner has withdrawn a key.
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
	if packets[0].kind != packetPublicKey {
		return nil, badKey("S32", "begins with packet type %d, not with a public key", packets[0].kind)
	}
	primary, err := parsePublicKey(packets[0].body)
	if err != nil {
		return nil, badKey("S33", "primary key %w", err)
	}
	elements, err := parseElements(primary, packets[1:])
	if err != nil {
		return nil, err
	}
	if !hasRole(elements, mainRole(primary)) {
		return nil, badKey("S42", "has no self-signature that says what the primary key is for")
	}
	unique := union(elements)
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
func canonicalPackets(block []byte) ([]packet, error) {
	var packets []packet
	for rest := block; len(rest) > 0 || packets == nil; {
		p, after, err := nextPacket(rest)
		if err != nil {
			return nil, badKey("S31", "%w", err)
		}
		if !p.canonical {
			return nil, badKey("S31", "has a packet header that is not new-format with the shortest length")
		}
		packets = append(packets, p)
		rest = after
	}
	return packets, nil
}

func parseElements(primary *publicKey, packets []packet) ([]*element, error) {
	var elements []*element
	var uid *string
	var subkey *publicKey
	for i, p := range packets {
		switch p.kind {
		case packetSignature:
			e, rule, err := newElement(primary, uid, subkey, p.body)
			if err != nil {
				return nil, &KeyBlockError{Rule: rule, Err: err}
			}
			if !bytes.Equal(e.packet, appendPacket(nil, packetSignature, p.body)) {
				return nil, badKey("S39", "has a self-signature that is not in its canonical form")
			}
			elements = append(elements, e)
		case packetUserID:
			if len(p.body) > maxUserID {
				return nil, badKey("S35", "has a user id of %d bytes, the limit is %d", len(p.body), maxUserID)
			}
			s := string(p.body)
			uid, subkey = &s, nil
		case packetPublicSubkey:
			k, err := parsePublicKey(p.body)
			if err != nil {
				return nil, badKey("S33", "subkey %w", err)
			}
			if k.version != primary.version {
				return nil, badKey("S33", "subkey has version %d, the primary key %d", k.version, primary.version)
			}
			uid, subkey = nil, k
		case packetPublicKey:
			return nil, badKey("S32", "holds more than one key")
		default:
			return nil, badKey("S34", "has a packet of type %d", p.kind)
		}
		if p.kind != packetSignature && (i+1 == len(packets) || packets[i+1].kind != packetSignature) {
			return nil, badKey("S43", "has a user id or subkey without a signature")
		}
	}
	return elements, nil
}

func hasRole(elements []*element, r role) bool {
	return slices.ContainsFunc(elements, func(e *element) bool { return e.role == r })
}

// newKey takes verified elements, at least one of them of the main role.
func newKey(primary *publicKey, elements []*element) *Key {
	kept := limit(primary, union(elements))
	return &Key{primary: primary, elements: kept, block: encodeBlock(primary, kept)}
}

// Merge returns the union of what two blocks of the same key say. It commutes,
// associates and is idempotent, also where SPEC.md's limits make it drop
// something. The effect of a revocation is never lost. The error is a *KeyBlockError
// when the fingerprints differ, and a *KeyError when they are all that is the same.
func (k *Key) Merge(other *Key) (*Key, error) {
	if k.primary.fpr != other.primary.fpr {
		return nil, badKey("S46", "cannot be merged with that of another key")
	}
	if bytes.Equal(k.block, other.block) {
		return k, nil
	}
	if !bytes.Equal(k.primary.body, other.primary.body) {
		// Two v4 keys can be made to share a fingerprint, at some cost. Which of them
		// a node knows is no fault of whoever sent it the other.
		return nil, &KeyError{Fingerprint: k.primary.fpr, Problem: DifferentOwner, Rule: "S46"}
	}
	return newKey(k.primary, union(k.elements, other.elements)), nil
}

// Fingerprint returns the primary key's fingerprint: the author.
func (k *Key) Fingerprint() records.Fingerprint { return k.primary.fpr }

// Block returns the key block that ParseKey reads back as this key.
func (k *Key) Block() []byte { return bytes.Clone(k.block) }

// Created returns when the primary key was made, as it says.
func (k *Key) Created() time.Time { return unixTime(int64(k.primary.created)) }

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
	var best *element
	for _, e := range k.elements {
		if e.role == roleCert && (best == nil || preferUID(e, best) < 0) {
			best = e
		}
	}
	if best == nil {
		return ""
	}
	return records.CleanText(best.uid, maxUserID)
}

// preferUID orders certifications by how well their user id names the owner.
func preferUID(a, b *element) int {
	return cmp.Or(compareBool(a.sig.primaryUID, b.sig.primaryUID), byWorth(a, b))
}

// Revocation returns the most severe revocation of the primary key, if any.
func (k *Key) Revocation() (Revocation, bool) {
	e := k.revocation(nil)
	if e == nil {
		return Revocation{}, false
	}
	r := Revocation{Hard: e.hard(), At: unixTime(int64(e.sig.created)), Text: records.CleanText(e.sig.reasonText, maxUserID)}
	if e.sig.reason != nil {
		r.Reason = *e.sig.reason
	}
	return r, true
}

// revocation returns the most severe revocation of a subkey, or of the primary
// key when subkey is nil.
func (k *Key) revocation(subkey *publicKey) *element {
	var worst *element
	for _, e := range k.elements {
		if e.isRevocation() && sameKey(e.subkey, subkey) && (worst == nil || byWorth(e, worst) < 0) {
			worst = e
		}
	}
	return worst
}

func sameKey(a, b *publicKey) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.fpr == b.fpr
}

func unixTime(s int64) time.Time { return time.Unix(s, 0).UTC() }
