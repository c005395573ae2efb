package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

// hostileBins are commands and programs that must not be linked.
func hostileBins() map[string]string {
	bins := map[string]string{
		"node": "cli.js", "npm": "cli.js", "npx": "cli.js", "es": "cli.js", "Node": "cli.js", "NPM": "cli.js", "Npx": "cli.js", "ES": "cli.js", "node.exe": "cli.js", "npm.CMD": "cli.js", "": "cli.js", ".": "cli.js", "..": "cli.js",
		"../up": "cli.js", "../../up": "cli.js", "/abs": "cli.js", "a/b": "cli.js", `a\b`: "cli.js", `..\up`: "cli.js",
		"C:x": "cli.js", "c:\\x": "cli.js", "a b": "cli.js", "a\x00b": "cli.js", "a\nb": "cli.js", "a\x1b[2J": "cli.js",
		"a\u202eb": "cli.js", "a\u200bb": "cli.js", "con": "cli.js", "nul": "cli.js", "aux.js": "cli.js", "com1": "cli.js",
		"a.": "cli.js", "a ": "cli.js", " a": "cli.js", "$(x)": "cli.js", "a;b": "cli.js", "a&b": "cli.js", "a|b": "cli.js",
		"a`b": "cli.js", "a\"b": "cli.js", "a'b": "cli.js", "a<b": "cli.js", "a*": "cli.js", "-rf": "cli.js", ".es-new": "cli.js",
		"größe": "cli.js", "~": "cli.js", "%PATH%": "cli.js", strings.Repeat("x", 300): "cli.js",
	}
	for i, program := range []string{
		"", ".", "..", "../x", "../../x", "/etc/passwd", "a/../../x", "./../x", `..\x`, `C:\x`, "C:x", "a\x00b", "a\nb", "none",
		"dir", "link", "dir/../../b/cli.js", "a//../..//x", "../b/cli.js", "node_modules/../../b/cli.js", "a\u202eb",
	} {
		bins[fmt.Sprint("program", i)] = program
	}
	return bins
}

// The map reaches the linking code as if a release had carried it: neither
// records nor modules have looked at it.
// SPEC I21
func TestThreat41Bins(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "node_modules/a/cli.js"), "#!/bin/sh\n")
	write(t, filepath.Join(dir, "node_modules/a/dir/x"), "")
	write(t, filepath.Join(dir, "node_modules/b/cli.js"), "other")
	write(t, filepath.Join(dir, "node_modules/.bin/taken"), "not es's")
	if err := os.Symlink("../b/cli.js", filepath.Join(dir, "node_modules/a/link")); err != nil {
		t.Fatal(err)
	}
	before := everything(t, dir)
	bins := hostileBins()
	bins["taken"] = "cli.js"
	if len(bins) < 60 {
		t.Fatalf("only %d cases", len(bins))
	}
	a := nodesOf(&lockfile.Package{Name: "a", Version: "1.0.0", Manifest: records.Manifest{Bin: bins}})[0]
	linked, warnings := chooseBins([]*tree.Node{a})
	w := &writer{Change: &Change{dir: open(t, dir), note: &Note{Bins: map[string]string{}}}}
	if err := w.linkBins(linked); err != nil {
		t.Fatal(err)
	}
	if n := len(warnings) + len(w.warnings); n != len(bins) {
		t.Errorf("%d warnings about %d commands", n, len(bins))
	}
	for _, w := range append(warnings, w.warnings...) {
		if err := records.CheckText(w.Text, 1000); err != nil {
			t.Errorf("a warning is unfit for a terminal: %v", err)
		}
	}
	if after := everything(t, dir); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("the project is now\n%s", strings.Join(after, "\n"))
	}
}

// SPEC I22
func TestShims(t *testing.T) {
	list := vectors.Read(t, "../../testdata/install/shims/*.txtar")
	if len(list) < 4 {
		t.Fatalf("%d vectors", len(list))
	}
	for _, v := range list {
		want := map[string]string{}
		for _, f := range v.Files {
			want[f.Name] = strings.ReplaceAll(string(f.Data), `\r`, "\r")
		}
		name := v.Name
		i := strings.LastIndex(name, "-")
		if i >= 0 {
			name = name[:i] + "." + name[i+1:]
		}
		s := newShim(want["program"], "../@s/t/"+name)
		for kind, got := range map[string]string{"sh": s.sh(), "cmd": s.cmd(), "ps1": s.ps1()} {
			if got != want[kind] {
				t.Errorf("%s: %s is\n%q\nwant\n%q", v.Name, kind, got, want[kind])
			}
		}
	}
	// A first line that would be more than a program stays out of the shims.
	for _, line := range []string{"#!/bin/sh $(touch x)", "#!/usr/bin/env node & calc", "#!/bin/`x`", "#!/usr/bin/env -S A=%PATH% node", "#!/bin/sh \"x"} {
		s := newShim(line+"\n", "../a/x")
		for _, text := range []string{s.sh(), s.cmd(), s.ps1()} {
			if strings.Contains(text, strings.TrimPrefix(line, "#!")) || s.prog != "" {
				t.Errorf("%s is in a shim", line)
			}
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "node_modules/@s/t/x.js"), "#!/usr/bin/env node\n")
	d := open(t, dir)
	b := bin{"node_modules/.bin/x", &lockfile.Package{Path: "node_modules/@s/t"}, "x.js"}
	m := &Note{Bins: map[string]string{}}
	if warning, err := d.linkBin(b, m, true); warning != nil || err != nil {
		t.Fatal(warning, err)
	}
	for _, name := range shimNames("node_modules/.bin/x") {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if err := d.unlinkBin(b.at, b.owner.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules/.bin/x.cmd")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the shim is still there: %v", err)
	}
}

// TestCommandsThatDifferInCaseAreOne on a disk that folds case: one of them is
// linked, with a warning for the other.
// SPEC I21
func TestCommandsThatDifferInCaseAreOne(t *testing.T) {
	linked, warnings := chooseBins(nodesOf(
		&lockfile.Package{Name: "a", Version: "1.0.0", Manifest: records.Manifest{Bin: map[string]string{"tool": "cli.js"}}},
		&lockfile.Package{Name: "b", Version: "1.0.0", Manifest: records.Manifest{Bin: map[string]string{"Tool": "cli.js", "other": "cli.js"}}},
	))
	var at []string
	for _, l := range linked {
		at = append(at, l.at)
	}
	if got := strings.Join(at, " "); got != "node_modules/.bin/other node_modules/.bin/tool" || len(warnings) != 1 {
		t.Errorf("linked %s, warnings %v", got, warnings)
	}
}

// SPEC I21, M47: only a program's own module brings it; a module that is called alike does not.
func TestReservedCommandsAreTheirModules(t *testing.T) {
	for name, want := range map[records.Name]string{
		"npm": "npm npx", "npx": "npx", "node": "node", "es": "es",
		"npm-x": "", "npx-cli": "", "@s/npm": "", "node-bin": "", "nodes": "",
	} {
		bins := map[string]string{"npm": "cli.js", "npx": "cli.js", "node": "cli.js", "es": "cli.js"}
		linked, _ := chooseBins(nodesOf(&lockfile.Package{Name: name, Version: "1.0.0", Manifest: records.Manifest{Bin: bins}}))
		var got []string
		for _, b := range linked {
			got = append(got, strings.TrimPrefix(b.at, "node_modules/.bin/"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s brings %q, want %q", name, got, want)
		}
	}
}

// SPEC I21: a program is made executable as a copy, since its file may be one with the block
// store's or another project's.
func TestAProgramIsMadeExecutableAsACopy(t *testing.T) {
	dir := t.TempDir()
	block, program := filepath.Join(dir, "block"), filepath.Join(dir, "node_modules/a/cli.js")
	write(t, block, "#!/usr/bin/env node\n")
	write(t, filepath.Join(dir, "node_modules/a/package.json"), "{}")
	if err := os.Link(block, program); err != nil {
		t.Fatal(err)
	}
	b := bin{"node_modules/.bin/a", &lockfile.Package{Path: "node_modules/a"}, "cli.js"}
	if warning, err := open(t, dir).linkBin(b, &Note{Bins: map[string]string{}}, false); warning != nil || err != nil {
		t.Fatal(warning, err)
	}
	before, err := os.Stat(block)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if before.Mode().Perm() != 0o644 || after.Mode().Perm() != 0o755 || os.SameFile(before, after) {
		t.Errorf("the block has mode %v, the program %v", before.Mode(), after.Mode())
	}
}

// nodesOf are packages that nothing asks for, at the top.
func nodesOf(packages ...*lockfile.Package) []*tree.Node {
	l := &lockfile.File{Packages: map[string]*lockfile.Package{}}
	for _, p := range packages {
		p.Path = lockfile.PathIn("", p.Name)
		l.Packages[p.Path] = p
	}
	root, _ := tree.FromLockfile(l, nil)
	var nodes []*tree.Node
	root.Walk(func(n *tree.Node) {
		if n.Package != nil {
			nodes = append(nodes, n)
		}
	})
	return nodes
}

func open(t *testing.T, dir string) *Dir {
	t.Helper()
	d, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// everything lists a directory with contents.
func everything(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		line := e.Type().String() + " " + rel
		switch {
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			list = append(list, line+" "+target)
			return err
		case e.Type().IsRegular():
			text, err := os.ReadFile(name)
			list = append(list, line+" "+string(text))
			return err
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
