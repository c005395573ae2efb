package tree

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// Options say where Plan gets its answers.
type Options struct {
	Resolver Resolver
	Modules  Modules
	Locked   *lockfile.File   // what to prefer; may be nil
	Update   func(*Edge) bool // where Locked has no say; may be nil
	Workers  int              // modules that are looked at at once, at least 1
	// Progress, if set, is called with what was resolved, and how many packages there
	// are by now.
	Progress func(name records.Name, packages int)
}

// Modules are the modules that a tree is made of, by their files.
type Modules interface {
	// Unsigned describes a module that was asked for by its CID, under the name it is
	// installed by. It may be called from several goroutines.
	Unsigned(ctx context.Context, name records.Name, c cid.Cid) (*lockfile.Package, error)
	// Check brings p's module here. An error that wraps an *IntegrityError says that it
	// is not what p says.
	Check(ctx context.Context, p *lockfile.Package) error
	// Chosen says which release was resolved, before its module is asked for.
	Chosen(r *Resolution)
}

// Skipped is an optional dependency that is left out.
type Skipped struct {
	Name records.Name
	By   string // the path of the package that wants it, "" for the project
	Err  error
}

// A planner turns the project's dependencies into a tree.
type planner struct {
	Options
	byName  map[records.Name][]*lockfile.Package
	answers map[string]*Resolution
	queue   queue
	skipped []Skipped
	copies  map[copyKey][]*Node
	links   []*Node
	sum     bounds

	left   map[leftOut]error // optional dependencies that are left out
	broken map[leftOut]error // those that this attempt found
}

// leftOut is an optional dependency of a package, wherever that stands.
type leftOut struct {
	by   copyKey // zero for the project
	name records.Name
}

func (n *Node) leftOut(name records.Name) leftOut {
	if n.Package == nil {
		return leftOut{name: name}
	}
	return leftOut{copyKey{n.Package.Name, n.Package.Module, n.Package.Record}, name}
}

// Plan resolves edges and what they lead to, and gives every package its place
// (SPEC.md [I13] to [I18]). The same answers of the resolver give the same tree.
func Plan(ctx context.Context, edges []Edge, o Options) (*Node, []Skipped, error) {
	b := &planner{Options: o}
	root, err := b.plan(ctx, edges)
	return root, b.skipped, err
}

func (b *planner) plan(ctx context.Context, edges []Edge) (*Node, error) {
	b.answers = map[string]*Resolution{}
	b.byName = map[records.Name][]*lockfile.Package{}
	if b.Locked != nil {
		for _, p := range b.Locked.Packages {
			if p.Record.Defined() && p.Link == "" {
				b.byName[p.Name] = append(b.byName[p.Name], p)
			}
		}
	}
	for _, list := range b.byName {
		slices.SortFunc(list, func(p, q *lockfile.Package) int {
			return cmp.Or(q.Version.Compare(p.Version), strings.Compare(p.Record.String(), q.Record.String()), strings.Compare(p.Path, q.Path))
		})
	}
	for name, list := range b.byName { // of copies the first is enough
		b.byName[name] = slices.CompactFunc(list, func(p, q *lockfile.Package) bool { return p.Version == q.Version && p.Record == q.Record })
	}
	b.left = map[leftOut]error{}
	for range MaxAttempts {
		b.broken = map[leftOut]error{}
		root, err := b.attempt(ctx, edges)
		if err != nil || len(b.broken) == 0 {
			return root, err
		}
		maps.Copy(b.left, b.broken)
	}
	return nil, &BoundError{MaxAttempts, "optional dependencies one behind the other that cannot be resolved"}
}

// attempt plans without what is left out. When b.broken has something after it, the tree
// is not to be used: what it was made with is not all there (SPEC.md [I18]).
func (b *planner) attempt(ctx context.Context, edges []Edge) (*Node, error) {
	b.copies, b.links, b.skipped = map[copyKey][]*Node{}, nil, nil
	b.sum = bounds{questions: b.sum.questions, dependencies: b.sum.dependencies}
	root := newRoot(slices.Clone(edges))
	b.queue = queue{root}
	for len(b.queue) > 0 {
		n := heap.Pop(&b.queue).(*Node)
		if err := b.visit(ctx, n); err != nil {
			return nil, err
		}
	}
	for _, n := range b.links {
		path, link := n.Package.Path, n.Package.Link
		*n.Package = *n.Target.Package
		n.Package.Path, n.Package.Link = path, link
	}
	root.markOptional()
	return root, nil
}

// visit makes all edges of n lead somewhere.
func (b *planner) visit(ctx context.Context, n *Node) error {
	if err := b.prefetch(ctx, n); err != nil {
		return err
	}
	if err := b.sum.addEdges(n); err != nil {
		return err
	}
	for i := range n.Edges {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.follow(ctx, n, &n.Edges[i]); err != nil {
			return err
		}
	}
	return nil
}

// prefetch brings the modules that n asks for by CID at once, when n is what was
// signed. Errors come up again, with the edge they belong to, in follow.
func (b *planner) prefetch(ctx context.Context, n *Node) error {
	byCID := func(e Edge) bool { return e.Spec.Kind == packagejson.CID && e.Err == nil && b.lockedModule(&e) == nil }
	if n.Package != nil && slices.ContainsFunc(n.Edges, byCID) {
		var broken *IntegrityError
		if err := b.Modules.Check(ctx, n.Package); errors.As(err, &broken) {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(b.Workers)
	for i := range n.Edges {
		e := &n.Edges[i]
		if byCID(*e) {
			g.Go(func() error {
				_, _ = b.Modules.Unsigned(gctx, e.Name, e.Spec.CID)
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
func (b *planner) follow(ctx context.Context, n *Node, e *Edge) error {
	if err := b.left[n.leftOut(e.Name)]; err != nil {
		b.skipped = append(b.skipped, Skipped{Name: e.Name, By: n.Path(), Err: err})
		return nil
	}
	if e.Err == nil && !e.Fresh {
		if to := n.Lookup(e.Name); to != nil && to.satisfies(e) {
			n.finds(e.Name, to)
			return nil
		}
	}
	p, err := b.resolve(ctx, n, e)
	if err != nil {
		return b.unresolved(ctx, n, e, err)
	}
	if to := n.Lookup(e.Name); to != nil && to.Target == nil && to.Package.Name == p.Name && to.Package.Module == p.Module {
		to.identify(p)
		n.finds(e.Name, to)
		return nil
	}
	return b.put(n, e, p)
}

// identify adds the release of a module that stood there by its CID alone.
func (n *Node) identify(p *lockfile.Package) {
	if !n.Package.Record.Defined() && p.Record.Defined() {
		path := n.Package.Path
		*n.Package = *p
		n.Package.Path = path
	}
}

func (b *planner) unresolved(ctx context.Context, n *Node, e *Edge, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = &DependencyError{By: n.Label(), Name: e.Name, Spec: e.Spec.Text, Err: err}
	if errors.As(err, new(*IntegrityError)) || errors.As(err, new(*BoundError)) {
		return err
	}
	if e.Optional {
		b.skipped = append(b.skipped, Skipped{Name: e.Name, By: n.Path(), Err: err})
		return nil
	}
	optional, ok := n.optionalFor()
	if !ok {
		return err
	}
	b.broken[optional] = err
	return nil
}

// optionalFor is the optional dependency for the sake of which n is there: the nearest one
// on the way from the project to n.
func (n *Node) optionalFor() (leftOut, bool) {
	for ; n.Package != nil; n = n.neededBy {
		if n.optional {
			return n.neededBy.leftOut(n.neededAs), true
		}
	}
	return leftOut{}, false
}

// put gives p the highest place that n can see and that nobody else minds.
func (b *planner) put(n *Node, e *Edge, p *lockfile.Package) error {
	at := n.place(e.Name)
	same := n.ancestor(p, at)
	key := copyKey{p.Name, p.Module, p.Record}
	if copies := b.copies[key]; same == nil && len(copies) >= MaxCopies {
		same = copies[0]
	}
	child := at.add(e.Name, p)
	child.neededBy, child.neededAs, child.optional = n, e.Name, e.Optional
	if err := b.sum.add(child, same != nil); err != nil {
		return &DependencyError{By: n.Label(), Name: e.Name, Spec: e.Spec.Text, Err: err}
	}
	child.chosen = n.Parent == nil && e.Spec.Kind == packagejson.CID
	n.finds(e.Name, child)
	if b.Progress != nil {
		b.Progress(p.Name, b.sum.packages)
	}
	if same != nil {
		p.Link, child.Target, child.Edges = same.Package.Path, same, nil
		b.links = append(b.links, child)
		return nil
	}
	b.copies[key] = append(b.copies[key], child)
	heap.Push(&b.queue, child)
	return nil
}

// ancestor returns n, or the nearest package around it that is not outside of
// at, when it is the same as p: nesting p again would never end.
func (n *Node) ancestor(p *lockfile.Package, at *Node) *Node {
	for a := n; a.Package != nil; a = a.Parent {
		if a.Package.Name == p.Name && a.Package.Module == p.Module && a.Package.Record == p.Record && (at == a || at.within(a)) {
			return a
		}
	}
	return nil
}

// resolve returns the package that e asks for, without a place.
func (b *planner) resolve(ctx context.Context, n *Node, e *Edge) (*lockfile.Package, error) {
	if e.Err != nil {
		return nil, e.Err
	}
	if e.Spec.Kind == packagejson.CID {
		if p := b.lockedModule(e); p != nil {
			return p.Clone(), nil
		}
		return b.Modules.Unsigned(ctx, e.Name, e.Spec.CID)
	}
	if p := b.lockedChoice(n, e); p != nil && !e.Fresh && (b.Update == nil || !b.Update(e)) {
		return p.Clone(), nil
	}
	key := string(e.Real()) + "@" + fmt.Sprint(e.Spec.Kind) + e.Spec.Text
	r := b.answers[key]
	if r == nil {
		err := b.sum.ask()
		if err != nil {
			return nil, err
		}
		if r, err = b.Resolver.Resolve(ctx, e.Real(), e.Spec); err != nil {
			return nil, err
		}
		r = r.signedBefore(b.byName[e.Real()])
		if err := checkResolution(e, r); err != nil {
			return nil, err
		}
		b.Modules.Chosen(r)
		b.answers[key] = r
	}
	return r.Locked(), nil
}

// signedBefore returns r, or what a key that signed the name before says of the
// same module (SPEC.md [I15]).
func (r *Resolution) signedBefore(before []*lockfile.Package) *Resolution {
	signed := func(r *Resolution) bool {
		return slices.ContainsFunc(before, func(p *lockfile.Package) bool { return p.Signer == r.Signer })
	}
	if i := slices.IndexFunc(r.Others, signed); i >= 0 && !signed(r) {
		return r.Others[i]
	}
	return r
}

// checkResolution keeps a mistaken resolver from choosing something else.
func checkResolution(e *Edge, r *Resolution) error {
	switch {
	case r.Name != e.Real() || !e.Spec.Match(r.Version):
		return fmt.Errorf("the answer is %s@%s", r.Name, r.Version)
	case !r.Module.Defined() || !r.Record.Defined() || r.Signer.IsZero() || r.Size < 0 || r.Files < 1:
		return fmt.Errorf("the answer %s@%s is no release", r.Name, r.Version)
	}
	return nil
}

// lockedModule returns the lockfile's package for an edge with a CID.
func (b *planner) lockedModule(e *Edge) *lockfile.Package {
	if b.Locked == nil || e.Fresh {
		return nil
	}
	var best *lockfile.Package
	for _, p := range b.Locked.Packages {
		same := p.Name == e.Name && p.Module == e.Spec.CID && p.Link == ""
		if same && (best == nil || p.Path < best.Path) {
			best = p
		}
	}
	return best
}

// lockedChoice returns what the lockfile has for e: where n would find it, or
// else the newest version.
func (b *planner) lockedChoice(n *Node, e *Edge) *lockfile.Package {
	fits := func(p *lockfile.Package) bool {
		return p != nil && p.Record.Defined() && p.Name == e.Real() && e.Spec.Match(p.Version)
	}
	if b.Locked == nil {
		return nil
	}
	for path := n.Path(); ; path = lockfile.Parent(path) {
		at := lockfile.PathIn(path, e.Name)
		if p := b.Locked.Packages[at]; fits(p) {
			return p
		}
		if path == "" {
			break
		}
	}
	for _, p := range b.byName[e.Real()] {
		if fits(p) {
			return p
		}
	}
	return nil
}
