package idealtree

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records"
)

// A Tree is what stands where.
type Tree struct {
	Places []Place // sorted by path, as npm sorts them
	Unmet  []Unmet // peers that something else stands in for
}

// A Place is a package in a node_modules, or a directory of the project.
type Place struct {
	Path    string // from the project, with slashes
	Name    string // the package's own, which is another than the path's last part for an alias
	Version records.Version
	Link    string // of a link: the path that it leads to; "." for the project
	// Manifest is what decided: what runs it (engines, os, cpu) too. nil in what was locked.
	Manifest *manifest.Manifest

	Dev, Optional, DevOptional, Peer bool // what npm writes into its lockfile
	Extraneous                       bool // only optional peers ask for it
	Inert                            bool // not installed: something that it needs could not be found
	Bundled                          bool // comes in the tarball around it
}

// An Unmet peer got another release than it asks for.
type Unmet struct {
	Peer
	Got string // NAME@VERSION; empty for nothing
}

var errDirectory = errors.New("a package of a registry names a directory of its author's: it can be found nowhere")

// loadLocked makes the nodes that were locked and are still there, and queues those that
// are wanting.
func (t *resolver) loadLocked(ctx context.Context) error {
	if len(t.options.Locked) == 0 {
		return nil
	}
	if len(t.options.Locked) > MaxPlaces {
		return &LimitError{"packages are locked", MaxPlaces}
	}
	at := map[string]*node{"": t.tree}
	for dir, n := range t.directories {
		at[dir] = n
	}
	for _, p := range sortedBy(t.options.Locked, func(p Place) string { return p.Path }) {
		parent, name, ok := split(p.Path, at)
		if !ok || parent.children.get(name) != nil {
			continue
		}
		n, err := t.lockedNode(ctx, p, name)
		if err != nil {
			return err
		}
		if n == nil || parent.depth() >= MaxDepth {
			continue
		}
		n.attach(parent)
		at[p.Path] = n
	}
	t.queueWanting()
	return nil
}

// split finds the node whose node_modules a path is in.
func split(p string, at map[string]*node) (parent *node, name string, ok bool) {
	i := strings.LastIndex("/"+p, "/node_modules/")
	if i < 0 {
		return nil, "", false
	}
	dir := ""
	if i > 0 {
		dir = p[:i-1]
	}
	name = p[i+len("node_modules/"):]
	parent = at[dir]
	return parent, name, parent != nil && parent.link == nil && records.IsDependencyName(name)
}

func (t *resolver) lockedNode(ctx context.Context, p Place, name string) (*node, error) {
	if p.Link != "" {
		top, err := t.directory(path.Clean(p.Link))
		if err != nil {
			return nil, nil // it is gone
		}
		if err := t.attachDirectory(top); err != nil {
			return nil, err
		}
		n := t.newNode(name, top.manifest)
		n.link = top
		t.links = append(t.links, n)
		return n, nil
	}
	if p.Bundled {
		return nil, nil // its bundler's tarball says what it is
	}
	k, err := t.known(ctx, p.Name)
	if isFatal(err) {
		return nil, err
	}
	if err != nil || !slices.Contains(k.versions, p.Version) {
		return nil, nil
	}
	m, err := t.manifest(ctx, k, p.Version)
	if isFatal(err) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	n := t.newNode(name, m)
	n.load()
	return n, nil
}

// queueWanting queues what the root reaches that lacks something, or needs what is to be
// updated.
func (t *resolver) queueWanting() {
	all, seen := []*node{t.tree}, map[*node]bool{t.tree: true}
	for i := 0; i < len(all); i++ {
		n := all[i]
		if n.link != nil {
			n = n.link
			if seen[n] {
				continue
			}
			seen[n] = true
		}
		for _, e := range n.out.list {
			if e.to == nil || !e.valid() || t.updates(e.name) {
				t.queue.push(n)
			}
			if e.to != nil && !seen[e.to] {
				seen[e.to] = true
				all = append(all, e.to)
			}
		}
	}
}

func sortedBy[T any](list []T, key func(T) string) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return list
}

// finish says what the tree is, or which failure it cannot do without.
func (t *resolver) finish() (*Tree, error) {
	t.calculate()
	if len(t.options.Locked) > 0 {
		for _, n := range t.tree.subtree() {
			if n.flags.extraneous && n.parent != nil && n.root == t.tree {
				n.detach()
			}
		}
	}
	failures := sorted(t.failures)
	for _, n := range failures {
		if n.root == t.tree && !n.flags.optional {
			return nil, n.err
		}
	}
	inert := make(map[*node]bool)
	for _, n := range failures {
		if n.root == t.tree {
			t.disable(n, inert)
		}
	}
	tree := &Tree{}
	for _, n := range t.tree.subtree() {
		if n != t.tree && n.err == nil {
			tree.Places = append(tree.Places, t.place(n, inert[n]))
		}
		for _, e := range n.out.list {
			if !e.peer() || e.valid() || n.top && e.to == nil {
				continue
			}
			u := Unmet{Peer: Peer{n.describe(), e.name, e.spec()}}
			if e.to != nil {
				u.Got = e.to.describe()
			}
			tree.Unmet = append(tree.Unmet, u)
		}
	}
	slices.SortFunc(tree.Places, func(a, b Place) int { return collate(a.Path, b.Path) })
	slices.SortStableFunc(tree.Unmet, func(a, b Unmet) int { return strings.Compare(a.String(), b.String()) })
	return tree, nil
}

func (t *resolver) place(n *node, inert bool) Place {
	p := Place{
		Path: n.path(), Name: n.manifest.Name, Version: n.manifest.Version, Manifest: n.manifest,
		Dev: n.flags.dev, Optional: n.flags.optional, DevOptional: n.flags.devOptional, Peer: n.flags.peer,
		Extraneous: n.flags.extraneous, Inert: inert, Bundled: n.bundled,
	}
	if n.link != nil {
		if p.Link = n.link.path(); p.Link == "" {
			p.Link = "."
		}
	}
	return p
}

// conflict says which peers of the project's own dependencies do not go together.
func (t *resolver) conflict(e, own *edge) error {
	c := &ConflictError{Peer: Peer{e.from.describe(), e.name, e.spec()}}
	if at := e.from.resolve(e.name); at != nil {
		c.Found = at.describe()
	}
	if own != nil {
		c.Found += " (" + own.from.describe() + " asks for " + quoteSpec(own) + ")"
	}
	return c
}

// placeConflict says the same of what could not be placed.
func (t *resolver) placeConflict(p *placement) error {
	top := p
	for top.parent != nil {
		top = top.parent
	}
	e := p.edge
	c := &ConflictError{Peer: Peer{e.from.describe(), e.name, e.spec()}, For: top.dep.describe()}
	if at := e.from.resolve(e.name); at != nil {
		c.Found = at.describe()
	}
	if p.canSelf == nil {
		return c
	}
	// The release itself could stand there; one of its peers cannot.
	all := slices.Clone(p.canSelf.children)
	for i := 0; i < len(all); i++ {
		if k := all[i]; k.verdict == conflict && k.current != nil {
			c.Peer, c.Found = Peer{k.edge.from.describe(), k.edge.name, k.edge.spec()}, k.current.describe()
			break
		}
		all = append(all, all[i].children...)
	}
	return c
}
