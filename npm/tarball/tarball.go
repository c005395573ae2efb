// Package tarball reads the files of a package's tarball as npm 11 leaves them in
// node_modules: no file is filtered, links are left out, .gitignore becomes
// .npmignore (SPEC.md section 17). It writes nothing and needs no memory for the
// files; what npm would mend or skip in broken archives is refused.
package tarball

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/everythingstays/es/records"
)

// MaxEntries is how many entries a tarball may have, directories and links counted.
const MaxEntries = 4 * records.MaxFiles

// A File is a regular file of the package.
type File struct {
	Path string // from the package's root, with slashes
	Size int64  // bytes
	Exec bool   // its owner may execute it
}

// A FormatError says that a tarball is not one that is read here.
type FormatError struct {
	Path   string // of the entry; may be empty
	Reason string
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return "read tarball: " + e.Reason
	}
	return fmt.Sprintf("read tarball: %q: %s", records.Clip(e.Path), e.Reason)
}

func broken(path, format string, args ...any) error {
	return &FormatError{path, fmt.Sprintf(format, args...)}
}

// Links are entries that were left out, as npm leaves them out.
type Links []string

// Read calls visit for each file in the archive's order, with its contents, which
// visit need not read. The archive is gzip or plain; it is read to its end. An error
// of visit is returned as it is, one of the archive is a *FormatError or wraps what r
// returned. Files together may have records.MaxModuleSize bytes.
func Read(r io.Reader, visit func(File, io.Reader) error) (Links, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	a := archive{tar: tar.NewReader(plain)}
	if err := a.read(visit); err != nil {
		return nil, err
	}
	return a.links, checkEnd(plain)
}

// decompress undoes gzip where the first bytes are gzip's.
func decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, err := buffered.Peek(2)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read tarball: %w", err)
	}
	if string(magic) != "\x1f\x8b" {
		return buffered, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, gzipError(err)
	}
	z.Multistream(false)
	return &gzipReader{z: z, rest: buffered}, nil
}

// A gzipReader reads one gzip stream or several, after which nothing may come.
type gzipReader struct {
	z    *gzip.Reader
	rest *bufio.Reader
}

func (g *gzipReader) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, gzipError(err)
	}
	return n, g.next()
}

// next begins another stream if one follows.
func (g *gzipReader) next() error {
	magic, err := g.rest.Peek(2)
	if len(magic) == 0 && err == io.EOF {
		return io.EOF
	}
	if string(magic) != "\x1f\x8b" {
		return broken("", "something follows the gzip stream")
	}
	if err := g.z.Reset(g.rest); err != nil {
		return gzipError(err)
	}
	g.z.Multistream(false)
	return nil
}

func gzipError(err error) error {
	switch {
	case errors.Is(err, gzip.ErrHeader):
		return broken("", "not a gzip stream")
	case errors.Is(err, gzip.ErrChecksum):
		return broken("", "gzip's checksum is wrong")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return broken("", "ends too early")
	}
	return fmt.Errorf("read tarball: %w", err)
}

// checkEnd reads what follows the archive: zeros of its last record, nothing else.
func checkEnd(r io.Reader) error {
	buf := make([]byte, 32<<10)
	var total int64
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return broken("", "something follows the archive")
			}
		}
		if total += int64(n); total > records.MaxModuleSize {
			return broken("", "zeros without end follow the archive")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type archive struct {
	tar     *tar.Reader
	links   Links
	entries int
	files   int
	size    int64
	ignores []string // paths of .npmignore so far
}

func (a *archive) read(visit func(File, io.Reader) error) error {
	for {
		h, err := a.tar.Next()
		if err == io.EOF {
			if a.entries == 0 {
				return broken("", "has no entries")
			}
			return nil
		}
		if err != nil {
			return tarError(err)
		}
		if a.entries++; a.entries > MaxEntries {
			return broken("", "has more than %d entries", MaxEntries)
		}
		file, ok, err := a.file(h)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := visit(file, &contents{r: a.tar}); err != nil {
			return err
		}
	}
}

// contents gives a file's bytes, with errors of the archive as such.
type contents struct{ r io.Reader }

func (c *contents) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = tarError(err)
	}
	return n, err
}

func tarError(err error) error {
	var format *FormatError
	switch {
	case errors.As(err, &format):
		return format
	case errors.Is(err, io.ErrUnexpectedEOF):
		return broken("", "ends too early")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return broken("", "is not an archive that tar reads: %v", err)
	}
	return fmt.Errorf("read tarball: %w", err)
}

// file says which file of the package an entry is; ok is false for what npm leaves
// out.
func (a *archive) file(h *tar.Header) (f File, ok bool, err error) {
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return f, false, nil
	case tar.TypeReg, tar.TypeDir, tar.TypeCont:
	case tar.TypeSymlink, tar.TypeLink:
		if a.links = append(a.links, h.Name); len(a.links) > records.MaxFiles {
			return f, false, broken("", "has more than %d links", records.MaxFiles)
		}
		return f, false, nil
	default:
		return f, false, broken(h.Name, "is neither a file nor a directory (type %q)", h.Typeflag)
	}
	if h.Size < 0 || isSparse(h) {
		return f, false, broken(h.Name, "is a sparse file")
	}
	at, err := inPackage(h.Name)
	if err != nil || h.Typeflag == tar.TypeDir || at == "" {
		return f, false, err
	}
	f = File{Path: at, Size: h.Size, Exec: h.Mode&0o100 != 0}
	switch path.Base(at) {
	case ".npmignore":
		a.ignores = append(a.ignores, at)
	case ".gitignore":
		f.Path = strings.TrimSuffix(at, ".gitignore") + ".npmignore"
		if slices.Contains(a.ignores, f.Path) {
			return f, false, nil
		}
	}
	if a.files++; a.files > records.MaxFiles {
		return f, false, broken("", "has more than %d files", records.MaxFiles)
	}
	if a.size += f.Size; f.Size > records.MaxModuleSize || a.size > records.MaxModuleSize {
		return f, false, broken("", "has more than %d bytes of files", int64(records.MaxModuleSize))
	}
	return f, true, nil
}

func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// inPackage drops the first element of an entry's name, whatever it is called, as
// npm does; what stands beside that directory is no part of the package ("").
func inPackage(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", broken(name, "is an absolute path")
	}
	var elements []string
	for i, e := range strings.Split(name, "/") {
		if e == ".." {
			return "", broken(name, "leads out of the package")
		}
		if i > 0 && e != "" && e != "." {
			elements = append(elements, e)
		}
	}
	return strings.Join(elements, "/"), nil
}
