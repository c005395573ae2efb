package unixfs

import (
	"context"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/spaolacci/murmur3"

	"github.com/everythingstays/es/modules/internal/dagpb"
)

// shard takes the entries under one node of a HAMT directory. Bits of the hash
// that led here are prefix, level groups of them. Every name must stand where
// its hash puts it, so that no node can be linked from two places.
func (d *dirReader) shard(ctx context.Context, n *dagpb.Node, f *dagpb.FSNode, level int, prefix, fanout uint64) error {
	width, err := checkShard(n, f, level, fanout)
	if err != nil {
		return ruleErrorf("M29", d.path, "%v", err)
	}
	digits := (width + 3) / 4
	last := -1
	for i := range n.Links {
		l := &n.Links[i]
		if len(l.Name) < digits {
			return ruleErrorf("M29", d.path, "a HAMT node has the link %.200q", l.Name)
		}
		slot, name, err := splitShardName(l.Name, digits)
		if err != nil || slot <= last || !bitmapHas(f.Data, slot) {
			return ruleErrorf("M29", d.path, "a HAMT node has the link %.200q, which its bitmap does not announce there", l.Name)
		}
		last = slot
		path := prefix<<width | uint64(slot)
		if name == "" {
			if err := d.subShard(ctx, l, level+1, path, fanout); err != nil {
				return err
			}
			continue
		}
		if murmur3.Sum64([]byte(name))>>(64-width*(level+1)) != path {
			return ruleErrorf("M29", d.path+name, "does not stand where its hash puts it")
		}
		if err := d.entry(ctx, name, l.CID); err != nil {
			return err
		}
	}
	return nil
}

func (d *dirReader) subShard(ctx context.Context, l *dagpb.Link, level int, prefix, fanout uint64) error {
	if err := CheckCID(l.CID); err != nil {
		return withPath(d.path, err)
	}
	if err := d.w.countBlocks(ctx, 1); err != nil {
		return withPath(d.path, err)
	}
	n, f, err := d.w.node(ctx, l.CID)
	if err != nil {
		return withPath(d.path, err)
	}
	if len(n.Links) == 0 {
		return ruleErrorf("M29", d.path, "a HAMT node is empty")
	}
	return d.shard(ctx, n, f, level, prefix, fanout)
}

// checkShard returns how many bits of the hash each level takes.
func checkShard(n *dagpb.Node, f *dagpb.FSNode, level int, fanout uint64) (width int, err error) {
	switch {
	case f.Type != dagpb.TypeHAMTShard:
		return 0, fmt.Errorf("a HAMT node links to one of the UnixFS type %d", f.Type)
	case f.HashType != dagpb.HashMurmur3:
		return 0, fmt.Errorf("a HAMT node has the hash %#x", f.HashType)
	case f.Fanout != fanout:
		return 0, fmt.Errorf("HAMT nodes are %d and %d wide", fanout, f.Fanout)
	case fanout < 8 || fanout > MaxHAMTWidth || fanout&(fanout-1) != 0:
		return 0, fmt.Errorf("a HAMT node is %d wide", fanout)
	case len(f.Data) > int(fanout/8):
		return 0, fmt.Errorf("a HAMT node has a bitmap of %d bytes", len(f.Data))
	case popcount(f.Data) != len(n.Links):
		return 0, fmt.Errorf("a HAMT node announces %d children and has %d", popcount(f.Data), len(n.Links))
	}
	width = bits.TrailingZeros64(fanout)
	if width*(level+1) > 64 {
		return 0, fmt.Errorf("a HAMT directory is deeper than its hash is long")
	}
	return width, nil
}

// splitShardName takes the slot, in upper-case hexadecimal, off a link's name.
func splitShardName(s string, digits int) (slot int, name string, err error) {
	head := s[:digits]
	if strings.ToUpper(head) != head || strings.ContainsAny(head, "+-_") {
		return 0, "", fmt.Errorf("bad slot")
	}
	n, err := strconv.ParseUint(head, 16, 16)
	return int(n), s[digits:], err
}

// bitmapHas reports whether a HAMT bitmap, whose last byte holds the first eight
// slots, announces a slot.
func bitmapHas(bitmap []byte, slot int) bool {
	i := len(bitmap) - 1 - slot/8
	return i >= 0 && bitmap[i]&(1<<(slot%8)) != 0
}
