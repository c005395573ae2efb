package modules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/packlist"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// A File is one file of a module to be.
type File struct {
	Path string // with '/' between elements, relative to the module's root
	Size int64  // bytes
	Exec bool   // has mode 0755 in the tree; otherwise 0644

	onDisk int64 // bytes before normalising
}

// A FileSet is the list of files that make a module, and its package.json.
type FileSet struct {
	Files    []File // sorted by Path, element by element
	Warnings []packlist.Warning
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
	paths, warnings, err := packlist.List(filepath.ToSlash(dir))
	if err != nil {
		return nil, err
	}
	fsys := os.DirFS(dir)
	if err := refuseOwnFiles(fsys, paths, homes); err != nil {
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

// ScanFS takes every regular file of fsys, as for a package that was published
// before. It makes the same checks as Scan, but for secrets: see RefuseSecrets.
func ScanFS(fsys fs.FS) (*FileSet, error) {
	var paths []string
	var warnings []packlist.Warning
	err := fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Type().IsRegular():
			paths = append(paths, p)
		case !e.IsDir():
			warnings = append(warnings, packlist.Warning{Path: p, Reason: "is not a regular file and is left out"})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scan module: %w", err)
	}
	slices.SortFunc(paths, unixfs.ComparePaths)
	f, err := newFileSet(fsys, paths, warnings)
	if err != nil {
		return nil, fmt.Errorf("scan module: %w", err)
	}
	return f, nil
}

func newFileSet(fsys fs.FS, paths []string, warnings []packlist.Warning) (*FileSet, error) {
	if err := unixfs.CheckPaths(paths); err != nil {
		return nil, err
	}
	if !slices.Contains(paths, npmjson.FileName) {
		return nil, ruleErrorf("M40", npmjson.FileName, "is not there")
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
	b, err := regularfile.ReadFS(fsys, npmjson.FileName, MaxPackageJSON)
	var size *regularfile.SizeError
	if errors.As(err, &size) {
		return nil, ruleErrorf("M40", npmjson.FileName, "has more than %d bytes", size.Limit)
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
			return ruleErrorf("M26", p, "with this file the module has more than %d bytes", int64(records.MaxModuleSize))
		}
		f.Files = append(f.Files, file)
	}
	return nil
}
