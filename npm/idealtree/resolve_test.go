package idealtree

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/npm/manifest"
)

// TestHoisting holds SPEC Q103, Q104 and Q105: the highest place without a conflict, in
// the order of depth and path; what is deeper does not displace what a package finds.
func TestHoisting(t *testing.T) {
	t.Run("shared", func(t *testing.T) {
		wantTree(t, world{"a@1.0.0": `"dependencies": {"c": "1"}`, "b@1.0.0": `"dependencies": {"c": "^1.0.0"}`, "c@1.0.0": ``},
			`"dependencies": {"a": "*", "b": "*"}`, "a 1.0.0", "b 1.0.0", "c 1.0.0")
	})
	t.Run("nested on conflict", func(t *testing.T) {
		// The first in order takes the shared place, not the version that most need.
		wantTree(t, world{
			"a@1.0.0": `"dependencies": {"z": "2"}`, "b@1.0.0": `"dependencies": {"z": "1"}`, "c@1.0.0": `"dependencies": {"z": "1"}`,
			"z@1.0.0": ``, "z@2.0.0": ``,
		}, `"dependencies": {"c": "1", "b": "1", "a": "1"}`, "a 1.0.0", "b 1.0.0", "b > z 1.0.0", "c 1.0.0", "c > z 1.0.0", "z 2.0.0")
	})
	t.Run("the project's own first", func(t *testing.T) {
		wantTree(t, world{"a@1.0.0": `"dependencies": {"z": "2"}`, "z@1.0.0": ``, "z@2.0.0": ``},
			`"dependencies": {"a": "1", "z": "1"}`, "a 1.0.0", "a > z 2.0.0", "z 1.0.0")
	})
	t.Run("cycles", func(t *testing.T) {
		wantTree(t, world{"a@1.0.0": `"dependencies": {"b": "1"}`, "b@1.0.0": `"dependencies": {"a": "1"}`},
			`"dependencies": {"a": "1"}`, "a 1.0.0", "b 1.0.0")
	})
	t.Run("a cycle of versions ends with a link", func(t *testing.T) { // bun PR#1647
		wantTree(t, world{
			"a@1.0.0": `"dependencies": {"b": "1"}`, "b@1.0.0": `"dependencies": {"a": "2"}`,
			"a@2.0.0": `"dependencies": {"b": "2"}`, "b@2.0.0": `"dependencies": {"a": "1"}`,
		}, `"dependencies": {"a": "1"}`,
			"a 1.0.0", "b 1.0.0", "b > a 2.0.0", "b > b 2.0.0", "b > b > a 1.0.0", "b > b > b -> node_modules/b")
	})
	t.Run("nothing comes between a package and what it found", func(t *testing.T) {
		wantTree(t, world{
			"m@1.0.0": `"dependencies": {"n": "1", "p": "1"}`, "n@1.0.0": `"dependencies": {"z": "1"}`, "p@1.0.0": `"dependencies": {"z": "2"}`,
			"n@2.0.0": ``, "p@2.0.0": ``, "z@1.0.0": ``, "z@2.0.0": ``,
		}, `"dependencies": {"m": "1", "n": "2", "p": "2", "z": "1"}`,
			"m 1.0.0", "m > n 1.0.0", "m > p 1.0.0", "m > p > z 2.0.0", "n 2.0.0", "p 2.0.0", "z 1.0.0")
	})
	t.Run("names of scopes sort as npm sorts them", func(t *testing.T) {
		tree := wantTree(t, world{"@s/b@1.0.0": ``, "B@1.0.0": ``, "a-b@1.0.0": ``, "a_b@1.0.0": ``, "ab@1.0.0": ``, "Ab@1.0.0": ``},
			`"dependencies": {"ab": "1", "a_b": "1", "a-b": "1", "@s/b": "1", "B": "1"}`, "@s/b 1.0.0", "a_b 1.0.0", "a-b 1.0.0", "ab 1.0.0", "B 1.0.0")
		if tree.Places[4].Name != "B" {
			t.Errorf("the last is %q", tree.Places[4].Name)
		}
	})
}

// TestPick holds SPEC Q102: which release a dependency gets.
func TestPick(t *testing.T) {
	w := world{
		"a@1.0.0": ``, "a@1.1.0": `"deprecated": "no"`, "a@1.2.0": `"engines": {"node": ">=30"}`, "a@2.0.0": ``, "a@3.0.0-rc.1": ``,
		"a:latest": "1.0.0", "a:next": "3.0.0-rc.1", "b@1.0.0": `"deprecated": "all"`, "b@1.1.0": `"deprecated": true`, "b@1.2.0-x": ``,
		"c@1.0.0": `"deprecated": false, "dependencies": []`, "d@1.0.0": ``, "d@1.1.0": `"engines": {"npm": "<3"}`, "d:latest": "1.1.0",
	}
	for _, c := range []struct{ spec, want string }{
		{`"a": "*"`, "a 1.0.0"}, {`"a": ""`, "a 1.0.0"}, {`"a": "latest"`, "a 1.0.0"}, {`"a": "next"`, "a 3.0.0-rc.1"},
		{`"a": "^1.0.0"`, "a 1.0.0"},      // what latest says, though it is not the highest
		{`"a": ">=1.0.1"`, "a 2.0.0"},     // the highest
		{`"a": "~1.1.0"`, "a 1.1.0"},      // nothing else is there
		{`"a": "1.1.0 - 1.2"`, "a 1.1.0"}, // runs but is deprecated, before what does not run
		{`"a": "=1.2.0"`, "a 1.2.0"},      // a version that is named is taken
		{`"a": "1.1 || 2"`, "a 2.0.0"},    // not the deprecated one
		{`"b": "1"`, "b 1.1.0"},           // all are
		{`"c": "1"`, "c 1.0.0"},           // lists are no maps (pnpm#11902)
		{`"d": "*"`, "d 1.0.0"},
	} {
		tree, err := resolve(t, w, Options{Node: "22.0.0", NPM: "11.0.0"}, `"dependencies": {`+c.spec+`}`)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
		} else if got := list(tree); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s is %q, want %q", c.spec, got, c.want)
		}
	}
	wantError(t, w, `"dependencies": {"a": "9"}`, `find "a"@"9", which the project needs: there is no release of "a" in that range`)
	wantError(t, w, `"dependencies": {"a": "beta"}`, `there is no release of "a" with the tag "beta"`)
}

// TestFields holds SPEC Q101: which field counts, and that those of another form say
// nothing.
func TestFields(t *testing.T) {
	w := world{"a@1.0.0": `"devDependencies": {"nothing": "1"}, "dependencies": []`, "a@2.0.0": ``, "b@1.0.0": `"dependencies": {"a": {"x": 1}}, "os": "linux", "cpu": ["x64"], "engines": "node 20"`}
	// Both optional and required is optional; for development too is required.
	wantTree(t, w, `"dependencies": {"a": "1", "missing": "1"}, "optionalDependencies": {"missing": "2"}, "devDependencies": {"b": "1"}`, "a 1.0.0", "b 1.0.0")
	wantTree(t, w, `"dependencies": {"a": "1"}, "devDependencies": {"a": "2"}`, "a 2.0.0")
	tree := wantTree(t, w, `"dependencies": {"b": "1"}, "optionalDependencies": "none", "peerDependencies": 1, "workspaces": true`, "b 1.0.0")
	if m := tree.Places[0].Manifest; !slices.Equal(m.OS, []string{"linux"}) || !slices.Equal(m.CPU, []string{"x64"}) || m.Engines != (manifest.Engines{}) {
		t.Errorf("the fields are %+v", m)
	}
}

// TestOptional holds SPEC Q111: bun#8639 (404 fatal), bun#14619, and bun#1205 (children of
// what was skipped).
func TestOptional(t *testing.T) {
	w := world{
		"a@1.0.0": `"dependencies": {"b": "1", "none": "1"}`, "b@1.0.0": `"dependencies": {"shared": "1"}`, "shared@1.0.0": ``,
		"c@1.0.0":   `"optionalDependencies": {"none": "*", "shared": "^1"}`,
		"arm@1.0.0": `"cpu": ["arm64"], "dependencies": {"b": "1"}`,
	}
	wantTree(t, w, `"dependencies": {"c": "1"}`, "c 1.0.0", "shared 1.0.0")
	wantTree(t, w, `"optionalDependencies": {"a": "1"}`, "a 1.0.0 inert", "b 1.0.0 inert", "shared 1.0.0 inert")
	wantTree(t, w, `"optionalDependencies": {"a": "1"}, "dependencies": {"shared": "1"}`, "a 1.0.0 inert", "b 1.0.0 inert", "shared 1.0.0")
	wantTree(t, w, `"optionalDependencies": {"git": "github:a/b"}`)
	// Another platform's stay: the same lockfile is for all (bun#19415).
	tree := wantTree(t, w, `"optionalDependencies": {"arm": "1"}`, "arm 1.0.0", "b 1.0.0", "shared 1.0.0")
	if p := tree.Places[2]; !p.Optional || p.Dev || p.Peer {
		t.Errorf("shared is %+v", p)
	}
	wantError(t, w, `"dependencies": {"a": "1"}`, `find "none"@"1", which a@1.0.0 needs: there is no package "none"`)
}

// TestAliases holds SPEC Q110: RFC 0001; what is called otherwise is the package that the
// alias names.
func TestAliases(t *testing.T) {
	w := world{"a@1.0.0": `"dependencies": {"b": "npm:c@2"}`, "b@1.0.0": ``, "c@1.0.0": ``, "c@2.0.0": ``, "@s/d@1.0.0": ``}
	tree := wantTree(t, w, `"dependencies": {"b": "1", "a": "1", "x": "npm:@s/d", "y": "npm:c@^1"}`, "a 1.0.0", "a > b 2.0.0", "b 1.0.0", "x 1.0.0", "y 1.0.0")
	if name := tree.Places[1].Name; name != "c" {
		t.Errorf("the alias is the package %q", name)
	}
	if name := tree.Places[3].Name; name != "@s/d" {
		t.Errorf("the alias is the package %q", name)
	}
	wantError(t, w, `"dependencies": {"z": "npm:c@npm:b"}`, "alias of an alias")
	wantError(t, w, `"dependencies": {"z": "npm:../x"}`, "no name of a package")
}

// TestRefused holds SPEC Q112: git, URLs and what is out of the project.
func TestRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"git+ssh://git@host/a/b.git": "name a version of the package", "a/b": "name a version of the package", "github:a/b#semver:1": "name a version",
		"https://host/a.tgz": "import its tarball", "file:../../x": "leads out of the project", "file:/etc": "not within the project",
		"~/x": "name a version", "file:./a.tgz": "is a tarball", "workspace:^": `write "*"`, "no such tag!": "is not a version, a tag or an npm range",
	} {
		wantError(t, world{}, `"dependencies": {"a": "`+spec+`"}`, want)
	}
	wantError(t, world{"a@1.0.0": `"dependencies": {"b": "file:./b"}`}, `"dependencies": {"a": "1"}`, "names a directory of its author's")
}

// TestWorkspaces holds SPEC Q110: links, what is shared and what is not, and directories
// that file: names.
func TestWorkspaces(t *testing.T) {
	w := world{"x@1.0.0": ``, "x@2.0.0": ``, "dev@1.0.0": ``, "b@7.0.0": `"dependencies": {"a": "^1"}`}
	tree, err := resolve(t, w, Options{}, `"workspaces": ["packages/*", "!packages/old", "./tools/**"], "dependencies": {"x": "1"}`,
		"packages/a", `"name": "@w/a", "version": "1.0.0", "dependencies": {"x": "2", "@w/b": "^1"}, "devDependencies": {"dev": "1"}`,
		"packages/b", `"name": "@w/b", "version": "1.2.0", "dependencies": {"x": "1", "local": "file:../../lib/local"}`,
		"packages/old", `"name": "old"`, "packages/a/node_modules/x", `"name": "x"`,
		"tools/deep/er", `"version": "1.0.0", "dependencies": {"@w/b": "1"}`,
		"lib/local", `"name": "local", "dependencies": {"x": "*"}, "devDependencies": {"dev": "1"}`)
	if err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, tree, "lib/local", "@w/a -> packages/a", "@w/b -> packages/b", "dev 1.0.0", "er -> tools/deep/er",
		"local -> lib/local", "x 1.0.0", "packages/a", "packages/a > x 2.0.0", "packages/b", "tools/deep/er")

	for _, c := range []struct{ root, a, b, want string }{
		{`["a", "b"]`, `"name": "same"`, `"name": "same"`, "both called"},
		{`["{a,b}"]`, ``, ``, "write each pattern on its own"},
		{`["a"]`, `"name": "../x"`, ``, "no name of a package"},
	} {
		p, err := manifest.Read(fstest.MapFS{"package.json": {Data: []byte(`{"workspaces": ` + c.root + `}`)}, "a/package.json": {Data: []byte("{" + c.a + "}")}, "b/package.json": {Data: []byte("{" + c.b + "}")}})
		if err == nil {
			_, err = Resolve(t.Context(), p, w, Options{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.root, err, c.want)
		}
	}
}

// TestOverrides holds SPEC Q109: RFC 0036.
func TestOverrides(t *testing.T) {
	w := world{
		"a@1.0.0": `"dependencies": {"x": "^1", "b": "1"}`, "b@1.0.0": `"dependencies": {"x": "^1"}`,
		"x@1.0.0": ``, "x@1.5.0": ``, "x@2.0.0": ``, "x@3.0.0": ``, "y@1.0.0": ``,
		"p@1.0.0": `"peerDependencies": {"x": "^1"}`,
	}
	for _, c := range []struct {
		overrides string
		want      []string
	}{
		{`{"x": "2.0.0"}`, []string{"a 1.0.0", "b 1.0.0", "x 2.0.0"}},
		{`{"a": {"x": "2"}}`, []string{"a 1.0.0", "b 1.0.0", "x 2.0.0"}},
		{`{"b": {"x": "2"}}`, []string{"a 1.0.0", "b 1.0.0", "b > x 2.0.0", "x 1.5.0"}},
		{`{"x@^1": "3"}`, []string{"a 1.0.0", "b 1.0.0", "x 3.0.0"}},
		{`{"x@^2": "3"}`, []string{"a 1.0.0", "b 1.0.0", "x 1.5.0"}},
		{`{"x": "npm:y@1"}`, []string{"a 1.0.0", "b 1.0.0", "x 1.0.0"}},
		{`{"b@1": {"x": "1.0.0"}}`, []string{"a 1.0.0", "b 1.0.0", "b > x 1.0.0", "x 1.5.0"}},
		{`{"b": {".": "1.0.0", "x": "2"}}`, []string{"a 1.0.0", "b 1.0.0", "b > x 2.0.0", "x 1.5.0"}},
		{`[]`, []string{"a 1.0.0", "b 1.0.0", "x 1.5.0"}},
	} {
		t.Run(c.overrides, func(t *testing.T) {
			wantTree(t, w, `"dependencies": {"a": "1"}, "overrides": `+c.overrides, c.want...)
		})
	}
	wantTree(t, w, `"dependencies": {"p": "1", "x": "3"}, "overrides": {"x": "$x"}`, "p 1.0.0", "x 3.0.0")
	wantError(t, w, `"dependencies": {"a": "1", "x": "1"}, "overrides": {"x": "2"}`, `write "$x"`)
	wantError(t, w, `"dependencies": {"a": "1"}, "overrides": {"x": "$none"}`, `"$none"`)
}

// TestLocked holds SPEC Q113: what still satisfies stays, what was asked to be updated or
// is gone does not, and what nobody needs goes.
func TestLocked(t *testing.T) {
	w := world{"a@1.0.0": `"dependencies": {"x": "^1"}`, "b@1.0.0": `"dependencies": {"x": "^1"}`, "x@1.0.0": ``, "x@1.5.0": ``, "y@1.0.0": ``}
	before, err := resolve(t, w, Options{}, `"dependencies": {"a": "1", "y": "1"}`)
	if err != nil {
		t.Fatal(err)
	}
	w["x@1.9.0"], w["y@1.1.0"] = ``, ``
	for _, c := range []struct {
		name, root string
		update     []string
		want       []string
	}{
		{"nothing changes", `"dependencies": {"a": "1", "y": "1"}`, nil, []string{"a 1.0.0", "x 1.5.0", "y 1.0.0"}},
		{"one more", `"dependencies": {"a": "1", "b": "1", "y": "1"}`, nil, []string{"a 1.0.0", "b 1.0.0", "x 1.5.0", "y 1.0.0"}},
		{"one less", `"dependencies": {"y": "1"}`, nil, []string{"y 1.0.0"}},
		{"another range", `"dependencies": {"a": "1", "y": "^1.1.0"}`, nil, []string{"a 1.0.0", "x 1.5.0", "y 1.1.0"}},
		{"update", `"dependencies": {"a": "1", "y": "1"}`, []string{"x"}, []string{"a 1.0.0", "x 1.9.0", "y 1.0.0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, err := resolve(t, w, Options{Locked: before.Places, Update: c.update}, c.root)
			if err != nil {
				t.Fatal(err)
			}
			wantPlaces(t, tree, c.want...)
		})
	}
	// What the project now has itself need not stand deeper too.
	nested := []Place{{Path: "node_modules/a", Name: "a", Version: "1.0.0"}, {Path: "node_modules/a/node_modules/x", Name: "x", Version: "1.5.0"}, {Path: "node_modules/x", Name: "x", Version: "2.0.0"}}
	w["x@2.0.0"] = ``
	tree, err := resolve(t, w, Options{Locked: nested}, `"dependencies": {"a": "1", "x": "^1"}`)
	if err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, tree, "a 1.0.0", "x 1.9.0")
	delete(w, "x@2.0.0")
	delete(w, "x@1.5.0")
	tree, err = resolve(t, w, Options{Locked: before.Places}, `"dependencies": {"a": "1", "y": "1"}`)
	if err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, tree, "a 1.0.0", "x 1.9.0", "y 1.0.0")
	hostile := []Place{{Path: "node_modules/../x", Name: "x", Version: "1.0.0"}, {Path: "x", Name: "x"}, {Path: "node_modules/q/node_modules/x", Name: "x", Version: "1.0.0"}, {Path: "node_modules/l", Link: "../out"}}
	if tree, err = resolve(t, w, Options{Locked: hostile}, `"dependencies": {"y": "1"}`); err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, tree, "y 1.1.0")
}

// TestBundled holds SPEC Q114: what comes in a tarball is not resolved again.
func TestBundled(t *testing.T) {
	w := world{"a@1.0.0": `"dependencies": {"in": "1", "out": "1"}, "bundleDependencies": ["in"]`, "all@1.0.0": `"dependencies": {"none": "1"}, "bundledDependencies": true`, "in@1.0.0": ``, "out@1.0.0": ``}
	wantTree(t, w, `"dependencies": {"a": "1", "all": "1"}, "bundleDependencies": ["a"]`, "a 1.0.0", "all 1.0.0", "out 1.0.0")
}

// TestFlags holds SPEC Q115: what npm writes into its lockfile.
func TestFlags(t *testing.T) {
	w := world{"a@1.0.0": `"dependencies": {"s": "1"}`, "d@1.0.0": `"dependencies": {"s": "1", "u": "1"}`, "o@1.0.0": `"dependencies": {"u": "1"}`, "p@1.0.0": ``, "s@1.0.0": ``, "u@1.0.0": ``}
	tree := wantTree(t, w, `"dependencies": {"a": "1"}, "devDependencies": {"d": "1"}, "optionalDependencies": {"o": "1"}, "peerDependencies": {"p": "1"}`,
		"a 1.0.0", "d 1.0.0", "o 1.0.0", "p 1.0.0", "s 1.0.0", "u 1.0.0")
	for i, want := range []string{"", "dev", "optional", "peer", "", "devOptional"} {
		p := tree.Places[i]
		got := ""
		for name, is := range map[string]bool{"dev": p.Dev, "optional": p.Optional, "peer": p.Peer, "devOptional": p.DevOptional, "extraneous": p.Extraneous} {
			if is {
				got += name
			}
		}
		if got != want {
			t.Errorf("%s is %q, want %q", p.Path, got, want)
		}
	}
}

// stopping is a source that a user stops.
type stopping struct {
	world
	stop context.CancelFunc
}

func (s stopping) Versions(ctx context.Context, name string) (*Versions, error) {
	s.stop()
	return nil, ctx.Err()
}

func TestStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	_, err := Resolve(ctx, projectOf(t, `"optionalDependencies": {"a": "1"}`), stopping{world{}, stop}, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// TestDeterministic holds SPEC Q100: maps and the order of what a source answers change nothing.
func TestDeterministic(t *testing.T) {
	w, root := peerWorld()
	first, err := resolve(t, w, Options{}, root)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := resolve(t, w, Options{}, root)
		if err != nil || !slices.Equal(list(again), list(first)) {
			t.Fatalf("once %q, and then %q, %v", list(first), list(again), err)
		}
	}
}

func TestCollate(t *testing.T) {
	sorted := []string{"_a", "-a", ".a", "@a/b", "/a", "1a", "a", "A", "a_b", "a-b", "a/b", "a1", "ab", "aB", "Ab", "abc", "B", "é"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := collate(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
}
