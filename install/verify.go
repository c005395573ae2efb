package install

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

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules"
)

// Damage is a difference between an installed package and its module.
type Damage struct {
	Package *Package
	File    string // in the package; "" for the package as a whole
	Reason  string
}

// Verified is what Verify found.
type Verified struct {
	Packages int // whose every byte was read and is right
	Damage   []Damage
}

// Verify reads every installed package again, builds its tree and compares the
// CID with es-lock.json's. Blocks serve to say which file is wrong and to check
// trees that were not made by es; packages can be verified without them
// otherwise. It changes nothing, and does not wait for those who do.
func (p *Project) Verify(ctx context.Context, blocks modules.Blocks) (*Verified, error) {
	tree, d, err := p.look()
	if err != nil {
		return nil, err
	}
	defer d.root.Close()
	j := &job{tree: tree, options: &Options{Platform: Platform{}.fill()}}
	v := &verifier{disk: d, blocks: blocks, mine: d.readMarker(), result: &Verified{}}
	for _, n := range j.wanted() {
		if err := v.check(ctx, n); err != nil {
			return nil, err
		}
	}
	return v.result, nil
}

type verifier struct {
	disk   *disk
	blocks modules.Blocks
	mine   *marker
	result *Verified
}

func (v *verifier) check(ctx context.Context, n *treeNode) error {
	p := n.pkg
	info, err := v.disk.lstat(p.Path)
	var occupied *OccupiedError
	switch {
	case errors.As(err, &occupied):
		v.damage(p, "", occupied.Reason)
		return nil
	case err != nil:
		return fmt.Errorf("verify %s: %w", p.Path, err)
	case info == nil:
		if !p.Optional {
			v.damage(p, "", "is not installed")
		}
		return nil
	case n.target != nil:
		if !v.mine.holds(v.disk, p) {
			v.damage(p, "", "is not a link to "+p.Link)
			return nil
		}
		v.result.Packages++
		return nil
	case !info.IsDir():
		v.damage(p, "", "is not a directory")
		return nil
	}
	damage, err := v.compare(ctx, p)
	if err != nil {
		return fmt.Errorf("verify %s: %w", p.Path, err)
	}
	v.result.Damage = append(v.result.Damage, damage...)
	if len(damage) == 0 {
		v.result.Packages++
	}
	return nil
}

func (v *verifier) damage(p *Package, file, reason string) {
	v.result.Damage = append(v.result.Damage, Damage{p, file, reason})
}

// compare builds the package's tree. Only when the CID is another, or when es
// would not have made such a tree, the blocks say what is wrong.
func (v *verifier) compare(ctx context.Context, p *Package) ([]Damage, error) {
	root, err := v.disk.root.OpenRoot(filepath.FromSlash(p.Path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	own := &ownFiles{FS: root.FS(), hidden: v.hidden(p.Path)}
	files, damage, err := own.list(p)
	if err != nil {
		return nil, err
	}
	same, err := v.rebuild(ctx, own, p)
	if err != nil || same && len(damage) == 0 {
		return nil, err
	}
	t, err := modules.Inspect(ctx, v.blocks, modules.Bounds{CID: p.Module, Size: p.Size, Files: p.Files})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !same && len(damage) == 0 {
			damage = append(damage, Damage{p, "", "is not the module " + p.Module.String() + ", and the blocks to say where it differs are not here"})
		}
		return damage, nil
	}
	return v.compareFiles(ctx, p, t, root, files, damage)
}

// rebuild reports whether the files make the module as es makes it.
func (v *verifier) rebuild(ctx context.Context, own fs.FS, p *Package) (bool, error) {
	set, err := modules.Whole(own)
	if err != nil {
		return false, nil // not a module of es's making, or damaged
	}
	m, err := set.Pack(ctx, modules.Discard)
	if err != nil {
		return false, ctx.Err()
	}
	return m.CID.Equals(p.Module), nil
}

// compareFiles finds the files that differ from those of t.
func (v *verifier) compareFiles(ctx context.Context, p *Package, t *modules.Tree, root *os.Root, files map[string]fs.FileInfo, damage []Damage) ([]Damage, error) {
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

func sameContent(ctx context.Context, blocks modules.Blocks, t *modules.Tree, root *os.Root, e modules.Entry, info fs.FileInfo) (bool, error) {
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

// hidden returns what stands in the package at dir without being of it: other
// packages and their commands, relative to dir.
func (v *verifier) hidden(dir string) map[string]bool {
	hidden := map[string]bool{}
	for path := range v.mine.Modules {
		if rest, inside := strings.CutPrefix(path, dir+"/"); inside {
			hidden[rest] = true
		}
	}
	for at := range v.mine.Bins {
		rest, inside := strings.CutPrefix(at, dir+"/")
		if !inside {
			continue
		}
		for _, name := range shimNames(rest) {
			hidden[name] = true
		}
	}
	return hidden
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
func (o *ownFiles) list(p *Package) (map[string]fs.FileInfo, []Damage, error) {
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
