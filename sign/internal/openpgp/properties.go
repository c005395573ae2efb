package openpgp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// properties are the values of the hashed subpackets.
type properties struct {
	Created          uint32
	Subpackets       []Subpacket
	KeyLifetime      uint32 // seconds; 0 is for ever
	Flags            byte
	PrimaryUserID    bool
	RevocationReason *byte
	RevocationText   string
	embedded         []byte // body of a signature packet
	Expires          bool   // by an expiration time of its own
}

// ReadProperties reads the hashed subpackets. One that may occur once and occurs
// twice, or that is critical and unknown, makes the signature unreadable.
func (s *Signature) ReadProperties() error {
	subs, err := ParseSubpackets(s.Hashed)
	if err != nil {
		return err
	}
	s.properties = properties{Subpackets: subs}
	seen := make(map[byte]bool)
	for _, p := range subs {
		if err := s.readProperty(p); err != nil {
			return err
		}
		if seen[p.Type] && IsProperty(p.Type) {
			return fmt.Errorf("has two subpackets of type %d", p.Type)
		}
		seen[p.Type] = true
	}
	if !seen[SubpacketCreationTime] {
		return errors.New("has no creation time")
	}
	return nil
}

// IsProperty reports whether es reads a subpacket type; such a one occurs once at most.
func IsProperty(kind byte) bool {
	switch kind {
	case SubpacketCreationTime, SubpacketExpirationTime, SubpacketExportable, SubpacketKeyExpiration, SubpacketIssuerKeyID, SubpacketPrimaryUserID,
		SubpacketKeyFlags, SubpacketSignerUserID, SubpacketRevocationReason, SubpacketEmbeddedSignature, SubpacketIssuerFingerprint:
		return true
	}
	return false
}

// IsIgnorable reports whether a subpacket type may be critical because es can do nothing
// wrong by passing it over: preferences, features, keyserver and policy notes.
func IsIgnorable(kind byte) bool {
	switch kind {
	case 11, 21, 22, 23, 24, 26, 30, 34, 39:
		return true
	}
	return false
}

func (s *Signature) readProperty(p Subpacket) error {
	size := -1
	switch p.Type {
	case SubpacketCreationTime, SubpacketExpirationTime, SubpacketKeyExpiration:
		size = 4
	case SubpacketExportable, SubpacketPrimaryUserID:
		size = 1
	}
	if size >= 0 && len(p.Body) != size {
		return fmt.Errorf("has a subpacket of type %d with %d bytes", p.Type, len(p.Body))
	}
	switch p.Type {
	case SubpacketCreationTime:
		s.Created = binary.BigEndian.Uint32(p.Body)
	case SubpacketExpirationTime:
		s.Expires = binary.BigEndian.Uint32(p.Body) != 0
	case SubpacketKeyExpiration:
		s.KeyLifetime = binary.BigEndian.Uint32(p.Body)
	case SubpacketExportable:
		if p.Body[0] == 0 {
			return errors.New("is not meant to be exported")
		}
	case SubpacketPrimaryUserID:
		s.PrimaryUserID = p.Body[0] != 0
	case SubpacketKeyFlags:
		if len(p.Body) > 0 {
			s.Flags = p.Body[0]
		}
	case SubpacketRevocationReason:
		if len(p.Body) == 0 {
			return errors.New("has an empty revocation reason")
		}
		s.RevocationReason, s.RevocationText = &p.Body[0], string(p.Body[1:])
	case SubpacketEmbeddedSignature:
		s.embedded = p.Body
	case SubpacketIssuerKeyID, SubpacketIssuerFingerprint, SubpacketSignerUserID:
	case SubpacketNotation: // whoever reads the signature judges it, critical or not
	default:
		if p.Critical && !IsIgnorable(p.Type) {
			return fmt.Errorf("has the critical subpacket %d", p.Type)
		}
	}
	return nil
}
