package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
)

// findStrangers looks at what is in the project's node_modules and not in es-lock.json. It
// is another package manager's when that one's lockfile names it. What stands inside of
// es's packages was compared with these.
func (v *verifier) findStrangers() error {
	paths, err := v.disk.topPackages()
	if err != nil {
		return err
	}
	locked := map[string]bool{}
	for _, n := range v.locked {
		locked[n.Package.Path] = true
	}
	o := v.disk.readOthers()
	for _, at := range paths {
		switch {
		case locked[at]:
		case o.locks(at) != "" || o.linked(v.disk, at):
			v.result.Others++
		default:
			v.result.Strangers = append(v.result.Strangers, at)
		}
	}
	return v.findCommands(o)
}

// topPackages lists what stands in the project's node_modules under a name that require
// finds: all but hidden entries.
func (d *disk) topPackages() ([]string, error) {
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
		if errors.As(d.realDir(at), new(*OccupiedError)) {
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
func (d *disk) names(dir string) ([]string, error) {
	var names []string
	err := d.realDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*OccupiedError)) {
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

// linked reports whether at is a link as pnpm makes them, into its own store beside.
func (o *others) linked(d *disk, at string) bool {
	target, err := d.root.Readlink(filepath.FromSlash(at))
	return err == nil && slices.Contains(o.clients, "pnpm") &&
		strings.HasPrefix(path.Join(path.Dir(at), filepath.ToSlash(target)), lockfile.NodeModules+"/.pnpm/")
}

// findCommands looks at the project's commands that es-lock.json does not have, or that
// lead elsewhere than it says.
func (v *verifier) findCommands(o *others) error {
	const dir = lockfile.NodeModules + "/.bin"
	names, err := v.disk.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := path.Join(dir, name)
		b, ours := v.commands[commandOf(at)]
		if ours && v.disk.isBin(b, at) || v.byOthers(o, at) {
			continue
		}
		v.result.Strangers = append(v.result.Strangers, at)
	}
	return nil
}

// commandOf returns the path that a command has in es-lock.json's terms.
func commandOf(at string) string {
	if os.PathSeparator == '/' {
		return at
	}
	return strings.TrimSuffix(strings.TrimSuffix(at, ".cmd"), ".ps1")
}

// isBin reports whether what stands at a path is b as es makes it.
func (d *disk) isBin(b bin, at string) bool {
	if os.PathSeparator != '/' {
		return d.isShim(b, at)
	}
	target, err := d.root.Readlink(filepath.FromSlash(at))
	return err == nil && target == linkTarget(b.at, b.file())
}

// byOthers reports whether a command leads into a package of another package manager. On
// Windows it is a script, of which that cannot be told.
func (v *verifier) byOthers(o *others, at string) bool {
	if len(o.clients) == 0 {
		return false
	}
	target, err := v.disk.root.Readlink(filepath.FromSlash(at))
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
	return parts[0] == ".pnpm" && slices.Contains(o.clients, "pnpm") || o.locks(owner) != ""
}
