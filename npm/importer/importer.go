// Package importer takes packages from an npm registry: it fetches tarballs, checks
// their SHA-512, keeps them and makes modules of what they hold (SPEC.md section 17).
// An import is a fact of this home: nothing is signed and nothing published. It knows
// no trust and no index.
package importer

import (
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/tarball"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

// Limits of an Importer.
const (
	MaxTarball = 1 << 30 // bytes
	workers    = 16      // packages at a time
	batchSize  = 128     // packages that become durable together
	transfers  = 3       // of one tarball, when it breaks off or has other bytes
)

// A Batch keeps blocks, which are durable once Commit returns. The same Batch is used
// again after it. It is a *blocks.Batch.
type Batch interface {
	unixfs.Store
	Commit(ctx context.Context) error
}

// Blocks tells whether a block is here. It is a *blocks.Store.
type Blocks interface {
	Has(ctx context.Context, c cid.Cid) (bool, error)
}

// Tarballs fetches tarballs. It is a *registry.Client.
type Tarballs interface {
	Tarball(ctx context.Context, url string, want *[sha512.Size]byte, limit int64, w io.Writer) (int64, [sha512.Size]byte, error)
}

// A Package is one release that is to be imported.
type Package struct {
	Name      string
	Version   records.Version
	URL       string             // of its tarball
	Integrity *[sha512.Size]byte // what the tarball must have; nil for old packages
	SHA1      string             // likewise, in hex; asked only where Integrity is nil
	// Taken is what the registry said, where it was asked and Integrity and SHA1 are its
	// own words; else nil.
	Taken *unpacked.Taken
}

func (p *Package) String() string { return fmt.Sprintf("%s@%s", p.Name, p.Version) }

// Config says what an Importer works with.
type Config struct {
	Tarballs Tarballs
	Batch    Batch
	Blocks   Blocks
	Trees    unpacked.Dir
	// Done is called for each package, from one goroutine at a time; may be nil.
	Done func(Result)
}

// A Result is what became of one package.
type Result struct {
	Package Package
	Tree    *unpacked.Package // nil after an error
	Links   int               // symbolic and hard links that were left out
	Known   bool              // it was here already, and nobody was asked
	Err     error
}

// Import imports packages, several at a time. One that fails does not stop the others:
// its Result says why. The error is ctx's, or one that concerns all of them, as of a full
// disk; what had been done by then is kept.
func Import(ctx context.Context, cfg Config, packages []Package) ([]Result, error) {
	im := &importer{cfg: cfg}
	results := make([]Result, len(packages))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range packages {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			results[i] = im.one(gctx, packages[i])
			if err := im.finish(gctx, results[i]); err != nil {
				return err
			}
			var disk *storeError
			if errors.As(results[i].Err, &disk) {
				return disk.err
			}
			return gctx.Err()
		})
	}
	err := g.Wait()
	// What is done is kept, also when the user has enough.
	if committed := im.commit(context.WithoutCancel(ctx)); err == nil {
		err = committed
	}
	if err != nil {
		return results, fmt.Errorf("import packages: %w", err)
	}
	return results, nil
}

type importer struct {
	cfg Config

	mu    sync.Mutex
	ready []*unpacked.Package // whose blocks are not durable yet
}

// A storeError is one of this machine's disk, and concerns every package.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }

func (e *storeError) Unwrap() error { return e.err }

// one imports one package, unless it is here.
func (im *importer) one(ctx context.Context, p Package) Result {
	r := Result{Package: p}
	if p.Integrity != nil {
		tree, err := im.known(ctx, *p.Integrity)
		if err != nil {
			r.Err = fmt.Errorf("import %s: %w", &p, err)
			return r
		}
		if tree != nil && tree.Name == p.Name && tree.Version == p.Version {
			r.Tree, r.Known = tree, true
			if p.Taken != nil && tree.Take(*p.Taken) {
				if err := im.cfg.Trees.Put(tree); err != nil {
					r.Err = &storeError{err}
				}
			}
			return r
		}
	}
	for attempt := 1; ; attempt++ {
		r.Tree, r.Links, r.Err = im.fetch(ctx, &p)
		if r.Err == nil || attempt == transfers || ctx.Err() != nil || !mayPass(r.Err) {
			break
		}
	}
	if r.Err != nil {
		r.Err = fmt.Errorf("import %s: %w", &p, r.Err)
	}
	return r
}

// known returns the tree of a tarball that was unpacked before and is whole.
func (im *importer) known(ctx context.Context, hash [sha512.Size]byte) (*unpacked.Package, error) {
	tree, err := im.cfg.Trees.Get(hash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	complete, err := isComplete(ctx, im.cfg.Blocks, tree)
	if err != nil || !complete {
		return nil, err
	}
	return tree, nil
}

// isComplete reports whether the roots of the tarball, of the module and of all its files
// are here. What lies below the root of a large file is believed to have stayed with it.
func isComplete(ctx context.Context, blocks Blocks, p *unpacked.Package) (bool, error) {
	for _, c := range []cid.Cid{p.Tarball, p.Module} {
		if here, err := blocks.Has(ctx, c); err != nil || !here {
			return false, err
		}
	}
	for i := range p.Entries {
		if here, err := blocks.Has(ctx, p.Entries[i].CID); err != nil || !here {
			return false, err
		}
	}
	return true, nil
}

// mayPass reports whether another transfer could end better: the connection was lost,
// or the bytes were not those that were promised.
func mayPass(err error) bool {
	var integrity *registry.IntegrityError
	var status *registry.StatusError
	var rule *unixfs.RuleError
	var format *tarball.FormatError
	var disk *storeError
	switch {
	case errors.As(err, &integrity):
		return true
	case errors.As(err, &status), errors.As(err, &rule), errors.As(err, &format), errors.As(err, &disk):
		return false
	}
	return true
}

// fetch streams a tarball into the store, as it is and unpacked. Nothing of it counts
// before its hash was compared.
func (im *importer) fetch(ctx context.Context, p *Package) (*unpacked.Package, int, error) {
	store := diskStore{im.cfg.Batch}
	kept := unixfs.NewFileWriter(store)
	once := sha1.New()
	r, w := io.Pipe()
	var got [sha512.Size]byte
	var length int64
	var transfer error
	var g errgroup.Group
	g.Go(func() error {
		length, got, transfer = im.cfg.Tarballs.Tarball(ctx, p.URL, p.Integrity, MaxTarball, io.MultiWriter(kept.Writer(ctx), once, w))
		w.CloseWithError(transfer)
		return nil
	})
	module, entries, links, err := unpack(ctx, store, r, p)
	r.CloseWithError(errStopped)
	if waited := g.Wait(); waited != nil {
		return nil, 0, waited
	}
	// Of two errors the first in time is the cause of the other: a transfer that was
	// stopped says errStopped, an archive that broke off says what the transfer says.
	if transfer != nil && !errors.Is(transfer, errStopped) {
		return nil, 0, transfer
	}
	if err != nil {
		return nil, 0, err
	}
	sum := sumSHA1(once)
	if p.Integrity == nil && p.SHA1 == "" {
		return nil, 0, fmt.Errorf("%s: the registry names no SHA-512 of the tarball, and no SHA-1", p.URL)
	}
	if p.Integrity == nil && p.SHA1 != hex.EncodeToString(sum[:]) {
		return nil, 0, fmt.Errorf("%s: the bytes have SHA-1 %x, not %q, and the registry names no SHA-512", p.URL, sum, p.SHA1)
	}
	root, err := kept.Finish(ctx)
	if err != nil {
		return nil, 0, err
	}
	tree := &unpacked.Package{
		Name: p.Name, Version: p.Version, SHA512: got, SHA1: sum, Tarball: root, Length: length,
		Module: module.CID, Size: module.Size, Files: module.Files, Manifest: module.Manifest, Entries: entries,
	}
	if p.Taken != nil {
		tree.Take(*p.Taken)
	}
	return tree, links, nil
}

var errStopped = errors.New("stopped reading")

func sumSHA1(h hash.Hash) (sum [20]byte) {
	h.Sum(sum[:0])
	return sum
}

// unpack makes a module of a tarball's files.
func unpack(ctx context.Context, store unixfs.Store, r io.Reader, p *Package) (*modules.Module, []unpacked.Entry, int, error) {
	w := modules.NewWriter(store)
	links, err := tarball.Read(r, func(f tarball.File, contents io.Reader) error {
		return w.Add(ctx, f.Path, f.Size, f.Exec, contents)
	})
	if err != nil {
		return nil, nil, 0, err
	}
	m, err := w.FinishImported(ctx, p.Name, p.Version)
	if err != nil {
		return nil, nil, 0, err
	}
	entries := make([]unpacked.Entry, 0, m.Files)
	for _, e := range w.Entries() {
		entries = append(entries, unpacked.Entry(e))
	}
	return m, entries, len(links), nil
}

// finish keeps a result, and makes a batch durable when it is full.
func (im *importer) finish(ctx context.Context, r Result) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	if r.Err == nil && !r.Known {
		im.ready = append(im.ready, r.Tree)
	}
	if im.cfg.Done != nil {
		im.cfg.Done(r)
	}
	if len(im.ready) < batchSize {
		return nil
	}
	return im.commitLocked(ctx)
}

func (im *importer) commit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.commitLocked(ctx)
}

// commitTimeout bounds what is written after the user has interrupted.
const commitTimeout = time.Minute

// commitLocked makes what is ready durable, then known.
func (im *importer) commitLocked(ctx context.Context) error {
	if len(im.ready) == 0 {
		return nil
	}
	if err := im.cfg.Batch.Commit(ctx); err != nil {
		return err
	}
	for _, p := range im.ready {
		if err := im.cfg.Trees.Put(p); err != nil {
			return err
		}
	}
	im.ready = nil
	return nil
}
