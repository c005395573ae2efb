package records

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/ipfs/go-cid"
)

// An Element stands for one record or one key block in the set that peers
// reconcile (SPEC.md section 13.1). It is a string of 54 or 66 bytes: the key
// version, the fingerprint, the kind, the SHA2-256 digest. Elements are ordered
// as byte strings, so those of one author are neighbours, the key block first.
type Element string

// The kinds of elements.
const (
	ElementKey    = 0 // the digest is that of the author's key block
	ElementRecord = 1 // the digest is that of the record's bytes, as in its id
)

// MaxElement is the length of the longest element in bytes.
const MaxElement = 1 + 32 + 1 + sha256.Size

var recordPrefix = cid.Prefix{Version: 1, Codec: cid.DagCBOR, MhType: 0x12, MhLength: sha256.Size}

// RecordElement stands for the record of an author that has this id.
func RecordElement(author Fingerprint, id cid.Cid) Element {
	digest := id.Hash()
	return element(author, ElementRecord, digest[len(digest)-sha256.Size:])
}

// KeyElement stands for a key block of an author.
func KeyElement(author Fingerprint, block []byte) Element {
	digest := sha256.Sum256(block)
	return element(author, ElementKey, digest[:])
}

func element(author Fingerprint, kind byte, digest []byte) Element {
	b := make([]byte, 0, MaxElement)
	b = append(b, byte(author.Version()))
	b = append(b, author.raw...)
	b = append(b, kind)
	return Element(append(b, digest...))
}

// ParseElement takes the bytes of an element.
func ParseElement(b []byte) (Element, error) {
	size := 0
	if len(b) > 0 {
		switch b[0] {
		case 4:
			size = 20
		case 6:
			size = 32
		default:
			return "", fmt.Errorf("element: key version %d is not 4 or 6", b[0])
		}
	}
	if size == 0 || len(b) != 1+size+1+sha256.Size {
		return "", fmt.Errorf("element: %d bytes, it must have %d (v4) or %d (v6)", len(b), 1+20+1+sha256.Size, MaxElement)
	}
	if kind := b[1+size]; kind != ElementKey && kind != ElementRecord {
		return "", fmt.Errorf("element: kind %d is not 0 or 1", kind)
	}
	return Element(b), nil
}

// Author returns whose record or key block it is.
func (e Element) Author() Fingerprint { return Fingerprint{string(e[1 : len(e)-sha256.Size-1])} }

// Kind returns ElementKey or ElementRecord.
func (e Element) Kind() byte { return e[len(e)-sha256.Size-1] }

// Digest returns the 32 bytes of the digest.
func (e Element) Digest() []byte { return []byte(e[len(e)-sha256.Size:]) }

// Record returns the record's id, and cid.Undef for a key block.
func (e Element) Record() cid.Cid {
	if e.Kind() != ElementRecord {
		return cid.Undef
	}
	b := append(recordPrefix.Bytes(), e.Digest()...)
	id, err := cid.Cast(b)
	if err != nil {
		panic("records: an element with a bad digest: " + err.Error())
	}
	return id
}

// A Range holds the elements e with From <= e < To as byte strings. An empty To
// stands for the end: the zero Range holds everything.
type Range struct {
	From, To string
}

// Contains reports whether e lies in r.
func (r Range) Contains(e Element) bool {
	return r.From <= string(e) && (r.To == "" || string(e) < r.To)
}

// AuthorRange holds the elements of one author.
func AuthorRange(author Fingerprint) Range {
	from := string(byte(author.Version())) + author.raw
	return Range{from, from + "\x02"}
}

// ElementRange holds e alone.
func ElementRange(e Element) Range { return Range{string(e), string(e) + "\x00"} }

// A Sum is the count and the sum of some elements (SPEC.md [E2]). The zero value
// is that of none; equal sets have equal sums, and two different sets with one
// sum cost about 2^127 hashes.
type Sum struct {
	Count uint64
	limbs [sumLimbs]uint64 // a little-endian number
}

const (
	sumLimbs = 4096 / 64
	// sumSize is the length of an encoded Sum in bytes.
	sumSize = 8 + 8*sumLimbs
)

func elementLimbs(e Element) (limbs [sumLimbs]uint64) {
	var out [8 * sumLimbs]byte
	h := sha3.NewSHAKE256()
	_, _ = h.Write([]byte(e)) // neither fails
	_, _ = h.Read(out[:])
	for i := range limbs {
		limbs[i] = binary.LittleEndian.Uint64(out[8*i:])
	}
	return limbs
}

// Add puts an element in.
func (s *Sum) Add(e Element) { s.AddSum(Sum{1, elementLimbs(e)}) }

// Remove takes an element out that was put in before.
func (s *Sum) Remove(e Element) { s.RemoveSum(Sum{1, elementLimbs(e)}) }

// AddSum puts the elements of another sum in.
func (s *Sum) AddSum(o Sum) {
	s.Count += o.Count
	var carry uint64
	for i := range s.limbs {
		s.limbs[i], carry = bits.Add64(s.limbs[i], o.limbs[i], carry)
	}
}

// RemoveSum takes the elements of another sum out.
func (s *Sum) RemoveSum(o Sum) {
	s.Count -= o.Count
	var borrow uint64
	for i := range s.limbs {
		s.limbs[i], borrow = bits.Sub64(s.limbs[i], o.limbs[i], borrow)
	}
}

// Bytes encodes s: the count and then the sum, both little-endian.
func (s Sum) Bytes() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, sumSize), s.Count)
	for _, l := range s.limbs {
		b = binary.LittleEndian.AppendUint64(b, l)
	}
	return b
}

// ParseSum decodes what Bytes encodes.
func ParseSum(b []byte) (Sum, error) {
	if len(b) != sumSize {
		return Sum{}, fmt.Errorf("sum of elements: %d bytes, it must have %d", len(b), sumSize)
	}
	s := Sum{Count: binary.LittleEndian.Uint64(b)}
	for i := range s.limbs {
		s.limbs[i] = binary.LittleEndian.Uint64(b[8+8*i:])
	}
	return s, nil
}

// A RangeFingerprint tells sets of elements apart (SPEC.md [E3]).
type RangeFingerprint [sha256.Size]byte

// Fingerprint condenses s for the wire.
func (s Sum) Fingerprint() RangeFingerprint {
	return sha256.Sum256(s.Bytes())
}

// A RangeSum is a range with the sum of its elements.
type RangeSum struct {
	Range
	Sum Sum
}

// An Item is what an element stands for: the bytes of a key block, or of an
// envelope.
type Item struct {
	Element Element
	Bytes   []byte
}
