package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
)

// SPEC I25, I27
func TestVerifyAndHeal(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1"}, "bin": "cli.js"`, files{"cli.js": "#!/usr/bin/env node\n", "lib/x.js": "x", "empty": ""})
	w.publish("b@1.0.0", "")
	foreign := w.directory(files{"package.json": `{"name":"f","version":"1.0.0"}`, "x": "1"})
	p := project(t, "")
	mustAdd(t, p, w, "a", "f@"+foreign)
	a := filepath.Join(p.dir, lockfile.NodeModules, "a")
	for _, test := range []struct {
		name   string
		damage func() error
		file   string
		reason string
	}{
		{"changed", func() error { return os.WriteFile(filepath.Join(a, "lib/x.js"), []byte("y"), 0o644) }, "lib/x.js", "other contents"},
		{"longer", func() error { return os.WriteFile(filepath.Join(a, "lib/x.js"), []byte("xx"), 0o644) }, "lib/x.js", "other contents"},
		{"mode", func() error { return os.Chmod(filepath.Join(a, "lib/x.js"), 0o755) }, "lib/x.js", "another mode"},
		{"missing", func() error { return os.Remove(filepath.Join(a, "empty")) }, "empty", "is missing"},
		{"more", func() error { return os.WriteFile(filepath.Join(a, "lib/z.js"), nil, 0o644) }, "lib/z.js", "does not belong"},
		{"link", func() error { return os.Symlink("x.js", filepath.Join(a, "lib/y.js")) }, "lib/y.js", "not a regular file"},
		{"gone", func() error { return os.RemoveAll(a) }, "", "is not installed"},
	} {
		if err := test.damage(); err != nil {
			t.Fatal(err)
		}
		for _, blocks := range []*memory{w.local, newMemory()} {
			v, err := p.Verify(t.Context(), Sources{Blocks: blocks})
			if err != nil {
				t.Fatal(err)
			}
			if v.Packages != 2 || len(v.Damage) != 1 || v.Damage[0].Package.Name != "a" {
				t.Errorf("%s: verified %+v", test.name, v)
				continue
			}
			if d := v.Damage[0]; blocks == w.local && (d.File != test.file || !strings.Contains(d.Reason, test.reason)) {
				t.Errorf("%s: %+v", test.name, d)
			}
		}
		os.RemoveAll(a)
		mustInstall(t, p, w, Options{})
		mustVerify(t, p, w)
	}
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1", "c": "1"}`)
	w.publish("b@1.0.0", `"dependencies": {"a": "1"}`)
	w.publish("c@1.0.0", `"optionalDependencies": {"none": "1"}`)
	p := project(t, "")
	mustAdd(t, p, w, "a", "c")
	os.RemoveAll(filepath.Join(p.dir, "node_modules/c"))
	nodes, err := p.List(t.Context(), w.sources())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var show func(nodes []*Node, indent string)
	show = func(nodes []*Node, indent string) {
		for _, n := range nodes {
			fmt.Fprintf(&b, "%s%s@%s %v installed=%v optional=%v repeated=%v\n", indent, n.Name, n.Spec, n.Package, n.Installed, n.Optional, n.Repeated)
			show(n.Children, indent+"  ")
		}
	}
	show(nodes, "")
	want := `a@^1.0.0 a@1.0.0 installed=true optional=false repeated=false
  b@1 b@1.0.0 installed=true optional=false repeated=false
    a@1 a@1.0.0 installed=true optional=false repeated=true
  c@1 c@1.0.0 installed=false optional=false repeated=false
    none@1 <nil> installed=false optional=true repeated=false
c@^1.0.0 c@1.0.0 installed=false optional=false repeated=true
`
	if b.String() != want {
		t.Errorf("the list is\n%swant\n%s", b.String(), want)
	}
}

// Bundled packages come with who bundles them and are not resolved.
// SPEC I6
func TestOpen(t *testing.T) {
	top := t.TempDir()
	write(t, filepath.Join(top, "p/package.json"), "{}")
	write(t, filepath.Join(top, "q/node_modules/x/index.js"), "")
	for dir, want := range map[string]string{"p": "p", "p/a/b": "p", "q/a": "q"} {
		os.MkdirAll(filepath.Join(top, dir), 0o755)
		p, err := Open(filepath.Join(top, dir))
		if err != nil || p.Dir() != filepath.Join(top, want) {
			t.Errorf("open %s: %v, %v", dir, p, err)
		}
	}
	if _, err := Open(filepath.Join(top, "none")); err == nil {
		t.Error("a directory that is not there is a project")
	}
	write(t, filepath.Join(top, "p/package.json"), "{\n  \"a\": 1,\n  \"a\": 2\n}\n")
	p, err := Open(filepath.Join(top, "p"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Install(context.Background(), Sources{}, Options{})
	if err == nil || err.Error() != `package.json:3:3: has the key "a" twice` {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(top, "p/node_modules")); err == nil {
		t.Error("node_modules was made for nothing")
	}
}
