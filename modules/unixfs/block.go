package unixfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/modules/internal/dagpb"
)

// EmptyRaw is the raw block without bytes. Bitswap never delivers it, so trees
// made here do not hold it, and in trees made by others it is always present.
var EmptyRaw = dagpb.CID(cid.Raw, nil)

// A CorruptError says that the bytes got for a block are not that block.
type CorruptError struct {
	CID cid.Cid
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("block %s: the bytes do not have its hash", e.CID)
}

// CheckCID refuses what a tree may not link to.
func CheckCID(c cid.Cid) error {
	if !c.Defined() {
		return ruleErrorf("M20", "", "there is no CID")
	}
	p := c.Prefix()
	if p.MhType != multihash.SHA2_256 || p.MhLength != sha256.Size {
		return ruleErrorf("M20", "", "block %s: the hash is not sha2-256", c)
	}
	if p.Codec != cid.DagProtobuf && p.Codec != cid.Raw {
		return ruleErrorf("M20", "", "block %s: the codec is neither dag-pb nor raw", c)
	}
	return nil
}

// checkBlock verifies that b is the block c and not too large.
func checkBlock(c cid.Cid, b []byte) error {
	if len(b) > MaxBlock {
		return ruleErrorf("M21", "", "block %s: has %d bytes, the limit is %d", c, len(b), MaxBlock)
	}
	sum := sha256.Sum256(b)
	h := c.Hash()
	if !bytes.Equal(h[2:], sum[:]) {
		return &CorruptError{c}
	}
	return nil
}

// fetch gets and verifies a block whose CID has passed CheckCID.
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
