package layout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// A bin is a command to be linked.
type bin struct {
	at      string // "node_modules/.bin/tool"
	owner   *lockfile.Package
	program string // its path in the owner
}

// file returns the program's path in the project.
func (b bin) file() string { return b.owner.Path + "/" + b.program }

// binDir returns the directory for the commands of the package at p.
func binDir(p string) string {
	return p[:strings.LastIndex(p, lockfile.NodeModules+"/")+len(lockfile.NodeModules)] + "/.bin"
}

// checkBinPath takes the paths that bins have.
func checkBinPath(p string) error {
	i := strings.LastIndex(p, lockfile.NodeModules+"/.bin/")
	if i < 0 {
		return fmt.Errorf("is not in a .bin")
	}
	if i > 0 {
		if err := lockfile.CheckPath(strings.TrimSuffix(p[:i], "/")); err != nil {
			return err
		}
	}
	return records.CheckCommand(path.Base(p))
}

// chooseBins decides which command goes to which package: first to those that
// the package above asks for itself, then by path.
func chooseBins(nodes []*tree.Node) ([]bin, []Warning) {
	chosen := map[string]bin{}
	var warnings []Warning
	nodes = slices.SortedFunc(slices.Values(nodes), func(a, b *tree.Node) int {
		if a.IsDirect() != b.IsDirect() {
			if a.IsDirect() {
				return -1
			}
			return 1
		}
		return lockfile.ComparePaths(a.Package.Path, b.Package.Path)
	})
	for _, n := range nodes {
		if n.Target != nil {
			continue
		}
		for _, command := range slices.Sorted(maps.Keys(n.Package.Bin)) {
			b := bin{binDir(n.Package.Path) + "/" + command, n.Package, n.Package.Bin[command]}
			place := binDir(n.Package.Path) + "/" + strings.ToLower(command) // some disks fold case
			switch other, used := chosen[place]; {
			case lockfile.CheckBin(command, b.program) != nil:
				warnings = append(warnings, Warning{n.Package.Path, fmt.Sprintf("its command %q is not linked: that is no name or no path for a command", records.Clip(command))})
			case records.IsReservedCommand(command, n.Package.Name):
				warnings = append(warnings, Warning{n.Package.Path, fmt.Sprintf("its command %q is not linked: that is another program's name", command)})
			case used:
				warnings = append(warnings, Warning{n.Package.Path, fmt.Sprintf("its command %q is not linked: %s has one of this name", command, other.owner)})
			default:
				chosen[place] = b
			}
		}
	}
	list := slices.SortedFunc(maps.Values(chosen), func(a, b bin) int { return strings.Compare(a.at, b.at) })
	return list, warnings
}

// linkBins links the commands, and notes which are es's.
func (w *writer) linkBins(bins []bin) error {
	for _, b := range bins {
		warning, err := w.dir.linkBin(b, w.note, runtime.GOOS == "windows")
		var exists *ExistsError
		if errors.As(err, &exists) {
			warning, err = &Warning{b.owner.Path, fmt.Sprintf("its command %q is not linked: %v", path.Base(b.at), err)}, nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("link %s: %w", b.at, err)
		case warning != nil:
			w.warnings = append(w.warnings, *warning)
			delete(w.note.Bins, b.at)
		default:
			w.note.Bins[b.at] = b.owner.Path
			if w.dir.startsWithMark(b) {
				w.warnings = append(w.warnings, Warning{b.owner.Path,
					fmt.Sprintf("its command %q has a byte order mark before #!, so that the system does not start it", path.Base(b.at))})
			}
		}
	}
	return nil
}

// areCurrent reports whether the commands are linked as they should be.
func (c *Change) areCurrent(bins []bin) bool {
	count := 0
	for _, b := range bins {
		if c.note.Bins[b.at] != b.owner.Path {
			return false
		}
		count++
		if runtime.GOOS == "windows" {
			continue
		}
		target, err := c.dir.root.Readlink(filepath.FromSlash(b.at))
		if err != nil || target != linkTarget(b.at, b.file()) {
			return false
		}
	}
	return count == len(c.note.Bins)
}

// linkBin links b unless something else than es made what is there.
func (d *Dir) linkBin(b bin, m *Note, windows bool) (*Warning, error) {
	if why := d.program(b); why != "" {
		return &Warning{b.owner.Path, fmt.Sprintf("its command %q is not linked: %s", path.Base(b.at), why)}, nil
	}
	if err := d.mkdir(path.Dir(b.at)); err != nil {
		return nil, err
	}
	if d.foreignBin(b, m) {
		return &Warning{b.owner.Path, fmt.Sprintf("its command %q is not linked: %s is not es's", path.Base(b.at), b.at)}, nil
	}
	if windows {
		return nil, d.writeShims(b)
	}
	target := linkTarget(b.at, b.file())
	if now, err := d.root.Readlink(filepath.FromSlash(b.at)); err == nil && now == target {
		return nil, nil
	}
	return nil, d.symlink(target, b.at)
}

// program says why b's program is not a file of its package, or makes it
// executable.
func (d *Dir) program(b bin) string {
	info, err := d.lstat(b.file())
	if err != nil || info == nil || !info.Mode().IsRegular() {
		return fmt.Sprintf("%q is not a file of the package", records.Clip(b.program))
	}
	if info.Mode().Perm()&0o111 == 0o111 {
		return ""
	}
	// A copy: the file may share its mode with the block store and with others.
	text, err := regularfile.ReadIn(d.root, filepath.FromSlash(b.file()), info.Size())
	if err == nil {
		err = d.write(b.file(), text, info.Mode().Perm()|0o111)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// startsWithMark reports whether b's program has a byte order mark before its #!, which
// keeps the system from finding the interpreter (SPEC.md [I131]).
func (d *Dir) startsWithMark(b bin) bool {
	f, err := d.root.Open(filepath.FromSlash(b.file()))
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 5)
	if _, err := io.ReadFull(f, start); err != nil {
		return false
	}
	bom, rest := regularfile.CutBOM(start)
	return bom != nil && string(rest) == "#!"
}

// foreignBin reports whether something at b.at was not linked by es and does
// not lead into b's own package.
func (d *Dir) foreignBin(b bin, m *Note) bool {
	if _, ours := m.Bins[b.at]; ours {
		return false
	}
	info, err := d.lstat(b.at)
	if err != nil {
		return true
	}
	if info == nil {
		return false
	}
	return info.Mode().Type() != fs.ModeSymlink || !d.leadsInto(b.at, b.owner.Path)
}

// leadsInto reports whether the link at name points to a file of the package
// at owner.
func (d *Dir) leadsInto(name, owner string) bool {
	target, err := d.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return false
	}
	return strings.HasPrefix(path.Join(path.Dir(name), filepath.ToSlash(target)), owner+"/")
}

// unlinkBin removes the command at name if es linked it to owner.
func (d *Dir) unlinkBin(name, owner string) error {
	info, err := d.lstat(name)
	if err != nil || info == nil {
		return nil
	}
	if info.Mode().Type() == fs.ModeSymlink {
		if !d.leadsInto(name, owner) {
			return nil
		}
		d.step("unlink " + name)
		return d.root.Remove(filepath.FromSlash(name))
	}
	for _, shim := range shimNames(name) {
		if text, err := regularfile.ReadIn(d.root, filepath.FromSlash(shim), maxShim); err != nil || !strings.Contains(string(text), "basedir") && !strings.Contains(string(text), "dp0") {
			continue
		}
		d.step("unlink " + shim)
		if err := d.root.Remove(filepath.FromSlash(shim)); err != nil {
			return err
		}
	}
	return nil
}

// linkTarget returns what a link at name says to lead to target, both in the
// project.
func linkTarget(name, target string) string {
	rel, err := filepath.Rel(filepath.FromSlash(path.Dir(name)), filepath.FromSlash(target))
	if err != nil {
		panic(err) // both are relative and clean
	}
	return rel
}
