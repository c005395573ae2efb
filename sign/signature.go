package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha512" // registers SHA-384 and SHA-512
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Signature types (RFC 9580 section 5.2.1).
const (
	sigBinary         = 0x00
	sigGenericCert    = 0x10
	sigPositiveCert   = 0x13
	sigSubkeyBinding  = 0x18
	sigPrimaryBinding = 0x19
	sigDirectKey      = 0x1f
	sigKeyRevocation  = 0x20
	sigSubRevocation  = 0x28
	sigCertRevocation = 0x30
)

// signature is the body of a signature packet, taken apart. Nothing in it is
// verified.
type signature struct {
	version  byte
	kind     byte
	algo     byte
	hash     byte
	hashed   []byte // subpackets that are signed
	unhashed []byte // subpackets that anybody can change
	tag      []byte // the first two bytes of the digest
	salt     []byte // v6 only
	numbers  [][]byte
	minimal  bool // every number is in its shortest encoding

	properties
}

// properties are what the hashed subpackets say.
type properties struct {
	created     uint32
	subs        []subpacket
	keyLifetime uint32 // seconds; 0 is for ever
	flags       byte
	primaryUID  bool
	reason      *byte
	reasonText  string
	embedded    []byte // body of a signature packet
	sigExpires  bool
}

// parseSignature returns the signature also where only its numbers are wrong, with the
// error.
func parseSignature(body []byte) (*signature, error) {
	if len(body) < 1 || body[0] != 4 && body[0] != 6 {
		return nil, errors.New("is not of version 4 or 6")
	}
	s := &signature{version: body[0]}
	lengthSize := 2
	if s.version == 6 {
		lengthSize = 4
	}
	r := reader{b: body[1:]}
	head := r.take(3)
	s.hashed = r.take(r.number(lengthSize))
	s.unhashed = r.take(r.number(lengthSize))
	s.tag = r.take(2)
	if s.version == 6 {
		s.salt = r.take(r.number(1))
	}
	if r.short {
		return nil, errTruncated
	}
	s.kind, s.algo, s.hash = head[0], head[1], head[2]
	return s, s.readNumbers(r.b)
}

type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || n < 0 || n > len(r.b) {
		r.short = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) number(size int) int {
	n := 0
	for _, c := range r.take(size) {
		n = n<<8 | int(c)
	}
	return n
}

// readNumbers reads what the algorithm's signature consists of. An algorithm
// that es does not take leaves none.
func (s *signature) readNumbers(b []byte) error {
	s.minimal = true
	count := 2
	switch s.algo {
	case algoEd25519:
		if len(b) != ed25519.SignatureSize {
			return fmt.Errorf("has an Ed25519 signature of %d bytes", len(b))
		}
		s.numbers = [][]byte{b}
		return nil
	case algoRSA:
		count = 1
	case algoECDSA, algoEdDSA:
	default:
		return nil
	}
	for range count {
		v, rest, minimal, ok := cutMPI(b)
		if !ok {
			return errTruncated
		}
		s.numbers = append(s.numbers, v)
		s.minimal = s.minimal && minimal
		b = rest
	}
	if len(b) > 0 {
		return errors.New("has bytes after the signature's numbers")
	}
	return nil
}

// readProperties reads the hashed subpackets. One that may occur once and occurs
// twice, or that is critical and unknown, makes the signature unreadable.
func (s *signature) readProperties() error {
	subs, err := subpackets(s.hashed)
	if err != nil {
		return err
	}
	s.properties = properties{subs: subs}
	seen := make(map[byte]bool)
	for _, p := range subs {
		if err := s.readProperty(p); err != nil {
			return err
		}
		if seen[p.kind] && p.kind != subNotation {
			if isProperty(p.kind) {
				return fmt.Errorf("has two subpackets of type %d", p.kind)
			}
		}
		seen[p.kind] = true
	}
	if !seen[subCreated] {
		return errors.New("has no creation time")
	}
	return nil
}

func isProperty(kind byte) bool {
	switch kind {
	case subCreated, subSigExpires, subExportable, subKeyExpires, subIssuer, subPrimaryUID,
		subKeyFlags, subSignerUID, subReason, subEmbedded, subFingerprint:
		return true
	}
	return false
}

// harmless are subpackets that may be critical because es can do nothing wrong
// by passing them over: preferences, features, keyserver and policy notes.
func harmless(kind byte) bool {
	switch kind {
	case 11, 21, 22, 23, 24, 26, 30, 34, 39:
		return true
	}
	return false
}

func (s *signature) readProperty(p subpacket) error {
	size := -1
	switch p.kind {
	case subCreated, subSigExpires, subKeyExpires:
		size = 4
	case subExportable, subPrimaryUID:
		size = 1
	}
	if size >= 0 && len(p.body) != size {
		return fmt.Errorf("has a subpacket of type %d with %d bytes", p.kind, len(p.body))
	}
	switch p.kind {
	case subCreated:
		s.created = binary.BigEndian.Uint32(p.body)
	case subSigExpires:
		s.sigExpires = binary.BigEndian.Uint32(p.body) != 0
	case subKeyExpires:
		s.keyLifetime = binary.BigEndian.Uint32(p.body)
	case subExportable:
		if p.body[0] == 0 {
			return errors.New("is not meant to be exported")
		}
	case subPrimaryUID:
		s.primaryUID = p.body[0] != 0
	case subKeyFlags:
		if len(p.body) > 0 {
			s.flags = p.body[0]
		}
	case subReason:
		if len(p.body) == 0 {
			return errors.New("has an empty revocation reason")
		}
		s.reason, s.reasonText = &p.body[0], string(p.body[1:])
	case subEmbedded:
		s.embedded = p.body
	case subIssuer, subFingerprint, subSignerUID:
	case subNotation: // whoever reads the signature judges it, critical or not
	default:
		if p.critical && !harmless(p.kind) {
			return fmt.Errorf("has the critical subpacket %d", p.kind)
		}
	}
	return nil
}

// appendBody appends the signature's canonical body: shortest numbers, and of
// unhashed subpackets those given.
func (s *signature) appendBody(b, unhashed []byte) []byte {
	b = append(b, s.signedHead()...)
	if s.version == 6 {
		b = binary.BigEndian.AppendUint32(b, uint32(len(unhashed)))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(unhashed)))
	}
	b = append(b, unhashed...)
	b = append(b, s.tag...)
	if s.version == 6 {
		b = append(append(b, byte(len(s.salt))), s.salt...)
	}
	for _, v := range s.numbers {
		if s.algo == algoEd25519 {
			b = append(b, v...)
		} else {
			b = appendMPI(b, v)
		}
	}
	return b
}

// signedHead is the part of the body that the signature covers itself.
func (s *signature) signedHead() []byte {
	b := []byte{s.version, s.kind, s.algo, s.hash}
	if s.version == 6 {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s.hashed)))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.hashed)))
	}
	return append(b, s.hashed...)
}

// hashes are the digests that es takes, with the salt each needs in v6
// (RFC 9580 section 9.5).
func hashFunction(id byte) (h crypto.Hash, saltSize int, ok bool) {
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

// checkForm checks what needs no key: algorithms, salt and the numbers' one
// encoding.
func (s *signature) checkForm() (rule string, err error) {
	switch s.algo {
	case algoRSA, algoECDSA, algoEd25519:
	case algoEdDSA:
		if s.version != 4 {
			return "S5", errors.New("is EdDSALegacy in a version other than 4")
		}
	default:
		return "S5", fmt.Errorf("has public-key algorithm %d", s.algo)
	}
	_, saltSize, ok := hashFunction(s.hash)
	if !ok {
		return "S6", fmt.Errorf("has hash algorithm %d, es takes SHA-256, SHA-384 and SHA-512", s.hash)
	}
	if s.version == 6 && len(s.salt) != saltSize {
		return "S11", fmt.Errorf("has a salt of %d bytes, its hash needs %d", len(s.salt), saltSize)
	}
	if err := s.checkNumbers(); err != nil {
		return "S11", err
	}
	return "", nil
}

func (s *signature) checkNumbers() error {
	if !s.minimal {
		return errors.New("has a number that is not in its shortest encoding")
	}
	switch s.algo {
	case algoRSA:
		if len(s.numbers[0]) > maxRSA/8 {
			return fmt.Errorf("has an RSA number of %d bits", bitLen(s.numbers[0]))
		}
	case algoEdDSA, algoECDSA:
		if len(s.numbers[0]) > 32 || len(s.numbers[1]) > 32 {
			return errors.New("has a number of more than 256 bits")
		}
	}
	if s.algo == algoECDSA && highS(s.numbers[1]) {
		return errors.New("has the larger of the two values that ECDSA allows for s")
	}
	return nil
}

var halfP256 = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

// highS reports whether s is the one of s and n-s that es does not take. Both
// verify, and only one may, or anybody could make a second envelope.
func highS(s []byte) bool { return new(big.Int).SetBytes(s).Cmp(halfP256) > 0 }

// lowerS puts n-s for a high s.
func (s *signature) lowerS() {
	if s.algo == algoECDSA && len(s.numbers) == 2 && highS(s.numbers[1]) {
		v := new(big.Int).SetBytes(s.numbers[1])
		if v.Cmp(elliptic.P256().Params().N) < 0 {
			s.numbers = [][]byte{s.numbers[0], v.Sub(elliptic.P256().Params().N, v).Bytes()}
		}
	}
}

var (
	errHashTag = errors.New("has a wrong hash tag")
	errWrong   = errors.New("does not verify")
)

// verify checks s over the concatenation of data by k. Version and algorithm
// must agree.
func (s *signature) verify(k *publicKey, data ...[]byte) error {
	if s.version != k.version || s.algo != k.algo {
		return fmt.Errorf("has version %d and algorithm %d, the key %d and %d", s.version, s.algo, k.version, k.algo)
	}
	hash, _, ok := hashFunction(s.hash)
	if !ok {
		return fmt.Errorf("has hash algorithm %d", s.hash)
	}
	digest := s.digest(hash, data...)
	if !bytes.Equal(digest[:2], s.tag) {
		return errHashTag
	}
	if !s.verifyDigest(k, hash, digest) {
		return errWrong
	}
	return nil
}

// digest is what is signed, of data and of the signature itself.
func (s *signature) digest(hash crypto.Hash, data ...[]byte) []byte {
	h := hash.New()
	h.Write(s.salt)
	for _, d := range data {
		h.Write(d)
	}
	head := s.signedHead()
	h.Write(head)
	h.Write(binary.BigEndian.AppendUint32([]byte{s.version, 0xff}, uint32(len(head))))
	return h.Sum(nil)
}

func (s *signature) verifyDigest(k *publicKey, hash crypto.Hash, digest []byte) bool {
	switch s.algo {
	case algoEd25519:
		return ed25519.Verify(k.ed, digest, s.numbers[0])
	case algoEdDSA:
		r, t := s.numbers[0], s.numbers[1]
		if len(r) > 32 || len(t) > 32 {
			return false
		}
		sig := make([]byte, ed25519.SignatureSize)
		copy(sig[32-len(r):], r)
		copy(sig[64-len(t):], t)
		return ed25519.Verify(k.ed, digest, sig)
	case algoRSA:
		v := s.numbers[0]
		if len(v) > k.rsa.Size() {
			return false
		}
		sig := make([]byte, k.rsa.Size())
		copy(sig[len(sig)-len(v):], v)
		return rsa.VerifyPKCS1v15(k.rsa, hash, digest, sig) == nil
	case algoECDSA:
		r, t := new(big.Int).SetBytes(s.numbers[0]), new(big.Int).SetBytes(s.numbers[1])
		return ecdsa.Verify(k.ec, digest, r, t)
	}
	return false
}
