package install

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
)

// plant writes a note as the user's own es would, with these packages in it.
func plantNote(t *testing.T, p *Project, key []byte, paths ...string) {
	t.Helper()
	m := layout.Note{Version: 1, Modules: map[string]layout.Placed{}, Bins: map[string]string{"node_modules/.bin/evil": "node_modules/a"}}
	for _, at := range paths {
		m.Modules[at] = layout.Placed{Module: "bafy"}
	}
	write(t, filepath.Join(p.dir, filepath.FromSlash(layout.NotePath)), string(m.Encode(key)))
}

// TestThreat55NoteHidesPlantedPackages (SPEC I25, I27): es verify looks at what is in
// node_modules, whatever the note there says, and the note of another counts for nothing.
func TestThreat55NoteHidesPlantedPackages(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"bin": {"a": "a.js"}`, files{"a.js": "#!/usr/bin/env node\n"})
	for _, key := range [][]byte{noteKey, nil, []byte("another's")} {
		p := project(t, `"a": "1"`)
		mustInstall(t, p, w, Options{})
		mustVerify(t, p, w)
		nested, top, scoped := "node_modules/a/node_modules/evil", "node_modules/evil", "node_modules/@x/evil"
		for _, at := range []string{nested, top, scoped} {
			write(t, filepath.Join(p.dir, at, packagejson.Name), `{"name":"evil"}`)
		}
		write(t, filepath.Join(p.dir, "node_modules/file.js"), "")
		write(t, filepath.Join(p.dir, "node_modules/.bin/evil"), "#!/bin/sh\n")
		if err := os.Remove(filepath.Join(p.dir, "node_modules/.bin/a")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../evil/x.js", filepath.Join(p.dir, "node_modules/.bin/a")); err != nil {
			t.Fatal(err)
		}
		plantNote(t, p, key, nested, top, scoped)

		v, err := p.Verify(t.Context(), w.sources())
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Damage) != 1 || v.Damage[0].File != "node_modules/evil/package.json" {
			t.Errorf("key %q: damage %+v", key, v.Damage)
		}
		want := []string{scoped, top, "node_modules/file.js", "node_modules/.bin/a", "node_modules/.bin/evil"}
		if !slices.Equal(v.Extraneous, want) {
			t.Errorf("key %q: extraneous %q, want %q", key, v.Extraneous, want)
		}
	}

	// A checkout brings node_modules with a note that calls it complete.
	p := project(t, `"a": "1"`)
	mustInstall(t, p, w, Options{})
	clone := project(t, "")
	if err := os.CopyFS(clone.dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(clone.dir, "node_modules/a/index.js"), "evil")
	clone.NoteKey = []byte("another user's")
	nodes, err := clone.List(t.Context(), w.sources())
	if err != nil || nodes[0].Installed {
		t.Errorf("listed %+v, %v", nodes[0], err)
	}
	if r := mustInstall(t, clone, w, Options{Frozen: true}); r.Unchanged != 0 {
		t.Errorf("result %+v", r)
	}
	mustVerify(t, clone, w)
}

// What another package manager names is counted and not blamed; what a module brings along
// and another package stands in place of is not compared (SPEC I27).
func TestVerifyTellsApart(t *testing.T) {
	w := newWorld(t)
	w.publish("q@1.0.0", "")
	w.publish("q@2.0.0", "")
	w.publish("p@1.0.0", `"dependencies": {"q": "^1", "r": "1"}, "bundleDependencies": ["r"]`, files{
		"node_modules/r/package.json": `{"name":"r","version":"1.0.0","dependencies":{"q":"^1"}}`,
		"node_modules/q/package.json": `{"name":"q","version":"1.5.0"}`,
		"node_modules/q/more.js":      "bundled",
	})
	p := project(t, "")
	mustAdd(t, p, w, "q@2.0.0", "p")
	mustVerify(t, p, w)
	mustInstall(t, p, w, Options{Frozen: true, Force: true})
	mustVerify(t, p, w)
	write(t, filepath.Join(p.dir, "node_modules/p/node_modules/r/package.json"), "{}")
	if v, err := p.Verify(t.Context(), w.sources()); err != nil || len(v.Damage) != 1 || v.Damage[0].File != "node_modules/r/package.json" {
		t.Errorf("verified %+v, %v", v, err)
	}

	for file, text := range map[string]string{
		"package-lock.json":               `{"packages": {"": {}, "node_modules/theirs": {}, "node_modules/@their/s": {}}}`,
		"npm-shrinkwrap.json":             `{"dependencies": {"theirs": {}, "@their/s": {}}}`,
		"node_modules/.package-lock.json": `{"packages": {"node_modules/theirs": {}, "node_modules/@their/s": {}}}`,
		"yarn.lock":                       "theirs@^1.0.0:\n  version \"1\"\n\"@their/s@^1\":\n",
		"pnpm-lock.yaml":                  "packages:\n  /theirs@1.0.0:\n  '@their/s@1.0.0':\n",
		"bun.lock":                        `{"packages": {"theirs": ["theirs@1"], "@their/s": ["@their/s@1"]}}`,
	} {
		p := project(t, `"q": "1.0.0"`)
		mustInstall(t, p, w, Options{})
		for _, at := range []string{"theirs", "@their/s", "s", "the", "planted"} {
			write(t, filepath.Join(p.dir, lockfile.NodeModules, at, "x.js"), "")
		}
		if err := os.Symlink("../theirs/x.js", filepath.Join(p.dir, "node_modules/.bin/theirs")); err != nil {
			os.Mkdir(filepath.Join(p.dir, "node_modules/.bin"), 0o755)
			os.Symlink("../theirs/x.js", filepath.Join(p.dir, "node_modules/.bin/theirs"))
		}
		write(t, filepath.Join(p.dir, file), text)
		v, err := p.Verify(t.Context(), w.sources())
		want := []string{"node_modules/planted", "node_modules/s", "node_modules/the"}
		if err != nil || v.Managed != 2 || len(v.Damage) != 0 || !slices.Equal(v.Extraneous, want) {
			t.Errorf("%s: %+v, %v", file, v, err)
		}
	}
}
