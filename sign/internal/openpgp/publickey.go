package openpgp

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
	AlgorithmRSA         = 1
	AlgorithmECDSA       = 19
	AlgorithmEdDSALegacy = 22 // "EdDSALegacy": what gpg calls Ed25519
	AlgorithmEd25519     = 27
)

// Limits of RSA keys (SPEC.md [S33]).
const (
	MinRSABits  = 3072
	MaxRSABits  = 4096
	RSAExponent = 65537
)

// Object identifiers of curves, with their lengths in front (RFC 9580 section 9.2).
var (
	OIDP256    = []byte("\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")
	OIDEd25519 = []byte("\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01")
)

// PublicKey is a key packet of an allowed kind. It is never modified.
type PublicKey struct {
	Body        []byte // of the packet
	Version     byte
	Algorithm   byte
	Created     uint32
	Fingerprint records.Fingerprint

	Ed25519 ed25519.PublicKey
	RSA     *rsa.PublicKey
	ECDSA   *ecdsa.PublicKey
}

// ParsePublicKey reads the body of a key packet and refuses every kind, size and
// encoding that SPEC.md rule S33 does not name, before any arithmetic.
func ParsePublicKey(body []byte) (*PublicKey, error) {
	k, rest, err := CutPublicKey(body)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, errors.New("has bytes after the public key")
	}
	return k, nil
}

// CutPublicKey reads a public key from the front of body; in a secret key packet
// the secret part follows.
func CutPublicKey(body []byte) (k *PublicKey, rest []byte, err error) {
	if len(body) < 6 {
		return nil, nil, ErrTruncated
	}
	k = &PublicKey{Version: body[0], Created: binary.BigEndian.Uint32(body[1:]), Algorithm: body[5]}
	material := body[6:]
	var stated int
	switch k.Version {
	case 4:
	case 6:
		if len(material) < 4 {
			return nil, nil, ErrTruncated
		}
		stated = int(binary.BigEndian.Uint32(material))
		material = material[4:]
	default:
		return nil, nil, fmt.Errorf("has key version %d, es takes 4 and 6", k.Version)
	}
	rest, err = k.parseMaterial(material)
	if err != nil {
		return nil, nil, err
	}
	if k.Version == 6 && stated != len(material)-len(rest) {
		return nil, nil, errors.New("states a wrong length of its key material")
	}
	k.Body = bytes.Clone(body[:len(body)-len(rest)])
	k.Fingerprint = k.computeFingerprint()
	return k, rest, nil
}

func (k *PublicKey) parseMaterial(m []byte) (rest []byte, err error) {
	switch {
	case k.Algorithm == AlgorithmRSA:
		return k.parseRSA(m)
	case k.Algorithm == AlgorithmECDSA:
		return k.parseECDSA(m)
	case k.Algorithm == AlgorithmEdDSALegacy && k.Version == 4:
		return k.parseEdDSA(m)
	case k.Algorithm == AlgorithmEd25519:
		if len(m) < ed25519.PublicKeySize {
			return nil, ErrTruncated
		}
		if !isReducedPoint(m[:ed25519.PublicKeySize]) {
			return nil, errPointNotReduced
		}
		k.Ed25519 = bytes.Clone(m[:ed25519.PublicKeySize])
		return m[ed25519.PublicKeySize:], nil
	}
	return nil, fmt.Errorf("has public-key algorithm %d, es takes Ed25519, RSA and ECDSA P-256", k.Algorithm)
}

func (k *PublicKey) parseRSA(m []byte) ([]byte, error) {
	n, rest, minimalN, ok := cutMPI(m)
	if !ok {
		return nil, ErrTruncated
	}
	e, rest, minimalE, ok := cutMPI(rest)
	if !ok {
		return nil, ErrTruncated
	}
	switch {
	case !minimalN || !minimalE:
		return nil, errors.New("has a number that is not in its shortest encoding")
	case BitLen(n) < MinRSABits || BitLen(n) > MaxRSABits:
		return nil, fmt.Errorf("is RSA with %d bits, es takes %d to %d", BitLen(n), MinRSABits, MaxRSABits)
	case n[len(n)-1]&1 == 0:
		return nil, errors.New("has an even RSA modulus")
	case new(big.Int).SetBytes(e).Cmp(big.NewInt(RSAExponent)) != 0:
		return nil, fmt.Errorf("has an RSA exponent other than %d", RSAExponent)
	}
	k.RSA = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: RSAExponent}
	return rest, nil
}

func (k *PublicKey) parseECDSA(m []byte) ([]byte, error) {
	m, ok := bytes.CutPrefix(m, OIDP256)
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
	k.ECDSA = ec
	return rest, nil
}

func (k *PublicKey) parseEdDSA(m []byte) ([]byte, error) {
	m, ok := bytes.CutPrefix(m, OIDEd25519)
	if !ok {
		return nil, errors.New("is EdDSA on a curve other than Ed25519")
	}
	point, rest, minimal, ok := cutMPI(m)
	if !ok || !minimal || len(point) != 1+ed25519.PublicKeySize || point[0] != 0x40 {
		return nil, errors.New("has a malformed point")
	}
	if !isReducedPoint(point[1:]) {
		return nil, errPointNotReduced
	}
	k.Ed25519 = bytes.Clone(point[1:])
	return rest, nil
}

var errPointNotReduced = errors.New("has a point that RFC 8032 does not decode")

// isReducedPoint reports whether the encoding of a point of Ed25519 is the one that RFC 8032
// section 5.1.3 takes: y is below p = 2^255-19, and no sign is set where x is 0, for
// y of 1 and p-1. Go takes the others too.
func isReducedPoint(point []byte) bool {
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

func (k *PublicKey) computeFingerprint() records.Fingerprint {
	var sum []byte
	if k.Version == 6 {
		s := sha256.Sum256(k.Hashed())
		sum = s[:]
	} else {
		s := sha1.Sum(k.Hashed())
		sum = s[:]
	}
	f, err := records.FingerprintFromBytes(sum)
	if err != nil {
		panic(err) // both sums have a fingerprint's length
	}
	return f
}

// Hashed returns the key as signatures over it hash it.
func (k *PublicKey) Hashed() []byte {
	n := len(k.Body)
	if k.Version == 6 {
		return append([]byte{0x9b, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, k.Body...)
	}
	return append([]byte{0x99, byte(n >> 8), byte(n)}, k.Body...)
}

// KeyID returns the 8 bytes that an issuer key id subpacket has for this key.
func (k *PublicKey) KeyID() []byte {
	f := k.Fingerprint.Bytes()
	if k.Version == 6 {
		return f[:8]
	}
	return f[12:]
}

// Numbers returns the size in bytes of a signature's numbers by this key, at most.
func (k *PublicKey) SignatureSize() int {
	if k.RSA != nil {
		return 2 + k.RSA.Size()
	}
	return 2 + 32 + 2 + 32
}
