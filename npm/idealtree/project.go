package idealtree

import (
	"fmt"
	"path"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records"
)

// workspaceEdge is a workspace, which the root depends on by its name.
type workspaceEdge struct{ name, dir string }

func workspaceEdges(p *manifest.Project) ([]workspaceEdge, error) {
	edges := make([]workspaceEdge, 0, len(p.Workspaces))
	at := make(map[string]string)
	for _, dir := range p.Workspaces {
		m := p.Directories[dir]
		if m == nil {
			return nil, fmt.Errorf("the workspace %q has no package.json", dir)
		}
		name := m.Name
		if name == "" {
			name = path.Base(dir)
		}
		if !records.IsDependencyName(name) {
			return nil, fmt.Errorf("the workspace %q is called %q, which is no name of a package", dir, records.Clip(name))
		}
		if other, ok := at[name]; ok {
			return nil, fmt.Errorf("the workspaces %q and %q are both called %q: give one another name", other, dir, name)
		}
		at[name] = dir
		edges = append(edges, workspaceEdge{name, dir})
	}
	return edges, nil
}

// isWorkspaceName reports whether a workspace is called name.
func (t *resolver) isWorkspaceName(name string) bool {
	for _, w := range t.workspaces {
		if w.name == name {
			return true
		}
	}
	return false
}

// isWorkspace reports whether n is a workspace, or the link to it.
func (t *resolver) isWorkspace(n *node) bool {
	if len(t.workspaces) == 0 || n.root != t.tree || n.manifest.Name == "" {
		return false
	}
	e := t.tree.out.get(n.manifest.Name)
	return e != nil && e.kind == workspace && e.to != nil && (e.to == n || e.to.link == n)
}

// directory is the node of a directory of the project.
func (t *resolver) directory(dir string) (*node, error) {
	if dir == "" {
		return t.tree, nil
	}
	if n := t.directories[dir]; n != nil {
		return n, nil
	}
	m := t.project.Directories[dir]
	if m == nil {
		return nil, fmt.Errorf("the directory %q has no package.json", dir)
	}
	name := m.Name
	if name == "" {
		name = path.Base(dir)
	}
	n := t.newNode(name, m)
	n.dir, n.top = dir, true
	n.load()
	t.directories[dir] = n
	return n, nil
}

// attachDirectory puts a directory of the project into the tree, below the nearest
// directory around it.
func (t *resolver) attachDirectory(n *node) error {
	if n.root == t.tree || !n.top {
		return nil
	}
	around := t.tree
	for dir := path.Dir(n.dir); dir != "."; dir = path.Dir(dir) {
		if up := t.directories[dir]; up != nil && up.root == t.tree {
			around = up
			break
		}
	}
	if len(t.directories) > MaxPlaces {
		return &LimitError{"directories are linked", MaxPlaces}
	}
	n.attachTop(around)
	return nil
}
