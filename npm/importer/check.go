package importer

import (
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

// A HashError says that what a record calls a registry's tarball has another SHA-512 than
// the record says.
type HashError struct{ Got, Want [sha512.Size]byte }

func (e *HashError) Error() string {
	return fmt.Sprintf("the tarball has the SHA-512 %x..., and not %x...", e.Got[:8], e.Want[:8])
}

// Check unpacks the tarball that a release with an origin names, whose blocks are in from,
// and remembers what it holds: then this home knows what the registry's tarball is. Whether
// the release says the same is not its business. Without the right SHA-512 nothing is
// remembered, and the error is a *HashError.
func Check(ctx context.Context, from unixfs.Blocks, into Batch, trees unpacked.Dir, r *records.Release) (*unpacked.Package, error) {
	p, err := check(ctx, from, into, r)
	if err != nil {
		return nil, fmt.Errorf("unpack the tarball of %s@%s: %w", r.Name, r.Version, err)
	}
	if err := into.Commit(ctx); err != nil {
		return nil, err
	}
	return p, trees.Put(p)
}

func check(ctx context.Context, from unixfs.Blocks, into Batch, r *records.Release) (*unpacked.Package, error) {
	p := &unpacked.Package{Name: string(r.Name), Version: r.Version, SHA512: [sha512.Size]byte(r.Origin.SHA512)}
	store := diskStore{into}
	kept := unixfs.NewFileWriter(store)
	long, short := sha512.New(), sha1.New()
	pr, pw := io.Pipe()
	var g errgroup.Group
	var reading error
	g.Go(func() error {
		p.Length, reading = unixfs.CopyFile(ctx, from, r.Origin.Tarball, MaxTarball, io.MultiWriter(long, short, kept.Writer(ctx), pw))
		pw.CloseWithError(reading)
		return nil
	})
	module, entries, _, err := unpack(ctx, store, pr, &Package{Name: p.Name, Version: p.Version})
	if err != nil { // the hash tells whose fault it is
		_, drained := io.Copy(io.Discard, pr)
		err = errors.Join(err, drained)
	}
	pr.CloseWithError(errStopped)
	if waited := g.Wait(); waited != nil {
		return nil, waited
	}
	if reading != nil && !errors.Is(reading, errStopped) {
		return nil, reading
	}
	if got := [sha512.Size]byte(long.Sum(nil)); got != p.SHA512 {
		return nil, &HashError{got, p.SHA512}
	}
	if err != nil {
		return nil, err
	}
	p.SHA1 = sumSHA1(short)
	p.Module, p.Size, p.Files, p.Manifest, p.Entries = module.CID, module.Size, module.Files, module.Manifest, entries
	p.Tarball, err = kept.Finish(ctx)
	return p, err
}
