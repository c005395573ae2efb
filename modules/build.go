package modules

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/spaolacci/murmur3"
)

// The profile of a tree (SPEC.md, [M1] to [M8]).
const (
	chunkSize     = 1 << 20   // bytes of a file's chunks
	fileWidth     = 1024      // children of one node of a file
	hamtThreshold = 256 << 10 // bytes of the largest directory in one block
	hamtWidth     = 256
	execMode      = 0o755
)

// A built node is the root of a DAG that was stored.
type built struct {
	cid   cid.Cid
	tsize uint64 // bytes of its blocks, each as often as it is linked
	bytes int64  // contents, for files
}

// A builder stores blocks of the profile.
type builder struct {
	ctx   context.Context
	store Store
}

func (b *builder) put(codec uint64, block []byte) (cid.Cid, error) {
	if err := b.ctx.Err(); err != nil {
		return cid.Undef, err
	}
	c := blockCID(codec, block)
	if err := b.store.Put(b.ctx, c, block); err != nil {
		return cid.Undef, fmt.Errorf("put block %s: %w", c, err)
	}
	return c, nil
}

func (b *builder) putNode(links []pbLink, f *fsNode) (built, error) {
	n := pbNode{links: links, data: f.encode()}
	block := n.encode()
	c, err := b.put(cid.DagProtobuf, block)
	if err != nil {
		return built{}, err
	}
	return built{cid: c, tsize: uint64(len(block)) + linkedSize(links)}, nil
}

func linkedSize(links []pbLink) uint64 {
	var size uint64
	for i := range links {
		size += links[i].tsize
	}
	return size
}

// file makes a file's root of its chunks, which were put as raw blocks: a
// balanced tree whose leaves are all equally deep. A mode stands in the root
// only.
func (b *builder) file(chunks []pbLink, exec bool) (built, error) {
	if len(chunks) == 1 && !exec {
		return built{cid: chunks[0].cid, tsize: chunks[0].tsize, bytes: int64(chunks[0].tsize)}, nil
	}
	level := make([]built, len(chunks))
	for i, c := range chunks {
		level[i] = built{cid: c.cid, tsize: c.tsize, bytes: int64(c.tsize)}
	}
	for len(level) > fileWidth {
		var above []built
		for group := range slices.Chunk(level, fileWidth) {
			n, err := b.fileNode(group, 0)
			if err != nil {
				return built{}, err
			}
			above = append(above, n)
		}
		level = above
	}
	if exec {
		return b.fileNode(level, execMode)
	}
	return b.fileNode(level, 0)
}

func (b *builder) fileNode(children []built, mode uint64) (built, error) {
	f := &fsNode{kind: typeFile, hasSize: true, mode: mode}
	links := make([]pbLink, len(children))
	for i, c := range children {
		links[i] = pbLink{cid: c.cid, tsize: c.tsize}
		f.blockSizes = append(f.blockSizes, uint64(c.bytes))
		f.fileSize += uint64(c.bytes)
	}
	n, err := b.putNode(links, f)
	n.bytes = int64(f.fileSize)
	return n, err
}

// directory makes a directory of entries, whose names must be unique.
func (b *builder) directory(entries []pbLink) (built, error) {
	slices.SortFunc(entries, func(x, y pbLink) int { return strings.Compare(x.name, y.name) })
	f := &fsNode{kind: typeDirectory}
	n := pbNode{links: entries, data: f.encode()}
	if n.encodedSize() <= hamtThreshold {
		return b.putNode(entries, f)
	}
	return b.shard(hashLinks(entries), 0)
}

type hashedLink struct {
	hash uint64
	pbLink
}

// hashLinks returns entries sorted by the hashes of their names.
func hashLinks(entries []pbLink) []hashedLink {
	hashes := make([]hashedLink, len(entries))
	for i, e := range entries {
		hashes[i] = hashedLink{murmur3.Sum64([]byte(e.name)), e}
	}
	slices.SortFunc(hashes, func(x, y hashedLink) int {
		if x.hash != y.hash {
			if x.hash < y.hash {
				return -1
			}
			return 1
		}
		return strings.Compare(x.name, y.name)
	})
	return hashes
}

// shard makes the HAMT node of entries that agree in the first level bytes of
// their hashes, by which they are sorted.
func (b *builder) shard(entries []hashedLink, level int) (built, error) {
	if level == 8 {
		return built{}, broken("M6", entries[0].name, "has the same 64-bit hash as %q", entries[1].name)
	}
	var links []pbLink
	var bitmap [hamtWidth / 8]byte
	for len(entries) > 0 {
		slot := slotOf(entries[0].hash, level, 8)
		n := 1
		for n < len(entries) && slotOf(entries[n].hash, level, 8) == slot {
			n++
		}
		link := entries[0].pbLink
		if n > 1 {
			child, err := b.shard(entries[:n], level+1)
			if err != nil {
				return built{}, err
			}
			link = pbLink{cid: child.cid, tsize: child.tsize}
		}
		link.name = fmt.Sprintf("%02X", slot) + link.name
		links = append(links, link)
		bitmap[len(bitmap)-1-slot/8] |= 1 << (slot % 8)
		entries = entries[n:]
	}
	data := bitmap[:]
	for data[0] == 0 {
		data = data[1:]
	}
	return b.putNode(links, &fsNode{
		kind: typeHAMT, data: data, hasData: true, hashType: hashMurmur3, fanout: hamtWidth,
	})
}

// slotOf returns the place in a HAMT node of the given level: the level-th
// group of width bits of the hash, from the top.
func slotOf(hash uint64, level, width int) int {
	return int(hash << (level * width) >> (64 - width))
}

// popcount counts the children that a HAMT bitmap announces.
func popcount(bitmap []byte) int {
	n := 0
	for _, b := range bitmap {
		n += bits.OnesCount8(b)
	}
	return n
}
