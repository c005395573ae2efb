package modules

import (
	"context"
	"fmt"
	"maps"
	"reflect"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// ReadPackageJSON reads and parses the package.json of a tree. A tree without one is
// fs.ErrNotExist.
func ReadPackageJSON(ctx context.Context, blocks unixfs.Blocks, t *unixfs.Tree) (*PackageJSON, error) {
	b, err := t.Read(ctx, blocks, npmjson.FileName, MaxPackageJSON)
	if err != nil {
		return nil, err
	}
	return ParsePackageJSON(b)
}

// FromTree derives everything that a release says about the module of a tree.
func FromTree(ctx context.Context, blocks unixfs.Blocks, t *unixfs.Tree) (*Module, error) {
	p, err := ReadPackageJSON(ctx, blocks, t)
	if err != nil {
		return nil, err
	}
	return fromPackage(p, t)
}

// fromImported is FromTree for what a registry serves as name@version.
func fromImported(ctx context.Context, blocks unixfs.Blocks, t *unixfs.Tree, name records.Name, version records.Version) (*Module, error) {
	b, err := t.Read(ctx, blocks, npmjson.FileName, MaxPackageJSON)
	if err != nil {
		return nil, err
	}
	p, err := ParseImported(b, string(name), version)
	if err != nil {
		return nil, err
	}
	return fromPackage(p, t)
}

func fromPackage(p *PackageJSON, t *unixfs.Tree) (_ *Module, err error) {
	m := &Module{Name: p.Name, Version: p.Version, CID: t.CID, Size: t.Size, Files: int64(len(t.Files)), Pins: p.Pins}
	if m.Manifest, err = p.Manifest(t.Paths()); err != nil {
		return nil, err
	}
	return m, nil
}

// Check reports whether the module is what r says: its CID, size, number of
// files, and the name, version, manifest and pins of its own package.json. A
// difference is a *RuleError.
func Check(ctx context.Context, blocks unixfs.Blocks, t *unixfs.Tree, r *records.Release) error {
	m, err := FromTree(ctx, blocks, t)
	if r.Origin != nil {
		m, err = fromImported(ctx, blocks, t, r.Name, r.Version)
	}
	if err != nil {
		return fmt.Errorf("check module %s: %w", t.CID, err)
	}
	differs := func(what string, module, release any) error {
		return fmt.Errorf("check module %s: %w", t.CID,
			ruleErrorf("M50", "", "its %s is %q, the release says %q", what, fmt.Sprint(module), fmt.Sprint(release)))
	}
	switch {
	case !t.CID.Equals(r.Module):
		return differs("CID", t.CID, r.Module)
	case m.Size != r.Size:
		return differs("size", m.Size, r.Size)
	case m.Files != r.Files:
		return differs("number of files", m.Files, r.Files)
	case m.Name != r.Name:
		return differs("name", m.Name, r.Name)
	case m.Version != r.Version:
		return differs("version", m.Version, r.Version)
	case r.Origin == nil && !maps.Equal(m.Pins, r.Pins), r.Origin != nil && len(r.Pins) > 0:
		return differs("set of pins", m.Pins, r.Pins)
	}
	if field := m.Manifest.Difference(&r.Manifest); field != "" {
		v := func(m *records.Manifest) any { return reflect.ValueOf(m).Elem().FieldByName(field).Interface() }
		return differs("manifest's "+field, v(&m.Manifest), v(&r.Manifest))
	}
	return nil
}
