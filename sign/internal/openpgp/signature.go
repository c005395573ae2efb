package openpgp

import (
	"crypto/ed25519"
	_ "crypto/sha512" // registers SHA-384 and SHA-512
	"encoding/binary"
	"errors"
	"fmt"
)

// Signature types (RFC 9580 section 5.2.1).
const (
	SignatureBinary           = 0x00
	SignatureGenericCert      = 0x10
	SignaturePositiveCert     = 0x13
	SignatureSubkeyBinding    = 0x18
	SignaturePrimaryBinding   = 0x19
	SignatureDirectKey        = 0x1f
	SignatureKeyRevocation    = 0x20
	SignatureSubkeyRevocation = 0x28
	SignatureCertRevocation   = 0x30
)

// Signature is the body of a signature packet, taken apart. Nothing in it is
// verified.
type Signature struct {
	Version   byte
	Type      byte
	Algorithm byte
	Hash      byte
	Hashed    []byte // subpackets that are signed
	Unhashed  []byte // subpackets that anybody can change
	HashTag   []byte // the first two bytes of the digest
	Salt      []byte // v6 only
	Numbers   [][]byte
	minimal   bool // every number is in its shortest encoding

	properties
}

// ParseSignature returns the signature also where only its numbers are wrong, with the
// error.
func ParseSignature(body []byte) (*Signature, error) {
	if len(body) < 1 || body[0] != 4 && body[0] != 6 {
		return nil, errors.New("is not of version 4 or 6")
	}
	s := &Signature{Version: body[0]}
	lengthSize := 2
	if s.Version == 6 {
		lengthSize = 4
	}
	r := reader{b: body[1:]}
	head := r.take(3)
	s.Hashed = r.take(r.number(lengthSize))
	s.Unhashed = r.take(r.number(lengthSize))
	s.HashTag = r.take(2)
	if s.Version == 6 {
		s.Salt = r.take(r.number(1))
	}
	if r.short {
		return nil, ErrTruncated
	}
	s.Type, s.Algorithm, s.Hash = head[0], head[1], head[2]
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
func (s *Signature) readNumbers(b []byte) error {
	s.minimal = true
	count := 2
	switch s.Algorithm {
	case AlgorithmEd25519:
		if len(b) != ed25519.SignatureSize {
			return fmt.Errorf("has an Ed25519 signature of %d bytes", len(b))
		}
		s.Numbers = [][]byte{b}
		return nil
	case AlgorithmRSA:
		count = 1
	case AlgorithmECDSA, AlgorithmEdDSALegacy:
	default:
		return nil
	}
	for range count {
		v, rest, minimal, ok := cutMPI(b)
		if !ok {
			return ErrTruncated
		}
		s.Numbers = append(s.Numbers, v)
		s.minimal = s.minimal && minimal
		b = rest
	}
	if len(b) > 0 {
		return errors.New("has bytes after the signature's numbers")
	}
	return nil
}

// AppendBody appends the signature's canonical body: shortest numbers, and of
// unhashed subpackets those given.
func (s *Signature) AppendBody(b, unhashed []byte) []byte {
	b = append(b, s.SignedHead()...)
	if s.Version == 6 {
		b = binary.BigEndian.AppendUint32(b, uint32(len(unhashed)))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(unhashed)))
	}
	b = append(b, unhashed...)
	b = append(b, s.HashTag...)
	if s.Version == 6 {
		b = append(append(b, byte(len(s.Salt))), s.Salt...)
	}
	for _, v := range s.Numbers {
		if s.Algorithm == AlgorithmEd25519 {
			b = append(b, v...)
		} else {
			b = AppendMPI(b, v)
		}
	}
	return b
}

// SignedHead is the part of the body that the signature covers itself.
func (s *Signature) SignedHead() []byte {
	b := []byte{s.Version, s.Type, s.Algorithm, s.Hash}
	if s.Version == 6 {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s.Hashed)))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.Hashed)))
	}
	return append(b, s.Hashed...)
}

// CanonicalSignature brings the one signature packet that an OpenPGP program made into
// the form that Open takes: the unhashed area goes, headers and numbers get
// their shortest encoding, and of ECDSA's two values for s the lower stays.
func CanonicalSignature(b []byte) ([]byte, error) {
	p, rest, err := NextPacket(b)
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	if p.Type != PacketSignature || len(rest) > 0 {
		return nil, errors.New("read signature: is not exactly one signature packet")
	}
	s, err := ParseSignature(p.Body)
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	s.NormalizeS()
	return AppendPacket(nil, PacketSignature, s.AppendBody(nil, nil)), nil
}

// Issuers returns the fingerprints and key ids that a signature names as who made
// it, as far as its subpackets can be read.
func Issuers(s *Signature) (ids [][]byte) {
	for _, area := range [][]byte{s.Hashed, s.Unhashed} {
		subs, err := ParseSubpackets(area)
		if err != nil {
			continue
		}
		for _, p := range subs {
			switch {
			case p.Type == SubpacketIssuerFingerprint && len(p.Body) > 0:
				ids = append(ids, p.Body[1:])
			case p.Type == SubpacketIssuerKeyID:
				ids = append(ids, p.Body)
			}
		}
	}
	return ids
}
