package layout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules/extract"
)

const (
	lockName  = ".es-lock" // in node_modules: held by whoever changes the project
	oldPrefix = ".es-old-" // in node_modules: what was moved aside and is being removed
	tempName  = ".es-new"  // in node_modules: what will be renamed
	lockPause = 20 * time.Millisecond
)

// A Dir is the directory of a project. Every directory on the way to what it changes
// is a real one: os.Root keeps to the project, but follows links in it.
type Dir struct {
	path    string
	root    *os.Root
	lock    *os.File // while Lock holds it
	noteKey []byte
	step    func(op string) // called before every change; for tests
}

// Open opens the project at path for reading. The key is that of the user's notes
// ([I25]); step, if set, is called before every change.
func Open(path string, noteKey []byte, step func(op string)) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	if step == nil {
		step = func(string) {}
	}
	return &Dir{path: path, root: root, noteKey: noteKey, step: step}, nil
}

// Lock makes the node_modules of the project and waits until no other process works
// on it ([I23]); waiting is called once if there is one. Close unlocks it.
func (d *Dir) Lock(ctx context.Context, waiting func()) error {
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for first := true; ; first = false {
		if err := d.mkdir(lockfile.NodeModules); err != nil {
			return err
		}
		f, locked, err := filelock.TryNamed(filepath.Join(d.path, lockfile.NodeModules, lockName))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("lock project: %w", err)
		}
		if locked {
			d.lock = f
			return nil
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another es in this project: %w", ctx.Err())
		case <-pause.C:
		}
	}
}

// Close closes the directory, and unlocks it if it was locked.
func (d *Dir) Close() error {
	if d.lock == nil {
		return d.root.Close()
	}
	return errors.Join(d.lock.Close(), d.root.Close())
}

// mkdir makes the directory at name, whose parents are there, unless it is
// there.
func (d *Dir) mkdir(name string) error {
	err := d.realDir(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.root.Mkdir(filepath.FromSlash(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory: %w", err)
	}
	return d.realDir(name)
}

// realDir returns nil for a directory, fs.ErrNotExist for nothing, and an
// *ExistsError for anything else, a link to a directory among it.
func (d *Dir) realDir(name string) error {
	info, err := d.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &ExistsError{Path: name, Reason: "something that is not a directory is there"}
	}
	return nil
}

// parent opens the directory that the package or the file at name stands in.
// With make, missing directories are made.
func (d *Dir) parent(name string, make bool) (*os.Root, error) {
	elements := strings.Split(path.Dir(name), "/")
	for i := range elements {
		prefix := path.Join(elements[:i+1]...)
		check := d.realDir
		if make {
			check = d.mkdir
		}
		if err := check(prefix); err != nil {
			return nil, err
		}
	}
	return d.root.OpenRoot(filepath.FromSlash(path.Dir(name)))
}

// lstat returns what stands at name, every directory above being a real one;
// nil is nothing.
func (d *Dir) lstat(name string) (fs.FileInfo, error) {
	parent, err := d.parent(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	info, err := parent.Lstat(path.Base(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// Recover cleans up what an earlier run left behind in every directory that packages of
// these paths stand in, and in the project itself unless that is to stay as it is.
func (d *Dir) Recover(paths []string, frozen bool) error {
	parents := map[string]bool{lockfile.NodeModules: true}
	for _, p := range paths {
		parents[path.Dir(p)] = true
	}
	for dir := range parents {
		parent, err := d.parent(dir+"/x", false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var exists *ExistsError
		if errors.As(err, &exists) {
			continue // whether it is in the way turns out later
		}
		if err == nil {
			err = errors.Join(extract.Recover(parent), parent.Close())
		}
		if err != nil {
			return fmt.Errorf("clean up %s: %w", dir, err)
		}
	}
	if err := d.removeOld(); err != nil || frozen {
		return err
	}
	return d.removeUnfinished()
}

// removeOld removes what an earlier run moved aside.
func (d *Dir) removeOld() error {
	dir, err := d.root.Open(lockfile.NodeModules)
	if err != nil {
		return fmt.Errorf("clean up node_modules: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("clean up node_modules: %w", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, oldPrefix) && name != tempName {
			continue
		}
		if err := d.root.RemoveAll(filepath.Join(lockfile.NodeModules, name)); err != nil {
			return fmt.Errorf("clean up node_modules: %w", err)
		}
	}
	return nil
}

// removeUnfinished removes the files of the project that an earlier run did not complete.
func (d *Dir) removeUnfinished() error {
	for _, name := range []string{packagejson.Name, lockfile.Name} {
		if _, err := d.root.Lstat(newName(name)); errors.Is(err, fs.ErrNotExist) {
			continue // where nothing can be written, removing nothing fails too
		}
		if err := d.root.Remove(newName(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clean up project: %w", err)
		}
	}
	return nil
}

// moveAside moves what stands at name away in one step, and then removes it.
func (d *Dir) moveAside(name string) error {
	if info, err := d.lstat(name); err != nil || info == nil {
		return err
	}
	old := ""
	for i := 0; ; i++ {
		old = filepath.Join(lockfile.NodeModules, fmt.Sprint(oldPrefix, i))
		if _, err := d.root.Lstat(old); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	d.step("move aside " + name)
	if err := d.root.Rename(filepath.FromSlash(name), old); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	d.step("remove " + name)
	if err := d.root.RemoveAll(old); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// pruneEmpty removes the directories above name, up to node_modules, that are empty.
func (d *Dir) pruneEmpty(name string) {
	for dir := path.Dir(name); dir != lockfile.NodeModules && dir != "."; dir = path.Dir(dir) {
		base := path.Base(dir)
		if base != lockfile.NodeModules && base[0] != '@' && base != ".bin" {
			return
		}
		d.step("remove directory " + dir)
		if d.root.Remove(filepath.FromSlash(dir)) != nil {
			return
		}
	}
}

// symlink makes name a link to target, in one step.
func (d *Dir) symlink(target, name string) error {
	return d.replace(name, func(temp string) error { return d.root.Symlink(target, temp) })
}

// write makes name a file with these contents, in one step.
func (d *Dir) write(name string, b []byte, mode fs.FileMode) error {
	return d.replace(name, func(temp string) error {
		f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	})
}

// replace renames what fill makes to name.
func (d *Dir) replace(name string, fill func(temp string) error) error {
	parent, err := d.parent(name, true)
	if err != nil {
		return err
	}
	if err := parent.Close(); err != nil {
		return err
	}
	temp := filepath.Join(lockfile.NodeModules, tempName)
	d.step("make " + name)
	if err := d.root.RemoveAll(temp); err != nil {
		return err
	}
	if err := fill(temp); err != nil {
		return err
	}
	d.step("rename " + name)
	return d.root.Rename(temp, filepath.FromSlash(name))
}

// fingerprint hashes the package.json of the package at name, so that another
// program's package at the same place is told from ours; "" when it has none.
func (d *Dir) fingerprint(name string) string {
	b, err := regularfile.ReadIn(d.root, filepath.Join(filepath.FromSlash(name), packagejson.Name), packagejson.MaxSize)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// WriteFile replaces a file in the directory of the project, following a link there,
// keeps its mode and returns when it is on the disk.
func (d *Dir) WriteFile(name string, b []byte) error {
	file := filepath.Join(d.path, name)
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	temp := filepath.Join(filepath.Dir(file), newName(name))
	d.step("write " + name)
	if err := os.RemoveAll(temp); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := atomicfile.Create(temp, b, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	d.step("rename " + name)
	if err := atomicfile.Rename(temp, file); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// newName is what a file is called until it is complete.
func newName(name string) string { return ".es-new-" + name }
