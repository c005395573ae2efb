package modules

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/spaolacci/murmur3"
)

// shard takes the entries under one node of a HAMT directory. Bits of the hash
// that led here are prefix, level groups of them. Every name must stand where
// its hash puts it, so that no node can be linked from two places.
func (d *dirReader) shard(n *pbNode, f *fsNode, level int, prefix, fanout uint64) error {
	width, err := checkShard(n, f, level, fanout)
	if err != nil {
		return broken("M29", d.path, "%v", err)
	}
	digits := (width + 3) / 4
	last := -1
	for i := range n.links {
		l := &n.links[i]
		if len(l.name) < digits {
			return broken("M29", d.path, "a HAMT node has the link %q", clip(l.name))
		}
		slot, name, err := splitShardName(l.name, digits)
		if err != nil || slot <= last || !bitmapHas(f.data, slot) {
			return broken("M29", d.path, "a HAMT node has the link %q, which its bitmap does not announce there", clip(l.name))
		}
		last = slot
		path := prefix<<width | uint64(slot)
		if name == "" {
			if err := d.subShard(l, level+1, path, fanout); err != nil {
				return err
			}
			continue
		}
		if murmur3.Sum64([]byte(name))>>(64-width*(level+1)) != path {
			return broken("M29", d.path+name, "does not stand where its hash puts it")
		}
		if err := d.entry(name, l.cid); err != nil {
			return err
		}
	}
	return nil
}

func (d *dirReader) subShard(l *pbLink, level int, prefix, fanout uint64) error {
	if err := checkCID(l.cid); err != nil {
		return at(d.path, err)
	}
	if err := d.w.visit(1); err != nil {
		return at(d.path, err)
	}
	n, f, err := d.w.node(l.cid)
	if err != nil {
		return at(d.path, err)
	}
	if len(n.links) == 0 {
		return broken("M29", d.path, "a HAMT node is empty")
	}
	return d.shard(n, f, level, prefix, fanout)
}

// checkShard returns how many bits of the hash each level takes.
func checkShard(n *pbNode, f *fsNode, level int, fanout uint64) (width int, err error) {
	switch {
	case f.kind != typeHAMT:
		return 0, fmt.Errorf("a HAMT node links to one of the UnixFS type %d", f.kind)
	case f.hashType != hashMurmur3:
		return 0, fmt.Errorf("a HAMT node has the hash %#x", f.hashType)
	case f.fanout != fanout:
		return 0, fmt.Errorf("HAMT nodes are %d and %d wide", fanout, f.fanout)
	case fanout < 8 || fanout > MaxHAMTWidth || fanout&(fanout-1) != 0:
		return 0, fmt.Errorf("a HAMT node is %d wide", fanout)
	case len(f.data) > int(fanout/8):
		return 0, fmt.Errorf("a HAMT node has a bitmap of %d bytes", len(f.data))
	case popcount(f.data) != len(n.links):
		return 0, fmt.Errorf("a HAMT node announces %d children and has %d", popcount(f.data), len(n.links))
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
