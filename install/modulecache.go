package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/internal/jsonfile"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// A moduleCache holds the trees of modules, fetching what is not here yet. It is the
// tree.Modules of a plan.
type moduleCache struct {
	sources Sources

	mu       sync.Mutex
	trees    map[cid.Cid]*unixfs.Tree
	releases map[cid.Cid]*records.Release // by record id: what was signed
	failed   map[cid.Cid]error            // what fetching said
}

func newModuleCache(s Sources) *moduleCache {
	return &moduleCache{sources: s, trees: map[cid.Cid]*unixfs.Tree{}, releases: map[cid.Cid]*records.Release{}, failed: map[cid.Cid]error{}}
}

// tree returns the module within b, which is then complete in Blocks.
func (c *moduleCache) tree(ctx context.Context, name records.Name, b records.Target) (*unixfs.Tree, error) {
	c.mu.Lock()
	t := c.trees[b.CID]
	c.mu.Unlock()
	if t != nil && (b.Size < 0 || b.Size == t.Size) && (b.Files < 0 || b.Files == int64(len(t.Files))) {
		return t, nil
	}
	t, err := unixfs.Inspect(ctx, c.sources.Blocks, b)
	if err != nil && !isRuleError(err) && ctx.Err() == nil {
		if t, err = c.fetch(ctx, name, b, err); err != nil && !isRuleError(err) {
			return nil, err
		}
	}
	if err != nil {
		return nil, &IntegrityError{Name: name, Module: b.CID, Err: err}
	}
	c.mu.Lock()
	c.trees[b.CID] = t
	c.mu.Unlock()
	return t, nil
}

func (c *moduleCache) fetch(ctx context.Context, name records.Name, b records.Target, missing error) (*unixfs.Tree, error) {
	if c.sources.Fetcher == nil {
		return nil, &MissingError{Name: name, Module: b.CID, Err: missing}
	}
	c.mu.Lock()
	err := c.failed[b.CID]
	c.mu.Unlock()
	if err != nil {
		return nil, err // it was waited for already
	}
	if err := c.sources.Fetcher.Fetch(ctx, name, b); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
		if ctx.Err() == nil {
			c.mu.Lock()
			c.failed[b.CID] = err
			c.mu.Unlock()
		}
		return nil, err
	}
	t, err := unixfs.Inspect(ctx, c.sources.Blocks, b)
	if err != nil {
		return nil, fmt.Errorf("read %s (%s): %w", name, b.CID, err)
	}
	return t, nil
}

func isRuleError(err error) bool {
	var rule *unixfs.RuleError
	return errors.As(err, &rule)
}

// Unsigned implements tree.Modules.
func (c *moduleCache) Unsigned(ctx context.Context, name records.Name, module cid.Cid) (*Package, error) {
	t, err := c.tree(ctx, name, records.Unbounded(module))
	if err != nil {
		return nil, err
	}
	return c.describe(ctx, name, t)
}

// describe derives a package without record from its files.
func (c *moduleCache) describe(ctx context.Context, name records.Name, t *unixfs.Tree) (*Package, error) {
	r := &records.Release{Name: name, Module: t.CID, Size: t.Size, Files: int64(len(t.Files))}
	text, err := t.Read(ctx, c.sources.Blocks, packagejson.Name, modules.MaxPackageJSON)
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
	fields["name"] = json.RawMessage(jsonfile.Quote(string(name)))
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

func paths(t *unixfs.Tree) []string {
	list := make([]string, len(t.Files))
	for i, f := range t.Files {
		list[i] = f.Path
	}
	return list
}

// Check implements tree.Modules: the module is to be what was signed, when that is
// known, and in any case what is locked.
func (c *moduleCache) Check(ctx context.Context, p *Package) error {
	_, err := c.check(ctx, p)
	return err
}

func (c *moduleCache) check(ctx context.Context, p *Package) (*unixfs.Tree, error) {
	t, err := c.tree(ctx, p.Name, p.Target())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	release := c.releases[p.Record]
	c.mu.Unlock()
	if release != nil {
		err = modules.Check(ctx, c.sources.Blocks, t, release)
	} else {
		err = c.compare(ctx, p, t)
	}
	if err != nil && ctx.Err() == nil {
		return nil, &IntegrityError{Path: p.Path, Name: p.Name, Module: p.Module, Err: err}
	}
	return t, err
}

// compare reports whether the module's package.json says what p says.
func (c *moduleCache) compare(ctx context.Context, p *Package, t *unixfs.Tree) error {
	if !p.Record.Defined() {
		own, err := c.describe(ctx, p.Name, t)
		if err != nil {
			return err
		}
		return compareManifests(p, own)
	}
	pj, err := modules.ReadPackageJSON(ctx, c.sources.Blocks, t)
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
	return fmt.Errorf("its package.json and es-lock.json differ in %s: %q and %q", field, records.Clip(fmt.Sprint(there)), records.Clip(fmt.Sprint(here)))
}

// resolved reports whether the user's trust chose the record in this operation.
func (c *moduleCache) resolved(record cid.Cid) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.releases[record] != nil
}

// Tree implements layout.Trees.
func (c *moduleCache) Tree(ctx context.Context, p *Package) (*unixfs.Tree, error) {
	return c.tree(ctx, p.Name, p.Target())
}

// Chosen implements tree.Modules: it keeps what was signed, for Check.
func (c *moduleCache) Chosen(r *Resolution) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releases[r.Record] = &r.Release
}
