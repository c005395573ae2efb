package ci

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A bin is a command of a package: a link in .bin of the node_modules it stands in.
type bin struct {
	at     string // node_modules/.bin/NAME
	target string // from .bin
}

// bins returns the commands of all packages. Of two in one directory the package whose
// path is first has it, as with npm.
func (i *installer) bins() []bin {
	type owner struct {
		path string
		bin  map[string]string
	}
	var owners []owner
	for k := range i.plan.Packages {
		p := &i.plan.Packages[k]
		owners = append(owners, owner{p.Path, commands(p, i.trees[p.Path].Manifest.Bin)})
	}
	for _, b := range i.plan.Bundled {
		owners = append(owners, owner{b.Path, plainBins(b.Bin)})
	}
	slices.SortFunc(owners, func(x, y owner) int { return strings.Compare(x.path, y.path) })
	var all []bin
	taken := make(map[string]bool)
	for _, o := range owners {
		modules := o.path[:strings.LastIndex(o.path, "node_modules/")+len("node_modules")]
		for _, name := range slices.Sorted(maps.Keys(o.bin)) {
			at := modules + "/.bin/" + name
			if taken[at] {
				i.result.Kept = append(i.result.Kept, at)
				continue
			}
			taken[at] = true
			all = append(all, bin{at, "../" + strings.TrimPrefix(o.path, modules+"/") + "/" + o.bin[name]})
		}
	}
	return all
}

// commands are those of a package's manifest that the lockfile has too.
func commands(p *Placed, bins map[string]string) map[string]string {
	if p.Commands == nil {
		return bins
	}
	both := make(map[string]string)
	for name, file := range bins {
		if _, ok := p.Commands[name]; ok {
			both[name] = file
		}
	}
	return both
}

// plainBins drops what is no command or leads out of its package: a lockfile's bins are
// somebody's word.
func plainBins(bins map[string]string) map[string]string {
	plain := make(map[string]string)
	for name, file := range bins {
		file = path.Clean("/" + file)[1:]
		if name == "" || name[0] == '.' || strings.ContainsAny(name, `/\:`) || file == "" || strings.ContainsAny(file, `\:`) {
			continue
		}
		plain[name] = file
	}
	return plain
}

// bundledPrograms are files that npm makes executable within a package, since they are
// commands of a package that it bundles.
func (i *installer) bundledPrograms() map[string]bool {
	programs := make(map[string]bool)
	for _, b := range i.plan.Bundled {
		for _, file := range plainBins(b.Bin) {
			programs[b.Path+"/"+file] = true
		}
	}
	return programs
}

// linkBins makes the links, but for programs that are not there, as npm does.
func (i *installer) linkBins(root string) error {
	made := make(map[string]bool)
	for _, b := range i.bins() {
		at := filepath.Join(root, filepath.FromSlash(b.at))
		dir := filepath.Dir(at)
		if _, err := os.Lstat(filepath.Join(dir, "..", filepath.FromSlash(strings.TrimPrefix(b.target, "../")))); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !made[dir] {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			made[dir] = true
		}
		if err := os.Symlink(filepath.FromSlash(b.target), at); err != nil {
			return err
		}
		i.result.Bins++
	}
	return nil
}
