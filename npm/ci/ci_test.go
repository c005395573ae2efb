package ci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/packagelock"
	"github.com/everythingstays/es/npm/unpacked"
)

const integrity = "sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ+LFTGHVxVjcXPs17LhbZVGedAJv8XZ1tvj5FvSg=="

func parse(t *testing.T, packages string) *packagelock.File {
	t.Helper()
	text := `{"lockfileVersion": 3, "packages": {` + strings.ReplaceAll(packages, "{#", `{"version": "1.0.0", "integrity": "`+integrity+`"`) + `}}`
	lock, err := packagelock.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func linux(os, cpu, _ []string) bool {
	return (len(os) == 0 || slices.Contains(os, "linux")) && (len(cpu) == 0 || slices.Contains(cpu, "x64"))
}

func (p *Plan) text() string {
	var lines []string
	for _, each := range p.Packages {
		lines = append(lines, strings.ReplaceAll(each.Path, "node_modules/", ""))
	}
	for _, l := range p.Links {
		lines = append(lines, strings.ReplaceAll(l.Path, "node_modules/", "")+"->"+l.Target)
	}
	for _, b := range p.Bundled {
		lines = append(lines, "("+strings.ReplaceAll(b.Path, "node_modules/", "")+")")
	}
	return strings.Join(lines, " ")
}

// TestPlan selects as npm ci does.
func TestPlan(t *testing.T) {
	lock := `
		"": {"dependencies": {"a": "1", "w": "*"}, "devDependencies": {"d": "1"}, "optionalDependencies": {"mac": "1", "o": "1"}},
		"packages/w": {"dependencies": {"x": "1"}},
		"node_modules/a": {#, "dependencies": {"b": "1"}, "peerDependencies": {"p": "1"}, "hasInstallScript": true},
		"node_modules/b": {#},
		"node_modules/a/node_modules/b": {#, "inBundle": true, "bin": "cli.js"},
		"node_modules/d": {#, "dev": true, "dependencies": {"b": "1"}},
		"node_modules/mac": {#, "optional": true, "os": ["darwin"], "dependencies": {"macdep": "1", "b": "1"}},
		"node_modules/macdep": {#, "optional": true},
		"node_modules/o": {#, "optional": true, "os": ["linux"], "dependencies": {"odep": "1"}},
		"node_modules/odep": {#, "optional": true},
		"node_modules/both": {#, "devOptional": true},
		"node_modules/p": {#, "peer": true},
		"node_modules/strict": {#, "os": ["darwin"]},
		"node_modules/w": {"resolved": "packages/w", "link": true},
		"packages/w/node_modules/x": {#}`
	for _, c := range []struct {
		name string
		o    Options
		want string
		skip string
	}{
		{"everything", Options{}, "a b both d mac macdep o odep p strict packages/w/x w->packages/w (a/b)", ""},
		{"for linux", Options{Runs: linux}, "a b d o odep p strict packages/w/x w->packages/w (a/b)", "node_modules/mac"},
		{"without dev", Options{OmitDev: true}, "a b both mac macdep o odep p strict packages/w/x w->packages/w (a/b)", ""},
		{"without optional", Options{OmitOptional: true}, "a b both d p strict packages/w/x w->packages/w (a/b)", ""},
		{"without both", Options{OmitDev: true, OmitOptional: true, OmitPeer: true}, "a b strict packages/w/x w->packages/w (a/b)", ""},
	} {
		plan, err := NewPlan(parse(t, lock), c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := plan.text(); got != c.want || strings.Join(plan.Skipped, " ") != c.skip {
			t.Errorf("%s: %s, skipped %v; want %s", c.name, got, plan.Skipped, c.want)
		}
		if fmt.Sprint(plan.Scripts) != "[node_modules/a]" {
			t.Errorf("%s: scripts of %v", c.name, plan.Scripts)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	for fields, want := range map[string]string{
		`"version": "1.0.0"`: "has no integrity",
		`"version": "1.0.0", "integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="`:                                "no SHA-512",
		`"version": "1.0.0", "resolved": "git+ssh://git@h.example/g.git#abc"`:                                 "git repository",
		`"version": "1.0.0", "resolved": "file:g.tgz", "integrity": "` + integrity + `"`:                      "file of the project",
		`"version": "1.0.0", "resolved": "https://h.example/master.tar.gz", "integrity": "` + integrity + `"`: "no registry",
		`"version": "one", "integrity": "` + integrity + `"`:                                                  "no release",
		`"name": "../x", "version": "1.0.0", "integrity": "` + integrity + `"`:                                "no release",
	} {
		_, err := NewPlan(parse(t, `"node_modules/good": {#}, "node_modules/x": {`+fields+`}`), Options{})
		var lock *LockError
		if !errors.As(err, &lock) || len(lock.Problems) != 1 || lock.Problems[0].Path != "node_modules/x" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
	if _, err := NewPlan(parse(t, `"node_modules/x": {"version": "1.0.0+build", "integrity": "`+integrity+`"}`), Options{}); err != nil {
		t.Errorf("build metadata: %v", err)
	}
}

// TestPlanCommands: the commands of lockfileVersion 2 and 3 are those that it has.
func TestPlanCommands(t *testing.T) {
	plan, err := NewPlan(parse(t, `"node_modules/a": {#, "bin": {"x": "x.js"}}, "node_modules/b": {#}`), Options{})
	if err != nil || fmt.Sprint(plan.Packages[0].Commands) != "map[x:x.js]" || plan.Packages[1].Commands == nil {
		t.Errorf("%+v, %v", plan, err)
	}
	old, err := packagelock.Parse([]byte(`{"lockfileVersion": 1, "dependencies": {"a": {"version": "1.0.0", "integrity": "` + integrity + `"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := NewPlan(old, Options{}); err != nil || plan.Packages[0].Commands != nil {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestCheckRoot(t *testing.T) {
	lock := parse(t, `"": {"dependencies": {"a": "^1"}, "devDependencies": {"d": "1"}, "optionalDependencies": {"o": "1"}}`)
	dep := func(pairs ...string) map[string]string {
		m := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		root packagelock.Root
		want string
	}{
		{packagelock.Root{Dependencies: dep("a", "^1"), Dev: dep("d", "1"), Optional: dep("o", "1")}, ""},
		{packagelock.Root{Dependencies: dep("a", "^1", "o", "1"), Dev: dep("d", "1"), Optional: dep("o", "1")}, ""},
		{packagelock.Root{Dependencies: dep("a", "^2"), Dev: dep("d", "1"), Optional: dep("o", "1")}, `"a" of dependencies as "^1"`},
		{packagelock.Root{Dependencies: dep("a", "^1", "b", "1"), Dev: dep("d", "1"), Optional: dep("o", "1")}, `does not have "b"`},
		{packagelock.Root{Dependencies: dep("a", "^1"), Optional: dep("o", "1")}, `does not have "d" of devDependencies`},
	} {
		err := CheckRoot(lock, c.root)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.root, err, c.want)
		}
	}
}

// A world is a store with packages for a plan.
type world struct {
	t       *testing.T
	store   *blocks.Store
	project string
	plan    *Plan
	trees   map[string]*unpacked.Package
}

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	store, err := blocks.Open(filepath.Join(dir, "blocks"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, project: filepath.Join(dir, "project"), plan: &Plan{}, trees: make(map[string]*unpacked.Package)}
	if err := os.Mkdir(w.project, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// put places a package with a package.json of these fields and these files: "x!" is
// executable.
func (w *world) put(at, fields string, files ...string) {
	w.t.Helper()
	name := at[strings.LastIndex(at, "node_modules/")+len("node_modules/"):]
	writer := modules.NewWriter(w.store)
	add := func(path, content string) {
		file, exec := strings.CutSuffix(path, "!")
		if err := writer.Add(w.t.Context(), file, int64(len(content)), exec, strings.NewReader(content)); err != nil {
			w.t.Fatal(err)
		}
	}
	add("package.json", fmt.Sprintf(`{"name":%q,"version":"1.0.0"%s}`, name, fields))
	for _, f := range files {
		add(f, "contents of "+strings.TrimSuffix(f, "!"))
	}
	m, err := writer.FinishImported(w.t.Context(), name, "1.0.0")
	if err != nil {
		w.t.Fatal(err)
	}
	p := &unpacked.Package{Name: name, Version: "1.0.0", Module: m.CID, Manifest: m.Manifest}
	for _, e := range writer.Entries() {
		p.Entries = append(p.Entries, unpacked.Entry(e))
	}
	w.trees[at] = p
	w.plan.Packages = append(w.plan.Packages, Placed{Path: at, Name: name, Version: "1.0.0"})
}

func (w *world) install(files Files) (Result, error) {
	return Install(w.t.Context(), w.project, w.plan, w.trees, files)
}

// list is the project's files: mode, path, and where a link leads.
func (w *world) list() string {
	w.t.Helper()
	var lines []string
	err := filepath.WalkDir(w.project, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == w.project || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(w.project, p)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			rel += " -> " + target
		case info.Mode()&0o111 != 0:
			rel += " x"
		}
		lines = append(lines, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func lines(s ...string) string { return strings.Join(s, "\n") }

func TestInstall(t *testing.T) {
	w := newWorld(t)
	w.put("node_modules/a", `,"bin":{"tool":"cli.js"}`, "cli.js", "lib/deep/x.js", "node_modules/bundled/bin.js", "script!")
	w.put("node_modules/@s/b", `,"bin":"b.js"`, "b.js")
	w.put("node_modules/a/node_modules/c", `,"bin":{"c":"c.js","gone":"missing.js"}`, "c.js")
	w.put("node_modules/z", `,"bin":{"tool":"z.js"}`, "z.js")
	w.put("packages/w/node_modules/x", "")
	w.put("node_modules/half", `,"bin":{"known":"k.js","other":"o.js"}`, "k.js", "o.js")
	w.plan.Packages[len(w.plan.Packages)-1].Commands = map[string]string{"known": "./k.js", "elsewhere": "../z/z.js"}
	w.plan.Links = []Link{{"node_modules/w", "packages/w"}, {"node_modules/@s/w", "packages/w"}}
	w.plan.Bundled = []Bundled{{"node_modules/a/node_modules/bundled", map[string]string{"bundled": "./bin.js", "../evil": "x", "out": "../../../x"}}}
	if err := os.MkdirAll(filepath.Join(w.project, "packages/w/node_modules/old"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.project, "node_modules/old/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(w.project, tempPrefix+"killed/node_modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := lines(
		"node_modules/.bin/b -> ../@s/b/b.js",
		"node_modules/.bin/known -> ../half/k.js",
		"node_modules/.bin/tool -> ../a/cli.js",
		"node_modules/@s/b/b.js x",
		"node_modules/@s/b/package.json",
		"node_modules/@s/w -> ../../packages/w",
		"node_modules/a/cli.js x",
		"node_modules/a/lib/deep/x.js",
		"node_modules/a/node_modules/.bin/bundled -> ../bundled/bin.js",
		"node_modules/a/node_modules/.bin/c -> ../c/c.js",
		"node_modules/a/node_modules/bundled/bin.js x",
		"node_modules/a/node_modules/c/c.js x",
		"node_modules/a/node_modules/c/package.json",
		"node_modules/a/package.json",
		"node_modules/a/script x",
		"node_modules/half/k.js x",
		"node_modules/half/o.js x",
		"node_modules/half/package.json",
		"node_modules/w -> ../packages/w",
		"node_modules/z/package.json",
		"node_modules/z/z.js x",
		"packages/w/node_modules/x/package.json",
	)
	for range 2 {
		r, err := w.install(w.store)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.list(); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
		if r.Packages != 6 || r.Bins != 5 || r.Copied != 0 || len(r.Kept) != 1 || r.Files != 15 {
			t.Errorf("%+v", r)
		}
		for name, entries := range map[string]int{".": 2, "node_modules": 6} {
			if found, err := os.ReadDir(filepath.Join(w.project, name)); err != nil || len(found) != entries {
				t.Errorf("%s has %v, %v", name, found, err)
			}
		}
	}
	info, err := os.Stat(filepath.Join(w.project, "node_modules/a/cli.js"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(w.trees["node_modules/a"].Entries, func(e unpacked.Entry) bool { return e.Path == "cli.js" })
	stored, err := w.store.File(t.Context(), unixfs.Entry(w.trees["node_modules/a"].Entries[i]))
	if err != nil {
		t.Fatal(err)
	}
	if of, err := os.Stat(stored); err != nil || !os.SameFile(info, of) {
		t.Errorf("files are copies, %v", err)
	}
	// Nothing is asked for: node_modules is empty.
	w.plan, w.trees = &Plan{}, nil
	if _, err := w.install(w.store); err != nil {
		t.Fatal(err)
	}
	if found, err := os.ReadDir(filepath.Join(w.project, "node_modules")); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// filesFunc is a Files.
type filesFunc func(ctx context.Context, e unixfs.Entry) (string, error)

func (f filesFunc) File(ctx context.Context, e unixfs.Entry) (string, error) { return f(ctx, e) }

// TestFailureKeepsTheOld: whatever fails, the old node_modules is there, and nothing else.
func TestFailureKeepsTheOld(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func(w *world) (Files, func(error) bool){
		"a file is missing": func(w *world) (Files, func(error) bool) {
			var n atomic.Int32
			return filesFunc(func(ctx context.Context, e unixfs.Entry) (string, error) {
				if n.Add(1) == 3 {
					return "", broken
				}
				return w.store.File(ctx, e)
			}), func(err error) bool { return errors.Is(err, broken) }
		},
		"a block was changed": func(w *world) (Files, func(error) bool) {
			e := unixfs.Entry(w.trees["node_modules/b"].Entries[0])
			stored, err := w.store.File(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(stored, []byte("evil"), 0o644); err != nil {
				t.Fatal(err)
			}
			return w.store, func(err error) bool {
				var damage *DamageError
				return errors.As(err, &damage) && damage.Package.Name == "b"
			}
		},
		"node_modules is a file": func(w *world) (Files, func(error) bool) {
			if err := errors.Join(os.RemoveAll(filepath.Join(w.project, "node_modules")), os.WriteFile(filepath.Join(w.project, "node_modules"), nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			return w.store, func(err error) bool { return err != nil && strings.Contains(err.Error(), "no directory") }
		},
	} {
		w := newWorld(t)
		w.put("node_modules/a", "", "1", "2", "3")
		if _, err := w.install(w.store); err != nil {
			t.Fatal(err)
		}
		w.put("node_modules/b", "", "4")
		files, is := fail(w)
		before := w.list()
		if _, err := w.install(files); !is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := w.list(); got != before {
			t.Errorf("%s: left\n%s", name, got)
		}
		if found, err := filepath.Glob(filepath.Join(w.project, tempPrefix+"*")); err != nil || len(found) > 0 {
			t.Errorf("%s: left %v, %v", name, found, err)
		}
	}
}

// TestCopies: where links cannot be made, files are copied.
func TestCopies(t *testing.T) {
	w := newWorld(t)
	w.put("node_modules/a", "", "plain", "program!")
	shm := "/dev/shm"
	other, err := os.MkdirTemp(shm, "es-ci-test")
	if err != nil {
		other = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(other) })
	w.project = other
	r, err := w.install(w.store)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{"plain": 0o644, "program": 0o755} {
		at := filepath.Join(w.project, "node_modules/a", path)
		b, err := os.ReadFile(at)
		if err != nil || !bytes.Equal(b, []byte("contents of "+path)) {
			t.Errorf("%s: %q, %v", path, b, err)
		}
		if info, err := os.Stat(at); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if r.Copied != 0 && r.Copied != 3 {
		t.Errorf("%d copied", r.Copied)
	}
	if !mustCopy(fmt.Errorf("link: %w", syscall.EXDEV)) || mustCopy(nil) || mustCopy(syscall.ENOENT) {
		t.Error("mustCopy")
	}
}

// TestIntegrity: what the plan takes from a lockfile is the hash it says.
func TestIntegrity(t *testing.T) {
	plan, err := NewPlan(parse(t, `"node_modules/x": {#}`), Options{})
	if err != nil || npm.FormatIntegrity(plan.Packages[0].SHA512) != integrity {
		t.Errorf("%+v, %v", plan, err)
	}
}
