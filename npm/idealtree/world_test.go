package idealtree

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records"
)

// A world has releases: NAME@VERSION and what its package.json says besides.
type world map[string]string

func (w world) Versions(_ context.Context, name string) (*Versions, error) {
	v := &Versions{Tags: map[string]records.Version{}}
	for id, m := range w {
		if tag, ok := strings.CutPrefix(id, name+":"); ok {
			v.Tags[tag] = records.Version(m)
		} else if version, ok := strings.CutPrefix(id, name+"@"); ok {
			v.All = append(v.All, records.Version(version))
		}
	}
	if len(v.All) == 0 {
		return nil, fmt.Errorf("there is no package %q", name)
	}
	if v.Tags["latest"] == "" {
		v.Tags["latest"] = slices.MaxFunc(v.All, func(a, b records.Version) int { return a.Compare(b) })
	}
	return v, nil
}

func (w world) Manifest(_ context.Context, name string, v records.Version) (*manifest.Manifest, error) {
	return manifest.Parse([]byte("{" + w[name+"@"+string(v)] + "}"))
}

// projectOf reads a project of package.json files: the root's, then DIR and what is in
// it in turns.
func projectOf(t *testing.T, root string, dirs ...string) *manifest.Project {
	t.Helper()
	files := fstest.MapFS{"package.json": {Data: []byte("{" + root + "}")}}
	for pair := range slices.Chunk(dirs, 2) {
		files[pair[0]+"/package.json"] = &fstest.MapFile{Data: []byte("{" + pair[1] + "}")}
	}
	p, err := manifest.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// list is what a tree has, a line each: its path with "/" for "/node_modules/", and its
// version.
func list(tree *Tree) []string {
	var lines []string
	for _, p := range tree.Places {
		at := strings.ReplaceAll(strings.TrimPrefix(p.Path, "node_modules/"), "/node_modules/", " > ")
		switch {
		case p.Link != "":
			at += " -> " + p.Link
		case strings.Contains(p.Path, "node_modules/"):
			at += " " + string(p.Version)
		}
		if p.Inert {
			at += " inert"
		}
		lines = append(lines, at)
	}
	return lines
}

func resolve(t *testing.T, w world, o Options, root string, dirs ...string) (*Tree, error) {
	t.Helper()
	return Resolve(t.Context(), projectOf(t, root, dirs...), w, o)
}

func wantTree(t *testing.T, w world, root string, want ...string) *Tree {
	t.Helper()
	tree, err := resolve(t, w, Options{}, root)
	if err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, tree, want...)
	return tree
}

func wantPlaces(t *testing.T, tree *Tree, want ...string) {
	t.Helper()
	if got := list(tree); !slices.Equal(got, want) {
		t.Errorf("the tree is\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func wantError(t *testing.T, w world, root, want string) {
	t.Helper()
	tree, err := resolve(t, w, Options{}, root)
	if err == nil {
		t.Fatalf("the tree is %q", list(tree))
	}
	if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %q, want %q", err, want)
	}
}
