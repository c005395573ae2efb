package openpgp

import (
	"bytes"
	"errors"
)

// OpenPGP packet types (RFC 9580 section 5).
const (
	PacketSignature     = 2
	PacketSecretKey     = 5
	PacketPublicKey     = 6
	PacketSecretSubkey  = 7
	PacketMarker        = 10
	PacketTrust         = 12
	PacketUserID        = 13
	PacketPublicSubkey  = 14
	PacketUserAttribute = 17
	PacketPadding       = 21
)

// ErrTruncated says that bytes end too early.
var ErrTruncated = errors.New("is cut off")

// Packet is one packet; Body is a part of the bytes that it was read from.
type Packet struct {
	Type      byte
	Body      []byte
	Canonical bool // the header is new-format with the shortest length
}

// NextPacket takes one packet off b. Streamed packets, of partial or
// indeterminate length, do not occur in keys and signatures and are refused.
func NextPacket(b []byte) (p Packet, rest []byte, err error) {
	if len(b) < 2 {
		return Packet{}, nil, ErrTruncated
	}
	if b[0]&0x80 == 0 {
		return Packet{}, nil, errors.New("does not begin with a packet header")
	}
	var size, head int
	if b[0]&0x40 == 0 {
		p.Type = b[0] & 0x3f >> 2
		n := 1 << (b[0] & 3)
		if n == 8 {
			return Packet{}, nil, errors.New("has a packet of indeterminate length")
		}
		head = 1 + n
		if len(b) < head {
			return Packet{}, nil, ErrTruncated
		}
		for _, c := range b[1:head] {
			size = size<<8 | int(c)
		}
	} else {
		p.Type = b[0] & 0x3f
		n, used, ok := newLength(b[1:])
		if !ok {
			return Packet{}, nil, errors.New("has a packet header that is cut off or of partial length")
		}
		size, head = n, 1+used
	}
	if size < 0 || size > len(b)-head { // four octets may be more than an int holds
		return Packet{}, nil, ErrTruncated
	}
	p.Body = b[head : head+size]
	p.Canonical = bytes.Equal(b[:head], appendHeader(nil, p.Type, size))
	return p, b[head+size:], nil
}

// newLength reads a new-format packet length.
func newLength(b []byte) (n, used int, ok bool) {
	switch {
	case len(b) >= 1 && b[0] < 192:
		return int(b[0]), 1, true
	case len(b) >= 2 && b[0] >= 192 && b[0] < 224:
		return int(b[0]-192)<<8 + int(b[1]) + 192, 2, true
	case len(b) >= 5 && b[0] == 255:
		return int(b[1])<<24 | int(b[2])<<16 | int(b[3])<<8 | int(b[4]), 5, true
	}
	return 0, 0, false
}

func appendHeader(b []byte, kind byte, size int) []byte {
	b = append(b, 0xc0|kind)
	switch {
	case size < 192:
		return append(b, byte(size))
	case size < 8384:
		return append(b, byte((size-192)>>8)+192, byte(size-192))
	}
	return append(b, 255, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

// AppendPacket appends a packet with a new-format header of the shortest length.
func AppendPacket(b []byte, kind byte, body []byte) []byte {
	return append(appendHeader(b, kind, len(body)), body...)
}
