package sign

import (
	"bytes"
	"errors"
	"math/bits"
)

// OpenPGP packet types (RFC 9580 section 5).
const (
	packetSignature     = 2
	packetSecretKey     = 5
	packetPublicKey     = 6
	packetSecretSubkey  = 7
	packetMarker        = 10
	packetTrust         = 12
	packetUserID        = 13
	packetPublicSubkey  = 14
	packetUserAttribute = 17
	packetPadding       = 21
)

var errTruncated = errors.New("is cut off")

type packet struct {
	kind      byte
	body      []byte
	canonical bool // the header is new-format with the shortest length
}

// nextPacket takes one packet off b. Streamed packets, of partial or
// indeterminate length, do not occur in keys and signatures and are refused.
func nextPacket(b []byte) (p packet, rest []byte, err error) {
	if len(b) < 2 {
		return packet{}, nil, errTruncated
	}
	if b[0]&0x80 == 0 {
		return packet{}, nil, errors.New("does not begin with a packet header")
	}
	var size, head int
	if b[0]&0x40 == 0 {
		p.kind = b[0] & 0x3f >> 2
		n := 1 << (b[0] & 3)
		if n == 8 {
			return packet{}, nil, errors.New("has a packet of indeterminate length")
		}
		head = 1 + n
		if len(b) < head {
			return packet{}, nil, errTruncated
		}
		for _, c := range b[1:head] {
			size = size<<8 | int(c)
		}
	} else {
		p.kind = b[0] & 0x3f
		n, used, ok := newLength(b[1:])
		if !ok {
			return packet{}, nil, errors.New("has a packet header that is cut off or of partial length")
		}
		size, head = n, 1+used
	}
	if size < 0 || size > len(b)-head { // four octets may be more than an int holds
		return packet{}, nil, errTruncated
	}
	p.body = b[head : head+size]
	p.canonical = bytes.Equal(b[:head], appendHeader(nil, p.kind, size))
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

func appendPacket(b []byte, kind byte, body []byte) []byte {
	return append(appendHeader(b, kind, len(body)), body...)
}

// cutMPI takes a multiprecision integer off b, without its leading zeros.
// minimal says that its bit count was exact, so that no other encoding of the
// same number is.
func cutMPI(b []byte) (v, rest []byte, minimal, ok bool) {
	if len(b) < 2 {
		return nil, nil, false, false
	}
	n := int(b[0])<<8 | int(b[1])
	size := (n + 7) / 8
	if len(b) < 2+size {
		return nil, nil, false, false
	}
	v, rest = bytes.TrimLeft(b[2:2+size], "\x00"), b[2+size:]
	return v, rest, n == bitLen(v), true
}

func appendMPI(b, v []byte) []byte {
	v = bytes.TrimLeft(v, "\x00")
	n := bitLen(v)
	return append(append(b, byte(n>>8), byte(n)), v...)
}

// bitLen counts the bits of a number without leading zero bytes.
func bitLen(v []byte) int {
	if len(v) == 0 {
		return 0
	}
	return 8*(len(v)-1) + bits.Len8(v[0])
}

// Signature subpackets (RFC 9580 section 5.2.3.7).
const (
	subCreated     = 2
	subSigExpires  = 3
	subExportable  = 4
	subKeyExpires  = 9
	subIssuer      = 16
	subNotation    = 20
	subPrimaryUID  = 25
	subKeyFlags    = 27
	subSignerUID   = 28
	subReason      = 29
	subEmbedded    = 32
	subFingerprint = 33
)

type subpacket struct {
	kind     byte
	critical bool
	body     []byte
}

func subpackets(area []byte) ([]subpacket, error) {
	var list []subpacket
	for len(area) > 0 {
		n, used, ok := subLength(area)
		if !ok || n <= 0 || n > len(area)-used {
			return nil, errors.New("has a subpacket that is cut off or empty")
		}
		s := area[used : used+n]
		list = append(list, subpacket{s[0] & 0x7f, s[0]&0x80 != 0, s[1:]})
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

// appendSubpacket appends a subpacket that is not critical.
func appendSubpacket(b []byte, kind byte, body []byte) []byte {
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
