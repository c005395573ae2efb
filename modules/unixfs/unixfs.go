// Package unixfs turns files into the blocks of a UnixFS directory and back. A Builder
// stores them with one fixed profile, so that the same files have the same CID everywhere
// (SPEC.md [M1] to [M8]). Inspect, Walk and Links read any UnixFS directory, made by es or
// not, under the rules and limits of names and trees ([M10] to [M31]); whoever breaks one
// gets a *RuleError. Every block is hashed before it is used.
//
// It touches no file, and knows nothing of what is in them.
package unixfs

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
)

// Limits of a tree beyond those of package records (SPEC.md, [M20] to [M28]).
const (
	MaxBlock       = 2 << 20 // bytes of one block
	MaxDirectories = 50_000  // directories in a module, the root not counted
	MaxDirEntries  = 50_000  // entries of one directory
	MaxTreeDepth   = 64      // elements of a path
	MaxTreePath    = 1_024   // bytes of a path
	MaxElement     = 255     // bytes of one element of a path
	MaxBlocks      = 500_000 // blocks of a DAG, each counted as often as it is linked
	MaxHAMTWidth   = 256     // children of one HAMT node
	MaxFileDepth   = 32      // nodes between a file's root and a leaf
)

// Blocks gives the bytes of a block. Callers of this package need not verify
// them: every block is hashed again before it is used. Get must be safe for
// concurrent use. Its errors are returned wrapped.
type Blocks interface {
	Get(ctx context.Context, c cid.Cid) ([]byte, error)
}

// Sizer is implemented by a Blocks that knows the size of a block without
// reading it; Inspect then reads no file contents.
type Sizer interface {
	Size(ctx context.Context, c cid.Cid) (int, error)
}

// Store keeps blocks. Put must be safe for concurrent use; b is not changed
// afterwards. The same block may be put more than once.
type Store interface {
	Put(ctx context.Context, c cid.Cid, b []byte) error
}

// Discard is a Store that keeps nothing, for a dry run.
var Discard Store = discard{}

type discard struct{}

func (discard) Put(context.Context, cid.Cid, []byte) error { return nil }

// A RuleError says that a tree, a file name or a package.json breaks a rule of
// SPEC.md. It is permanent: the same input breaks it everywhere.
type RuleError struct {
	Rule   string // the rule's tag, such as "M21"
	Path   string // where in the module; may be empty
	Reason string
}

func (e *RuleError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return fmt.Sprintf("%.200q: %s", e.Path, e.Reason)
}

func ruleErrorf(rule, path, format string, args ...any) error {
	return &RuleError{Rule: rule, Path: path, Reason: fmt.Sprintf(format, args...)}
}
