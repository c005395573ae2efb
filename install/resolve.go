package install

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
	"golang.org/x/sync/errgroup"
)

// A planner turns the project's dependencies into a tree.
type planner struct {
	shelf    *shelf
	resolver Resolver
	options  *Options
	locked   *lockfile.File   // what to prefer; may be nil
	renew    func(*edge) bool // where not to prefer it; may be nil
	byName   map[records.Name][]*Package
	answers  map[string]*Resolution
	queue    queue
	skipped  []Skipped
	copies   map[copyKey][]*treeNode
	links    []*treeNode
	sum      bounds
}

// plan resolves edges and what they lead to, and gives every package its place.
// The same answers of the resolver give the same tree.
func (b *planner) plan(ctx context.Context, edges []edge) (*treeNode, error) {
	b.answers = map[string]*Resolution{}
	b.byName = map[records.Name][]*Package{}
	if b.locked != nil {
		for _, p := range b.locked.Packages {
			if p.Record.Defined() && p.Link == "" {
				b.byName[p.Name] = append(b.byName[p.Name], p)
			}
		}
	}
	for _, list := range b.byName {
		slices.SortFunc(list, func(p, q *Package) int {
			return cmp.Or(q.Version.Compare(p.Version), strings.Compare(p.Record.String(), q.Record.String()), strings.Compare(p.Path, q.Path))
		})
	}
	for name, list := range b.byName { // of copies the first is enough
		b.byName[name] = slices.CompactFunc(list, func(p, q *Package) bool { return p.Version == q.Version && p.Record == q.Record })
	}
	b.copies = map[copyKey][]*treeNode{}
	root := newRoot(edges)
	b.queue = queue{root}
	for len(b.queue) > 0 {
		n := heap.Pop(&b.queue).(*treeNode)
		if err := b.visit(ctx, n); err != nil {
			return nil, err
		}
	}
	for _, n := range b.links {
		path, link := n.pkg.Path, n.pkg.Link
		*n.pkg = *n.target.pkg
		n.pkg.Path, n.pkg.Link = path, link
	}
	root.markOptional()
	return root, nil
}

// visit makes all edges of n lead somewhere.
func (b *planner) visit(ctx context.Context, n *treeNode) error {
	if err := b.prefetch(ctx, n); err != nil {
		return err
	}
	if err := b.sum.addEdges(n); err != nil {
		return err
	}
	for i := range n.edges {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.follow(ctx, n, &n.edges[i]); err != nil {
			return err
		}
	}
	return nil
}

// prefetch brings the modules that n asks for by CID at once, when n is what was
// signed. Errors come up again, with the edge they belong to, in follow.
func (b *planner) prefetch(ctx context.Context, n *treeNode) error {
	byCID := func(e edge) bool { return e.spec.Kind == CID && e.err == nil && b.lockedModule(&e) == nil }
	if n.pkg != nil && slices.ContainsFunc(n.edges, byCID) {
		var broken *IntegrityError
		if _, err := b.shelf.check(ctx, n.pkg); errors.As(err, &broken) {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(b.options.workers())
	for i := range n.edges {
		e := &n.edges[i]
		if byCID(*e) {
			g.Go(func() error {
				_, _ = b.shelf.unsigned(gctx, e.name, e.spec.CID)
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// follow makes e lead to a package that satisfies it.
func (b *planner) follow(ctx context.Context, n *treeNode, e *edge) error {
	if e.err == nil && !e.fresh {
		if to := n.lookup(e.name); to != nil && to.satisfies(e) {
			n.finds(e.name, to)
			return nil
		}
	}
	p, err := b.resolve(ctx, n, e)
	if err != nil {
		return b.unresolved(ctx, n, e, err)
	}
	if to := n.lookup(e.name); to != nil && to.target == nil && to.pkg.Name == p.Name && to.pkg.Module == p.Module {
		to.identify(p)
		n.finds(e.name, to)
		return nil
	}
	return b.put(n, e, p)
}

// identify adds the release of a module that stood there by its CID alone.
func (n *treeNode) identify(p *Package) {
	if !n.pkg.Record.Defined() && p.Record.Defined() {
		path := n.pkg.Path
		*n.pkg = *p
		n.pkg.Path = path
	}
}

func (b *planner) unresolved(ctx context.Context, n *treeNode, e *edge, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = &DependencyError{By: n.label(), Name: e.name, Spec: e.spec.Text, Err: err}
	if !e.optional || errors.As(err, new(*IntegrityError)) || errors.As(err, new(*BoundError)) {
		return err
	}
	b.skipped = append(b.skipped, Skipped{Name: e.name, By: n.path(), Err: err})
	return nil
}

// put gives p the highest place that n can see and that nobody else minds.
func (b *planner) put(n *treeNode, e *edge, p *Package) error {
	at := n.place(e.name)
	same := n.ancestor(p, at)
	key := copyKey{p.Name, p.Module, p.Record}
	if copies := b.copies[key]; same == nil && len(copies) >= MaxCopies {
		same = copies[0]
	}
	child := at.add(e.name, p)
	if err := b.sum.add(child, same != nil); err != nil {
		return &DependencyError{By: n.label(), Name: e.name, Spec: e.spec.Text, Err: err}
	}
	child.chosen = n.parent == nil && e.spec.Kind == CID
	n.finds(e.name, child)
	b.options.event(Event{Stage: Resolving, Name: p.Name, Done: b.sum.packages})
	if same != nil {
		p.Link, child.target, child.edges = same.pkg.Path, same, nil
		b.links = append(b.links, child)
		return nil
	}
	b.copies[key] = append(b.copies[key], child)
	heap.Push(&b.queue, child)
	return nil
}

// ancestor returns n, or the nearest package around it that is not outside of
// at, when it is the same as p: nesting p again would never end.
func (n *treeNode) ancestor(p *Package, at *treeNode) *treeNode {
	for a := n; a.pkg != nil; a = a.parent {
		if a.pkg.Name == p.Name && a.pkg.Module == p.Module && a.pkg.Record == p.Record && (at == a || at.within(a)) {
			return a
		}
	}
	return nil
}

// resolve returns the package that e asks for, without a place.
func (b *planner) resolve(ctx context.Context, n *treeNode, e *edge) (*Package, error) {
	if e.err != nil {
		return nil, e.err
	}
	if e.spec.Kind == CID {
		if p := b.lockedModule(e); p != nil {
			return p.Clone(), nil
		}
		return b.shelf.unsigned(ctx, e.name, e.spec.CID)
	}
	if p := b.lockedChoice(n, e); p != nil && !e.fresh && (b.renew == nil || !b.renew(e)) {
		return p.Clone(), nil
	}
	key := string(e.real()) + "@" + fmt.Sprint(e.spec.Kind) + e.spec.Text
	r := b.answers[key]
	if r == nil {
		err := b.sum.ask()
		if err != nil {
			return nil, err
		}
		if r, err = b.resolver.Resolve(ctx, e.real(), e.spec); err != nil {
			return nil, err
		}
		r = r.signedBefore(b.byName[e.real()])
		if err := checkResolution(e, r); err != nil {
			return nil, err
		}
		b.shelf.remember(r)
		b.answers[key] = r
	}
	return r.locked(), nil
}

// signedBefore returns r, or what a key that signed the name before says of the
// same module (SPEC.md [I15]).
func (r *Resolution) signedBefore(before []*Package) *Resolution {
	signed := func(r *Resolution) bool {
		return slices.ContainsFunc(before, func(p *Package) bool { return p.Signer == r.Signer })
	}
	if i := slices.IndexFunc(r.Others, signed); i >= 0 && !signed(r) {
		return r.Others[i]
	}
	return r
}

// checkResolution keeps a mistaken resolver from choosing something else.
func checkResolution(e *edge, r *Resolution) error {
	switch {
	case r.Name != e.real() || !e.spec.Match(r.Version):
		return fmt.Errorf("the answer is %s@%s", r.Name, r.Version)
	case !r.Module.Defined() || !r.Record.Defined() || r.Signer.IsZero() || r.Size < 0 || r.Files < 0:
		return fmt.Errorf("the answer %s@%s is no release", r.Name, r.Version)
	}
	return nil
}

// lockedModule returns the lockfile's package for an edge with a CID.
func (b *planner) lockedModule(e *edge) *Package {
	if b.locked == nil || e.fresh {
		return nil
	}
	var best *Package
	for _, p := range b.locked.Packages {
		same := p.Name == e.name && p.Module == e.spec.CID && p.Link == ""
		if same && (best == nil || p.Path < best.Path) {
			best = p
		}
	}
	return best
}

// lockedChoice returns what the lockfile has for e: where n would find it, or
// else the newest version.
func (b *planner) lockedChoice(n *treeNode, e *edge) *Package {
	fits := func(p *Package) bool {
		return p != nil && p.Record.Defined() && p.Name == e.real() && e.spec.Match(p.Version)
	}
	if b.locked == nil {
		return nil
	}
	for path := n.path(); ; path = lockfile.Parent(path) {
		at := strings.TrimPrefix(path+"/"+lockfile.NodeModules+"/"+string(e.name), "/")
		if p := b.locked.Packages[at]; fits(p) {
			return p
		}
		if path == "" {
			break
		}
	}
	for _, p := range b.byName[e.real()] {
		if fits(p) {
			return p
		}
	}
	return nil
}
