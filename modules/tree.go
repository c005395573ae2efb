package modules

import (
	"context"
	"errors"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// An Entry is one file of a tree.
type Entry struct {
	Path string
	Size int64 // bytes
	Exec bool  // mode 0755; otherwise 0644
	CID  cid.Cid
}

// A Tree is a module that was walked and found to keep every rule. It holds no
// file contents.
type Tree struct {
	CID   cid.Cid
	Size  int64   // bytes of all files
	Files []Entry // sorted by Path
}

// Inspect walks the tree b.CID without writing anything, and returns it if its
// shape, names and sizes keep the rules and b. Breaking one is a *RuleError;
// errors of blocks are wrapped. Memory is bounded by the limits of the format.
func Inspect(ctx context.Context, blocks Blocks, b Bounds) (*Tree, error) {
	return nil, errors.New("inspect module: not built yet")
}

// Read returns the file at path, which may have at most max bytes. A file that
// is not there is fs.ErrNotExist.
func (t *Tree) Read(ctx context.Context, blocks Blocks, path string, max int64) ([]byte, error) {
	return nil, errors.New("read module: not built yet")
}

// Package reads and parses the tree's package.json.
func (t *Tree) Package(ctx context.Context, blocks Blocks) (*PackageJSON, error) {
	return nil, errors.New("read package.json: not built yet")
}

// Check reports whether the module is what r says: its CID, size, number of
// files, and the name, version, manifest and pins of its own package.json.
func Check(ctx context.Context, blocks Blocks, t *Tree, r *records.Release) error {
	return errors.New("check module: not built yet")
}

// Links returns the blocks that block c, whose bytes are b, links to, in order.
// It verifies b first. A fetcher calls it to learn what to ask for next.
func Links(c cid.Cid, b []byte) ([]cid.Cid, error) {
	return nil, errors.New("read links: not built yet")
}

// Walk gets every block of the tree once, at most workers at a time, and calls
// visit with each after verifying it, one call at a time, parents before their
// children. It stops at the limits of the format and of b. It is how a fetcher
// brings a whole tree here; Inspect then says whether the tree is a module.
func Walk(ctx context.Context, blocks Blocks, b Bounds, workers int, visit func(c cid.Cid, block []byte) error) error {
	return errors.New("walk module: not built yet")
}
