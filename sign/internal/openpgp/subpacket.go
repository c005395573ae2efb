package openpgp

import "errors"

// Signature subpackets (RFC 9580 section 5.2.3.7).
const (
	SubpacketCreationTime      = 2
	SubpacketExpirationTime    = 3
	SubpacketExportable        = 4
	SubpacketKeyExpiration     = 9
	SubpacketIssuerKeyID       = 16
	SubpacketNotation          = 20
	SubpacketPrimaryUserID     = 25
	SubpacketKeyFlags          = 27
	SubpacketSignerUserID      = 28
	SubpacketRevocationReason  = 29
	SubpacketEmbeddedSignature = 32
	SubpacketIssuerFingerprint = 33
)

// Subpacket is a signature subpacket; its type is without the critical bit.
type Subpacket struct {
	Type     byte
	Critical bool
	Body     []byte
}

// ParseSubpackets takes a subpacket area apart.
func ParseSubpackets(area []byte) ([]Subpacket, error) {
	var list []Subpacket
	for len(area) > 0 {
		n, used, ok := subLength(area)
		if !ok || n <= 0 || n > len(area)-used {
			return nil, errors.New("has a subpacket that is cut off or empty")
		}
		s := area[used : used+n]
		list = append(list, Subpacket{s[0] & 0x7f, s[0]&0x80 != 0, s[1:]})
		area = area[used+n:]
	}
	return list, nil
}

func subLength(b []byte) (n, used int, ok bool) {
	switch {
	case b[0] < 192:
		return int(b[0]), 1, true
	case b[0] < 255 && len(b) >= 2:
		return int(b[0]-192)<<8 + int(b[1]) + 192, 2, true
	case b[0] == 255 && len(b) >= 5:
		return int(b[1])<<24 | int(b[2])<<16 | int(b[3])<<8 | int(b[4]), 5, true
	}
	return 0, 0, false
}

// AppendSubpacket appends a subpacket that is not critical.
func AppendSubpacket(b []byte, kind byte, body []byte) []byte {
	n := len(body) + 1
	switch {
	case n < 192:
		b = append(b, byte(n))
	case n < 16320:
		b = append(b, byte((n-192)>>8)+192, byte(n-192))
	default:
		b = append(b, 255, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(append(b, kind), body...)
}

// Notation is the body of a notation subpacket (RFC 9580 section 5.2.3.24).
type Notation struct {
	Flags       [4]byte
	Name, Value string
}

// ParseNotation reads the body of a notation subpacket.
func ParseNotation(b []byte) (Notation, error) {
	if len(b) < 8 {
		return Notation{}, errors.New("has a notation that is cut off")
	}
	nameSize, valueSize := int(b[4])<<8|int(b[5]), int(b[6])<<8|int(b[7])
	if len(b) != 8+nameSize+valueSize {
		return Notation{}, errors.New("has a notation that is cut off")
	}
	return Notation{[4]byte(b[:4]), string(b[8 : 8+nameSize]), string(b[8+nameSize:])}, nil
}
