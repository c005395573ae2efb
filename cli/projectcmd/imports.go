package projectcmd

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/npm/importer"
	"github.com/everythingstays/es/npm/tarball"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A tarballChecker unpacks the tarballs of imports that a registry signed, as peers have
// them, so that it is known here what the registry signed.
type tarballChecker struct {
	home  *home.Home
	fetch *fetcher // nil when nobody may be asked

	mu     sync.Mutex
	failed map[cid.Cid]*trust.Failure // by record
}

// failures are those that there were so far.
func (t *tarballChecker) failures() map[cid.Cid]*trust.Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.failed)
}

func (t *tarballChecker) fail(record cid.Cid, f *trust.Failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = map[cid.Cid]*trust.Failure{}
	}
	t.failed[record] = f
}

// check unpacks the tarball of the version, as one importer after the other names it, until
// one is what the registry signed. Then that is known here; the others have a Failure.
func (t *tarballChecker) check(ctx context.Context, e *resolve.UncheckedError) error {
	for _, c := range e.Claims {
		failure, err := t.one(ctx, c.Release, c.Record)
		if err != nil || failure == nil {
			return err
		}
		t.fail(c.Record, failure)
	}
	return nil
}

// one unpacks one tarball. What is wrong with it alone is a Failure.
func (t *tarballChecker) one(ctx context.Context, r *records.Release, record cid.Cid) (*trust.Failure, error) {
	unpack := func() error {
		_, err := importer.Check(ctx, t.home.Blocks(), t.home.Blocks().FileBatch(), t.home.Trees(), r)
		return err
	}
	err := unpack()
	if isMissing(err) && t.fetch != nil {
		if err = t.fetch.Fetch(ctx, r.Name, records.Target{CID: r.Origin.Tarball, Size: r.Size, Files: r.Files, Record: record}); err == nil {
			err = unpack()
		}
	}
	var away *api.UnreachableError
	var hash *importer.HashError
	var format *tarball.FormatError
	var rule *unixfs.RuleError
	switch {
	case err == nil || ctx.Err() != nil:
		return nil, err
	case isMissing(err):
		return &trust.Failure{Why: "its tarball is not here, and nobody may be asked"}, nil
	case errors.As(err, &away):
		return &trust.Failure{Why: "nobody who was asked has its tarball"}, nil
	case errors.As(err, &hash), errors.As(err, &format), errors.As(err, &rule):
		return &trust.Failure{Why: ui.Message(err), Wrong: true}, nil
	}
	return nil, err
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*unixfs.CorruptError))
}
