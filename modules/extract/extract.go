// Package extract writes a tree of package unixfs into a directory (SPEC.md [M60]; docs/program.md [M61]),
// never through a link and never outside of it: complete under a temporary name, and then
// swapped into place, so that after a crash the old or the new module is there.
package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
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
	// whether it did. The block is not hashed here: Link links none that it has not
	// verified. A hard link shares contents and mode with the block store, so that an
	// edit of the file damages the store.
	Link func(c cid.Cid, dir *os.File, name string) (bool, error)
}

// Extract inspects the tree b.CID, writes it completely into a temporary
// directory beside name in parent, and swaps it in place of name, which it
// replaces whatever it is, following no link. After a crash at any point, name
// holds the old or the new module, never a mixture, once Recover has run; name
// must be a single element. Extract runs Recover first.
func Extract(ctx context.Context, blocks unixfs.Blocks, b records.Target, parent *os.Root, name string, o Options) (*unixfs.Tree, error) {
	if err := unixfs.CheckElement(name); err != nil {
		return nil, fmt.Errorf("extract module %s: %w", b.CID, err)
	}
	if err := Recover(parent); err != nil {
		return nil, err
	}
	t, err := unixfs.Inspect(ctx, blocks, b)
	if err != nil {
		return nil, err
	}
	s, err := Stage(ctx, blocks, t, parent, o)
	if err != nil {
		return nil, err
	}
	if err := s.Swap(name); err != nil {
		return nil, err
	}
	return t, nil
}

// Staged is a module that is complete on disk under a temporary name. Either
// Swap or Discard must be called, once.
type Staged struct {
	parent *os.Root
	temp   *tempDir
	sync   Sync

	exchange func(parent *os.Root, a, b string) error
}

// Stage writes t into a temporary directory in parent. It leaves nothing behind
// when it fails.
func Stage(ctx context.Context, blocks unixfs.Blocks, t *unixfs.Tree, parent *os.Root, o Options) (*Staged, error) {
	temp, err := newTempDir(parent)
	if err != nil {
		return nil, fmt.Errorf("stage module %s: %w", t.CID, err)
	}
	x := &extraction{blocks: blocks, options: o}
	if err := x.run(ctx, parent, temp.name, t.Files); err != nil {
		return nil, errors.Join(fmt.Errorf("stage module %s: %w", t.CID, err), temp.remove(parent))
	}
	return &Staged{parent, temp, o.Sync, exchange}, nil
}

// Discard removes the module again.
func (s *Staged) Discard() error { return s.temp.remove(s.parent) }

// extractWorkers is how many files of a directory are written at a time.
const extractWorkers = 4

type extraction struct {
	blocks  unixfs.Blocks
	options Options
}

func (x *extraction) run(ctx context.Context, parent *os.Root, name string, files []unixfs.Entry) error {
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return x.directory(ctx, dir, files, 0)
}

// directory writes the files whose paths agree in their first skip bytes, which
// name dir. It opens what it creates relative to dir, which nothing else knows.
func (x *extraction) directory(ctx context.Context, dir *os.Root, files []unixfs.Entry, skip int) error {
	handle, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer handle.Close()
	var g errgroup.Group
	g.SetLimit(extractWorkers)
	var below [][]unixfs.Entry
	for len(files) > 0 {
		name, _, isDir := strings.Cut(files[0].Path[skip:], "/")
		if !isDir {
			f := &files[0]
			g.Go(func() error { return x.file(ctx, dir, handle, name, f) })
			files = files[1:]
			continue
		}
		prefix := files[0].Path[:skip+len(name)+1]
		n := 1
		for n < len(files) && strings.HasPrefix(files[n].Path, prefix) {
			n++
		}
		below = append(below, files[:n])
		files = files[n:]
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, inside := range below {
		name, _, _ := strings.Cut(inside[0].Path[skip:], "/")
		if err := x.subdirectory(ctx, dir, name, inside, skip+len(name)+1); err != nil {
			return err
		}
	}
	if x.options.Sync == SyncFiles {
		return atomicfile.SyncRoot(dir)
	}
	return nil
}

func (x *extraction) subdirectory(ctx context.Context, dir *os.Root, name string, files []unixfs.Entry, skip int) error {
	if err := dir.Mkdir(name, 0o755); err != nil {
		return err
	}
	sub, err := dir.OpenRoot(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := sub.Chmod(".", 0o755); err != nil {
		return err
	}
	return x.directory(ctx, sub, files, skip)
}

func (x *extraction) file(ctx context.Context, dir *os.Root, handle *os.File, name string, f *unixfs.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if x.options.Link != nil && !f.Exec && f.CID.Type() == cid.Raw && !f.CID.Equals(unixfs.EmptyRaw) {
		if linked, err := x.options.Link(f.CID, handle, name); linked || err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o644)
	if f.Exec {
		mode = 0o755
	}
	w, err := dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	err = x.write(ctx, w, f, mode)
	if closed := w.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %.200q: %w", f.Path, err)
	}
	return nil
}

func (x *extraction) write(ctx context.Context, w *os.File, f *unixfs.Entry, mode fs.FileMode) error {
	if err := f.CopyTo(ctx, x.blocks, w); err != nil {
		return err
	}
	// The umask does not decide: the mode is part of the module.
	if err := w.Chmod(mode); err != nil {
		return err
	}
	if x.options.Sync == SyncFiles {
		return w.Sync()
	}
	return nil
}
