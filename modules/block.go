package modules

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// EmptyRaw is the raw block without bytes. Bitswap never delivers it, so trees
// made here do not hold it, and in trees made by others it is always present.
var EmptyRaw = blockCID(cid.Raw, nil)

// A CorruptError says that the bytes got for a block are not that block.
type CorruptError struct {
	CID cid.Cid
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("block %s: the bytes do not have its hash", e.CID)
}

func blockCID(codec uint64, b []byte) cid.Cid {
	sum := sha256.Sum256(b)
	return digestCID(codec, sum)
}

func digestCID(codec uint64, sum [sha256.Size]byte) cid.Cid {
	mh := make([]byte, 0, 2+sha256.Size)
	mh = append(mh, multihash.SHA2_256, sha256.Size)
	return cid.NewCidV1(codec, append(mh, sum[:]...))
}

// checkCID refuses what a tree may not link to.
func checkCID(c cid.Cid) error {
	if !c.Defined() {
		return broken("M20", "", "there is no CID")
	}
	p := c.Prefix()
	if p.MhType != multihash.SHA2_256 || p.MhLength != sha256.Size {
		return broken("M20", "", "block %s: the hash is not sha2-256", c)
	}
	if p.Codec != cid.DagProtobuf && p.Codec != cid.Raw {
		return broken("M20", "", "block %s: the codec is neither dag-pb nor raw", c)
	}
	return nil
}

// checkBlock verifies that b is the block c and not too large.
func checkBlock(c cid.Cid, b []byte) error {
	if len(b) > MaxBlock {
		return broken("M21", "", "block %s: has %d bytes, the limit is %d", c, len(b), MaxBlock)
	}
	sum := sha256.Sum256(b)
	h := c.Hash()
	if !bytes.Equal(h[2:], sum[:]) {
		return &CorruptError{c}
	}
	return nil
}

// fetch gets and verifies a block whose CID has passed checkCID.
func fetch(ctx context.Context, blocks Blocks, c cid.Cid) ([]byte, error) {
	if c.Equals(EmptyRaw) {
		return nil, nil
	}
	b, err := blocks.Get(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("get block %s: %w", c, err)
	}
	if err := checkBlock(c, b); err != nil {
		return nil, err
	}
	return b, nil
}
