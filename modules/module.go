package modules

import (
	"context"
	"fmt"

	"github.com/everythingstays/es/records"
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
	MaxPackageJSON = 1 << 20 // bytes of package.json
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

// Module is a packed package: all of a release that its files decide.
type Module struct {
	Name     records.Name
	Version  records.Version
	Manifest records.Manifest
	CID      cid.Cid // root of the UnixFS directory
	Size     int64   // bytes of all files
	Files    int64
	Pins     map[records.Name]cid.Cid
}

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
	return fmt.Sprintf("%q: %s", clip(e.Path), e.Reason)
}

func broken(rule, path, format string, args ...any) error {
	return &RuleError{Rule: rule, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// clip shortens s for an error message.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
