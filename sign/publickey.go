package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/everythingstays/es/records"
)

// Public-key algorithms (RFC 9580 section 9.1).
const (
	algoRSA     = 1
	algoECDSA   = 19
	algoEdDSA   = 22 // "EdDSALegacy": what gpg calls Ed25519
	algoEd25519 = 27
)

const (
	minRSA      = 3072 // bits
	maxRSA      = 4096
	rsaExponent = 65537
)

var (
	oidP256    = []byte("\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
	oidEd25519 = []byte("\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01")
)

// publicKey is a key packet of an allowed kind. It is never modified.
type publicKey struct {
	body    []byte // of the packet
	version byte
	algo    byte
	created uint32
	fpr     records.Fingerprint

	ed  ed25519.PublicKey
	rsa *rsa.PublicKey
	ec  *ecdsa.PublicKey
}

// parsePublicKey reads the body of a key packet and refuses every kind, size and
// encoding that SPEC.md rule S33 does not name, before any arithmetic.
func parsePublicKey(body []byte) (*publicKey, error) {
	k, rest, err := cutPublicKey(body)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errors.New("has bytes after the public key")
	}
	return k, nil
}

// cutPublicKey reads a public key from the front of body; in a secret key packet
// the secret part follows.
func cutPublicKey(body []byte) (k *publicKey, rest []byte, err error) {
	if len(body) < 6 {
		return nil, nil, errTruncated
	}
	k = &publicKey{version: body[0], created: binary.BigEndian.Uint32(body[1:]), algo: body[5]}
	material := body[6:]
	var stated int
	switch k.version {
	case 4:
	case 6:
		if len(material) < 4 {
			return nil, nil, errTruncated
		}
		stated = int(binary.BigEndian.Uint32(material))
		material = material[4:]
	default:
		return nil, nil, fmt.Errorf("has key version %d, es takes 4 and 6", k.version)
	}
	rest, err = k.parseMaterial(material)
	if err != nil {
		return nil, nil, err
	}
	if k.version == 6 && stated != len(material)-len(rest) {
		return nil, nil, errors.New("states a wrong length of its key material")
	}
	k.body = bytes.Clone(body[:len(body)-len(rest)])
	k.fpr = k.fingerprint()
	return k, rest, nil
}

func (k *publicKey) parseMaterial(m []byte) (rest []byte, err error) {
	switch {
	case k.algo == algoRSA:
		return k.parseRSA(m)
	case k.algo == algoECDSA:
		return k.parseECDSA(m)
	case k.algo == algoEdDSA && k.version == 4:
		return k.parseEdDSA(m)
	case k.algo == algoEd25519:
		if len(m) < ed25519.PublicKeySize {
			return nil, errTruncated
		}
		if !reduced(m[:ed25519.PublicKeySize]) {
			return nil, errNotReduced
		}
		k.ed = bytes.Clone(m[:ed25519.PublicKeySize])
		return m[ed25519.PublicKeySize:], nil
	}
	return nil, fmt.Errorf("has public-key algorithm %d, es takes Ed25519, RSA and ECDSA P-256", k.algo)
}

func (k *publicKey) parseRSA(m []byte) ([]byte, error) {
	n, rest, minimalN, ok := cutMPI(m)
	if !ok {
		return nil, errTruncated
	}
	e, rest, minimalE, ok := cutMPI(rest)
	if !ok {
		return nil, errTruncated
	}
	switch {
	case !minimalN || !minimalE:
		return nil, errors.New("has a number that is not in its shortest encoding")
	case bitLen(n) < minRSA || bitLen(n) > maxRSA:
		return nil, fmt.Errorf("is RSA with %d bits, es takes %d to %d", bitLen(n), minRSA, maxRSA)
	case n[len(n)-1]&1 == 0:
		return nil, errors.New("has an even RSA modulus")
	case new(big.Int).SetBytes(e).Cmp(big.NewInt(rsaExponent)) != 0:
		return nil, fmt.Errorf("has an RSA exponent other than %d", rsaExponent)
	}
	k.rsa = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: rsaExponent}
	return rest, nil
}

func (k *publicKey) parseECDSA(m []byte) ([]byte, error) {
	m, ok := bytes.CutPrefix(m, oidP256)
	if !ok {
		return nil, errors.New("is ECDSA on a curve other than P-256")
	}
	point, rest, minimal, ok := cutMPI(m)
	if !ok || !minimal {
		return nil, errors.New("has a malformed point")
	}
	ec, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("has a point that is not on P-256")
	}
	k.ec = ec
	return rest, nil
}

func (k *publicKey) parseEdDSA(m []byte) ([]byte, error) {
	m, ok := bytes.CutPrefix(m, oidEd25519)
	if !ok {
		return nil, errors.New("is EdDSA on a curve other than Ed25519")
	}
	point, rest, minimal, ok := cutMPI(m)
	if !ok || !minimal || len(point) != 1+ed25519.PublicKeySize || point[0] != 0x40 {
		return nil, errors.New("has a malformed point")
	}
	if !reduced(point[1:]) {
		return nil, errNotReduced
	}
	k.ed = bytes.Clone(point[1:])
	return rest, nil
}

var errNotReduced = errors.New("has a point that RFC 8032 does not decode")

// reduced reports whether the encoding of a point of Ed25519 is the one that RFC 8032
// section 5.1.3 takes: y is below p = 2^255-19, and no sign is set where x is 0, for
// y of 1 and p-1. Go takes the others too.
func reduced(point []byte) bool {
	y := slices.Clone(point)
	slices.Reverse(y)
	sign := y[0]&0x80 != 0
	y[0] &= 0x7f
	last := bytes.Repeat([]byte{0xff}, ed25519.PublicKeySize)
	last[0], last[31] = 0x7f, 0xec // p-1
	one := make([]byte, ed25519.PublicKeySize)
	one[31] = 1
	return bytes.Compare(y, last) <= 0 && !(sign && (bytes.Equal(y, one) || bytes.Equal(y, last)))
}

func (k *publicKey) fingerprint() records.Fingerprint {
	var sum []byte
	if k.version == 6 {
		s := sha256.Sum256(k.hashed())
		sum = s[:]
	} else {
		s := sha1.Sum(k.hashed())
		sum = s[:]
	}
	f, err := records.FingerprintFromBytes(sum)
	if err != nil {
		panic(err) // both sums have a fingerprint's length
	}
	return f
}

// hashed returns the key as signatures over it hash it.
func (k *publicKey) hashed() []byte {
	n := len(k.body)
	if k.version == 6 {
		return append([]byte{0x9b, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, k.body...)
	}
	return append([]byte{0x99, byte(n >> 8), byte(n)}, k.body...)
}

// keyID returns the 8 bytes that an issuer key id subpacket has for this key.
func (k *publicKey) keyID() []byte {
	f := k.fpr.Bytes()
	if k.version == 6 {
		return f[:8]
	}
	return f[12:]
}

// numbers returns the size in bytes of a signature's numbers by this key, at most.
func (k *publicKey) numbers() int {
	if k.rsa != nil {
		return 2 + k.rsa.Size()
	}
	return 2 + 32 + 2 + 32
}
