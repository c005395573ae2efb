package modules

import (
	"context"
	"errors"
	"io/fs"
)

// A File is one file of a module to be.
type File struct {
	Path string // with '/' between elements, relative to the module's root
	Size int64  // bytes
	Exec bool   // has mode 0755 in the tree; otherwise 0644
}

// A Warning is about something in the directory that will not be in the module.
type Warning struct {
	Path   string
	Reason string
}

// A FileSet is the list of files that make a module, and its package.json.
type FileSet struct {
	Files    []File // sorted by Path
	Warnings []Warning
	Package  *PackageJSON
}

// Scan lists the files of the package directory dir that npm would publish
// (npm-packlist 10.0.4). Nothing is written and no script runs. It returns a
// *RuleError that names the file when a file could not be the same on every
// operating system.
func Scan(dir string) (*FileSet, error) {
	return nil, errors.New("scan: not built yet")
}

// Whole takes every regular file of fsys, as for a package that was published
// before. It makes the same checks as Scan.
func Whole(fsys fs.FS) (*FileSet, error) {
	return nil, errors.New("take files: not built yet")
}

// Pack writes the module's blocks to s and returns what a release says about
// it. Files are read once, in chunks; two are read at a time. A file that has
// changed its size since Scan is an error.
func (f *FileSet) Pack(ctx context.Context, s Store) (*Module, error) {
	return nil, errors.New("pack: not built yet")
}
