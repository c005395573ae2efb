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
	case !maps.Equal(m.Pins, r.Pins):
		return differs("set of pins", m.Pins, r.Pins)
	}
	if field, module, release := manifestDifference(&m.Manifest, &r.Manifest); field != "" {
		return differs(field, module, release)
	}
	return nil
}

// manifestDifference returns the first field in which two manifests differ,
// where nothing and an empty list or map are the same.
func manifestDifference(a, b *records.Manifest) (field string, av, bv any) {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range va.NumField() {
		x, y := va.Field(i), vb.Field(i)
		if k := x.Kind(); (k == reflect.Map || k == reflect.Slice) && x.Len() == 0 && y.Len() == 0 {
			continue
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return "manifest's " + va.Type().Field(i).Name, x.Interface(), y.Interface()
		}
	}
	return "", nil, nil
}
