package openpgp

import (
	"bytes"
	"math/bits"
)

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
	return v, rest, n == BitLen(v), true
}

// AppendMPI appends a number in its shortest encoding (RFC 9580 section 3.2).
func AppendMPI(b, v []byte) []byte {
	v = bytes.TrimLeft(v, "\x00")
	n := BitLen(v)
	return append(append(b, byte(n>>8), byte(n)), v...)
}

// BitLen counts the bits of a number without leading zero bytes.
func BitLen(v []byte) int {
	if len(v) == 0 {
		return 0
	}
	return 8*(len(v)-1) + bits.Len8(v[0])
}
