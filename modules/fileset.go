package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// A File is one file of a module to be.
type File struct {
	Path string // with '/' between elements, relative to the module's root
	Size int64  // bytes
	Exec bool   // has mode 0755 in the tree; otherwise 0644

	onDisk int64 // bytes before normalising
}

// A Warning is about something in the directory that will not be in the module.
type Warning struct {
	Path   string
	Reason string
}

// A FileSet is the list of files that make a module, and its package.json.
type FileSet struct {
	Files    []File // sorted by Path, element by element
	Warnings []Warning
	Package  *PackageJSON

	fsys     fs.FS
	manifest records.Manifest
	guard    *guard // nil where secrets are packed
}

// Scan lists the files of the package directory dir that npm would publish
// (npm-packlist 10.0.4). Nothing is written and no script runs. It returns a
// *RuleError that names the file when a file could not be the same on every
// operating system, and a *SecretError when files are es's own: those of homes, which
// are directories of the operating system, and of whatever looks like one ([M90]).
func Scan(dir string, homes ...string) (*FileSet, error) {
	f, err := scan(dir, homes)
	if err != nil {
		return nil, fmt.Errorf("scan module: %w", err)
	}
	return f, nil
}

func scan(dir string, homes []string) (*FileSet, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	paths, warnings, err := listPackage(filepath.ToSlash(dir))
	if err != nil {
		return nil, err
	}
	fsys := os.DirFS(dir)
	if err := ownFiles(fsys, paths, homes); err != nil {
		return nil, err
	}
	f, err := newFileSet(fsys, paths, warnings)
	if err != nil {
		return nil, err
	}
	f.warnOfDisclosure(paths)
	f.guard = &guard{}
	return f, nil
}

// Whole takes every regular file of fsys, as for a package that was published
// before. It makes the same checks as Scan, but for secrets: see Protect.
func Whole(fsys fs.FS) (*FileSet, error) {
	var paths []string
	var warnings []Warning
	err := fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Type().IsRegular():
			paths = append(paths, p)
		case !e.IsDir():
			warnings = append(warnings, Warning{p, "is not a regular file and is left out"})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scan module: %w", err)
	}
	slices.SortFunc(paths, comparePaths)
	f, err := newFileSet(fsys, paths, warnings)
	if err != nil {
		return nil, fmt.Errorf("scan module: %w", err)
	}
	return f, nil
}

func newFileSet(fsys fs.FS, paths []string, warnings []Warning) (*FileSet, error) {
	if err := checkPaths(paths); err != nil {
		return nil, err
	}
	if !slices.Contains(paths, packageJSON) {
		return nil, broken("M40", packageJSON, "is not there")
	}
	data, err := readPackageJSON(fsys)
	if err != nil {
		return nil, err
	}
	f := &FileSet{fsys: fsys, Warnings: warnings}
	if f.Package, err = ParsePackageJSON(data); err != nil {
		return nil, err
	}
	manifest, more, err := f.Package.manifest(paths)
	if err != nil {
		return nil, err
	}
	f.manifest = manifest
	f.Warnings = append(f.Warnings, more...)
	return f, f.statAll(paths)
}

func readPackageJSON(fsys fs.FS) ([]byte, error) {
	b, err := regularfile.ReadFS(fsys, packageJSON, MaxPackageJSON)
	var size *regularfile.SizeError
	if errors.As(err, &size) {
		return nil, broken("M40", packageJSON, "has more than %d bytes", size.Limit)
	}
	return b, err
}

func (f *FileSet) statAll(paths []string) error {
	bins := make(map[string]bool)
	for _, program := range f.manifest.Bin {
		bins[program] = true
	}
	var total int64
	for _, p := range paths {
		info, err := fs.Stat(f.fsys, p)
		if err != nil {
			return err
		}
		file := File{Path: p, Size: info.Size(), Exec: info.Mode()&0o100 != 0 || bins[p], onDisk: info.Size()}
		if bins[p] {
			crlf, err := hasCRLFShebang(f.fsys, p)
			if err != nil {
				return err
			}
			if crlf {
				file.Size--
			}
		}
		if total += file.Size; total > records.MaxModuleSize {
			return broken("M26", p, "with this file the module has more than %d bytes", int64(records.MaxModuleSize))
		}
		f.Files = append(f.Files, file)
	}
	return nil
}

// checkPaths checks the names of all files, and that no two of them are one on
// some system. The paths are sorted by comparePaths.
func checkPaths(paths []string) error {
	if len(paths) > records.MaxFiles {
		return broken("M26", "", "the module has %d files, the limit is %d", len(paths), records.MaxFiles)
	}
	for _, p := range paths {
		if err := checkPath(p); err != nil {
			return err
		}
	}
	directories := 0
	return checkDirectory(paths, 0, &directories)
}

// checkDirectory checks the entries of the directory that the first skip bytes
// of all paths name.
func checkDirectory(paths []string, skip int, directories *int) error {
	var names collisions
	entries := 0
	for len(paths) > 0 {
		name, _, isDir := strings.Cut(paths[0][skip:], "/")
		if other, collides := names.add(name); collides {
			return broken("M11", paths[0], "is the same as %q on some systems", clip(paths[0][:skip]+other))
		}
		if entries++; entries > MaxDirEntries {
			return broken("M25", paths[0], "its directory has more than %d entries", MaxDirEntries)
		}
		n := 1
		if isDir {
			if *directories++; *directories > MaxDirectories {
				return broken("M25", paths[0], "the module has more than %d directories", MaxDirectories)
			}
			prefix := paths[0][:skip+len(name)+1]
			for n < len(paths) && strings.HasPrefix(paths[n], prefix) {
				n++
			}
			if err := checkDirectory(paths[:n], len(prefix), directories); err != nil {
				return err
			}
		}
		paths = paths[n:]
	}
	return nil
}
