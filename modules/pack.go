package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// packWorkers is how many files are read at a time.
const packWorkers = 2

// maxShebang is how far npm looks for the end of a shebang line.
const maxShebang = 2048

// Pack writes the module's blocks to s and returns what a release says about
// it. Files are read once, in chunks; two are read at a time. A file that has
// changed its size since Scan is an error, and files that must not be published
// are a *SecretError; s may hold blocks then.
func (f *FileSet) Pack(ctx context.Context, s Store) (*Module, error) {
	m, err := f.pack(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("pack module: %w", err)
	}
	return m, nil
}

func (f *FileSet) pack(ctx context.Context, s Store) (*Module, error) {
	f.guard.begin()
	roots := make([]built, len(f.Files))
	counter := &uniqueBytes{store: s, sizes: make(map[cid.Cid]int)}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(packWorkers)
	for i := range f.Files {
		g.Go(func() error {
			var err error
			roots[i], err = f.packFile(gctx, counter, &f.Files[i])
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
	for _, r := range roots {
		m.Size += r.bytes
	}
	if err := checkExpansion(m.Size, counter.total); err != nil {
		return nil, err
	}
	b := &builder{ctx, counter}
	root, err := b.tree(f.Files, roots, 0)
	if err != nil {
		return nil, err
	}
	m.CID = root.cid
	return m, nil
}

// tree builds the directory of files, which are sorted by comparePaths and
// agree in their first skip bytes.
func (b *builder) tree(files []File, roots []built, skip int) (built, error) {
	var entries []pbLink
	for len(files) > 0 {
		name, _, isDir := strings.Cut(files[0].Path[skip:], "/")
		if !isDir {
			entries = append(entries, pbLink{cid: roots[0].cid, name: name, tsize: roots[0].tsize})
			files, roots = files[1:], roots[1:]
			continue
		}
		prefix := files[0].Path[:skip+len(name)+1]
		n := 1
		for n < len(files) && strings.HasPrefix(files[n].Path, prefix) {
			n++
		}
		dir, err := b.tree(files[:n], roots[:n], len(prefix))
		if err != nil {
			return built{}, err
		}
		entries = append(entries, pbLink{cid: dir.cid, name: name, tsize: dir.tsize})
		files, roots = files[n:], roots[n:]
	}
	return b.directory(entries)
}

func (f *FileSet) packFile(ctx context.Context, s Store, file *File) (built, error) {
	r, err := f.fsys.Open(file.Path)
	if err != nil {
		return built{}, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return built{}, err
	}
	if !info.Mode().IsRegular() || info.Size() != file.onDisk {
		return built{}, fmt.Errorf("%q changed while it was packed", file.Path)
	}
	contents := f.normalised(file, r)
	var secrets *secretReader
	if f.guard != nil && !f.guard.allowed[file.Path] {
		secrets = newSecretReader(contents, file.Path)
		contents = secrets
	}
	root, err := packContents(&builder{ctx, s}, contents, file)
	if err != nil {
		return built{}, fmt.Errorf("%q: %w", file.Path, err)
	}
	if secrets != nil {
		if what := secrets.finish(); what != "" {
			f.guard.add(Secret{Path: file.Path, What: what})
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

func packContents(b *builder, r io.Reader, file *File) (built, error) {
	var chunks []pbLink
	for left := file.Size; left > 0; {
		// The store may keep the chunk, so each has its own memory.
		chunk := make([]byte, min(left, chunkSize))
		if _, err := io.ReadFull(r, chunk); err != nil {
			return built{}, shortRead(err)
		}
		c, err := b.put(cid.Raw, chunk)
		if err != nil {
			return built{}, err
		}
		chunks = append(chunks, pbLink{cid: c, tsize: uint64(len(chunk))})
		left -= int64(len(chunk))
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != nil && err != io.EOF {
		return built{}, shortRead(err)
	}
	return b.file(chunks, file.Exec)
}

func shortRead(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("changed while it was packed")
	}
	return err
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

// checkExpansion refuses trees that are far larger than their blocks ([M27]).
func checkExpansion(size, unique int64) error {
	const free, ratio = 1 << 20, 20
	if size > free && size-free > ratio*unique {
		return broken("M27", "", "the files have %d bytes, and their blocks only %d: more than %d times less", size, unique, ratio)
	}
	return nil
}
