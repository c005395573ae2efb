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

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules"
	"github.com/ipfs/go-cid"
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
	Signed   int        // of the packages in es-lock.json: whose record is here and says so
	Unknown  []*Package // whose record is not here
	Void     []*Package // whose record is by a key that does not count any more

	// Strangers are the packages and commands in node_modules that no lockfile names:
	// neither es nor another package manager put them there.
	Strangers []string
	Others    int // packages that other package managers put there, which are not looked at
}

// Verify reads every installed package again, builds its tree and compares the
// CID with es-lock.json's, and es-lock.json with the records that are here (SPEC.md
// [I27], [I133]). Blocks serve to say which file is wrong and to check
// trees that were not made by es; packages can be verified without them
// otherwise. Of s, Blocks and Records are used. It believes nothing that node_modules says of itself, changes nothing, and
// does not wait for those who do.
func (p *Project) Verify(ctx context.Context, s Sources) (*Verified, error) {
	root, d, err := p.look()
	if err != nil {
		return nil, err
	}
	defer d.root.Close()
	j := &job{tree: root, options: &Options{Platform: Platform{}.fill()}}
	v := newVerifier(d, s, j.wanted())
	v.result = &Verified{}
	root.Walk(func(n *tree.Node) {
		if n.Package != nil {
			v.locked = append(v.locked, n)
		}
	})
	for _, n := range v.locked {
		if err := v.check(ctx, n); err != nil {
			return nil, err
		}
	}
	return v.result, v.findStrangers()
}

type verifier struct {
	disk     *disk
	blocks   modules.Blocks
	known    Records
	locked   []*tree.Node // all that es-lock.json has
	wanted   map[*tree.Node]bool
	commands map[string]bin      // by path
	nested   map[string][]string // their names by directory
	result   *Verified
}

// newVerifier compares packages among the wanted ones with their modules.
func newVerifier(d *disk, s Sources, wanted []*tree.Node) *verifier {
	v := &verifier{disk: d, blocks: s.Blocks, known: s.Records, wanted: map[*tree.Node]bool{}, commands: map[string]bin{}, nested: map[string][]string{}}
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

func (v *verifier) check(ctx context.Context, n *tree.Node) error {
	p := n.Package
	if err := v.checkSignature(ctx, n); err != nil {
		return err
	}
	info, err := v.disk.lstat(p.Path)
	var occupied *OccupiedError
	switch {
	case errors.As(err, &occupied):
		v.damage(p, "", occupied.Reason)
		return nil
	case err != nil:
		return fmt.Errorf("verify %s: %w", p.Path, err)
	case info == nil:
		if !p.Optional && v.wanted[n] {
			v.damage(p, "", "is not installed")
		}
		return nil
	case n.Target != nil:
		if !v.disk.isLink(p) {
			v.damage(p, "", "is not a link to "+p.Link)
			return nil
		}
		v.result.Packages++
		return nil
	case !info.IsDir():
		v.damage(p, "", "is not a directory")
		return nil
	}
	damage, err := v.compare(ctx, n)
	if err != nil {
		return fmt.Errorf("verify %s: %w", p.Path, err)
	}
	v.result.Damage = append(v.result.Damage, damage...)
	if len(damage) == 0 {
		v.result.Packages++
	}
	return nil
}

// checkSignature counts what is known here of the signature that es-lock.json claims.
func (v *verifier) checkSignature(ctx context.Context, n *tree.Node) error {
	if n.Target != nil {
		return nil
	}
	s, err := SignatureOf(ctx, n.Package, v.known)
	switch s.Standing {
	case Signed:
		v.result.Signed++
	case Unknown:
		v.result.Unknown = append(v.result.Unknown, n.Package)
	case Void:
		v.result.Void = append(v.result.Void, n.Package)
	case Contradicted:
		v.damage(n.Package, "", (&SignatureError{n.Package.Record, s.Why}).Error())
	}
	return err
}

func (v *verifier) damage(p *Package, file, reason string) {
	v.result.Damage = append(v.result.Damage, Damage{p, file, reason})
}

// stands reports whether exactly n's module is at its place, whoever put it there.
func (v *verifier) stands(ctx context.Context, n *tree.Node) (bool, error) {
	info, err := v.disk.lstat(n.Package.Path)
	var occupied *OccupiedError
	switch {
	case errors.As(err, &occupied) || err == nil && info == nil:
		return false, nil
	case err != nil:
		return false, err
	case n.Target != nil:
		return v.disk.isLink(n.Package), nil
	case !info.IsDir():
		return false, nil
	}
	damage, err := v.compare(ctx, n)
	return err == nil && len(damage) == 0, ctx.Err()
}

// isLink reports whether what stands at p's path is the link that p is.
func (d *disk) isLink(p *Package) bool {
	target, err := d.root.Readlink(filepath.FromSlash(p.Path))
	return err == nil && target == linkTarget(p.Path, p.Link)
}

// compare builds the package's tree. Only when the CID is another, or when es
// would not have made such a tree, the blocks say what is wrong.
func (v *verifier) compare(ctx context.Context, n *tree.Node) ([]Damage, error) {
	p := n.Package
	root, err := v.disk.root.OpenRoot(filepath.FromSlash(p.Path))
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
	t, err := modules.Inspect(ctx, v.blocks, p.Target())
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
	t.Files = slices.DeleteFunc(slices.Clone(t.Files), func(e modules.Entry) bool { return own.hides(e.Path) })
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

// hidden returns what stands in the package at n without being of it, as es-lock.json
// says: other packages and their commands, relative to the package.
func (v *verifier) hidden(n *tree.Node) map[string]bool {
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
