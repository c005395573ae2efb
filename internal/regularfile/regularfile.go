// Package regularfile reads files that somebody else may have put in place: those of
// a checkout, of node_modules, of a home. A link to /dev/zero, a pipe without a writer
// or a directory is an error at once, and no more than a limit is ever read (SPEC.md
// [I130]). It never writes.
package regularfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrNotRegular is in the error for a device, a pipe, a socket or a directory, also
// behind a link.
var ErrNotRegular = errors.New("is not a regular file")

// A SizeError says that a file has more bytes than the limit.
type SizeError struct{ Limit int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("has more bytes than the limit of %d", e.Limit)
}

// CutBOM returns the UTF-8 byte order mark at the start of b, if any, and the rest. Every
// text file that a user edits may begin with one, as node and npm take it in package.json
// (SPEC.md [I131]).
func CutBOM(b []byte) (bom, text []byte) {
	if bytes.HasPrefix(b, []byte(bom8)) {
		return b[:len(bom8)], b[len(bom8):]
	}
	return nil, b
}

const bom8 = "\xef\xbb\xbf"

// Read returns the contents of the file at path, which are at most limit bytes. A link
// to a regular file is followed. Errors are *fs.PathError.
func Read(path string, limit int64) ([]byte, error) {
	return read(path, limit, os.Stat, func(name string) (fs.File, error) {
		return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	})
}

// ReadIn is Read for a file in root.
func ReadIn(root *os.Root, name string, limit int64) ([]byte, error) {
	return read(name, limit, root.Stat, func(name string) (fs.File, error) {
		return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	})
}

// ReadFS is Read for a file in fsys.
func ReadFS(fsys fs.FS, name string, limit int64) ([]byte, error) {
	return read(name, limit, func(name string) (fs.FileInfo, error) { return fs.Stat(fsys, name) }, fsys.Open)
}

// read looks before it opens, since opening alone can wait for ever or have effects,
// and again at what it opened, since that may be something else by then.
func read(name string, limit int64, stat func(string) (fs.FileInfo, error), open func(string) (fs.File, error)) ([]byte, error) {
	info, err := stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrNotRegular}
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrNotRegular}
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: &SizeError{limit}}
	}
	return b, nil
}
