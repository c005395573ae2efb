package importer

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm/unpacked"
)

// Reunpack makes a package's blocks again from its tarball in the store, for one whose
// files were changed. It reports false when the tarball is not here whole either, and
// must be fetched.
func Reunpack(ctx context.Context, from unixfs.Blocks, into Batch, p *unpacked.Package) (bool, error) {
	r, w := io.Pipe()
	hash := sha512.New()
	var g errgroup.Group
	var reading error
	g.Go(func() error {
		file := unixfs.Entry{Size: p.Length, CID: p.Tarball}
		reading = file.CopyTo(ctx, from, io.MultiWriter(hash, w))
		w.CloseWithError(reading)
		return nil
	})
	module, _, _, err := unpack(ctx, diskStore{into}, r, &Package{Name: p.Name, Version: p.Version})
	r.CloseWithError(errStopped)
	if waited := g.Wait(); waited != nil {
		return false, waited
	}
	var corrupt *unixfs.CorruptError
	switch {
	case errors.As(reading, &corrupt), errors.Is(reading, fs.ErrNotExist):
		return false, nil
	case reading != nil && !errors.Is(reading, errStopped):
		return false, fmt.Errorf("unpack %s@%s again: %w", p.Name, p.Version, reading)
	case err != nil:
		return false, fmt.Errorf("unpack %s@%s again: %w", p.Name, p.Version, err)
	}
	if [sha512.Size]byte(hash.Sum(nil)) != p.SHA512 || module.CID != p.Module {
		return false, nil
	}
	if err := into.Commit(ctx); err != nil {
		return false, fmt.Errorf("unpack %s@%s again: %w", p.Name, p.Version, err)
	}
	return true, nil
}
