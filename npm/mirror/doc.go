// Package mirror is what this home has of npm's registries, and what it may get from them
// when somebody asks: a Source for package endpoint (docs/program.md section 15). It keeps
// the packuments that it read, imports tarballs through package importer, and leaves out
// what package guard does not let through. It listens nowhere.
package mirror

import (
	"context"
	"crypto/sha512"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/endpoint"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/importer"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/unpacked"
)

const (
	// fresh is how long an answer of a registry counts without asking again.
	fresh = time.Minute
	// pause is how long a registry that was not reached is not asked again.
	pause = 20 * time.Second
	// exactFor is how old what a registry changed last must be for the times of its
	// single versions not to matter to any client: their own gates are of days.
	exactFor = 14 * 24 * time.Hour
)

// Registries are where packages come from. It is an *upstream.Registries.
type Registries interface {
	Base(ctx context.Context, name string) (string, error)
	// Packument returns nil where nothing changed since old was given.
	Packument(ctx context.Context, base, name string, form registry.Form, old registry.Validators) ([]byte, registry.Validators, error)
	Private(ctx context.Context, name string) (bool, error)
	Keys(ctx context.Context, base string) ([]npm.SigningKey, error)
	importer.Tarballs
}

// Blocks is a *blocks.Store.
type Blocks interface {
	unixfs.Blocks
	importer.Blocks
	// File returns the path of a file with the contents of an entry.
	File(ctx context.Context, e unixfs.Entry) (string, error)
}

// Config says what a Mirror works with.
type Config struct {
	Dir    string // of packuments
	Trees  unpacked.Dir
	Blocks Blocks
	Batch  importer.Batch
	// Registries are asked for what is not here; nil for nothing but what is.
	Registries Registries
	Guard      *guard.Guard
	Advisories guard.Advisories
	Audit      bool // what the guard refuses is told, and let through
	Token      string
	// Refused is told of each release that is not let through, once; it may be nil.
	Refused func(*guard.Release, *guard.Refusal)
	Now     func() time.Time
	Log     *slog.Logger
}

// A Mirror is an endpoint.Source. Run must run while it is used.
type Mirror struct {
	cfg      Config
	queue    *importer.Queue
	flights  flights
	keys     registryKeys
	trees    catalog
	listings listings

	mu      sync.Mutex
	resting map[string]time.Time // by the URL of a registry that was not reached: until when
	told    map[string]bool      // releases whose refusal was told
}

var _ endpoint.Source = (*Mirror)(nil)

// New returns a Mirror.
func New(cfg Config) *Mirror {
	m := &Mirror{cfg: cfg, resting: make(map[string]time.Time), told: make(map[string]bool)}
	m.trees.dir, m.trees.now = cfg.Trees, cfg.Now
	m.queue = importer.NewQueue(importer.Config{Tarballs: noTarballs{}, Batch: cfg.Batch, Blocks: cfg.Blocks, Trees: cfg.Trees})
	if cfg.Registries != nil {
		m.queue = importer.NewQueue(importer.Config{Tarballs: cfg.Registries, Batch: cfg.Batch, Blocks: cfg.Blocks, Trees: cfg.Trees})
	}
	return m
}

// Run keeps what is imported until ctx ends.
func (m *Mirror) Run(ctx context.Context) error { return m.queue.Run(ctx) }

// noTarballs has none: nothing is asked for.
type noTarballs struct{}

func (noTarballs) Tarball(context.Context, string, *[sha512.Size]byte, int64, io.Writer) (int64, [sha512.Size]byte, error) {
	return 0, [sha512.Size]byte{}, errNotAsked
}

// entry is the tarball of a package as a file of the store.
func entry(p *unpacked.Package) unixfs.Entry {
	return unixfs.Entry{CID: p.Tarball, Size: p.Length}
}

func moduleOf(p *unpacked.Package) cid.Cid {
	if p == nil {
		return cid.Undef
	}
	return p.Module
}
