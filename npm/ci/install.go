package ci

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm/unpacked"
)

// tempPrefix begins the names of directories that a killed installation may leave.
const tempPrefix = ".es-tmp-ci-"

const workers = 4

// Files gives the path of a file that has exactly the contents of an entry, to be linked.
// It is a *blocks.Store.
type Files interface {
	File(ctx context.Context, e unixfs.Entry) (string, error)
}

// Result says what Install did.
type Result struct {
	Packages, Files int
	Copied          int      // files that could not be linked
	Bins            int      // commands in .bin
	Kept            []string // commands that two packages bring: the first has it
}

// A DamageError says that a block of a package was changed and nothing in this home has
// its bytes. The tarball has them.
type DamageError struct {
	Package Placed
	Err     error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s@%s: %v", e.Package.Name, e.Package.Version, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// Install replaces every node_modules of the project by what the plan says. They are
// made beside the old ones and swapped in when they are complete: whoever looks, or is
// left by a crash, sees the old or the new. The caller keeps other installations out.
func Install(ctx context.Context, project string, p *Plan, trees map[string]*unpacked.Package, files Files) (Result, error) {
	i := &installer{plan: p, trees: trees, files: files}
	if err := i.run(ctx, project); err != nil {
		return Result{}, fmt.Errorf("install package-lock.json: %w", err)
	}
	return i.result, nil
}

type installer struct {
	plan   *Plan
	trees  map[string]*unpacked.Package // by path
	files  Files
	result Result
	copies counter
}

func (i *installer) run(ctx context.Context, project string) (err error) {
	if err := removeLeftovers(project); err != nil {
		return err
	}
	dirs := i.moduleDirs()
	for _, dir := range dirs {
		if err := checkWithin(project, path.Dir(dir)); err != nil {
			return err
		}
	}
	temp, unlock, err := makeTemp(project)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(temp))
		unlock()
	}()
	if err := i.build(ctx, temp); err != nil {
		return err
	}
	for n, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := swap(filepath.Join(temp, filepath.FromSlash(dir)), filepath.Join(project, filepath.FromSlash(dir)), fmt.Sprintf("%s.%d", temp, n)); err != nil {
			return err
		}
	}
	return nil
}

// checkWithin refuses a workspace that is not there, or that a symbolic link of the
// project leads to: its node_modules, which are replaced, could be anybody's.
func checkWithin(project, workspace string) error {
	if workspace == "." {
		return nil
	}
	at := project
	for _, name := range strings.Split(workspace, "/") {
		at = filepath.Join(at, name)
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the workspace %q is not there", workspace)
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("the workspace %q: %s is no directory", workspace, at)
		}
	}
	return nil
}

// removeLeftovers removes what killed installations left.
func removeLeftovers(project string) error {
	found, err := filepath.Glob(filepath.Join(escapeGlob(project), tempPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range found {
		if info, err := os.Lstat(dir); err == nil && !info.IsDir() { // a link leads elsewhere
			if err := os.Remove(dir); err != nil {
				return err
			}
			continue
		}
		unlock, free, err := lockTemp(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its maker has just removed it
		}
		if err != nil {
			return err
		}
		if !free {
			continue // another home's installation is at work
		}
		err = os.RemoveAll(dir)
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// makeTemp makes a directory to work in, with its lock. An installation from another home
// may take it for a leftover before it is locked: then another is made.
func makeTemp(project string) (temp string, unlock func(), err error) {
	for range 8 {
		temp = filepath.Join(project, tempPrefix+rand.Text())
		if err := os.Mkdir(temp, 0o755); err != nil {
			return "", nil, err
		}
		unlock, free, err := lockTemp(temp)
		switch {
		case err == nil && free:
			return temp, unlock, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", nil, errors.Join(err, os.RemoveAll(temp))
		}
	}
	return "", nil, errors.New("other installations are at work in this project")
}

// lockTemp takes the lock of a directory that an installation works in. It reports false
// when somebody has it.
func lockTemp(dir string) (unlock func(), free bool, err error) {
	f, err := filelock.Open(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, false, err
	}
	if free, err = filelock.Try(f); err != nil || !free {
		f.Close()
		return nil, false, err
	}
	return func() { f.Close() }, true, nil
}

// escapeGlob has a path match itself alone.
func escapeGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// moduleDirs are the outermost node_modules: the project's and those of workspaces. The
// project's is replaced also when nothing stands in it any more.
func (i *installer) moduleDirs() []string {
	dirs := map[string]bool{"node_modules": true}
	add := func(p string) {
		at := strings.Index("/"+p, "/node_modules/")
		dirs[p[:at+len("node_modules")]] = true
	}
	for k := range i.plan.Packages {
		add(i.plan.Packages[k].Path)
	}
	for k := range i.plan.Links {
		add(i.plan.Links[k].Path)
	}
	return slices.Sorted(maps.Keys(dirs))
}

// swap moves the new directory to where the old one is, which goes away.
func swap(fresh, old, aside string) error {
	if err := os.Mkdir(fresh, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(old)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(fresh, old)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory: remove it", old)
	}
	err = exchange(fresh, old)
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s is a mount point, which cannot be replaced: unmount it, or mount the project's directory instead", old)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		if err = os.Rename(old, aside); err == nil {
			err = errors.Join(os.Rename(fresh, old), os.RemoveAll(aside))
		}
	}
	return err
}

// A directory is one to be made, with the files that stand in it.
type directory struct {
	path  string
	files []unixfs.Entry // with names for paths
	of    *Placed
}

// build makes all that the plan says below root.
func (i *installer) build(ctx context.Context, root string) error {
	dirs := i.directories()
	for _, d := range slices.Sorted(maps.Keys(dirs)) {
		if err := os.Mkdir(filepath.Join(root, filepath.FromSlash(d)), 0o755); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, d := range dirs {
		if len(d.files) == 0 {
			continue
		}
		g.Go(func() error {
			err := i.fill(ctx, filepath.Join(root, filepath.FromSlash(d.path)), d.files)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("two packages have a file in %s: %w", d.path, err)
			}
			var corrupt *unixfs.CorruptError
			if errors.As(err, &corrupt) {
				return &DamageError{*d.of, err}
			}
			return err
		})
		i.result.Files += len(d.files)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	i.result.Packages, i.result.Copied = len(i.plan.Packages), i.copies.count()
	if err := i.linkWorkspaces(root); err != nil {
		return err
	}
	return i.linkBins(root)
}

// directories lists what is to be made, by path, parents included.
func (i *installer) directories() map[string]*directory {
	dirs := make(map[string]*directory)
	var need func(p string) *directory
	need = func(p string) *directory {
		d := dirs[p]
		if d == nil {
			if parent := path.Dir(p); parent != "." {
				need(parent)
			}
			d = &directory{path: p}
			dirs[p] = d
		}
		return d
	}
	programs := i.bundledPrograms()
	for k := range i.plan.Packages {
		p := &i.plan.Packages[k]
		need(p.Path)
		for _, e := range i.trees[p.Path].Entries {
			whole := p.Path + "/" + e.Path
			d := need(path.Dir(whole))
			d.of = p
			d.files = append(d.files, unixfs.Entry{Path: path.Base(whole), Size: e.Size, Exec: e.Exec || programs[whole], CID: e.CID})
		}
	}
	for k := range i.plan.Links {
		need(path.Dir(i.plan.Links[k].Path))
	}
	return dirs
}

// linkWorkspaces makes the links to directories of the project.
func (i *installer) linkWorkspaces(root string) error {
	for _, l := range i.plan.Links {
		target, err := filepath.Rel(filepath.FromSlash(path.Dir(l.Path)), filepath.FromSlash(l.Target))
		if err != nil {
			return err
		}
		if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(l.Path))); err != nil {
			return err
		}
	}
	return nil
}
