package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/internal/jsontext"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// A shelf holds the trees of modules, fetching what is not here yet.
type shelf struct {
	sources Sources

	mu       sync.Mutex
	trees    map[cid.Cid]*modules.Tree
	releases map[cid.Cid]*records.Release // by record id: what was signed
	away     map[cid.Cid]error            // fetched in vain
}

func newShelf(s Sources) *shelf {
	return &shelf{sources: s, trees: map[cid.Cid]*modules.Tree{}, releases: map[cid.Cid]*records.Release{}, away: map[cid.Cid]error{}}
}

// tree returns the module within b, which is then complete in Blocks.
func (s *shelf) tree(ctx context.Context, name records.Name, b records.Target) (*modules.Tree, error) {
	s.mu.Lock()
	t := s.trees[b.CID]
	s.mu.Unlock()
	if t != nil && (b.Size < 0 || b.Size == t.Size) && (b.Files < 0 || b.Files == int64(len(t.Files))) {
		return t, nil
	}
	t, err := modules.Inspect(ctx, s.sources.Blocks, b)
	if err != nil && !isRuleError(err) && ctx.Err() == nil {
		if t, err = s.fetch(ctx, name, b, err); err != nil && !isRuleError(err) {
			return nil, err
		}
	}
	if err != nil {
		return nil, &IntegrityError{Name: name, Module: b.CID, Err: err}
	}
	s.mu.Lock()
	s.trees[b.CID] = t
	s.mu.Unlock()
	return t, nil
}

func (s *shelf) fetch(ctx context.Context, name records.Name, b records.Target, missing error) (*modules.Tree, error) {
	if s.sources.Fetcher == nil {
		return nil, &MissingError{Name: name, Module: b.CID, Err: missing}
	}
	s.mu.Lock()
	err := s.away[b.CID]
	s.mu.Unlock()
	if err != nil {
		return nil, err // it was waited for already
	}
	if err := s.sources.Fetcher.Fetch(ctx, name, b); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
		if ctx.Err() == nil {
			s.mu.Lock()
			s.away[b.CID] = err
			s.mu.Unlock()
		}
		return nil, err
	}
	t, err := modules.Inspect(ctx, s.sources.Blocks, b)
	if err != nil {
		return nil, fmt.Errorf("read %s (%s): %w", name, b.CID, err)
	}
	return t, nil
}

func isRuleError(err error) bool {
	var rule *modules.RuleError
	return errors.As(err, &rule)
}

// unsigned describes a module that was asked for by its CID, under the name it
// is installed by.
func (s *shelf) unsigned(ctx context.Context, name records.Name, c cid.Cid) (*Package, error) {
	t, err := s.tree(ctx, name, records.Unbounded(c))
	if err != nil {
		return nil, err
	}
	return s.describe(ctx, name, t)
}

// describe derives a package without record from its files.
func (s *shelf) describe(ctx context.Context, name records.Name, t *modules.Tree) (*Package, error) {
	r := &records.Release{Name: name, Module: t.CID, Size: t.Size, Files: int64(len(t.Files))}
	text, err := t.Read(ctx, s.sources.Blocks, packageJSON, modules.MaxPackageJSON)
	switch {
	case errors.Is(err, fs.ErrNotExist) || isRuleError(err):
		return lockfile.New(r), nil
	case err != nil:
		return nil, fmt.Errorf("read package.json of %s: %w", name, err)
	}
	json, version := lenient(text, name)
	if json == nil {
		return lockfile.New(r), nil
	}
	m, err := json.Manifest(paths(t))
	if err != nil {
		return lockfile.New(r), nil
	}
	r.Version, r.Manifest, r.Pins = version, m, json.Pins
	return lockfile.New(r), nil
}

// lenient reads the package.json of a directory that need not be a module: its
// name does not matter, and its version may be missing. It returns nil for what
// says nothing at all.
func lenient(text []byte, name records.Name) (*modules.PackageJSON, records.Version) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil || fields == nil {
		return nil, ""
	}
	var said string
	if json.Unmarshal(fields["version"], &said) != nil {
		said = ""
	}
	version, err := records.ParseVersion(said)
	if err != nil {
		version = ""
		fields["version"] = json.RawMessage(`"0.0.0"`)
	}
	fields["name"] = json.RawMessage(jsontext.Quote(string(name)))
	text, err = json.Marshal(fields)
	if err != nil {
		return nil, ""
	}
	parsed, err := modules.ParsePackageJSON(text)
	if err != nil {
		return nil, ""
	}
	return parsed, version
}

func paths(t *modules.Tree) []string {
	list := make([]string, len(t.Files))
	for i, f := range t.Files {
		list[i] = f.Path
	}
	return list
}

// check brings p's module here and reports whether it is what p says: what was
// signed when that is known, and in any case what is locked.
func (s *shelf) check(ctx context.Context, p *Package) (*modules.Tree, error) {
	t, err := s.tree(ctx, p.Name, p.Target())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	release := s.releases[p.Record]
	s.mu.Unlock()
	if release != nil {
		err = modules.Check(ctx, s.sources.Blocks, t, release)
	} else {
		err = s.compare(ctx, p, t)
	}
	if err != nil && ctx.Err() == nil {
		return nil, &IntegrityError{Path: p.Path, Name: p.Name, Module: p.Module, Err: err}
	}
	return t, err
}

// compare reports whether the module's package.json says what p says.
func (s *shelf) compare(ctx context.Context, p *Package, t *modules.Tree) error {
	if !p.Record.Defined() {
		own, err := s.describe(ctx, p.Name, t)
		if err != nil {
			return err
		}
		return compareManifests(p, own)
	}
	pj, err := t.Package(ctx, s.sources.Blocks)
	if err != nil {
		return err
	}
	m, err := pj.Manifest(paths(t))
	if err != nil {
		return err
	}
	return compareManifests(p, lockfile.New(&records.Release{
		Name: pj.Name, Version: pj.Version, Module: t.CID, Size: t.Size, Files: int64(len(t.Files)), Manifest: m, Pins: pj.Pins,
	}))
}

// compareManifests says in which field es-lock.json and package.json differ.
func compareManifests(locked, own *Package) error {
	field, here, there := locked.Differs(own)
	if field == "" {
		return nil
	}
	return fmt.Errorf("its package.json and es-lock.json differ in %s: %q and %q", field, clip(fmt.Sprint(there)), clip(fmt.Sprint(here)))
}

// resolved reports whether the user's trust chose the record in this operation.
func (s *shelf) resolved(record cid.Cid) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.releases[record] != nil
}

// remember keeps what was signed, for check.
func (s *shelf) remember(r *Resolution) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releases[r.Record] = &r.Release
}
