package modules

import (
	"context"
	"errors"
	"os"

	"github.com/ipfs/go-cid"
)

// Sync says what must be on the disk when Swap returns.
type Sync int

const (
	SyncDirectory Sync = iota // the directory that the module was swapped into
	SyncFiles                 // every file too
	SyncNone
)

// Options of an extraction; the zero value is the default.
type Options struct {
	Sync Sync
	// Link, if set, may make the file name in dir from the block c, whose bytes
	// are exactly the file's, instead of a copy being written. It reports
	// whether it did. A hard link shares contents and mode with the block store,
	// so that an edit of the file damages the store.
	Link func(c cid.Cid, dir *os.File, name string) (bool, error)
}

// Extract inspects the tree b.CID, writes it completely into a temporary
// directory beside name in parent, and swaps it in place of name, which it
// replaces whatever it is, following no link. After a crash at any point, name
// holds the old or the new module, never a mixture, once Recover has run; name
// must be a single element. Extract runs Recover first.
func Extract(ctx context.Context, blocks Blocks, b Bounds, parent *os.Root, name string, o Options) (*Tree, error) {
	return nil, errors.New("extract module: not built yet")
}

// Staged is a module that is complete on disk under a temporary name. Either
// Swap or Discard must be called.
type Staged struct{}

// Stage writes t into a temporary directory in parent.
func Stage(ctx context.Context, blocks Blocks, t *Tree, parent *os.Root, o Options) (*Staged, error) {
	return nil, errors.New("stage module: not built yet")
}

// Swap puts the module in place of name and removes what was there.
func (s *Staged) Swap(name string) error { return errors.New("swap module: not built yet") }

// Discard removes the module again.
func (s *Staged) Discard() error { return nil }

// Recover removes the temporary directories in parent whose owners are gone,
// and finishes or rolls back a swap that was interrupted.
func Recover(parent *os.Root) error { return nil }
