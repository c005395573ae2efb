package idealtree

import (
	"slices"
	"strings"

	"github.com/everythingstays/es/npm/manifest"
)

// A node is a package at a place: in a directory node_modules, or a directory of the
// project (a top). A link stands in node_modules for a top.
//
// Nodes form trees. One is the tree that is made; the others are peer sets: below the
// copy of a package that asks (its source) stand the release it asks for and that
// release's peers, to see which of them go together before any is placed.
type node struct {
	t        *resolver
	name     string
	manifest *manifest.Manifest
	err      error // why there is no release; it stands for what is missing

	parent   *node // in whose node_modules it is
	fsParent *node // of a top: the directory around it
	children children
	tops     []*node // tops below this directory
	root     *node

	out edges
	in  []*edge

	dir       string // of a top, from the project
	top       bool   // a directory of the project, whose devDependencies count
	source    *node  // of a peer set's root: which package it is a copy of
	link      *node  // what a link leads to
	overrides *overrides
	bundled   bool // came within the tarball around it

	// Of a tree's root: its nodes by name, and the edges that ask for a name.
	byName map[string][]*node
	asking map[string][]*edge

	flags flags
}

// children are packages by name; names that differ in case alone are one, since some
// disks make them one.
type children struct {
	list []*node
	by   map[string]*node
}

func fold(name string) string { return strings.ToLower(name) }

func (c *children) get(name string) *node { return c.by[fold(name)] }

func (c *children) put(n *node) {
	if c.by == nil {
		c.by = make(map[string]*node)
	}
	c.by[fold(n.name)] = n
	c.list = append(c.list, n)
}

func (c *children) drop(n *node) {
	delete(c.by, fold(n.name))
	c.list = slices.DeleteFunc(c.list, func(x *node) bool { return x == n })
}

func (t *resolver) newNode(name string, m *manifest.Manifest) *node {
	n := &node{t: t, name: name, manifest: m}
	n.root = n
	n.register()
	return n
}

// around is where a name is looked for next.
func (n *node) around() *node {
	if n.parent != nil {
		return n.parent
	}
	return n.fsParent
}

func (n *node) isTop() bool { return n.parent == nil }

func (n *node) isRoot() bool { return n.root == n }

// isProject reports whether the node is the project's root or a workspace, whose
// dependencies are the user's own.
func (n *node) isProject() bool {
	return n == n.t.tree || n.t.isWorkspace(n)
}

func (n *node) depth() int {
	d := 0
	for ; n.parent != nil; n = n.parent {
		d++
	}
	return d
}

// path is where the node is, from the project.
func (n *node) path() string {
	if n.parent == nil {
		return n.dir
	}
	return join(n.parent.path(), "node_modules/"+n.name)
}

func join(dir, p string) string {
	if dir == "" {
		return p
	}
	return dir + "/" + p
}

func (n *node) within(ancestor *node) bool {
	for ; n != nil; n = n.around() {
		if n == ancestor {
			return true
		}
	}
	return false
}

// resolve finds what require finds: the nearest package of that name.
func (n *node) resolve(name string) *node {
	name = fold(name)
	for ; n != nil; n = n.around() {
		if c := n.children.by[name]; c != nil {
			return c
		}
	}
	return nil
}

// version of what a link leads to is that of its package.
func (n *node) version() string { return string(n.manifest.Version) }

// matches reports whether two nodes are the same release under the same name.
func (n *node) matches(o *node) bool {
	switch {
	case n == o:
		return true
	case n.name != o.name || (n.link == nil) != (o.link == nil):
		return false
	case n.link != nil:
		return n.link == o.link
	case n.manifest.Name == "" || n.manifest.Version == "":
		return false
	}
	return n.manifest.Name == o.manifest.Name && n.manifest.Version == o.manifest.Version
}

func (n *node) register() {
	r := n.root
	if r.byName == nil {
		r.byName, r.asking = make(map[string][]*node), make(map[string][]*edge)
	}
	r.byName[n.name] = append(r.byName[n.name], n)
	for _, e := range n.out.list {
		r.asking[fold(e.name)] = append(r.asking[fold(e.name)], e)
	}
}

func (n *node) unregister() {
	r := n.root
	r.byName[n.name] = slices.DeleteFunc(r.byName[n.name], func(x *node) bool { return x == n })
	for _, e := range n.out.list {
		key := fold(e.name)
		r.asking[key] = slices.DeleteFunc(r.asking[key], func(x *edge) bool { return x == e })
	}
}

// subtree lists the node and all that is below it, also below its directory.
func (n *node) subtree() []*node {
	all := []*node{n}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].children.list...)
		all = append(all, all[i].tops...)
	}
	return all
}

// move makes the subtree one of another root.
func (n *node) move(root *node) []*node {
	all := n.subtree()
	n.t.work += len(all)
	for _, each := range all {
		each.unregister()
	}
	n.root = root
	if root == n {
		n.byName, n.asking = nil, nil
	}
	for _, each := range all {
		each.root = root
		each.register()
	}
	return all
}

// detach takes the node and what is below it out of its tree.
func (n *node) detach() {
	if n.parent != nil {
		n.parent.children.drop(n)
		n.parent = nil
	}
	if n.fsParent != nil {
		n.fsParent.tops = slices.DeleteFunc(n.fsParent.tops, func(x *node) bool { return x == n })
		n.fsParent = nil
	}
	if n.root == n {
		return
	}
	all := n.move(n)
	for _, each := range all {
		each.reloadCrossing()
	}
}

// attach puts the node into parent's node_modules, in place of what has its name there.
func (n *node) attach(parent *node) {
	if n.parent == parent {
		return
	}
	if n.parent != nil || n.root != n {
		n.detach()
	}
	if old := parent.children.get(n.name); old != nil {
		old.detach()
	}
	n.parent = parent
	parent.children.put(n)
	all := n.move(parent.root)
	parent.reloadNamed(n.name)
	for _, each := range all {
		each.reloadCrossing()
	}
}

// attachTop makes the node a directory below another.
func (n *node) attachTop(around *node) {
	n.fsParent = around
	around.tops = append(around.tops, n)
	for _, each := range n.move(around.root) {
		each.reloadCrossing()
	}
}

// reloadCrossing looks again at the edges that lead out of the tree, or nowhere.
func (n *node) reloadCrossing() {
	for _, e := range slices.Clone(n.in) {
		if e.from.root != n.root {
			e.reload(false)
		}
	}
	for _, e := range n.out.list {
		if e.to == nil || e.to.root != n.root {
			e.reload(false)
		}
	}
}

// reloadNamed looks again at the edges below n that something of this name, which came
// into n's node_modules or left it, may concern.
func (n *node) reloadNamed(name string) {
	key := fold(name)
	for _, e := range slices.Clone(n.root.asking[key]) {
		n.t.work += 2
		if !e.from.within(n) {
			continue
		}
		if e.to != nil && e.to.parent == n || e.from.resolve(name) != e.to {
			e.reload(true)
		}
	}
}

// replace takes the place of old, and what is in its node_modules.
func (n *node) replace(old *node) {
	parent := old.parent
	if n.link == nil {
		for _, kid := range slices.Clone(old.children.list) {
			kid.attach(n)
		}
	}
	old.detach()
	n.attach(parent)
}

func (n *node) addIn(e *edge) {
	if n.overrides == nil || !n.overrides.equal(e.overrides) {
		n.underToo(e.overrides)
	}
	n.in = append(n.in, e)
}

func (n *node) dropIn(e *edge) {
	n.t.work += len(n.in) / 16
	n.in = slices.DeleteFunc(n.in, func(x *edge) bool { return x == e })
	if e.overrides != nil {
		n.underNoMore(e.overrides)
	}
}

// underToo takes in the rules of an edge that leads here: the narrower ones hold.
func (n *node) underToo(o *overrides) bool {
	if o == nil || n.overrides.equal(o) {
		return false
	}
	if n.overrides != nil {
		narrower, err := specific(n.overrides, o)
		if err != nil || narrower == nil || n.overrides.equal(narrower) {
			return false
		}
		o = narrower
	}
	n.overrides = o
	n.passOn()
	return true
}

func (n *node) underNoMore(o *overrides) {
	if n.overrides == nil || !n.overrides.equal(o) {
		return
	}
	var left *overrides
	for _, e := range n.in {
		if left != nil && e.overrides != nil {
			left, _ = specific(e.overrides, left)
		} else {
			left = e.overrides
		}
	}
	if n.overrides.equal(left) {
		return
	}
	if n.overrides = left; left != nil {
		n.passOn()
	}
}

// passOn lets the edges out of n see which rules hold now.
func (n *node) passOn() {
	if n.link != nil {
		if n.root == n.t.tree && n.overrides.concerns(n.link) {
			n.link.underToo(n.overrides)
		}
		return
	}
	for _, e := range slices.Clone(n.out.list) {
		n.t.work++
		e.reload(true)
		if e.to != nil {
			e.to.underToo(e.overrides)
		}
	}
}

// concerns reports whether a rule names something that n needs in any way.
func (o *overrides) concerns(n *node) bool {
	all, seen := []*node{n}, map[*node]bool{n: true}
	for i := 0; i < len(all); i++ {
		at := all[i]
		if at.link != nil {
			at = at.link
		}
		for _, e := range at.out.list {
			n.t.work++
			if o.forEdge(e).name == e.name {
				return true
			}
			if e.to != nil && !seen[e.to] {
				seen[e.to] = true
				all = append(all, e.to)
			}
		}
	}
	return false
}
