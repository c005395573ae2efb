package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/managers"
)

// Extraneous returns the packages and commands in the project's node_modules that are not
// in the lockfile, and counts those that the lockfile of another package manager names.
// What stands inside of packages is compared with these.
func (v *Comparer) Extraneous(l *lockfile.File) (extraneous []string, managed int, err error) {
	paths, err := v.dir.topPackages()
	if err != nil {
		return nil, 0, err
	}
	o := managers.Find(v.dir.root)
	for _, at := range paths {
		switch {
		case l.Packages[at] != nil:
		case o.Lock(at) != "" || v.isPnpmLink(o, at):
			managed++
		default:
			extraneous = append(extraneous, at)
		}
	}
	commands, err := v.extraneousCommands(o)
	return append(extraneous, commands...), managed, err
}

// topPackages lists what stands in the project's node_modules under a name that require
// finds: all but hidden entries.
func (d *Dir) topPackages() ([]string, error) {
	names, err := d.names(lockfile.NodeModules)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range names {
		at := lockfile.NodeModules + "/" + name
		if name[0] != '@' {
			paths = append(paths, at)
			continue
		}
		if errors.As(d.realDir(at), new(*ExistsError)) {
			paths = append(paths, at)
			continue
		}
		inner, err := d.names(at)
		if err != nil {
			return nil, err
		}
		for _, name := range inner {
			paths = append(paths, at+"/"+name)
		}
	}
	return paths, nil
}

// names lists a directory without its hidden entries, sorted; there need not be one.
func (d *Dir) names(dir string) ([]string, error) {
	var names []string
	err := d.realDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*ExistsError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	entries, err := fs.ReadDir(d.root.FS(), dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// isPnpmLink reports whether at is a link as pnpm makes them, into its own store.
func (v *Comparer) isPnpmLink(o *managers.Found, at string) bool {
	target, err := v.dir.root.Readlink(filepath.FromSlash(at))
	return err == nil && o.Has("pnpm") &&
		strings.HasPrefix(path.Join(path.Dir(at), filepath.ToSlash(target)), lockfile.NodeModules+"/.pnpm/")
}

// extraneousCommands returns the project's commands that es-lock.json does not have, or
// that lead elsewhere than it says.
func (v *Comparer) extraneousCommands(o *managers.Found) (extraneous []string, err error) {
	const dir = lockfile.NodeModules + "/.bin"
	names, err := v.dir.names(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		at := path.Join(dir, name)
		b, ours := v.commands[commandOf(at)]
		if !(ours && v.dir.isBin(b, at)) && !v.isManaged(o, at) {
			extraneous = append(extraneous, at)
		}
	}
	return extraneous, nil
}

// commandOf returns the path that a command has in es-lock.json's terms.
func commandOf(at string) string {
	if os.PathSeparator == '/' {
		return at
	}
	return strings.TrimSuffix(strings.TrimSuffix(at, ".cmd"), ".ps1")
}

// isBin reports whether what stands at a path is b as es makes it.
func (d *Dir) isBin(b bin, at string) bool {
	if os.PathSeparator != '/' {
		return d.isShim(b, at)
	}
	target, err := d.root.Readlink(filepath.FromSlash(at))
	return err == nil && target == linkTarget(b.at, b.file())
}

// isManaged reports whether a command leads into a package of another package manager.
// On Windows it is a script, of which that cannot be told.
func (v *Comparer) isManaged(o *managers.Found, at string) bool {
	if !o.Any() {
		return false
	}
	target, err := v.dir.root.Readlink(filepath.FromSlash(at))
	if err != nil {
		return os.PathSeparator != '/'
	}
	file := path.Join(path.Dir(at), filepath.ToSlash(target))
	rest, inside := strings.CutPrefix(file, lockfile.NodeModules+"/")
	if !inside {
		return false
	}
	parts := strings.SplitN(rest, "/", 3)
	owner := lockfile.NodeModules + "/" + parts[0]
	if parts[0][0] == '@' && len(parts) > 1 {
		owner += "/" + parts[1]
	}
	return parts[0] == ".pnpm" && o.Has("pnpm") || o.Lock(owner) != ""
}
