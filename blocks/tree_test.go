package blocks

import (
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
)

// A tree whose root is no UnixFS node is not whole and not missing: fetching it again
// changes nothing, and nobody may be told that it is here.
func TestCompleteMalformed(t *testing.T) {
	s := openBlocks(t, t.TempDir())
	raw, b := block("no node")
	root := cid.NewCidV1(cid.DagProtobuf, raw.Hash())
	if ok, err := s.Complete(t.Context(), root); ok || err != nil {
		t.Errorf("before it is here: %v, %v", ok, err)
	}
	if err := s.Put(t.Context(), root, b); err != nil {
		t.Fatal(err)
	}
	ok, err := s.Complete(t.Context(), root)
	var malformed *TreeError
	if ok || !errors.As(err, &malformed) || malformed.Root != root {
		t.Errorf("a root that is no node: %v, %v", ok, err)
	}
}
