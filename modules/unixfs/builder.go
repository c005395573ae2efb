package unixfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/spaolacci/murmur3"

	"github.com/everythingstays/es/modules/internal/dagpb"
)

// The profile of a tree (SPEC.md, [M1] to [M8]).
const (
	chunkSize     = 1 << 20   // bytes of a file's chunks
	fileWidth     = 1024      // children of one node of a file
	hamtThreshold = 256 << 10 // bytes of the largest directory in one block
	hamtWidth     = 256
	execMode      = 0o755
)

// A Root is the root of a DAG that a Builder has stored.
type Root struct {
	cid   cid.Cid
	tsize uint64 // bytes of its blocks, each as often as it is linked
	bytes int64  // contents, for files
}

// Entry is the file of this root at a path of its tree.
func (r Root) Entry(path string, exec bool) Entry {
	return Entry{Path: path, Size: r.bytes, Exec: exec, CID: r.cid}
}

// A Builder stores the blocks of one module, each once, in the profile of SPEC.md [M1]
// to [M8]. Its files may be stored concurrently.
type Builder struct {
	store Store

	mu     sync.Mutex
	stored map[cid.Cid]bool
	bytes  int64 // of the blocks that were stored
}

// NewBuilder returns a Builder that stores blocks in store.
func NewBuilder(store Store) *Builder {
	return &Builder{store: store, stored: make(map[cid.Cid]bool)}
}

func (b *Builder) put(ctx context.Context, codec uint64, block []byte) (cid.Cid, error) {
	if err := ctx.Err(); err != nil {
		return cid.Undef, err
	}
	c := dagpb.CID(codec, block)
	if !b.count(c, len(block)) {
		return c, nil
	}
	if err := b.store.Put(ctx, c, block); err != nil {
		return cid.Undef, fmt.Errorf("put block %s: %w", c, err)
	}
	return c, nil
}

// count counts a block of the module, and reports whether it is the first of its CID.
func (b *Builder) count(c cid.Cid, size int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stored[c] {
		return false
	}
	b.stored[c] = true
	b.bytes += int64(size)
	return true
}

// File stores a file of exactly size bytes; more or less is an error.
func (b *Builder) File(ctx context.Context, r io.Reader, size int64, exec bool) (Root, error) {
	var chunks []dagpb.Link
	for left := size; left > 0; {
		// The store may keep the chunk, so each has its own memory.
		chunk := make([]byte, min(left, chunkSize))
		if _, err := io.ReadFull(r, chunk); err != nil {
			return Root{}, sizeError(err)
		}
		c, err := b.put(ctx, cid.Raw, chunk)
		if err != nil {
			return Root{}, err
		}
		chunks = append(chunks, dagpb.Link{CID: c, Tsize: uint64(len(chunk))})
		left -= int64(len(chunk))
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != nil && err != io.EOF {
		return Root{}, sizeError(err)
	}
	return b.file(ctx, chunks, exec)
}

func sizeError(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("changed while it was packed")
	}
	return err
}

// Tree stores the directories of the files at paths, which are sorted by ComparePaths and
// whose roots are files, and returns the root of the module and the bytes of its files. A
// tree that is far larger than its blocks is a *RuleError.
func (b *Builder) Tree(ctx context.Context, paths []string, files []Root) (root cid.Cid, size int64, err error) {
	for _, f := range files {
		size += f.bytes
	}
	b.mu.Lock()
	unique := b.bytes
	b.mu.Unlock()
	if err := checkExpansion(size, unique); err != nil {
		return cid.Undef, 0, err
	}
	r, err := b.tree(ctx, paths, files, 0)
	return r.cid, size, err
}

// tree stores the directory of files whose paths agree in their first skip bytes.
func (b *Builder) tree(ctx context.Context, paths []string, files []Root, skip int) (Root, error) {
	var entries []dagpb.Link
	for len(paths) > 0 {
		name, _, isDir := strings.Cut(paths[0][skip:], "/")
		if !isDir {
			entries = append(entries, dagpb.Link{CID: files[0].cid, Name: name, Tsize: files[0].tsize})
			paths, files = paths[1:], files[1:]
			continue
		}
		prefix := paths[0][:skip+len(name)+1]
		n := 1
		for n < len(paths) && strings.HasPrefix(paths[n], prefix) {
			n++
		}
		dir, err := b.tree(ctx, paths[:n], files[:n], len(prefix))
		if err != nil {
			return Root{}, err
		}
		entries = append(entries, dagpb.Link{CID: dir.cid, Name: name, Tsize: dir.tsize})
		paths, files = paths[n:], files[n:]
	}
	return b.directory(ctx, entries)
}

func (b *Builder) putNode(ctx context.Context, links []dagpb.Link, f *dagpb.FSNode) (Root, error) {
	n := dagpb.Node{Links: links, Data: f.Encode()}
	block := n.Encode()
	c, err := b.put(ctx, cid.DagProtobuf, block)
	if err != nil {
		return Root{}, err
	}
	return Root{cid: c, tsize: uint64(len(block)) + dagpb.LinkedSize(links)}, nil
}

// file makes a file's root of its chunks, which were put as raw blocks: a
// balanced tree whose leaves are all equally deep. A mode stands in the root
// only.
func (b *Builder) file(ctx context.Context, chunks []dagpb.Link, exec bool) (Root, error) {
	if len(chunks) == 1 && !exec {
		return Root{cid: chunks[0].CID, tsize: chunks[0].Tsize, bytes: int64(chunks[0].Tsize)}, nil
	}
	level := make([]Root, len(chunks))
	for i, c := range chunks {
		level[i] = Root{cid: c.CID, tsize: c.Tsize, bytes: int64(c.Tsize)}
	}
	for len(level) > fileWidth {
		var above []Root
		for group := range slices.Chunk(level, fileWidth) {
			n, err := b.fileNode(ctx, group, 0)
			if err != nil {
				return Root{}, err
			}
			above = append(above, n)
		}
		level = above
	}
	if exec {
		return b.fileNode(ctx, level, execMode)
	}
	return b.fileNode(ctx, level, 0)
}

func (b *Builder) fileNode(ctx context.Context, children []Root, mode uint64) (Root, error) {
	f := &dagpb.FSNode{Type: dagpb.TypeFile, HasFileSize: true, Mode: mode}
	links := make([]dagpb.Link, len(children))
	for i, c := range children {
		links[i] = dagpb.Link{CID: c.cid, Tsize: c.tsize}
		f.BlockSizes = append(f.BlockSizes, uint64(c.bytes))
		f.FileSize += uint64(c.bytes)
	}
	n, err := b.putNode(ctx, links, f)
	n.bytes = int64(f.FileSize)
	return n, err
}

// directory makes a directory of entries, whose names must be unique.
func (b *Builder) directory(ctx context.Context, entries []dagpb.Link) (Root, error) {
	slices.SortFunc(entries, func(x, y dagpb.Link) int { return strings.Compare(x.Name, y.Name) })
	f := &dagpb.FSNode{Type: dagpb.TypeDirectory}
	n := dagpb.Node{Links: entries, Data: f.Encode()}
	if n.EncodedSize() <= hamtThreshold {
		return b.putNode(ctx, entries, f)
	}
	return b.shard(ctx, hashLinks(entries), 0)
}

type hashedLink struct {
	hash uint64
	link dagpb.Link
}

// hashLinks returns entries sorted by the hashes of their names.
func hashLinks(entries []dagpb.Link) []hashedLink {
	hashes := make([]hashedLink, len(entries))
	for i, e := range entries {
		hashes[i] = hashedLink{murmur3.Sum64([]byte(e.Name)), e}
	}
	slices.SortFunc(hashes, func(x, y hashedLink) int {
		if x.hash != y.hash {
			if x.hash < y.hash {
				return -1
			}
			return 1
		}
		return strings.Compare(x.link.Name, y.link.Name)
	})
	return hashes
}

// shard makes the HAMT node of entries that agree in the first level bytes of
// their hashes, by which they are sorted.
func (b *Builder) shard(ctx context.Context, entries []hashedLink, level int) (Root, error) {
	if level == 8 {
		return Root{}, ruleErrorf("M6", entries[0].link.Name, "has the same 64-bit hash as %q", entries[1].link.Name)
	}
	var links []dagpb.Link
	var bitmap [hamtWidth / 8]byte
	for len(entries) > 0 {
		slot := slotOf(entries[0].hash, level, 8)
		n := 1
		for n < len(entries) && slotOf(entries[n].hash, level, 8) == slot {
			n++
		}
		link := entries[0].link
		if n > 1 {
			child, err := b.shard(ctx, entries[:n], level+1)
			if err != nil {
				return Root{}, err
			}
			link = dagpb.Link{CID: child.cid, Tsize: child.tsize}
		}
		link.Name = fmt.Sprintf("%02X", slot) + link.Name
		links = append(links, link)
		bitmap[len(bitmap)-1-slot/8] |= 1 << (slot % 8)
		entries = entries[n:]
	}
	data := bitmap[:]
	for data[0] == 0 {
		data = data[1:]
	}
	return b.putNode(ctx, links, &dagpb.FSNode{
		Type: dagpb.TypeHAMTShard, Data: data, HasData: true, HashType: dagpb.HashMurmur3, Fanout: hamtWidth,
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

// checkExpansion refuses trees that are far larger than their blocks ([M27]).
func checkExpansion(size, unique int64) error {
	const free, ratio = 1 << 20, 20
	if size > free && size-free > ratio*unique {
		return ruleErrorf("M27", "", "the files have %d bytes, and their blocks only %d: more than %d times less", size, unique, ratio)
	}
	return nil
}
