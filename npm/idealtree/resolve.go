package idealtree

import (
	"cmp"
	"container/heap"
	"context"
	"slices"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records"
)

// Options say what a tree is made with.
type Options struct {
	// Node and NPM are versions that packages say they run with: those that do not are
	// not chosen while others do. Empty for any.
	Node, NPM records.Version
	// Locked is the tree that was. What still satisfies stays.
	Locked []Place
	// Update names packages that are resolved anew wherever they stand.
	Update []string

	maxWork int // another limit than maxWork, for tests
}

// Resolve makes the tree of a project.
func Resolve(ctx context.Context, p *manifest.Project, s Source, o Options) (*Tree, error) {
	t := &resolver{
		project: p, source: s, options: o,
		packages: make(map[string]*known), picked: make(map[pickKey]picked), parsed: make(map[parseKey]manifest.Spec),
		peerSets: make(map[*node]*node), directories: make(map[string]*node),
		seen: make(map[*node]bool), failures: make(map[*node]bool), queue: queue{queued: make(map[*node]bool)},
	}
	if err := t.start(ctx); err != nil {
		return nil, err
	}
	if err := t.build(ctx); err != nil {
		return nil, err
	}
	return t.finish()
}

type resolver struct {
	project *manifest.Project
	source  Source
	options Options

	packages map[string]*known
	picked   map[pickKey]picked
	parsed   map[parseKey]manifest.Spec

	tree        *node
	workspaces  []workspaceEdge
	directories map[string]*node
	peerSets    map[*node]*node // the last of each source

	queue    queue
	seen     map[*node]bool
	failures map[*node]bool // nodes of what could not be found
	links    []*node        // to directories that were not looked at yet

	read, placed, nesting, tries, work int
}

type parseKey struct{ name, text, dir string }

func (t *resolver) parse(name, text string, from *node) manifest.Spec {
	key := parseKey{name, text, ""}
	if from.top {
		key.dir = "/" + from.dir
	}
	w, ok := t.parsed[key]
	if !ok {
		w = manifest.ParseSpec(name, text, from.dir)
		if w.Kind == manifest.Directory && !from.top {
			w = manifest.Spec{Kind: manifest.Refused, Err: errDirectory}
		}
		t.parsed[key] = w
	}
	return w
}

// spend counts what is tried, so that manifests cannot make it endless.
func (t *resolver) spend(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.tries++
	return t.spendPlain()
}

func (t *resolver) spendPlain() error {
	if t.exhausted() {
		return &LimitError{"ways to place peers are tried", maxTries}
	}
	return nil
}

func (t *resolver) exhausted() bool {
	return t.tries > maxTries || t.work > cmp.Or(t.options.maxWork, maxWork)
}

func (t *resolver) updates(name string) bool { return slices.Contains(t.options.Update, name) }

// start makes the root, the workspaces, and what the lockfile has.
func (t *resolver) start(ctx context.Context) error {
	var err error
	if t.workspaces, err = workspaceEdges(t.project); err != nil {
		return err
	}
	root := &node{t: t, name: t.project.Root.Name, manifest: t.project.Root, top: true, overrides: rulesOf(t.project.Root.Overrides)}
	root.root = root
	root.register()
	t.tree = root
	root.load()
	for _, w := range t.workspaces {
		n, err := t.directory(w.dir)
		if err != nil {
			return err
		}
		n.overrides = root.overrides
		n.passOn()
	}
	for _, w := range sortedBy(t.workspaces, func(w workspaceEdge) string { return w.dir }) {
		if err := t.attachDirectory(t.directories[w.dir]); err != nil {
			return err
		}
	}
	for _, e := range root.out.list {
		if spec := e.spec(); e.kind != workspace && spec != e.raw {
			return &OverrideError{e.name, e.raw, spec}
		}
	}
	return t.loadLocked(ctx)
}

func (t *resolver) build(ctx context.Context) error {
	t.queue.push(t.tree)
	for {
		n := t.queue.pop()
		if n == nil {
			if !t.followLinks() {
				return nil
			}
			continue
		}
		if t.seen[n] || n.root != t.tree {
			continue
		}
		t.seen[n] = true
		if err := t.step(ctx, n); err != nil {
			return err
		}
	}
}

// followLinks queues the directories that links lead to.
func (t *resolver) followLinks() bool {
	links := t.links
	t.links = nil
	for _, l := range links {
		if l.root != t.tree || !l.link.top || l.link.root != t.tree || t.seen[l.link] {
			continue
		}
		if l.overrides != nil {
			l.link.underToo(l.overrides)
		}
		t.queue.push(l.link)
	}
	return t.queue.Len() > 0
}

// step finds and places what one node needs.
func (t *resolver) step(ctx context.Context, n *node) error {
	var found []*placement
	for _, e := range t.problems(n) {
		if e.conflicted {
			continue
		}
		dep, err := t.find(ctx, n, e)
		if err != nil {
			return err
		}
		found = append(found, &placement{t: t, dep: dep, edge: e})
	}
	slices.SortStableFunc(found, func(a, b *placement) int { return collate(a.edge.name, b.edge.name) })
	for _, p := range found {
		if err := t.spend(ctx); err != nil {
			return err
		}
		if err := p.run(); err != nil {
			return err
		}
		t.follow(p)
	}
	for _, e := range n.out.list {
		if e.to != nil && e.to.link != nil {
			t.links = append(t.links, e.to)
		}
	}
	return nil
}

func (t *resolver) find(ctx context.Context, n *node, e *edge) (*node, error) {
	set := t.peerSet(n, true)
	if own := set.out.get(e.name); own != nil && own.to != nil && own.valid() && e.satisfiedBy(own.to) {
		return own.to, nil
	}
	if e.kind == peerOptional && !t.updates(e.name) {
		from := e.from
		if up := from.around(); up != nil {
			from = up
		}
		if there := t.below(from, e); there != nil {
			return there, nil
		}
	}
	if !e.peer() {
		set = nil
	}
	return t.nodeFor(ctx, e, set, nil, required{n: true})
}

// below finds a node that an edge would be content with, the nearest to the root first.
func (t *resolver) below(n *node, e *edge) *node {
	all := slices.Clone(n.children.list)
	for i := 0; i < len(all); i++ {
		t.work++
		if all[i].name == e.name && !all[i].bundled && e.satisfiedBy(all[i]) {
			return all[i]
		}
		all = append(all, all[i].children.list...)
	}
	return nil
}

// follow queues what a placement put there, and what it left wanting.
func (t *resolver) follow(p *placement) {
	if n := p.placed; n != nil {
		if n.err != nil {
			t.failures[n] = true
		}
		if p.can.self == free || p.can.self == replaces {
			for _, e := range n.in {
				if e != p.edge && !e.conflicted && !e.valid() {
					delete(t.seen, e.from)
					t.queue.push(e.from)
				}
			}
		}
		t.queue.push(n)
		for _, again := range p.again {
			delete(t.seen, again)
			t.queue.push(again)
		}
	}
	for _, c := range p.children {
		t.follow(c)
	}
}

// problems are the edges of n that something has to be done about.
func (t *resolver) problems(n *node) []*edge {
	var all []*edge
	for _, e := range n.out.list {
		switch {
		case !n.isProject() && slices.Contains(n.manifest.Bundled, e.name):
		case e.to != nil && t.failures[e.to]:
		case e.to == nil:
			if e.kind != peerOptional {
				all = append(all, e)
			}
		case !e.valid():
			all = append(all, e)
		case t.isWorkspace(e.to):
		case t.updates(e.name):
			all = append(all, e)
		}
	}
	return all
}

// queue holds nodes: those nearer to the root first, then by their paths.
type queue struct {
	items  []queued
	queued map[*node]bool
}

type queued struct {
	n     *node
	depth int
	path  string
}

func (q *queue) Len() int           { return len(q.items) }
func (q *queue) Swap(i, j int)      { q.items[i], q.items[j] = q.items[j], q.items[i] }
func (q *queue) Push(x any)         { q.items = append(q.items, x.(queued)) }
func (q *queue) Less(i, j int) bool { return q.items[i].before(q.items[j]) }
func (q *queue) Pop() any {
	last := q.items[len(q.items)-1]
	q.items = q.items[:len(q.items)-1]
	return last
}

func (a queued) before(b queued) bool {
	if a.depth != b.depth {
		return a.depth < b.depth
	}
	return collate(a.path, b.path) < 0
}

func (q *queue) push(n *node) {
	if !q.queued[n] {
		q.queued[n] = true
		heap.Push(q, queued{n, n.depth(), n.path()})
	}
}

func (q *queue) pop() *node {
	if len(q.items) == 0 {
		return nil
	}
	n := heap.Pop(q).(queued).n
	delete(q.queued, n)
	return n
}
