package modules

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/modules/unixfs"
)

// packWorkers is how many files are read at a time.
const packWorkers = 2

// maxShebang is how far npm looks for the end of a shebang line.
const maxShebang = 2048

// Pack writes the module's blocks to s and returns what a release says about
// it. Files are read once, in chunks; two are read at a time. A file that has
// changed its size since Scan is an error, and files that must not be published
// are a *SecretError; s may hold blocks then.
func (f *FileSet) Pack(ctx context.Context, s unixfs.Store) (*Module, error) {
	m, err := f.pack(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("pack module: %w", err)
	}
	return m, nil
}

func (f *FileSet) pack(ctx context.Context, s unixfs.Store) (*Module, error) {
	f.guard.begin()
	roots := make([]unixfs.Root, len(f.Files))
	paths := make([]string, len(f.Files))
	b := unixfs.NewBuilder(s)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(packWorkers)
	for i := range f.Files {
		paths[i] = f.Files[i].Path
		g.Go(func() error {
			var err error
			roots[i], err = f.packFile(gctx, b, &f.Files[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := f.guard.err(); err != nil {
		return nil, err
	}
	m := &Module{
		Name: f.Package.Name, Version: f.Package.Version, Manifest: f.manifest, Pins: f.Package.Pins,
		Files: int64(len(f.Files)),
	}
	var err error
	if m.CID, m.Size, err = b.Tree(ctx, paths, roots); err != nil {
		return nil, err
	}
	return m, nil
}

func (f *FileSet) packFile(ctx context.Context, b *unixfs.Builder, file *File) (unixfs.Root, error) {
	r, err := f.fsys.Open(file.Path)
	if err != nil {
		return unixfs.Root{}, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return unixfs.Root{}, err
	}
	if !info.Mode().IsRegular() || info.Size() != file.onDisk {
		return unixfs.Root{}, fmt.Errorf("%q changed while it was packed", file.Path)
	}
	contents := f.normalised(file, r)
	var secrets *secretReader
	if f.guard != nil && !f.guard.allowed[file.Path] {
		secrets = newSecretReader(contents, file.Path)
		contents = secrets
	}
	root, err := b.File(ctx, contents, file.Size, file.Exec)
	if err != nil {
		return unixfs.Root{}, fmt.Errorf("%q: %w", file.Path, err)
	}
	if secrets != nil {
		if what := secrets.finish(); what != "" {
			f.guard.add(Secret{Path: file.Path, Kind: what})
		}
	}
	return root, nil
}

// normalised returns the contents of a file as they are in the tree.
func (f *FileSet) normalised(file *File, r io.Reader) io.Reader {
	if file.Size == file.onDisk {
		return r
	}
	return &shebangReader{r: r}
}

// crlfShebang reports whether head, the first bytes of a program, begins with a
// shebang line that ends with CR LF, and where the CR is.
func crlfShebang(head []byte) (int, bool) {
	if !bytes.HasPrefix(head, []byte("#!")) {
		return 0, false
	}
	end := bytes.IndexByte(head, '\n')
	if end < len("#!x\r") || head[end-1] != '\r' {
		return 0, false
	}
	return end - 1, true
}

// hasCRLFShebang looks into a file as npm does when it installs a program.
func hasCRLFShebang(fsys fs.FS, path string) (bool, error) {
	r, err := fsys.Open(path)
	if err != nil {
		return false, err
	}
	defer r.Close()
	head := make([]byte, maxShebang)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	_, crlf := crlfShebang(head[:n])
	return crlf, nil
}

// A shebangReader drops the CR of a CRLF shebang line.
type shebangReader struct {
	r    io.Reader
	head []byte
	done bool
}

func (s *shebangReader) Read(p []byte) (int, error) {
	if !s.done {
		s.done = true
		head := make([]byte, maxShebang)
		n, err := io.ReadFull(s.r, head)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		s.head = head[:n]
		if i, ok := crlfShebang(s.head); ok {
			s.head = slices.Delete(s.head, i, i+1)
		}
	}
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	return s.r.Read(p)
}
