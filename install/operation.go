package install

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// An operation is one change of a project, while the project is locked.
type operation struct {
	project  *Project
	dir      *layout.Dir
	change   *layout.Change
	options  *Options
	modules  *moduleCache
	resolver Resolver
	result   *Result

	file   *packagejson.File
	locked *lockfile.File // before; may be nil
	edges  []tree.Edge
	edits  []edit // for package.json
	update func(*tree.Edge) bool

	tree   *tree.Node // what shall be
	failed map[*tree.Node]error
}

// An edit is one change of package.json.
type edit struct {
	name   records.Name
	spec   string
	remove bool
}

// load reads the project.
func (op *operation) load() error {
	var err error
	if op.file, _, err = packagejson.Read(op.project.dir); err != nil {
		return err
	}
	for _, d := range op.file.Dependencies() {
		op.edges = append(op.edges, tree.Edge{Name: d.Name, Spec: d.Spec})
	}
	if op.locked, err = lockfile.Read(op.project.dir); err != nil {
		return err
	}
	op.failed = map[*tree.Node]error{}
	op.change = op.dir.Change(op.modules.sources.Blocks, layout.Options{
		Force: op.options.Force, Workers: op.options.workers(), Extract: op.options.Extract,
		Written: func(name records.Name, done, total int) { op.options.event(Event{Writing, name, done, total}) },
	})
	paths := op.change.Note().Paths()
	if op.locked != nil {
		paths = slices.AppendSeq(paths, maps.Keys(op.locked.Packages))
	}
	return op.dir.Recover(paths, op.options.Frozen)
}

// request replaces what the project asks for under r's name.
func (op *operation) request(r Request) {
	op.edges = slices.DeleteFunc(op.edges, func(e tree.Edge) bool { return e.Name == r.Name })
	op.edges = append(op.edges, tree.Edge{Name: r.Name, Spec: r.Spec, Fresh: true})
}

// plan decides about the tree anew, keeping the locked versions.
func (op *operation) plan(ctx context.Context) error {
	root, skipped, err := tree.Plan(ctx, op.edges, tree.Options{
		Resolver: op.resolver, Modules: op.modules, Locked: op.locked, Update: op.update, Workers: op.options.workers(),
		Progress: func(name records.Name, packages int) {
			op.options.event(Event{Stage: Resolving, Name: name, Done: packages})
		},
	})
	if err != nil {
		return err
	}
	op.tree = root
	op.result.Skipped = append(op.result.Skipped, skipped...)
	return nil
}

// save turns requests into edits of package.json.
func (op *operation) save(requests []Request) error {
	for _, r := range requests {
		p := op.tree.Children[r.Name].Package
		spec := r.Saved(p.Version)
		if err := op.file.Set(r.Name, spec); err != nil {
			return err
		}
		op.edits = append(op.edits, edit{name: r.Name, spec: spec})
		op.result.Saved = append(op.result.Saved, Saved{r.Name, spec, p})
	}
	slices.SortFunc(op.result.Saved, func(a, b Saved) int { return strings.Compare(string(a.Name), string(b.Name)) })
	op.result.Saved = slices.CompactFunc(op.result.Saved, func(a, b Saved) bool { return a.Name == b.Name })
	return nil
}

// adopt has what es-lock.json had before noted as es's, where it still stands.
func (op *operation) adopt(ctx context.Context) error {
	if op.locked == nil {
		return nil
	}
	root, _ := tree.FromLockfile(op.locked, slices.Clone(op.edges))
	return op.change.Adopt(ctx, root)
}

// apply makes the disk agree with the tree: first node_modules, then
// package.json, then es-lock.json.
func (op *operation) apply(ctx context.Context) error {
	next := op.tree.Lockfile()
	op.warn()
	if err := op.checkRecords(ctx, next); err != nil {
		return err
	}
	if err := op.signers(next); err != nil {
		return err
	}
	if err := op.adopt(ctx); err != nil {
		return err
	}
	nodes, pending, err := op.fetch(ctx)
	if err != nil {
		return err
	}
	op.warnEngines(ctx, pending)
	op.report(nodes, pending)
	linked, warnings, err := op.change.Apply(ctx, op.modules, nodes, pending)
	if err != nil {
		return err
	}
	op.result.Linked, op.result.Warnings = linked, append(op.result.Warnings, warnings...)
	if op.options.Frozen {
		return nil
	}
	if err := op.writePackageJSON(); err != nil {
		return err
	}
	return op.writeLockfile(next)
}

// writePackageJSON edits what package.json says now: an editor may have written
// it in the meantime.
func (op *operation) writePackageJSON() error {
	if len(op.edits) == 0 {
		return nil
	}
	f, found, err := packagejson.Read(op.project.dir)
	if err != nil {
		return err
	}
	before := f.Bytes()
	for _, e := range op.edits {
		if e.remove {
			_, err = f.Remove(e.name)
		} else {
			err = f.Set(e.name, e.spec)
		}
		if err != nil {
			return err
		}
	}
	if found && bytes.Equal(before, f.Bytes()) {
		return nil
	}
	return op.dir.WriteFile(packagejson.Name, f.Bytes())
}

func (op *operation) writeLockfile(l *lockfile.File) error {
	b := l.Bytes()
	if old, err := regularfile.Read(filepath.Join(op.project.dir, lockfile.Name), lockfile.MaxSize); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if op.locked == nil && len(l.Packages) == 0 {
		return nil
	}
	return op.dir.WriteFile(lockfile.Name, b)
}

// has reports whether the lockfile has a package of the name, or one that stands
// under it.
func (op *operation) has(name records.Name) bool {
	if op.locked == nil {
		return false
	}
	for _, p := range op.locked.Packages {
		if p.Name == name || lockfile.NameAt(p.Path) == name {
			return true
		}
	}
	return false
}

// warnEngines names the packages to be written that are for another node. What is
// in place was told of when it came: asking node takes longer than all the rest.
func (op *operation) warnEngines(ctx context.Context, pending []*tree.Node) {
	p := op.options.Platform
	for _, n := range pending {
		if n.Target != nil || n.Package.Engines["node"] == "" {
			continue
		}
		if p.Node == "" && op.options.FindNode != nil {
			p.Node = op.options.FindNode(ctx)
		}
		if p.Node == "" {
			return
		}
		if why := p.RefusesNode(n.Package); why != "" {
			op.warnf(n, "%s %s", n.Package, why)
		}
	}
}

// warn collects what does not stop an installation: peers and platforms.
func (op *operation) warn() {
	op.tree.Walk(func(n *tree.Node) {
		if n.Package == nil || n.Target != nil {
			return
		}
		if why := op.options.Platform.Refuses(n.Package); why != "" && !n.Package.Optional {
			op.warnf(n, "%s %s", n.Package, why)
		}
		for _, name := range slices.Sorted(maps.Keys(n.Package.PeerDependencies)) {
			op.warnPeer(n, name)
		}
	})
}

func (op *operation) warnf(n *tree.Node, format string, args ...any) {
	op.result.Warnings = append(op.result.Warnings, Warning{Path: n.Path(), Text: fmt.Sprintf(format, args...)})
}

// warnPeer looks for a peer where the package would find it.
func (op *operation) warnPeer(n *tree.Node, name string) {
	e := tree.NewEdge(name, n.Package.PeerDependencies[name], slices.Contains(n.Package.OptionalPeers, name))
	_, own := n.Package.Dependencies[name]
	switch to := n.Lookup(e.Name); {
	case e.Err != nil || own:
	case to == nil:
		version, there := op.dir.PackageOf(e.Name, op.change.Note())
		if there && (version == "" || e.Spec.Match(version)) || !there && e.Optional {
			return
		}
		if there {
			op.warnf(n, "%s needs the peer %s@%s, and %s@%s is installed", n.Package, e.Name, records.Clip(e.Spec.Text), e.Name, version)
			return
		}
		op.warnf(n, "%s needs the peer %s@%s, which is not installed", n.Package, e.Name, records.Clip(e.Spec.Text))
	case !to.FitsPeer(&e):
		op.warnf(n, "%s needs the peer %s@%s, and %s is installed", n.Package, e.Name, records.Clip(e.Spec.Text), to.Package)
	}
}

// noteSkipped adds what wanted left out to the result.
func (op *operation) noteSkipped() {
	op.tree.Walk(func(n *tree.Node) {
		if n.Package == nil {
			return
		}
		err := op.failed[n]
		if err == nil && op.options.Platform.Foreign(n) {
			err = fmt.Errorf("%s %s", n.Package, op.options.Platform.Refuses(n.Package))
		}
		if err != nil {
			op.result.Skipped = append(op.result.Skipped, Skipped{Name: n.Package.Name, By: n.Parent.Path(), Err: err})
		}
	})
	slices.SortStableFunc(op.result.Skipped, func(a, b Skipped) int {
		return cmp.Or(strings.Compare(a.By, b.By), strings.Compare(string(a.Name), string(b.Name)))
	})
}
