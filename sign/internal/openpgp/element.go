package openpgp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Role says what a signature in a key block is about (SPEC.md [S36]).
type Role byte

const (
	RoleKeyRevocation    Role = iota // the primary key is revoked
	RoleDirectKey                    // properties of the primary key
	RoleCertification                // a user id, and for v4 properties of the primary key
	RoleSubkeyRevocation             // a subkey is revoked
	RoleSubkeyBinding                // a subkey may sign
)

// Element is one verified signature of a key block with what it is about. A key
// is its primary key packet and a set of elements.
type Element struct {
	Role      Role
	UserID    string     // of RoleCertification
	Subkey    *PublicKey // of RoleSubkeyRevocation and RoleSubkeyBinding
	Signature *Signature
	Packet    []byte // canonical
	signed    []byte // the packet without unhashed subpackets, which the primary key did not sign
}

// IsRevocation reports whether e revokes the primary key or a subkey.
func (e *Element) IsRevocation() bool {
	return e.Role == RoleKeyRevocation || e.Role == RoleSubkeyRevocation
}

// IsHard reports whether a revocation says that the key may be in other hands: all
// reasons but "superseded" and "retired" do, and so does none.
func (e *Element) IsHard() bool {
	r := e.Signature.RevocationReason
	return r == nil || *r != 1 && *r != 3
}

// ParseElement verifies the body of a signature packet as a self-signature and puts it
// into canonical form (SPEC.md [S36] to [S41]). uid and subkey are what stands before
// it in the key, or nil. With an error comes the tag of the rule that it breaks.
func ParseElement(primary *PublicKey, uid *string, subkey *PublicKey, body []byte) (e *Element, rule string, err error) {
	s, err := ParseSignature(body)
	if err != nil {
		return nil, "S31", err
	}
	e = &Element{Signature: s}
	switch {
	case s.Type == SignatureKeyRevocation && uid == nil && subkey == nil:
		e.Role = RoleKeyRevocation
	case s.Type == SignatureDirectKey && uid == nil && subkey == nil:
		e.Role = RoleDirectKey
	case IsCertification(s.Type) && uid != nil && subkey == nil:
		e.Role, e.UserID = RoleCertification, *uid
	case s.Type == SignatureSubkeyRevocation && subkey != nil:
		e.Role, e.Subkey = RoleSubkeyRevocation, subkey
	case s.Type == SignatureSubkeyBinding && subkey != nil:
		e.Role, e.Subkey = RoleSubkeyBinding, subkey
	default:
		return nil, "S36", fmt.Errorf("signature of type 0x%02x is out of place", s.Type)
	}
	if rule, err := e.check(primary); err != nil {
		return nil, rule, fmt.Errorf("self-signature of type 0x%02x: %w", s.Type, err)
	}
	return e, "", nil
}

func (e *Element) check(primary *PublicKey) (rule string, err error) {
	s := e.Signature
	s.NormalizeS()
	s.minimal = true // AppendBody makes it so
	if rule, err := s.CheckForm(); err != nil {
		return "S37", fmt.Errorf("%w (as %s)", err, rule)
	}
	if err := s.ReadProperties(); err != nil {
		return "S38", err
	}
	if err := s.checkLasting(e.IsRevocation()); err != nil {
		return "S38", err
	}
	if err := s.Verify(primary, e.signedData(primary)...); err != nil {
		return "S37", err
	}
	unhashed, rule, err := e.crossSignature(primary)
	if err != nil {
		return rule, err
	}
	e.Packet = AppendPacket(nil, PacketSignature, s.AppendBody(nil, unhashed))
	e.signed = e.Packet
	if unhashed != nil {
		e.signed = AppendPacket(nil, PacketSignature, s.AppendBody(nil, nil))
	}
	if n := maxSignaturePacket(primary, e.Role); len(e.Packet) > n {
		return "S40", fmt.Errorf("has %d bytes, the limit is %d", len(e.Packet), n)
	}
	return "", nil
}

// FlagSign is the key flag of a key that signs data (RFC 9580 section 5.2.3.29).
const FlagSign = 0x02

func (e *Element) signedData(primary *PublicKey) [][]byte {
	data := [][]byte{primary.Hashed()}
	switch e.Role {
	case RoleCertification:
		n := len(e.UserID)
		data = append(data, []byte{0xb4, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, []byte(e.UserID))
	case RoleSubkeyRevocation, RoleSubkeyBinding:
		data = append(data, e.Subkey.Hashed())
	}
	return data
}

// checkLasting refuses a self-signature that stops counting by itself or has a
// notation that must be understood. A revocation is for ever; what it says of
// its own end is passed over.
func (s *Signature) checkLasting(revocation bool) error {
	if s.Expires && !revocation {
		return errors.New("expires by itself")
	}
	for _, p := range s.Subpackets {
		if p.Type == SubpacketNotation && p.Critical {
			return errors.New("has a critical notation")
		}
	}
	return nil
}

// crossSignature verifies the signature by which a signing subkey agrees to be
// one, or anybody could adopt it. gpg leaves it in the unhashed area: it is the
// one thing that may stay there, and is returned in canonical form.
func (e *Element) crossSignature(primary *PublicKey) (unhashed []byte, rule string, err error) {
	if e.Role != RoleSubkeyBinding {
		return nil, "", nil
	}
	if e.Signature.Flags&FlagSign == 0 {
		return nil, "S41", errors.New("binds a subkey that is not for signing")
	}
	body, signed := e.Signature.embedded, true
	if body == nil {
		signed = false
		subs, err := ParseSubpackets(e.Signature.Unhashed)
		if err != nil {
			return nil, "S41", err
		}
		for _, p := range subs {
			if p.Type == SubpacketEmbeddedSignature {
				body = p.Body
				break
			}
		}
	}
	if body == nil {
		return nil, "S41", errors.New("lacks the signing subkey's cross-signature")
	}
	x, err := verifyCross(primary, e.Subkey, body)
	if err != nil {
		return nil, "S41", fmt.Errorf("cross-signature %w", err)
	}
	if signed {
		return nil, "", nil
	}
	return AppendSubpacket(nil, SubpacketEmbeddedSignature, x.AppendBody(nil, nil)), "", nil
}

// verifyCross returns the cross-signature with its numbers in canonical form.
func verifyCross(primary, subkey *PublicKey, body []byte) (*Signature, error) {
	x, err := ParseSignature(body)
	if err != nil {
		return nil, err
	}
	if x.Type != SignaturePrimaryBinding {
		return nil, fmt.Errorf("is of type 0x%02x", x.Type)
	}
	x.NormalizeS()
	x.minimal = true
	if _, err := x.CheckForm(); err != nil {
		return nil, err
	}
	if err := x.ReadProperties(); err != nil {
		return nil, err
	}
	if err := x.checkLasting(false); err != nil {
		return nil, err
	}
	return x, x.Verify(subkey, primary.Hashed(), subkey.Hashed())
}

// IsLocal reports whether the signature is not exportable, or cannot be read.
func (s *Signature) IsLocal() bool {
	subs, err := ParseSubpackets(s.Hashed)
	return err != nil || slices.ContainsFunc(subs, func(p Subpacket) bool { return p.Type == SubpacketExportable && !bytes.Equal(p.Body, []byte{1}) })
}

// HasCrossSignature reports whether a binding carries a cross-signature that verifies.
func (s *Signature) HasCrossSignature(primary, subkey *PublicKey) bool {
	for _, area := range [][]byte{s.Hashed, s.Unhashed} {
		subs, err := ParseSubpackets(area)
		if err != nil {
			return false
		}
		for _, p := range subs {
			if p.Type == SubpacketEmbeddedSignature {
				_, err := verifyCross(primary, subkey, p.Body)
				return err == nil
			}
		}
	}
	return false
}

// VerifiesCertRevocation reports whether s is a certification revocation of a form as in
// SPEC.md [S37] and [S38], without an end of its own, and verifies.
func (s *Signature) VerifiesCertRevocation(primary *PublicKey, certified []byte) bool {
	s.NormalizeS()
	s.minimal = true
	if _, err := s.CheckForm(); err != nil {
		return false
	}
	return s.ReadProperties() == nil && s.checkLasting(false) == nil && s.Verify(primary, primary.Hashed(), certified) == nil
}
