package modules

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// An Entry is one file of a tree.
type Entry struct {
	Path string
	Size int64 // bytes
	Exec bool  // mode 0755; otherwise 0644
	CID  cid.Cid
}

// A Tree is a module that was walked and found to keep every rule. It holds no
// file contents.
type Tree struct {
	CID   cid.Cid
	Size  int64   // bytes of all files
	Files []Entry // sorted by Path, element by element
}

// Read returns the file at path, which may have at most max bytes. A file that
// is not there is fs.ErrNotExist.
func (t *Tree) Read(ctx context.Context, blocks Blocks, path string, max int64) ([]byte, error) {
	for i := range t.Files {
		f := &t.Files[i]
		if f.Path != path {
			continue
		}
		if f.Size > max {
			return nil, fmt.Errorf("read %q: it has %d bytes, at most %d are wanted", clip(path), f.Size, max)
		}
		var b bytes.Buffer
		if err := copyFile(ctx, blocks, f, &b); err != nil {
			return nil, fmt.Errorf("read %q: %w", clip(path), err)
		}
		return b.Bytes(), nil
	}
	return nil, fmt.Errorf("read %q: %w", clip(path), fs.ErrNotExist)
}

// Package reads and parses the tree's package.json. A tree without one is
// fs.ErrNotExist.
func (t *Tree) Package(ctx context.Context, blocks Blocks) (*PackageJSON, error) {
	b, err := t.Read(ctx, blocks, packageJSON, MaxPackageJSON)
	if err != nil {
		return nil, err
	}
	return ParsePackageJSON(b)
}

// Paths returns the paths of all files, as PackageJSON.Manifest takes them.
func (t *Tree) Paths() []string {
	paths := make([]string, len(t.Files))
	for i := range t.Files {
		paths[i] = t.Files[i].Path
	}
	return paths
}

// Module derives everything that a release says about the module.
func (t *Tree) Module(ctx context.Context, blocks Blocks) (*Module, error) {
	p, err := t.Package(ctx, blocks)
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
func Check(ctx context.Context, blocks Blocks, t *Tree, r *records.Release) error {
	m, err := t.Module(ctx, blocks)
	if err != nil {
		return fmt.Errorf("check module %s: %w", t.CID, err)
	}
	differs := func(what string, module, release any) error {
		return fmt.Errorf("check module %s: %w", t.CID,
			broken("M50", "", "its %s is %q, the release says %q", what, fmt.Sprint(module), fmt.Sprint(release)))
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

// copyFile writes the contents of a file of an inspected tree, and stops before
// a byte that is not the file's.
func copyFile(ctx context.Context, blocks Blocks, f *Entry, w io.Writer) error {
	left := f.Size
	if err := copyPart(ctx, blocks, f.CID, &left, w, 0); err != nil {
		return err
	}
	if left != 0 {
		return broken("M23", f.Path, "has %d bytes less than its blocks say", left)
	}
	return nil
}

func copyPart(ctx context.Context, blocks Blocks, c cid.Cid, left *int64, w io.Writer, depth int) error {
	if depth > 2*MaxFileDepth {
		return broken("M22", "", "a file is deeper than %d blocks", MaxFileDepth)
	}
	b, err := fetch(ctx, blocks, c)
	if err != nil {
		return err
	}
	if c.Type() == cid.Raw {
		return copyBytes(b, left, w)
	}
	n, err := decodeNode(b)
	if err != nil {
		return broken("M23", "", "block %s: %v", c, err)
	}
	f, err := decodeFS(n.data)
	if err != nil {
		return broken("M23", "", "block %s: its UnixFS data %v", c, err)
	}
	if err := copyBytes(f.data, left, w); err != nil {
		return err
	}
	for i, l := range n.links {
		before := *left
		if err := copyPart(ctx, blocks, l.cid, left, w, depth+1); err != nil {
			return err
		}
		if i >= len(f.blockSizes) || uint64(before-*left) != f.blockSizes[i] {
			return broken("M23", "", "block %s: does not have the size with which it is linked", l.cid)
		}
	}
	return nil
}

func copyBytes(b []byte, left *int64, w io.Writer) error {
	if int64(len(b)) > *left {
		return broken("M23", "", "a file has more bytes than its blocks say")
	}
	*left -= int64(len(b))
	_, err := w.Write(b)
	return err
}
