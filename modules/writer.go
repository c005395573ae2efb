package modules

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/unixfs"

	"github.com/everythingstays/es/records"
)

// A Writer makes a module of files that come one after the other in any order, such
// as those of a tarball, which it never holds in memory. It takes every file, as
// ScanFS does, and makes the same tree of them.
type Writer struct {
	store unixfs.Store
	files map[string]written
	size  int64
	json  []byte // of package.json, once it came

	entries []unixfs.Entry
}

// written is a file whose chunks are stored.
type written struct {
	chunks unixfs.Chunks
	size   int64
	exec   bool
	// crlf are the chunks without the CR of the shebang line, for a file that has
	// one: only the manifest tells whether the file is a program ([M8]).
	crlf *unixfs.Chunks
}

// NewWriter returns a Writer that stores its blocks in s.
func NewWriter(s unixfs.Store) *Writer {
	return &Writer{store: s, files: make(map[string]written)}
}

// Add stores a file of size bytes, which r must have exactly; exec is whether its
// owner may execute it. A path that a module cannot have, and one that came before
// with other contents, are a *RuleError. After an error the Writer is of no use.
func (w *Writer) Add(ctx context.Context, path string, size int64, exec bool, r io.Reader) error {
	if err := unixfs.CheckPath(path); err != nil {
		return err
	}
	if len(w.files) == records.MaxFiles {
		return ruleErrorf("M26", path, "with this file the module has more than %d files", records.MaxFiles)
	}
	if w.size += size; size < 0 || size > records.MaxModuleSize || w.size > records.MaxModuleSize {
		return ruleErrorf("M26", path, "with this file the module has more than %d bytes", int64(records.MaxModuleSize))
	}
	if path == npmjson.FileName {
		var err error
		if r, err = w.keepPackageJSON(size, r); err != nil {
			return err
		}
	}
	f, err := w.put(ctx, size, r)
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	f.exec = exec
	if before, twice := w.files[path]; twice {
		if before.exec != f.exec || !before.chunks.Equal(f.chunks) {
			return ruleErrorf("M11", path, "is there twice, with other contents")
		}
		w.size -= size
	}
	w.files[path] = f
	return nil
}

// keepPackageJSON reads package.json into memory, within its limit.
func (w *Writer) keepPackageJSON(size int64, r io.Reader) (io.Reader, error) {
	if size > MaxPackageJSON {
		return nil, ruleErrorf("M40", npmjson.FileName, "has %d bytes, the limit is %d", size, MaxPackageJSON)
	}
	w.json = make([]byte, size)
	if _, err := io.ReadFull(r, w.json); err != nil {
		return nil, fmt.Errorf("%q: %w", npmjson.FileName, err)
	}
	return io.MultiReader(bytes.NewReader(w.json), r), nil
}

// put stores a file's chunks, once more without the CR of a shebang line if it has one.
func (w *Writer) put(ctx context.Context, size int64, r io.Reader) (written, error) {
	head := make([]byte, min(size, maxShebang))
	if _, err := io.ReadFull(r, head); err != nil {
		return written{}, err
	}
	plain := unixfs.NewFileWriter(w.store)
	writers := []io.Writer{plain.Writer(ctx)}
	var unix *unixfs.FileWriter
	if _, err := writers[0].Write(head); err != nil {
		return written{}, err
	}
	if i, crlf := crlfShebang(head); crlf {
		unix = unixfs.NewFileWriter(w.store)
		writers = append(writers, unix.Writer(ctx))
		if _, err := writers[1].Write(slices.Delete(slices.Clone(head), i, i+1)); err != nil {
			return written{}, err
		}
	}
	n, err := io.Copy(io.MultiWriter(writers...), io.LimitReader(r, size-int64(len(head))+1))
	if err != nil {
		return written{}, err
	}
	if got := n + int64(len(head)); got != size {
		return written{}, fmt.Errorf("has %d bytes, not %d", got, size)
	}
	f := written{size: size}
	if f.chunks, err = plain.Chunks(ctx); err != nil || unix == nil {
		return f, err
	}
	crlf, err := unix.Chunks(ctx)
	f.crlf = &crlf
	return f, err
}

// Entries returns the files of the tree that Finish made, as Inspect finds them in it.
func (w *Writer) Entries() []unixfs.Entry { return w.entries }

// Finish makes the tree of all files and returns what a release says about it.
func (w *Writer) Finish(ctx context.Context) (*Module, error) {
	m, err := w.finish(ctx, ParsePackageJSON)
	if err != nil {
		return nil, fmt.Errorf("pack module: %w", err)
	}
	return m, nil
}

// FinishImported is Finish for a tarball that a registry serves as name@version.
func (w *Writer) FinishImported(ctx context.Context, name string, version records.Version) (*Module, error) {
	m, err := w.finish(ctx, func(b []byte) (*PackageJSON, error) { return ParseImported(b, name, version) })
	if err != nil {
		return nil, fmt.Errorf("pack module: %w", err)
	}
	return m, nil
}

func (w *Writer) finish(ctx context.Context, parse func([]byte) (*PackageJSON, error)) (*Module, error) {
	paths := make([]string, 0, len(w.files))
	for p := range w.files {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, unixfs.ComparePaths)
	if err := unixfs.CheckPaths(paths); err != nil {
		return nil, err
	}
	if w.json == nil {
		return nil, ruleErrorf("M40", npmjson.FileName, "is not there")
	}
	p, err := parse(w.json)
	if err != nil {
		return nil, err
	}
	manifest, err := p.Manifest(paths)
	if err != nil {
		return nil, err
	}
	m := &Module{Name: p.Name, Version: p.Version, Manifest: manifest, Pins: p.Pins, Files: int64(len(paths))}
	b := unixfs.NewBuilder(w.store)
	roots, err := w.roots(ctx, b, paths, manifest.Bin)
	if err != nil {
		return nil, err
	}
	if m.CID, m.Size, err = b.Tree(ctx, paths, roots); err != nil {
		return nil, err
	}
	return m, nil
}

// roots makes the root of each file, now that the programs are known.
func (w *Writer) roots(ctx context.Context, b *unixfs.Builder, paths []string, bin map[string]string) ([]unixfs.Root, error) {
	programs := make(map[string]bool)
	for _, p := range bin {
		programs[p] = true
	}
	roots := make([]unixfs.Root, len(paths))
	for i, p := range paths {
		f := w.files[p]
		chunks := f.chunks
		if programs[p] && f.crlf != nil {
			chunks = *f.crlf
		}
		var err error
		exec := f.exec || programs[p]
		if roots[i], err = b.Chunked(ctx, chunks, exec); err != nil {
			return nil, err
		}
		w.entries = append(w.entries, roots[i].Entry(p, exec))
	}
	return roots, nil
}
