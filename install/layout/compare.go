package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/ipfs/go-cid"
)

// Damage is a difference between an installed package and its module.
type Damage struct {
	Package *lockfile.Package
	File    string // in the package; "" for the package as a whole
	Reason  string
}

// A Comparer compares packages in node_modules with their modules. It believes nothing
// that node_modules says of itself, and changes nothing.
type Comparer struct {
	dir      *Dir
	blocks   unixfs.Blocks
	wanted   map[*tree.Node]bool
	commands map[string]bin      // by path
	nested   map[string][]string // their names by directory
}

// Compare returns a Comparer for a project that is to have the wanted packages. Blocks
// serve to say which file is wrong, and to compare trees that es did not make.
func (d *Dir) Compare(blocks unixfs.Blocks, wanted []*tree.Node) *Comparer {
	v := &Comparer{dir: d, blocks: blocks, wanted: map[*tree.Node]bool{}, commands: map[string]bin{}, nested: map[string][]string{}}
	for _, n := range wanted {
		v.wanted[n] = true
	}
	bins, _ := chooseBins(wanted)
	for _, b := range bins {
		v.commands[b.at] = b
		v.nested[path.Dir(b.at)] = append(v.nested[path.Dir(b.at)], path.Base(b.at))
	}
	return v
}

// Check returns what is wrong with n's package. here is false when nothing stands there,
// which is damage when it should.
func (v *Comparer) Check(ctx context.Context, n *tree.Node) (here bool, damage []Damage, err error) {
	p := n.Package
	info, err := v.dir.lstat(p.Path)
	var exists *ExistsError
	switch {
	case errors.As(err, &exists):
		return true, []Damage{{p, "", exists.Reason}}, nil
	case err != nil:
		return false, nil, fmt.Errorf("verify %s: %w", p.Path, err)
	case info == nil && !p.Optional && v.wanted[n]:
		return false, []Damage{{p, "", "is not installed"}}, nil
	case info == nil:
		return false, nil, nil
	case n.Target != nil && !v.dir.isLink(p):
		return true, []Damage{{p, "", "is not a link to " + p.Link}}, nil
	case n.Target != nil:
		return true, nil, nil
	case !info.IsDir():
		return true, []Damage{{p, "", "is not a directory"}}, nil
	}
	if damage, err = v.compare(ctx, n); err != nil {
		return true, nil, fmt.Errorf("verify %s: %w", p.Path, err)
	}
	return true, damage, nil
}

// Stands reports whether exactly n's module is at its place, whoever put it there.
func (v *Comparer) Stands(ctx context.Context, n *tree.Node) (bool, error) {
	info, err := v.dir.lstat(n.Package.Path)
	var exists *ExistsError
	switch {
	case errors.As(err, &exists) || err == nil && info == nil:
		return false, nil
	case err != nil:
		return false, err
	case n.Target != nil:
		return v.dir.isLink(n.Package), nil
	case !info.IsDir():
		return false, nil
	}
	damage, err := v.compare(ctx, n)
	return err == nil && len(damage) == 0, ctx.Err()
}

// isLink reports whether what stands at p's path is the link that p is.
func (d *Dir) isLink(p *lockfile.Package) bool {
	target, err := d.root.Readlink(filepath.FromSlash(p.Path))
	return err == nil && target == linkTarget(p.Path, p.Link)
}

// compare builds the package's tree. Only when the CID is another, or when es
// would not have made such a tree, the blocks say what is wrong.
func (v *Comparer) compare(ctx context.Context, n *tree.Node) ([]Damage, error) {
	p := n.Package
	root, err := v.dir.root.OpenRoot(filepath.FromSlash(p.Path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	own := &ownFiles{FS: root.FS(), hidden: v.hidden(n)}
	files, damage, err := own.list(p)
	if err != nil {
		return nil, err
	}
	same, err := v.rebuild(ctx, own, p)
	if err != nil || same && len(damage) == 0 {
		return nil, err
	}
	t, err := unixfs.Inspect(ctx, v.blocks, p.Target())
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !same && len(damage) == 0 {
			damage = append(damage, Damage{p, "", "is not the module " + p.Module.String() + ", and the blocks to say where it differs are not here"})
		}
		return damage, nil
	}
	// Another package may stand where the module brings one along ([I16]).
	t.Files = slices.DeleteFunc(slices.Clone(t.Files), func(e unixfs.Entry) bool { return own.hides(e.Path) })
	return v.compareFiles(ctx, p, t, root, files, damage)
}

// rebuild reports whether the files make the module as es makes it.
func (v *Comparer) rebuild(ctx context.Context, own fs.FS, p *lockfile.Package) (bool, error) {
	set, err := modules.ScanFS(own)
	if err != nil {
		return false, nil // not a module of es's making, or damaged
	}
	m, err := set.Pack(ctx, unixfs.Discard)
	if err != nil {
		return false, ctx.Err()
	}
	return m.CID.Equals(p.Module), nil
}

// compareFiles finds the files that differ from those of t.
func (v *Comparer) compareFiles(ctx context.Context, p *lockfile.Package, t *unixfs.Tree, root *os.Root, files map[string]fs.FileInfo, damage []Damage) ([]Damage, error) {
	bins := map[string]bool{}
	for _, program := range p.Bin {
		bins[program] = true
	}
	for _, e := range t.Files {
		info := files[e.Path]
		delete(files, e.Path)
		if info == nil {
			damage = append(damage, Damage{p, e.Path, "is missing"})
			continue
		}
		same, err := sameContent(ctx, v.blocks, t, root, e, info)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		exec := info.Mode().Perm()&0o100 != 0
		switch {
		case err != nil:
			damage = append(damage, Damage{p, e.Path, "cannot be compared: its blocks are damaged or not here"})
		case !same:
			damage = append(damage, Damage{p, e.Path, "has other contents"})
		case hasModes && exec != e.Exec && !(exec && bins[e.Path]):
			damage = append(damage, Damage{p, e.Path, "has another mode"})
		}
	}
	for name := range files {
		damage = append(damage, Damage{p, name, "does not belong to the module"})
	}
	slices.SortFunc(damage, func(a, b Damage) int { return strings.Compare(a.File, b.File) })
	return damage, nil
}

// hasModes says whether files have an executable bit here.
const hasModes = os.PathSeparator == '/'

func sameContent(ctx context.Context, blocks unixfs.Blocks, t *unixfs.Tree, root *os.Root, e unixfs.Entry, info fs.FileInfo) (bool, error) {
	if info.Size() != e.Size {
		return false, nil
	}
	got, err := regularfile.ReadIn(root, filepath.FromSlash(e.Path), e.Size)
	if err != nil {
		return false, nil
	}
	if e.CID.Type() == cid.Raw { // the CID says it, whatever the block holds by now
		is, err := e.CID.Prefix().Sum(got)
		return err == nil && is.Equals(e.CID), nil
	}
	want, err := t.Read(ctx, blocks, e.Path, e.Size)
	if err != nil {
		return false, err
	}
	return bytes.Equal(got, want), nil
}

// hidden returns what stands in the package at n without being of it, as es-lock.json
// says: other packages and their commands, relative to the package.
func (v *Comparer) hidden(n *tree.Node) map[string]bool {
	hidden := map[string]bool{}
	for name := range n.Children {
		hidden[lockfile.NodeModules+"/"+string(name)] = true
	}
	bins := lockfile.NodeModules + "/.bin"
	for _, command := range v.nested[n.Package.Path+"/"+bins] {
		for _, name := range shimNames(path.Join(bins, command)) {
			hidden[name] = true
		}
	}
	return hidden
}

// hides reports whether the file is hidden, or in a directory that is.
func (o *ownFiles) hides(file string) bool {
	for ; file != "."; file = path.Dir(file) {
		if o.hidden[file] {
			return true
		}
	}
	return false
}

// ownFiles is a package's directory without what is hidden.
type ownFiles struct {
	fs.FS
	hidden map[string]bool
}

// ReadDir implements fs.ReadDirFS.
func (o *ownFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return o.hidden[path.Join(name, e.Name())] }), err
}

// list returns the regular files; anything else that is not a directory is
// damage.
func (o *ownFiles) list(p *lockfile.Package) (map[string]fs.FileInfo, []Damage, error) {
	files := map[string]fs.FileInfo{}
	var damage []Damage
	err := fs.WalkDir(o, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			damage = append(damage, Damage{p, name, "is not a regular file"})
			return nil
		}
		files[name], err = e.Info()
		return err
	})
	return files, damage, err
}
