package openpgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// HashFunction returns the hash of an id, of those that es takes, with the size in bytes
// of the salt that it needs in v6 (RFC 9580 section 9.5).
func HashFunction(id byte) (h crypto.Hash, saltSize int, ok bool) {
	switch id {
	case 8:
		return crypto.SHA256, 16, true
	case 9:
		return crypto.SHA384, 24, true
	case 10:
		return crypto.SHA512, 32, true
	}
	return 0, 0, false
}

// CheckForm checks what needs no key: algorithms, salt and the numbers' one encoding
// (SPEC.md [S5], [S6] and [S11]). With an error comes the rule's tag.
func (s *Signature) CheckForm() (rule string, err error) {
	switch s.Algorithm {
	case AlgorithmRSA, AlgorithmECDSA, AlgorithmEd25519:
	case AlgorithmEdDSALegacy:
		if s.Version != 4 {
			return "S5", errors.New("is EdDSALegacy in a version other than 4")
		}
	default:
		return "S5", fmt.Errorf("has public-key algorithm %d", s.Algorithm)
	}
	_, saltSize, ok := HashFunction(s.Hash)
	if !ok {
		return "S6", fmt.Errorf("has hash algorithm %d, es takes SHA-256, SHA-384 and SHA-512", s.Hash)
	}
	if s.Version == 6 && len(s.Salt) != saltSize {
		return "S11", fmt.Errorf("has a salt of %d bytes, its hash needs %d", len(s.Salt), saltSize)
	}
	if err := s.checkNumbers(); err != nil {
		return "S11", err
	}
	return "", nil
}

func (s *Signature) checkNumbers() error {
	if !s.minimal {
		return errors.New("has a number that is not in its shortest encoding")
	}
	switch s.Algorithm {
	case AlgorithmRSA:
		if len(s.Numbers[0]) > MaxRSABits/8 {
			return fmt.Errorf("has an RSA number of %d bits", BitLen(s.Numbers[0]))
		}
	case AlgorithmEdDSALegacy, AlgorithmECDSA:
		if len(s.Numbers[0]) > 32 || len(s.Numbers[1]) > 32 {
			return errors.New("has a number of more than 256 bits")
		}
	}
	if s.Algorithm == AlgorithmECDSA && IsHighS(s.Numbers[1]) {
		return errors.New("has the larger of the two values that ECDSA allows for s")
	}
	return nil
}

var halfP256 = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

// IsHighS reports whether s is the one of s and n-s that es does not take. Both
// verify, and only one may, or anybody could make a second envelope.
func IsHighS(s []byte) bool { return new(big.Int).SetBytes(s).Cmp(halfP256) > 0 }

// NormalizeS replaces a high s of ECDSA by n-s.
func (s *Signature) NormalizeS() {
	if s.Algorithm == AlgorithmECDSA && len(s.Numbers) == 2 && IsHighS(s.Numbers[1]) {
		v := new(big.Int).SetBytes(s.Numbers[1])
		if v.Cmp(elliptic.P256().Params().N) < 0 {
			s.Numbers = [][]byte{s.Numbers[0], v.Sub(elliptic.P256().Params().N, v).Bytes()}
		}
	}
}

// Errors of Verify.
var (
	ErrHashTag     = errors.New("has a wrong hash tag")
	ErrNotVerified = errors.New("does not verify")
)

// Verify verifies s by k over the concatenation of data. Version and algorithm must
// be those of the key.
func (s *Signature) Verify(k *PublicKey, data ...[]byte) error {
	if s.Version != k.Version || s.Algorithm != k.Algorithm {
		return fmt.Errorf("has version %d and algorithm %d, the key %d and %d", s.Version, s.Algorithm, k.Version, k.Algorithm)
	}
	hash, _, ok := HashFunction(s.Hash)
	if !ok {
		return fmt.Errorf("has hash algorithm %d", s.Hash)
	}
	digest := s.Digest(hash, data...)
	if !bytes.Equal(digest[:2], s.HashTag) {
		return ErrHashTag
	}
	if !s.VerifyDigest(k, hash, digest) {
		return ErrNotVerified
	}
	return nil
}

// Digest returns the hash that is signed, of data and of the signature itself.
func (s *Signature) Digest(hash crypto.Hash, data ...[]byte) []byte {
	h := hash.New()
	h.Write(s.Salt)
	for _, d := range data {
		h.Write(d)
	}
	head := s.SignedHead()
	h.Write(head)
	h.Write(binary.BigEndian.AppendUint32([]byte{s.Version, 0xff}, uint32(len(head))))
	return h.Sum(nil)
}

// VerifyDigest reports whether s is a signature by k of a digest. It checks no form.
func (s *Signature) VerifyDigest(k *PublicKey, hash crypto.Hash, digest []byte) bool {
	switch s.Algorithm {
	case AlgorithmEd25519:
		return ed25519.Verify(k.Ed25519, digest, s.Numbers[0])
	case AlgorithmEdDSALegacy:
		r, t := s.Numbers[0], s.Numbers[1]
		if len(r) > 32 || len(t) > 32 {
			return false
		}
		sig := make([]byte, ed25519.SignatureSize)
		copy(sig[32-len(r):], r)
		copy(sig[64-len(t):], t)
		return ed25519.Verify(k.Ed25519, digest, sig)
	case AlgorithmRSA:
		v := s.Numbers[0]
		if len(v) > k.RSA.Size() {
			return false
		}
		sig := make([]byte, k.RSA.Size())
		copy(sig[len(sig)-len(v):], v)
		return rsa.VerifyPKCS1v15(k.RSA, hash, digest, sig) == nil
	case AlgorithmECDSA:
		r, t := new(big.Int).SetBytes(s.Numbers[0]), new(big.Int).SetBytes(s.Numbers[1])
		return ecdsa.Verify(k.ECDSA, digest, r, t)
	}
	return false
}
