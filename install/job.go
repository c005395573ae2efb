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

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// A job is one operation on a project, while the project is locked.
type job struct {
	dir      string
	disk     *disk
	options  *Options
	modules  *moduleCache
	resolver Resolver
	result   *Result

	file   *packagejson.File
	locked *lockfile.File // before; may be nil
	marker *marker
	edges  []tree.Edge
	asked  map[records.Name]bool // what this command names
	edits  []edit                // for package.json
	renew  func(*tree.Edge) bool

	tree    *tree.Node // what shall be
	failed  map[*tree.Node]error
	others  *others
	adopted bool                // the note was lost, and is made anew
	taken   map[*tree.Node]bool // whether what another program put there is the module
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
	if j.file, _, err = packagejson.Read(j.dir); err != nil {
		return err
	}
	for _, d := range j.file.Dependencies() {
		j.edges = append(j.edges, tree.Edge{Name: d.Name, Spec: d.Spec})
	}
	if j.locked, err = lockfile.Read(j.dir); err != nil {
		return err
	}
	j.others, j.taken = j.disk.readOthers(), map[*tree.Node]bool{}
	j.asked, j.failed = map[records.Name]bool{}, map[*tree.Node]error{}
	j.marker = j.disk.readMarker()
	paths := j.marker.paths()
	if j.locked != nil {
		paths = slices.AppendSeq(paths, maps.Keys(j.locked.Packages))
	}
	return j.disk.recover(paths, j.options.Frozen)
}

// request replaces what the project asks for under r's name.
func (j *job) request(r Request) {
	j.asked[r.Name] = true
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
	nodes, stale, err := j.fetch(ctx)
	if err != nil {
		return err
	}
	j.warnEngines(ctx, stale)
	if err := j.place(ctx, nodes, stale); err != nil {
		return err
	}
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
	f, found, err := packagejson.Read(j.dir)
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
	return j.disk.writeAtomic(j.dir, packagejson.Name, f.Bytes())
}

func (j *job) writeLockfile(l *lockfile.File) error {
	b := l.Bytes()
	if old, err := regularfile.Read(filepath.Join(j.dir, lockfile.Name), lockfile.MaxSize); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if j.locked == nil && len(l.Packages) == 0 {
		return nil
	}
	return j.disk.writeAtomic(j.dir, lockfile.Name, b)
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
func (j *job) warnEngines(ctx context.Context, stale []*tree.Node) {
	p := j.options.Platform
	for _, n := range stale {
		if n.Target != nil || n.Package.Engines["node"] == "" {
			continue
		}
		if p.Node == "" && j.options.FindNode != nil {
			p.Node = j.options.FindNode(ctx)
		}
		if p.Node == "" {
			return
		}
		if why := p.engine(n.Package); why != "" {
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
		if why := j.options.Platform.refuses(n.Package); why != "" && !n.Package.Optional {
			j.warnf(n, "%s %s", n.Package, why)
		}
		for _, name := range slices.Sorted(maps.Keys(n.Package.PeerDependencies)) {
			j.warnPeer(n, name)
		}
	})
}

func (j *job) warnf(n *tree.Node, format string, args ...any) {
	j.result.Warnings = append(j.result.Warnings, Warning{n.Path(), fmt.Sprintf(format, args...)})
}

// warnPeer looks for a peer where the package would find it.
func (j *job) warnPeer(n *tree.Node, name string) {
	e := tree.NewEdge(name, n.Package.PeerDependencies[name], slices.Contains(n.Package.OptionalPeers, name))
	_, own := n.Package.Dependencies[name]
	switch to := n.Lookup(e.Name); {
	case e.Err != nil || own:
	case to == nil:
		version, there := j.standsThere(e.Name)
		if there && (version == "" || e.Spec.Match(version)) || !there && e.Optional {
			return
		}
		if there {
			j.warnf(n, "%s needs %s@%s beside it, and %s@%s is installed", n.Package, e.Name, clip(e.Spec.Text), e.Name, version)
			return
		}
		j.warnf(n, "%s needs %s@%s beside it, which is not installed", n.Package, e.Name, clip(e.Spec.Text))
	case !to.FitsPeer(&e):
		j.warnf(n, "%s needs %s@%s beside it, and %s is installed", n.Package, e.Name, clip(e.Spec.Text), to.Package)
	}
}

// wanted returns the packages to have in node_modules on this platform, by
// path. Those that cannot be had are left out with all that only they need.
func (j *job) wanted() []*tree.Node {
	reached := j.tree.Reach(func(_ *tree.Edge, to *tree.Node) bool {
		return j.available(to) && (to.Target == nil || j.available(to.Target))
	})
	var nodes []*tree.Node
	for n := range reached {
		if n.Package != nil {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b *tree.Node) int { return lockfile.ComparePaths(a.Package.Path, b.Package.Path) })
	return nodes
}

func (j *job) available(n *tree.Node) bool { return j.failed[n] == nil && !j.foreign(n) }

// foreign reports whether n is an optional package for other platforms.
func (j *job) foreign(n *tree.Node) bool {
	return n.Package.Optional && j.options.Platform.refuses(n.Package) != ""
}

// noteSkipped adds what wanted left out to the result.
func (j *job) noteSkipped() {
	j.tree.Walk(func(n *tree.Node) {
		if n.Package == nil {
			return
		}
		err := j.failed[n]
		if err == nil && j.foreign(n) {
			err = fmt.Errorf("%s %s", n.Package, j.options.Platform.refuses(n.Package))
		}
		if err != nil {
			j.result.Skipped = append(j.result.Skipped, Skipped{Name: n.Package.Name, By: n.Parent.Path(), Err: err})
		}
	})
	slices.SortStableFunc(j.result.Skipped, func(a, b Skipped) int {
		return cmp.Or(strings.Compare(a.By, b.By), strings.Compare(string(a.Name), string(b.Name)))
	})
}
