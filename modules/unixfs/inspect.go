package unixfs

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// Inspect walks the tree b.CID without writing anything, and returns it if its
// shape, names and sizes keep the rules and b. Breaking one is a *RuleError;
// errors of blocks are wrapped. Memory is bounded by the limits of the format.
//
// What a file's root says of the sizes of raw leaves is believed until the
// leaves are read, unless blocks is a Sizer: whoever writes the file finds out.
func Inspect(ctx context.Context, blocks Blocks, b records.Target) (*Tree, error) {
	t, err := inspect(ctx, blocks, b)
	if err != nil {
		return nil, fmt.Errorf("inspect module %s: %w", b.CID, err)
	}
	return t, nil
}

func inspect(ctx context.Context, blocks Blocks, b records.Target) (*Tree, error) {
	if err := CheckCID(b.CID); err != nil {
		return nil, err
	}
	w := newInspector(blocks, b)
	if err := w.directory(ctx, b.CID, "", 0); err != nil {
		return nil, err
	}
	if b.Files >= 0 && int64(len(w.tree.Files)) != b.Files {
		return nil, ruleErrorf("M26", "", "the module has %d files, its release says %d", len(w.tree.Files), b.Files)
	}
	if b.Size >= 0 && w.tree.Size != b.Size {
		return nil, ruleErrorf("M26", "", "the files have %d bytes, the release says %d", w.tree.Size, b.Size)
	}
	if err := checkExpansion(w.tree.Size, w.unique); err != nil {
		return nil, err
	}
	slices.SortFunc(w.tree.Files, func(a, b Entry) int { return ComparePaths(a.Path, b.Path) })
	return w.tree, nil
}

// An inspector walks one tree and counts.
type inspector struct {
	blocks   Blocks
	sizer    Sizer // may be nil
	maxSize  int64
	maxFiles int64

	tree        *Tree
	visits      int // blocks, as often as they are linked
	directories int
	unique      int64 // bytes of distinct blocks
	leaves      map[cid.Cid]int64
	files       map[cid.Cid]fileInfo
	nodes       map[cid.Cid]*dagpb.Node // of small directories, which may be linked again
	nodesHeld   int
}

// fileInfo is what is known of a file's DAG.
type fileInfo struct {
	size   int64
	exec   bool
	leaves int // as often as they are linked
	blocks int // likewise, leaves and others
	depth  int
}

func newInspector(blocks Blocks, b records.Target) *inspector {
	w := &inspector{
		blocks: blocks, maxSize: b.Size, maxFiles: b.Files, tree: &Tree{CID: b.CID},
		leaves: make(map[cid.Cid]int64), files: make(map[cid.Cid]fileInfo), nodes: make(map[cid.Cid]*dagpb.Node),
	}
	w.sizer, _ = blocks.(Sizer)
	if b.Size < 0 {
		w.maxSize = records.MaxModuleSize
	}
	if b.Files < 0 {
		w.maxFiles = records.MaxFiles
	}
	return w
}

func (w *inspector) countBlocks(ctx context.Context, n int) error {
	if w.visits += n; w.visits > MaxBlocks {
		return ruleErrorf("M22", "", "the DAG has more than %d blocks", MaxBlocks)
	}
	return ctx.Err()
}

// maxNodesHeld bounds the decoded directories that are kept for a second visit.
const maxNodesHeld = 4096

// node gets and decodes a DAG-PB block.
func (w *inspector) node(ctx context.Context, c cid.Cid) (*dagpb.Node, *dagpb.FSNode, error) {
	n, again := w.nodes[c]
	if !again {
		b, err := fetch(ctx, w.blocks, c)
		if err != nil {
			return nil, nil, err
		}
		if n, err = dagpb.DecodeNode(b); err != nil {
			return nil, nil, ruleErrorf("M23", "", "block %s: %v", c, err)
		}
		w.unique += int64(len(b))
		if w.nodesHeld += len(n.Links) + 1; w.nodesHeld <= maxNodesHeld {
			w.nodes[c] = n
		}
	}
	f, err := dagpb.DecodeFSNode(n.Data)
	if err != nil {
		return nil, nil, ruleErrorf("M23", "", "block %s: its UnixFS data %v", c, err)
	}
	return n, f, nil
}

// directory walks a directory. Its path ends in '/' unless it is the root.
func (w *inspector) directory(ctx context.Context, c cid.Cid, path string, depth int) error {
	if c.Type() != cid.DagProtobuf {
		return ruleErrorf("M23", path, "is not a directory")
	}
	if err := w.countBlocks(ctx, 1); err != nil {
		return err
	}
	n, f, err := w.node(ctx, c)
	if err != nil {
		return withPath(path, err)
	}
	if f.Type != dagpb.TypeDirectory && f.Type != dagpb.TypeHAMTShard {
		return ruleErrorf("M23", path, "is not a directory")
	}
	return w.entries(ctx, n, f, path, depth)
}

func (w *inspector) entries(ctx context.Context, n *dagpb.Node, f *dagpb.FSNode, path string, depth int) error {
	d := &dirReader{w: w, path: path, depth: depth}
	if f.Type == dagpb.TypeDirectory {
		for i := range n.Links {
			if err := d.entry(ctx, n.Links[i].Name, n.Links[i].CID); err != nil {
				return err
			}
		}
		return nil
	}
	return d.shard(ctx, n, f, 0, 0, f.Fanout)
}

// A dirReader takes the entries of one directory.
type dirReader struct {
	w     *inspector
	path  string
	depth int
	names collisions
}

func (d *dirReader) entry(ctx context.Context, name string, c cid.Cid) error {
	path := d.path + name
	if err := CheckElement(name); err != nil {
		return withPath(path, err)
	}
	if len(path) > MaxTreePath || d.depth+1 > MaxTreeDepth {
		return ruleErrorf("M24", path, "the path has more than %d bytes or %d elements", MaxTreePath, MaxTreeDepth)
	}
	if other, collides := d.names.add(name); collides {
		return ruleErrorf("M11", path, "is the same as %.200q on some systems", d.path+other)
	}
	if len(d.names.folded) > MaxDirEntries {
		return ruleErrorf("M25", path, "its directory has more than %d entries", MaxDirEntries)
	}
	if err := CheckCID(c); err != nil {
		return withPath(path, err)
	}
	return d.w.entryNode(ctx, path, c, d.depth+1)
}

// entryNode takes an entry of a directory, whatever it is.
func (w *inspector) entryNode(ctx context.Context, path string, c cid.Cid, depth int) error {
	if c.Type() == cid.Raw {
		info, err := w.file(ctx, c, 0)
		return w.addFile(ctx, path, c, info, err)
	}
	if info, known := w.files[c]; known {
		return w.addFile(ctx, path, c, info, nil)
	}
	n, f, err := w.node(ctx, c)
	if err != nil {
		return withPath(path, err)
	}
	switch f.Type {
	case dagpb.TypeDirectory, dagpb.TypeHAMTShard:
		if err := w.countBlocks(ctx, 1); err != nil {
			return withPath(path, err)
		}
		if w.directories++; w.directories > MaxDirectories {
			return ruleErrorf("M25", path, "the module has more than %d directories", MaxDirectories)
		}
		return w.entries(ctx, n, f, path+"/", depth)
	case dagpb.TypeSymlink:
		return ruleErrorf("M12", path, "is a symbolic link")
	}
	info, err := w.fileNode(ctx, c, n, f, 0)
	return w.addFile(ctx, path, c, info, err)
}

// addFile counts a file, and stops at the first byte and file too many.
func (w *inspector) addFile(ctx context.Context, path string, c cid.Cid, info fileInfo, err error) error {
	if err != nil {
		return withPath(path, err)
	}
	if int64(len(w.tree.Files)) >= w.maxFiles {
		return ruleErrorf("M26", path, "with this file the module has more than %d files", w.maxFiles)
	}
	if info.size > w.maxSize-w.tree.Size {
		return ruleErrorf("M26", path, "with this file the module has more than %d bytes", w.maxSize)
	}
	if most := 16 + info.size/1024; int64(info.leaves) > most {
		return ruleErrorf("M28", path, "has %d chunks for %d bytes", info.leaves, info.size)
	}
	if err := w.countBlocks(ctx, info.blocks); err != nil {
		return withPath(path, err)
	}
	w.tree.Size += info.size
	w.tree.Files = append(w.tree.Files, Entry{Path: path, Size: info.size, Exec: info.exec, CID: c})
	return nil
}

// file measures the file or part of a file at c, which has passed CheckCID.
// Nothing is measured twice.
func (w *inspector) file(ctx context.Context, c cid.Cid, depth int) (fileInfo, error) {
	if info, known := w.files[c]; known {
		return info, nil
	}
	if depth > MaxFileDepth {
		return fileInfo{}, ruleErrorf("M22", "", "a file is deeper than %d blocks", MaxFileDepth)
	}
	if c.Type() == cid.Raw {
		size, err := w.leafSize(ctx, c)
		return fileInfo{size: size, leaves: 1, blocks: 1}, err
	}
	n, f, err := w.node(ctx, c)
	if err != nil {
		return fileInfo{}, err
	}
	return w.fileNode(ctx, c, n, f, depth)
}

func (w *inspector) fileNode(ctx context.Context, c cid.Cid, n *dagpb.Node, f *dagpb.FSNode, depth int) (fileInfo, error) {
	if f.Type != dagpb.TypeFile && f.Type != dagpb.TypeRaw {
		return fileInfo{}, ruleErrorf("M23", "", "block %s: has the UnixFS type %d in a file", c, f.Type)
	}
	if len(f.BlockSizes) != len(n.Links) {
		return fileInfo{}, ruleErrorf("M23", "", "block %s: has %d links and %d sizes", c, len(n.Links), len(f.BlockSizes))
	}
	info := fileInfo{size: int64(len(f.Data)), exec: f.Mode&0o100 != 0, blocks: 1}
	if f.HasData {
		info.leaves = 1
	}
	for i, l := range n.Links {
		part, err := w.filePart(ctx, l, f.BlockSizes[i], depth+1)
		if err != nil {
			return fileInfo{}, err
		}
		if info.size > math.MaxInt64-part.size {
			return fileInfo{}, ruleErrorf("M26", "", "a file has more than %d bytes", int64(math.MaxInt64))
		}
		info.size += part.size
		info.leaves = min(info.leaves+part.leaves, MaxBlocks+1)
		info.blocks = min(info.blocks+part.blocks, MaxBlocks+1)
		info.depth = max(info.depth, part.depth+1)
	}
	if depth+info.depth > MaxFileDepth {
		return fileInfo{}, ruleErrorf("M22", "", "a file is deeper than %d blocks", MaxFileDepth)
	}
	if f.HasFileSize && f.FileSize != uint64(info.size) {
		return fileInfo{}, ruleErrorf("M23", "", "block %s: says %d bytes and links to %d", c, f.FileSize, info.size)
	}
	w.files[c] = info
	return info, nil
}

// filePart measures what one link of a file's node leads to, and compares it with
// the size that the node gives.
func (w *inspector) filePart(ctx context.Context, l dagpb.Link, stated uint64, depth int) (fileInfo, error) {
	if err := CheckCID(l.CID); err != nil {
		return fileInfo{}, err
	}
	if stated > math.MaxInt64 {
		return fileInfo{}, ruleErrorf("M26", "", "a file has more than %d bytes", int64(math.MaxInt64))
	}
	if l.CID.Type() == cid.Raw && w.sizer == nil && !l.CID.Equals(EmptyRaw) {
		return w.statedLeaf(l.CID, int64(stated))
	}
	info, err := w.file(ctx, l.CID, depth)
	if err != nil {
		return fileInfo{}, err
	}
	if uint64(info.size) != stated {
		return fileInfo{}, ruleErrorf("M23", "", "block %s: is linked with %d bytes and has %d", l.CID, stated, info.size)
	}
	return info, nil
}

func (w *inspector) statedLeaf(c cid.Cid, stated int64) (fileInfo, error) {
	if stated > MaxBlock {
		return fileInfo{}, ruleErrorf("M21", "", "block %s: has %d bytes, the limit is %d", c, stated, MaxBlock)
	}
	size, known := w.leaves[c]
	if known && size != stated {
		return fileInfo{}, ruleErrorf("M23", "", "block %s: is linked with %d bytes and with %d", c, stated, size)
	}
	if !known {
		w.leaves[c] = stated
		w.unique += stated
	}
	return fileInfo{size: stated, leaves: 1, blocks: 1}, nil
}

// leafSize returns the size of a raw block.
func (w *inspector) leafSize(ctx context.Context, c cid.Cid) (int64, error) {
	if size, known := w.leaves[c]; known || c.Equals(EmptyRaw) {
		return size, nil
	}
	var size int
	if w.sizer != nil {
		var err error
		if size, err = w.sizer.Size(ctx, c); err != nil {
			return 0, fmt.Errorf("get block %s: %w", c, err)
		}
		if size > MaxBlock {
			return 0, ruleErrorf("M21", "", "block %s: has %d bytes, the limit is %d", c, size, MaxBlock)
		}
	} else {
		b, err := fetch(ctx, w.blocks, c)
		if err != nil {
			return 0, err
		}
		size = len(b)
	}
	w.leaves[c] = int64(size)
	w.unique += int64(size)
	return int64(size), nil
}

// withPath says in which file a rule was found to be broken.
func withPath(path string, err error) error {
	if r, ok := err.(*RuleError); ok && r.Path == "" {
		return &RuleError{Rule: r.Rule, Path: strings.TrimSuffix(path, "/"), Reason: r.Reason}
	}
	return err
}
