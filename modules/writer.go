package modules

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A FileWriter stores what is written to it as one file that is no module's, such as a
// tarball. The blocks are those that the file would have in a module.
type FileWriter struct{ c chunker }

// NewFileWriter returns a FileWriter that stores its blocks in s.
func NewFileWriter(ctx context.Context, s Store) *FileWriter {
	return &FileWriter{chunker{b: &builder{ctx, s}}}
}

func (w *FileWriter) Write(p []byte) (int, error) { return w.c.Write(p) }

// Finish returns the file's root.
func (w *FileWriter) Finish() (cid.Cid, error) {
	chunks, err := w.c.finish()
	if err != nil {
		return cid.Undef, fmt.Errorf("pack file: %w", err)
	}
	root, err := w.c.b.file(chunks, false)
	if err != nil {
		return cid.Undef, fmt.Errorf("pack file: %w", err)
	}
	return root.cid, nil
}

// A Writer makes a module of files that come one after the other in any order, such
// as those of a tarball, which it never holds in memory. It takes every file, as
// Whole does, and makes the same tree of them.
type Writer struct {
	b       *builder     // of chunks
	nodes   *builder     // of what lies above them
	counter *uniqueBytes // of the tree's blocks, chunks that stay out of it not counted
	files   map[string]written
	size    int64
	json    []byte // of package.json, once it came
}

// written is a file whose chunks are stored.
type written struct {
	chunks []pbLink
	size   int64
	exec   bool
	// crlf are the chunks without the CR of the shebang line, for a file that has
	// one: only the manifest tells whether the file is a program ([M8]).
	crlf []pbLink
}

// NewWriter returns a Writer that stores its blocks in s.
func NewWriter(ctx context.Context, s Store) *Writer {
	counter := &uniqueBytes{store: s, sizes: make(map[cid.Cid]int)}
	return &Writer{b: &builder{ctx, s}, nodes: &builder{ctx, counter}, counter: counter, files: make(map[string]written)}
}

// Add stores a file of size bytes, which r must have exactly; exec is whether its
// owner may execute it. A path that a module cannot have, and one that came before
// with other contents, are a *RuleError. After an error the Writer is of no use.
func (w *Writer) Add(path string, size int64, exec bool, r io.Reader) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if len(w.files) == records.MaxFiles {
		return broken("M26", path, "with this file the module has more than %d files", records.MaxFiles)
	}
	if w.size += size; size < 0 || size > records.MaxModuleSize || w.size > records.MaxModuleSize {
		return broken("M26", path, "with this file the module has more than %d bytes", int64(records.MaxModuleSize))
	}
	if path == packageJSON {
		var err error
		if r, err = w.keepPackageJSON(size, r); err != nil {
			return err
		}
	}
	f, err := w.store(size, r)
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	f.exec = exec
	if before, twice := w.files[path]; twice {
		if before.exec != f.exec || !slices.EqualFunc(before.chunks, f.chunks, func(x, y pbLink) bool { return x.cid == y.cid }) {
			return broken("M11", path, "is there twice, with other contents")
		}
		w.size -= size
	}
	w.files[path] = f
	return nil
}

// keepPackageJSON reads package.json into memory, within its limit.
func (w *Writer) keepPackageJSON(size int64, r io.Reader) (io.Reader, error) {
	if size > MaxPackageJSON {
		return nil, broken("M40", packageJSON, "has %d bytes, the limit is %d", size, MaxPackageJSON)
	}
	w.json = make([]byte, size)
	if _, err := io.ReadFull(r, w.json); err != nil {
		return nil, fmt.Errorf("%q: %w", packageJSON, err)
	}
	return io.MultiReader(bytes.NewReader(w.json), r), nil
}

// store puts a file's chunks, once more without the CR of a shebang line if it has one.
func (w *Writer) store(size int64, r io.Reader) (written, error) {
	head := make([]byte, min(size, maxShebang))
	if _, err := io.ReadFull(r, head); err != nil {
		return written{}, err
	}
	plain := chunker{b: w.b}
	chunkers := []io.Writer{&plain}
	var unix *chunker
	if err := plain.write(head); err != nil {
		return written{}, err
	}
	if i, crlf := crlfShebang(head); crlf {
		unix = &chunker{b: w.b}
		if err := unix.write(slices.Delete(slices.Clone(head), i, i+1)); err != nil {
			return written{}, err
		}
		chunkers = append(chunkers, unix)
	}
	n, err := io.Copy(io.MultiWriter(chunkers...), io.LimitReader(r, size-int64(len(head))+1))
	if err != nil {
		return written{}, err
	}
	if got := n + int64(len(head)); got != size {
		return written{}, fmt.Errorf("has %d bytes, not %d", got, size)
	}
	f := written{size: size}
	if f.chunks, err = plain.finish(); err != nil || unix == nil {
		return f, err
	}
	f.crlf, err = unix.finish()
	return f, err
}

// A chunker cuts what is written to it into chunks and stores them.
type chunker struct {
	b     *builder
	chunk []byte
	links []pbLink
}

func (c *chunker) Write(p []byte) (int, error) {
	if err := c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *chunker) write(p []byte) error {
	for len(p) > 0 {
		if c.chunk == nil {
			c.chunk = make([]byte, 0, min(chunkSize, max(len(p), 4<<10)))
		}
		n := min(len(p), chunkSize-len(c.chunk))
		c.chunk = append(c.chunk, p[:n]...)
		p = p[n:]
		if len(c.chunk) == chunkSize {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush stores the chunk, whose memory the store may keep.
func (c *chunker) flush() error {
	id, err := c.b.put(cid.Raw, c.chunk)
	if err != nil {
		return err
	}
	c.links = append(c.links, pbLink{cid: id, tsize: uint64(len(c.chunk))})
	c.chunk = nil
	return nil
}

func (c *chunker) finish() ([]pbLink, error) {
	if len(c.chunk) > 0 {
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	return c.links, nil
}

// Finish makes the tree of all files and returns what a release says about it.
func (w *Writer) Finish() (*Module, error) {
	m, err := w.finish(ParsePackageJSON)
	if err != nil {
		return nil, fmt.Errorf("pack module: %w", err)
	}
	return m, nil
}

// FinishImported is Finish for a tarball that a registry serves as name@version.
func (w *Writer) FinishImported(name string, version records.Version) (*Module, error) {
	m, err := w.finish(func(b []byte) (*PackageJSON, error) { return ParseImported(b, name, version) })
	if err != nil {
		return nil, fmt.Errorf("pack module: %w", err)
	}
	return m, nil
}

func (w *Writer) finish(parse func([]byte) (*PackageJSON, error)) (*Module, error) {
	paths := make([]string, 0, len(w.files))
	for p := range w.files {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, comparePaths)
	if err := checkPaths(paths); err != nil {
		return nil, err
	}
	if w.json == nil {
		return nil, broken("M40", packageJSON, "is not there")
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
	files, roots, err := w.roots(paths, manifest.Bin)
	if err != nil {
		return nil, err
	}
	for _, r := range roots {
		m.Size += r.bytes
	}
	if err := checkExpansion(m.Size, w.counter.total); err != nil {
		return nil, err
	}
	root, err := w.nodes.tree(files, roots, 0)
	if err != nil {
		return nil, err
	}
	m.CID = root.cid
	return m, nil
}

// roots makes the root of each file, now that the programs are known.
func (w *Writer) roots(paths []string, bin map[string]string) ([]File, []built, error) {
	programs := make(map[string]bool)
	for _, p := range bin {
		programs[p] = true
	}
	files := make([]File, len(paths))
	roots := make([]built, len(paths))
	for i, p := range paths {
		f := w.files[p]
		chunks := f.chunks
		files[i] = File{Path: p, Size: f.size, Exec: f.exec || programs[p]}
		if programs[p] && f.crlf != nil {
			chunks, files[i].Size = f.crlf, f.size-1
		}
		for _, c := range chunks {
			w.counter.count(c.cid, int(c.tsize))
		}
		var err error
		if roots[i], err = w.nodes.file(chunks, files[i].Exec); err != nil {
			return nil, nil, err
		}
	}
	return files, roots, nil
}
