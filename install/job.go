package install

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// A job is one operation on a project, while the project is locked.
type job struct {
	dir      string
	disk     *disk
	options  *Options
	shelf    *shelf
	resolver Resolver
	result   *Result

	file   *packageFile
	locked *lockfile.File // before; may be nil
	marker *marker
	edges  []edge
	asked  map[records.Name]bool // what this command names
	edits  []edit                // for package.json
	renew  func(*edge) bool

	tree    *treeNode // what shall be
	failed  map[*treeNode]error
	others  *others
	adopted bool               // the note was lost, and is made anew
	taken   map[*treeNode]bool // whether what another program put there is the module
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
	if j.file, _, err = readPackageFile(j.dir); err != nil {
		return err
	}
	deps, err := j.file.dependencies()
	if err != nil {
		return err
	}
	for _, d := range deps {
		j.edges = append(j.edges, edge{name: d.Name, spec: d.Spec})
	}
	if j.locked, err = lockfile.Read(j.dir); err != nil {
		return err
	}
	j.others, j.taken = j.disk.readOthers(), map[*treeNode]bool{}
	j.asked, j.failed = map[records.Name]bool{}, map[*treeNode]error{}
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
	j.edges = slices.DeleteFunc(j.edges, func(e edge) bool { return e.name == r.Name })
	j.edges = append(j.edges, edge{name: r.Name, spec: r.Spec, fresh: true})
}

// plan decides about the tree anew, keeping the locked versions.
func (j *job) plan(ctx context.Context) error {
	p := &planner{shelf: j.shelf, resolver: j.resolver, options: j.options, locked: j.locked, renew: j.renew}
	tree, err := p.plan(ctx, j.edges)
	if err != nil {
		return err
	}
	j.tree = tree
	j.result.Skipped = append(j.result.Skipped, p.skipped...)
	return nil
}

// save turns requests into edits of package.json.
func (j *job) save(requests []Request) error {
	for _, r := range requests {
		p := j.tree.children[r.Name].pkg
		spec := r.saved(p)
		if err := j.file.set(r.Name, spec); err != nil {
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
	next := j.tree.lockfile()
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
	f, found, err := readPackageFile(j.dir)
	if err != nil {
		return err
	}
	before := f.bytes()
	for _, e := range j.edits {
		var gone *NotFoundError
		if e.remove {
			if err := f.remove(e.name); err != nil && !errors.As(err, &gone) {
				return err
			}
		} else if err := f.set(e.name, e.spec); err != nil {
			return err
		}
	}
	if found && bytes.Equal(before, f.bytes()) {
		return nil
	}
	return j.disk.writeAtomic(j.dir, packageJSON, f.bytes())
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
func (j *job) warnEngines(ctx context.Context, stale []*treeNode) {
	p := j.options.Platform
	for _, n := range stale {
		if n.target != nil || n.pkg.Engines["node"] == "" {
			continue
		}
		if p.Node == "" && j.options.FindNode != nil {
			p.Node = j.options.FindNode(ctx)
		}
		if p.Node == "" {
			return
		}
		if why := p.engine(n.pkg); why != "" {
			j.warnf(n, "%s %s", n.pkg, why)
		}
	}
}

// warn collects what does not stop an installation: peers and platforms.
func (j *job) warn() {
	j.tree.walk(func(n *treeNode) {
		if n.pkg == nil || n.target != nil {
			return
		}
		if why := j.options.Platform.refuses(n.pkg); why != "" && !n.pkg.Optional {
			j.warnf(n, "%s %s", n.pkg, why)
		}
		for _, name := range slices.Sorted(maps.Keys(n.pkg.PeerDependencies)) {
			j.warnPeer(n, name)
		}
	})
}

func (j *job) warnf(n *treeNode, format string, args ...any) {
	j.result.Warnings = append(j.result.Warnings, Warning{n.path(), fmt.Sprintf(format, args...)})
}

// warnPeer looks for a peer where the package would find it.
func (j *job) warnPeer(n *treeNode, name string) {
	e := newEdge(name, n.pkg.PeerDependencies[name], slices.Contains(n.pkg.OptionalPeers, name))
	_, own := n.pkg.Dependencies[name]
	switch to := n.lookup(e.name); {
	case e.err != nil || own:
	case to == nil:
		version, there := j.standsThere(e.name)
		if there && (version == "" || e.spec.Match(version)) || !there && e.optional {
			return
		}
		if there {
			j.warnf(n, "%s needs %s@%s beside it, and %s@%s is installed", n.pkg, e.name, clip(e.spec.Text), e.name, version)
			return
		}
		j.warnf(n, "%s needs %s@%s beside it, which is not installed", n.pkg, e.name, clip(e.spec.Text))
	case !to.fitsPeer(&e):
		j.warnf(n, "%s needs %s@%s beside it, and %s is installed", n.pkg, e.name, clip(e.spec.Text), to.pkg)
	}
}

// fitsPeer is satisfies without the question of who decided.
func (n *treeNode) fitsPeer(e *edge) bool {
	if e.spec.Kind == CID {
		return n.pkg.Module == e.spec.CID
	}
	return n.pkg.Name == e.real() && n.pkg.Version != "" && e.spec.Match(n.pkg.Version)
}

// wanted returns the packages to have in node_modules on this platform, by
// path. Those that cannot be had are left out with all that only they need.
func (j *job) wanted() []*treeNode {
	reached := j.tree.reach(func(_ *edge, to *treeNode) bool {
		return j.available(to) && (to.target == nil || j.available(to.target))
	})
	var nodes []*treeNode
	for n := range reached {
		if n.pkg != nil {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b *treeNode) int { return lockfile.ComparePaths(a.pkg.Path, b.pkg.Path) })
	return nodes
}

func (j *job) available(n *treeNode) bool { return j.failed[n] == nil && !j.foreign(n) }

// foreign reports whether n is an optional package for other platforms.
func (j *job) foreign(n *treeNode) bool {
	return n.pkg.Optional && j.options.Platform.refuses(n.pkg) != ""
}

// noteSkipped adds what wanted left out to the result.
func (j *job) noteSkipped() {
	j.tree.walk(func(n *treeNode) {
		if n.pkg == nil {
			return
		}
		err := j.failed[n]
		if err == nil && j.foreign(n) {
			err = fmt.Errorf("%s %s", n.pkg, j.options.Platform.refuses(n.pkg))
		}
		if err != nil {
			j.result.Skipped = append(j.result.Skipped, Skipped{Name: n.pkg.Name, By: n.parent.path(), Err: err})
		}
	})
	slices.SortStableFunc(j.result.Skipped, func(a, b Skipped) int {
		return cmp.Or(strings.Compare(a.By, b.By), strings.Compare(string(a.Name), string(b.Name)))
	})
}
