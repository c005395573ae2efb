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

// A job is one operation on a project, while the project is locked.
type job struct {
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
	renew  func(*tree.Edge) bool

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
func (j *job) load() error {
	var err error
	if j.file, _, err = packagejson.Read(j.project.dir); err != nil {
		return err
	}
	for _, d := range j.file.Dependencies() {
		j.edges = append(j.edges, tree.Edge{Name: d.Name, Spec: d.Spec})
	}
	if j.locked, err = lockfile.Read(j.project.dir); err != nil {
		return err
	}
	j.failed = map[*tree.Node]error{}
	j.change = j.dir.Change(j.modules.sources.Blocks, layout.Options{
		Force: j.options.Force, Workers: j.options.workers(), Extract: j.options.Extract,
		Written: func(name records.Name, done, total int) { j.options.event(Event{Writing, name, done, total}) },
	})
	paths := j.change.Note().Paths()
	if j.locked != nil {
		paths = slices.AppendSeq(paths, maps.Keys(j.locked.Packages))
	}
	return j.dir.Recover(paths, j.options.Frozen)
}

// request replaces what the project asks for under r's name.
func (j *job) request(r Request) {
	j.edges = slices.DeleteFunc(j.edges, func(e tree.Edge) bool { return e.Name == r.Name })
	j.edges = append(j.edges, tree.Edge{Name: r.Name, Spec: r.Spec, Fresh: true})
}

// plan decides about the tree anew, keeping the locked versions.
func (j *job) plan(ctx context.Context) error {
	root, skipped, err := tree.Plan(ctx, j.edges, tree.Options{
		Resolver: j.resolver, Modules: j.modules, Locked: j.locked, Renew: j.renew, Workers: j.options.workers(),
		Progress: func(name records.Name, packages int) {
			j.options.event(Event{Stage: Resolving, Name: name, Done: packages})
		},
	})
	if err != nil {
		return err
	}
	j.tree = root
	j.result.Skipped = append(j.result.Skipped, skipped...)
	return nil
}

// save turns requests into edits of package.json.
func (j *job) save(requests []Request) error {
	for _, r := range requests {
		p := j.tree.Children[r.Name].Package
		spec := r.Saved(p.Version)
		if err := j.file.Set(r.Name, spec); err != nil {
			return err
		}
		j.edits = append(j.edits, edit{name: r.Name, spec: spec})
		j.result.Saved = append(j.result.Saved, Saved{r.Name, spec, p})
	}
	slices.SortFunc(j.result.Saved, func(a, b Saved) int { return strings.Compare(string(a.Name), string(b.Name)) })
	j.result.Saved = slices.CompactFunc(j.result.Saved, func(a, b Saved) bool { return a.Name == b.Name })
	return nil
}

// adopt has what es-lock.json had before noted as es's, where it still stands.
func (j *job) adopt(ctx context.Context) error {
	if j.locked == nil {
		return nil
	}
	root, _ := tree.FromLockfile(j.locked, slices.Clone(j.edges))
	return j.change.Adopt(ctx, root)
}

// apply makes the disk agree with the tree: first node_modules, then
// package.json, then es-lock.json.
func (j *job) apply(ctx context.Context) error {
	next := j.tree.Lockfile()
	j.warn()
	if err := j.checkRecords(ctx, next); err != nil {
		return err
	}
	if err := j.signers(next); err != nil {
		return err
	}
	if err := j.adopt(ctx); err != nil {
		return err
	}
	nodes, pending, err := j.fetch(ctx)
	if err != nil {
		return err
	}
	j.warnEngines(ctx, pending)
	j.report(nodes, pending)
	linked, warnings, err := j.change.Apply(ctx, j.modules, nodes, pending)
	if err != nil {
		return err
	}
	j.result.Linked, j.result.Warnings = linked, append(j.result.Warnings, warnings...)
	if j.options.Frozen {
		return nil
	}
	if err := j.writePackageJSON(); err != nil {
		return err
	}
	return j.writeLockfile(next)
}

// writePackageJSON edits what package.json says now: an editor may have written
// it in the meantime.
func (j *job) writePackageJSON() error {
	if len(j.edits) == 0 {
		return nil
	}
	f, found, err := packagejson.Read(j.project.dir)
	if err != nil {
		return err
	}
	before := f.Bytes()
	for _, e := range j.edits {
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
	return j.dir.WriteFile(packagejson.Name, f.Bytes())
}

func (j *job) writeLockfile(l *lockfile.File) error {
	b := l.Bytes()
	if old, err := regularfile.Read(filepath.Join(j.project.dir, lockfile.Name), lockfile.MaxSize); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if j.locked == nil && len(l.Packages) == 0 {
		return nil
	}
	return j.dir.WriteFile(lockfile.Name, b)
}

// has reports whether the lockfile has a package of the name, or one that stands
// under it.
func (j *job) has(name records.Name) bool {
	if j.locked == nil {
		return false
	}
	for _, p := range j.locked.Packages {
		if p.Name == name || lockfile.NameAt(p.Path) == name {
			return true
		}
	}
	return false
}

// warnEngines names the packages to be written that are for another node. What is
// in place was told of when it came: asking node takes longer than all the rest.
func (j *job) warnEngines(ctx context.Context, pending []*tree.Node) {
	p := j.options.Platform
	for _, n := range pending {
		if n.Target != nil || n.Package.Engines["node"] == "" {
			continue
		}
		if p.Node == "" && j.options.FindNode != nil {
			p.Node = j.options.FindNode(ctx)
		}
		if p.Node == "" {
			return
		}
		if why := p.RefusesNode(n.Package); why != "" {
			j.warnf(n, "%s %s", n.Package, why)
		}
	}
}

// warn collects what does not stop an installation: peers and platforms.
func (j *job) warn() {
	j.tree.Walk(func(n *tree.Node) {
		if n.Package == nil || n.Target != nil {
			return
		}
		if why := j.options.Platform.Refuses(n.Package); why != "" && !n.Package.Optional {
			j.warnf(n, "%s %s", n.Package, why)
		}
		for _, name := range slices.Sorted(maps.Keys(n.Package.PeerDependencies)) {
			j.warnPeer(n, name)
		}
	})
}

func (j *job) warnf(n *tree.Node, format string, args ...any) {
	j.result.Warnings = append(j.result.Warnings, Warning{Path: n.Path(), Text: fmt.Sprintf(format, args...)})
}

// warnPeer looks for a peer where the package would find it.
func (j *job) warnPeer(n *tree.Node, name string) {
	e := tree.NewEdge(name, n.Package.PeerDependencies[name], slices.Contains(n.Package.OptionalPeers, name))
	_, own := n.Package.Dependencies[name]
	switch to := n.Lookup(e.Name); {
	case e.Err != nil || own:
	case to == nil:
		version, there := j.dir.PackageOf(e.Name, j.change.Note())
		if there && (version == "" || e.Spec.Match(version)) || !there && e.Optional {
			return
		}
		if there {
			j.warnf(n, "%s needs %s@%s beside it, and %s@%s is installed", n.Package, e.Name, records.Clip(e.Spec.Text), e.Name, version)
			return
		}
		j.warnf(n, "%s needs %s@%s beside it, which is not installed", n.Package, e.Name, records.Clip(e.Spec.Text))
	case !to.FitsPeer(&e):
		j.warnf(n, "%s needs %s@%s beside it, and %s is installed", n.Package, e.Name, records.Clip(e.Spec.Text), to.Package)
	}
}

// noteSkipped adds what wanted left out to the result.
func (j *job) noteSkipped() {
	j.tree.Walk(func(n *tree.Node) {
		if n.Package == nil {
			return
		}
		err := j.failed[n]
		if err == nil && j.options.Platform.Foreign(n) {
			err = fmt.Errorf("%s %s", n.Package, j.options.Platform.Refuses(n.Package))
		}
		if err != nil {
			j.result.Skipped = append(j.result.Skipped, Skipped{Name: n.Package.Name, By: n.Parent.Path(), Err: err})
		}
	})
	slices.SortStableFunc(j.result.Skipped, func(a, b Skipped) int {
		return cmp.Or(strings.Compare(a.By, b.By), strings.Compare(string(a.Name), string(b.Name)))
	})
}
