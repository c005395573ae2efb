package unixfs

import (
	"context"
	"fmt"

	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// Links returns the blocks that block c, whose bytes are b, links to, in order.
// It verifies b first. A fetcher calls it to learn what to ask for next.
func Links(c cid.Cid, b []byte) ([]cid.Cid, error) {
	if err := CheckCID(c); err != nil {
		return nil, err
	}
	if err := checkBlock(c, b); err != nil {
		return nil, err
	}
	if c.Type() == cid.Raw {
		return nil, nil
	}
	n, err := dagpb.DecodeNode(b)
	if err != nil {
		return nil, ruleErrorf("M23", "", "block %s: %v", c, err)
	}
	links := make([]cid.Cid, len(n.Links))
	for i, l := range n.Links {
		if err := CheckCID(l.CID); err != nil {
			return nil, err
		}
		links[i] = l.CID
	}
	return links, nil
}

// Walk gets every block of the tree once, at most workers at a time, and calls
// visit with each after verifying it, one call at a time, parents before their
// children. It stops at the limits of the format and of b. It is how a fetcher
// brings a whole tree here; Inspect then says whether the tree is a module.
func Walk(ctx context.Context, blocks Blocks, b records.Target, workers int, visit func(c cid.Cid, block []byte) error) error {
	if err := CheckCID(b.CID); err != nil {
		return fmt.Errorf("walk module: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type got struct {
		cid   cid.Cid
		block []byte
		err   error
	}
	workers = max(workers, 1)
	results := make(chan got, workers)
	seen := map[cid.Cid]bool{b.CID: true}
	// A stack, so that the blocks of one file come together.
	waiting := []cid.Cid{b.CID}
	running := 0
	budget := Budget(b)
	var failed error
	for running > 0 || len(waiting) > 0 && failed == nil {
		for running < workers && len(waiting) > 0 && failed == nil {
			c := waiting[len(waiting)-1]
			waiting = waiting[:len(waiting)-1]
			running++
			go func() {
				block, err := fetch(ctx, blocks, c)
				results <- got{c, block, err}
			}()
		}
		r := <-results
		running--
		if failed != nil {
			continue
		}
		failed = r.err
		if budget -= int64(len(r.block)); budget < 0 {
			failed = ruleErrorf("M26", "", "the blocks have more bytes than the module may have")
		}
		if failed == nil {
			failed = visit(r.cid, r.block)
		}
		if failed == nil {
			waiting, failed = enqueue(waiting, seen, r.cid, r.block)
		}
		if failed != nil {
			cancel()
		}
	}
	if failed != nil {
		return fmt.Errorf("walk module %s: %w", b.CID, failed)
	}
	return nil
}

// enqueue adds the links of a verified block that were not seen, the first on
// top.
func enqueue(waiting []cid.Cid, seen map[cid.Cid]bool, c cid.Cid, block []byte) ([]cid.Cid, error) {
	if c.Type() == cid.Raw {
		return waiting, nil
	}
	n, err := dagpb.DecodeNode(block)
	if err != nil {
		return nil, ruleErrorf("M23", "", "block %s: %v", c, err)
	}
	for i := len(n.Links) - 1; i >= 0; i-- {
		l := n.Links[i].CID
		if err := CheckCID(l); err != nil {
			return nil, err
		}
		if seen[l] || l.Equals(EmptyRaw) {
			continue
		}
		if len(seen) == MaxBlocks {
			return nil, ruleErrorf("M22", "", "the DAG has more than %d blocks", MaxBlocks)
		}
		seen[l] = true
		waiting = append(waiting, l)
	}
	return waiting, nil
}

// Budget is how many bytes the distinct blocks of a tree may have (SPEC.md [B12]): its
// files, and what directories and chunks add.
func Budget(b records.Target) int64 {
	size, files := b.Size, b.Files
	if size < 0 {
		size = records.MaxModuleSize
	}
	if files < 0 {
		files = records.MaxFiles
	}
	return size + size/16 + files*8<<10 + 1<<20
}
