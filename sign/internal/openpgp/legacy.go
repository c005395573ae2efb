package openpgp

import (
	"crypto"
	_ "crypto/md5"  // for revocations made with it
	_ "crypto/sha1" // likewise
	"encoding/binary"
	"hash"
)

// SignatureType returns the type of a signature packet of any version, or 0 where it
// has none.
func SignatureType(body []byte) byte {
	switch {
	case len(body) > 2 && IsV3(body):
		return body[2]
	case len(body) > 1:
		return body[1]
	}
	return 0
}

// IsCertification reports whether a signature type certifies a user id or attribute.
func IsCertification(kind byte) bool {
	return kind >= SignatureGenericCert && kind <= SignaturePositiveCert
}

// IsV3 reports whether a signature packet is of version 2 or 3.
func IsV3(body []byte) bool { return len(body) > 0 && (body[0] == 2 || body[0] == 3) }

// ParseV3 reads a signature of version 3 (RFC 4880 section 5.2.2) and returns what
// it signs of itself.
func ParseV3(body []byte) (s *Signature, tail, keyID []byte, err error) {
	const head = 1 + 1 + 1 + 4 + 8 + 1 + 1 + 2
	if len(body) < head || !IsV3(body) || body[1] != 5 {
		return nil, nil, nil, ErrTruncated
	}
	s = &Signature{Version: body[0], Type: body[2], Algorithm: body[15], Hash: body[16]}
	s.Created = binary.BigEndian.Uint32(body[3:])
	return s, body[2:7], body[7:15], s.readNumbers(body[head:])
}

// AnyHash returns the hash of an id (RFC 9580 section 9.5), weak ones too, of those that
// Go can verify signatures with.
func AnyHash(id byte) (crypto.Hash, bool) {
	switch id {
	case 1:
		return crypto.MD5, true
	case 2:
		return crypto.SHA1, true
	case 11:
		return crypto.SHA224, true
	}
	h, _, ok := HashFunction(id)
	return h, ok
}

// DigestOf hashes the concatenation of data.
func DigestOf(h crypto.Hash, data ...[]byte) []byte {
	var sum hash.Hash = h.New()
	for _, d := range data {
		sum.Write(d)
	}
	return sum.Sum(nil)
}
