package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/modules/unixfs"
)

// ID names the protocol (SPEC.md [B1]).
const ID protocol.ID = "/es/transfer/1"

// Limits of the protocol (SPEC.md section 14).
const (
	MaxAsked  = 1024   // blocks named in a request
	MaxListed = 32_768 // blocks of the answer to a request for nodes
)

// A kind is what a request asks for.
type kind byte

const (
	askBlocks kind = 1 // exactly these blocks
	askNodes  kind = 2 // these nodes and all nodes below them, without raw leaves
)

// A digest is the SHA2-256 by which a block is named.
type digest [sha256.Size]byte

// digestOf returns the digest that c names, which must have passed the checks of
// package modules.
func digestOf(c cid.Cid) digest {
	h := c.Hash()
	return digest(h[len(h)-sha256.Size:])
}

// cid returns a CID of the block, as raw or dag-pb.
func (d digest) cid(raw bool) cid.Cid {
	mh := make([]byte, 0, 2+sha256.Size)
	mh = append(mh, multihash.SHA2_256, sha256.Size)
	codec := uint64(cid.DagProtobuf)
	if raw {
		codec = cid.Raw
	}
	return cid.NewCidV1(codec, append(mh, d[:]...))
}

// The first four bytes of a frame: one more than the length of the block that
// follows, or one of these.
const (
	frameAbsent = 0          // the block is not here
	frameEnd    = 0xFFFFFFFF // the rest of this answer will not come
	headerSize  = 4
)

// readRequest reads one request. The error is io.EOF when the stream ends before
// it.
func readRequest(r io.Reader) (kind, []digest, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, fmt.Errorf("read request: %w", err)
	}
	k, n := kind(head[0]), int(binary.BigEndian.Uint16(head[1:]))
	if k != askBlocks && k != askNodes {
		return 0, nil, fmt.Errorf("read request: it asks for the kind %d", k)
	}
	if n < 1 || n > MaxAsked {
		return 0, nil, fmt.Errorf("read request: it names %d blocks, 1 to %d are allowed", n, MaxAsked)
	}
	b := make([]byte, n*sha256.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, fmt.Errorf("read request: %w", noEOF(err))
	}
	asked := make([]digest, n)
	seen := make(map[digest]struct{}, n)
	for i := range asked {
		copy(asked[i][:], b[i*sha256.Size:])
		seen[asked[i]] = struct{}{}
	}
	if len(seen) != n {
		return 0, nil, errors.New("read request: it names a block twice")
	}
	return k, asked, nil
}

// appendRequest adds a request to b.
func appendRequest(b []byte, k kind, asked []digest) []byte {
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint16(b, uint16(len(asked)))
	for i := range asked {
		b = append(b, asked[i][:]...)
	}
	return b
}

// frameHeader returns the first bytes of the frame of a block of n bytes.
func frameHeader(n int) [headerSize]byte {
	var b [headerSize]byte
	binary.BigEndian.PutUint32(b[:], uint32(n)+1)
	return b
}

var (
	headerAbsent = [headerSize]byte{}
	headerEnd    = [headerSize]byte{0xFF, 0xFF, 0xFF, 0xFF}
)

// A frame is what an answer says of one block.
type frame int

const (
	isBlock frame = iota
	isAbsent
	isEnd
)

// readFrame reads a frame into buf, which it makes larger when it must, and
// returns the block. A length that no block has is an error before anything is
// allocated.
func readFrame(r io.Reader, buf []byte) (frame, []byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, buf, fmt.Errorf("read answer: %w", noEOF(err))
	}
	switch n := binary.BigEndian.Uint32(head[:]); {
	case n == frameAbsent:
		return isAbsent, buf[:0], nil
	case n == frameEnd:
		return isEnd, buf[:0], nil
	case n-1 > unixfs.MaxBlock:
		return 0, buf, &OffenceError{fmt.Sprintf("a block of %d bytes", n-1)}
	default:
		size := int(n - 1)
		if cap(buf) < size {
			buf = make([]byte, size)
		}
		buf = buf[:size]
		if _, err := io.ReadFull(r, buf); err != nil {
			return 0, buf, fmt.Errorf("read answer: %w", noEOF(err))
		}
		return isBlock, buf, nil
	}
}

// An OffenceError says that a peer sent what no honest peer sends.
type OffenceError struct {
	What string
}

func (e *OffenceError) Error() string { return "the peer sent " + e.What }

// noEOF makes the end of a stream in the middle of something an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A nodeList is the order in which nodes are sent, which both sides keep: what was
// asked for, and after each node those of its links that lead to further nodes
// (SPEC.md [B6]).
type nodeList struct {
	waiting []digest // the next one last
	listed  map[digest]struct{}
}

func newNodeList(asked []digest) *nodeList {
	l := &nodeList{listed: make(map[digest]struct{}, len(asked))}
	l.add(asked)
	return l
}

// add puts what was not listed yet before what waits.
func (l *nodeList) add(nodes []digest) {
	from := len(l.waiting)
	for _, d := range nodes {
		if _, listed := l.listed[d]; listed || len(l.listed) == MaxListed {
			continue
		}
		l.listed[d] = struct{}{}
		l.waiting = append(l.waiting, d)
	}
	for i, j := from, len(l.waiting)-1; i < j; i, j = i+1, j-1 {
		l.waiting[i], l.waiting[j] = l.waiting[j], l.waiting[i]
	}
}

func (l *nodeList) next() (digest, bool) {
	if len(l.waiting) == 0 {
		return digest{}, false
	}
	d := l.waiting[len(l.waiting)-1]
	l.waiting = l.waiting[:len(l.waiting)-1]
	return d, true
}

// nodesOf are those of the links that lead to nodes.
func nodesOf(links []cid.Cid) []digest {
	var nodes []digest
	for _, c := range links {
		if c.Type() == cid.DagProtobuf {
			nodes = append(nodes, digestOf(c))
		}
	}
	return nodes
}
