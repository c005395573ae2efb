// Package dagpb is the codec of the blocks of a tree: DAG-PB nodes with their links, and
// the UnixFS messages in their data. It reads as strictly as go-codec-dagpb, writes the one
// form that SPEC.md [M5] has, and knows no limits but those of the bytes it is given.
package dagpb

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// A Node is a DAG-PB block: PBNode { 2: repeated PBLink, 1: Data }.
type Node struct {
	Links   []Link
	Data    []byte
	HasData bool
}

// A Link is PBLink { 1: Hash, 2: Name, 3: Tsize }.
type Link struct {
	CID   cid.Cid
	Name  string
	Tsize uint64 // bytes of the linked block and of all blocks under it
}

// Keys of protobuf fields: field number << 3 | wire type.
const (
	keyNodeData  = 1<<3 | wireBytes
	keyNodeLinks = 2<<3 | wireBytes
	keyLinkHash  = 1<<3 | wireBytes
	keyLinkName  = 2<<3 | wireBytes
	keyLinkTsize = 3<<3 | wireVarint

	wireVarint = 0
	wireBytes  = 2
)

// Encode writes links, then data, as the DAG-PB specification has it.
func (n *Node) Encode() []byte {
	b := make([]byte, 0, n.EncodedSize())
	for i := range n.Links {
		l := &n.Links[i]
		b = append(b, keyNodeLinks)
		b = binary.AppendUvarint(b, uint64(l.encodedSize()))
		b = appendBytes(b, keyLinkHash, l.CID.KeyString())
		b = appendBytes(b, keyLinkName, l.Name)
		b = append(b, keyLinkTsize)
		b = binary.AppendUvarint(b, l.Tsize)
	}
	return appendBytes(b, keyNodeData, string(n.Data))
}

// EncodedSize is len(n.Encode()).
func (n *Node) EncodedSize() int {
	size := bytesSize(len(n.Data))
	for i := range n.Links {
		size += bytesSize(n.Links[i].encodedSize())
	}
	return size
}

func (l *Link) encodedSize() int {
	return bytesSize(l.CID.ByteLen()) + bytesSize(len(l.Name)) + 1 + uvarintSize(l.Tsize)
}

func appendBytes(b []byte, key byte, s string) []byte {
	b = append(b, key)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func bytesSize(n int) int { return 1 + uvarintSize(uint64(n)) + n }

func uvarintSize(x uint64) int {
	n := 1
	for ; x >= 0x80; x >>= 7 {
		n++
	}
	return n
}

// DecodeNode reads a DAG-PB block as strictly as go-codec-dagpb does: no
// unknown fields, and the fields of a link in order. Links may stand before or
// after the data.
func DecodeNode(b []byte) (*Node, error) {
	n := new(Node)
	linksDone := false
	for len(b) > 0 {
		key, value, rest, err := nextField(b)
		if err != nil {
			return nil, err
		}
		switch key {
		case keyNodeData:
			if n.HasData {
				return nil, errors.New("has two data fields")
			}
			n.HasData, n.Data = true, value.bytes
			linksDone = len(n.Links) > 0
		case keyNodeLinks:
			if linksDone {
				return nil, errors.New("has links on both sides of its data")
			}
			l, err := decodeLink(value.bytes)
			if err != nil {
				return nil, fmt.Errorf("link %d: %w", len(n.Links), err)
			}
			n.Links = append(n.Links, l)
		default:
			return nil, fmt.Errorf("has the unknown field %d", key>>3)
		}
		b = rest
	}
	return n, nil
}

func decodeLink(b []byte) (Link, error) {
	var l Link
	var last uint64
	for len(b) > 0 {
		key, value, rest, err := nextField(b)
		if err != nil {
			return l, err
		}
		if key <= last {
			return l, errors.New("has a field twice or out of order")
		}
		last = key
		switch key {
		case keyLinkHash:
			c, err := cid.Cast(value.bytes)
			if err != nil {
				return l, fmt.Errorf("has no CID: %v", err)
			}
			l.CID = c
		case keyLinkName:
			l.Name = string(value.bytes)
		case keyLinkTsize:
			l.Tsize = value.number
		default:
			return l, fmt.Errorf("has the unknown field %d", key>>3)
		}
		b = rest
	}
	if !l.CID.Defined() {
		return l, errors.New("has no CID")
	}
	return l, nil
}

// fieldValue is the value of a protobuf field: a number or bytes, by wire type.
type fieldValue struct {
	number uint64
	bytes  []byte
}

var errTruncated = errors.New("is cut off or has a bad length")

// nextField reads one protobuf field. It knows varints and bytes, and skips the
// fixed widths, which the formats here have only in fields they do not read.
func nextField(b []byte) (key uint64, value fieldValue, rest []byte, err error) {
	key, b, err = nextUvarint(b)
	if err != nil {
		return 0, value, nil, err
	}
	switch key & 7 {
	case wireVarint:
		value.number, b, err = nextUvarint(b)
		return key, value, b, err
	case wireBytes:
		n, rest, err := nextUvarint(b)
		if err != nil {
			return 0, value, nil, err
		}
		if n > uint64(len(rest)) {
			return 0, value, nil, errTruncated
		}
		value.bytes = rest[:n:n]
		return key, value, rest[n:], nil
	case 1, 5:
		width := 8
		if key&7 == 5 {
			width = 4
		}
		if len(b) < width {
			return 0, value, nil, errTruncated
		}
		return key, value, b[width:], nil
	}
	return 0, value, nil, fmt.Errorf("has a field of the wire type %d", key&7)
}

func nextUvarint(b []byte) (uint64, []byte, error) {
	x, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errTruncated
	}
	return x, b[n:], nil
}

// CID returns the CID of a block, with sha2-256.
func CID(codec uint64, b []byte) cid.Cid {
	sum := sha256.Sum256(b)
	mh := append([]byte{multihash.SHA2_256, sha256.Size}, sum[:]...)
	return cid.NewCidV1(codec, mh)
}

// LinkedSize returns the bytes of all blocks below a node with these links, each as often
// as it is linked.
func LinkedSize(links []Link) uint64 {
	var size uint64
	for i := range links {
		size += links[i].Tsize
	}
	return size
}
