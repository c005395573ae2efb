package install

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
)

// putNPM puts the files of a package where npm would, with a lockfile that names it.
func putNPM(t *testing.T, p *Project, id, fields string, f files) {
	t.Helper()
	name, _ := fakes.Cut(id)
	for file, text := range packageFiles(id, fields, f) {
		at := filepath.Join(p.dir, lockfile.NodeModules, name, file)
		write(t, at, text)
		if strings.HasPrefix(text, "#!") {
			if err := os.Chmod(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(t, filepath.Join(p.dir, "package-lock.json"), `{"lockfileVersion": 3, "packages": {"node_modules/`+name+`": {}}}`)
}

// What another package manager installs is replaced by force alone, and never removed
// (SPEC I134).
func TestOtherManagersKeepTheirs(t *testing.T) {
	w := newWorld(t)
	w.publish("lodash@1.0.0", "")
	for name, names := range map[string]func(p *Project){
		"package-lock.json": func(p *Project) {},
		"hidden lockfile": func(p *Project) {
			if err := os.Rename(filepath.Join(p.dir, "package-lock.json"), filepath.Join(p.dir, "node_modules/.package-lock.json")); err != nil {
				t.Fatal(err)
			}
		},
		"package.json": func(p *Project) {
			os.Remove(filepath.Join(p.dir, "package-lock.json"))
			write(t, filepath.Join(p.dir, packagejson.Name), `{"devDependencies": {"lodash": "^4"}}`)
		},
	} {
		p := project(t, "")
		putNPM(t, p, "lodash@4.17.21", "", nil)
		names(p)
		for range 2 { // the second time es-lock.json would have said that es installs it
			_, err := p.Add(t.Context(), w.sources(), requests(t, "lodash"), Options{})
			var exists *ExistsError
			if !errors.As(err, &exists) || exists.By == "" || !strings.Contains(err.Error(), "lodash@4.17.21") {
				t.Errorf("%s: add: %v", name, err)
			}
			wantLayout(t, p, "lodash lodash@4.17.21")
			if _, err := os.Stat(filepath.Join(p.dir, lockfile.Name)); err == nil {
				t.Errorf("%s: es-lock.json was written", name)
			}
		}
		if _, err := p.Add(t.Context(), w.sources(), requests(t, "lodash"), Options{Force: true}); err != nil {
			t.Errorf("%s: by force: %v", name, err)
		}
		wantLayout(t, p, "lodash lodash@1.0.0")
		if r := mustInstall(t, p, w, Options{}); r.Unchanged != 1 {
			t.Errorf("%s: after that %+v", name, r)
		}
		r, err := p.Remove(t.Context(), w.sources(), []records.Name{"lodash"}, Options{})
		if err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Text, "is left where it is") {
			t.Errorf("%s: remove: %+v, %v", name, r, err)
		}
		wantLayout(t, p, "lodash lodash@1.0.0")
	}
}

// A package that stands there already and is the very module is not written again, and
// stays with whom it belongs to (SPEC I134).
func TestTakenAsItIs(t *testing.T) {
	w := newWorld(t)
	program := files{"bin.js": "#!/usr/bin/env node\n"}
	w.publish("lodash@1.0.0", `"bin": {"lodash": "bin.js"}`, program)
	p := project(t, "")
	putNPM(t, p, "lodash@1.0.0", `"bin": {"lodash": "bin.js"}`, program)
	before, err := os.Stat(filepath.Join(p.dir, "node_modules/lodash"))
	if err != nil {
		t.Fatal(err)
	}
	r := mustAdd(t, p, w, "lodash")
	if len(r.Kept) != 1 || len(r.Added) != 0 {
		t.Errorf("result %+v", r)
	}
	if now, err := os.Stat(filepath.Join(p.dir, "node_modules/lodash")); err != nil || !os.SameFile(before, now) {
		t.Errorf("it was written again: %v", err)
	}
	mustVerify(t, p, w)
	if r := mustInstall(t, p, w, Options{Frozen: true}); len(r.Kept) != 1 {
		t.Errorf("again %+v", r)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"lodash"}, Options{}); err != nil {
		t.Error(err)
	}
	wantLayout(t, p, "lodash lodash@1.0.0")

	// One byte more, and it is another package.
	p = project(t, "")
	putNPM(t, p, "lodash@1.0.0", `"bin": {"lodash": "bin.js"}`, program)
	write(t, filepath.Join(p.dir, "node_modules/lodash/more"), "x")
	if _, err := p.Add(t.Context(), w.sources(), requests(t, "lodash"), Options{}); !errors.As(err, new(*ExistsError)) {
		t.Errorf("another package: %v", err)
	}

	// What nobody names, such as a node_modules that another home made, becomes es's.
	p = project(t, "")
	mustAdd(t, p, w, "lodash")
	p.NoteKey = []byte("of another home")
	if r, err := p.Remove(t.Context(), w.sources(), []records.Name{"lodash"}, Options{}); err != nil || len(r.Removed) != 1 {
		t.Errorf("remove what another home installed: %+v, %v", r, err)
	}
	wantLayout(t, p)
	if _, err := os.Lstat(filepath.Join(p.dir, "node_modules/.bin/lodash")); err == nil {
		t.Error("its command stays")
	}
}

func TestOtherManagers(t *testing.T) {
	for files, want := range map[string]OtherManagers{
		``:                          {},
		`{}`:                        {},
		`{"dependencies": {}}`:      {},
		`{"dependencies": {"a":1}}`: {Names: []string{"npm"}},
		`{"devDependencies": {"a":"1"}, "scripts": {"dependencies": "npx x && es install --frozen"}}`: {Names: []string{"npm"}, Hook: true},
		`yarn.lock`:                       {Names: []string{"yarn"}},
		`pnpm-lock.yaml`:                  {Names: []string{"pnpm"}},
		`bun.lockb`:                       {Names: []string{"bun"}},
		"node_modules/.package-lock.json": {Names: []string{"npm"}},
		`package-lock.json`:               {Names: []string{"npm"}},
	} {
		p := project(t, "")
		switch {
		case strings.HasPrefix(files, "{"):
			write(t, filepath.Join(p.dir, packagejson.Name), files)
		case files != "":
			write(t, filepath.Join(p.dir, files), "")
		}
		if got, err := p.OtherManagers(); err != nil || got.Hook != want.Hook || !slices.Equal(got.Names, want.Names) {
			t.Errorf("%s: %+v, %v", files, got, err)
		}
	}
}

// Packages that were gone or changed are told as written again, and not as "in place".
func TestRestored(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"bin": {"a": "a.js"}`, files{"a.js": "#!/usr/bin/env node\n"})
	w.publish("b@1.0.0", "")
	p := project(t, "")
	mustAdd(t, p, w, "a", "b")
	if r := mustInstall(t, p, w, Options{}); r.Unchanged != 2 || len(r.Restored) != 0 || r.Linked {
		t.Errorf("nothing to do: %+v", r)
	}
	if err := os.RemoveAll(filepath.Join(p.dir, "node_modules/b")); err != nil {
		t.Fatal(err)
	}
	if r := mustInstall(t, p, w, Options{}); r.Unchanged != 1 || packagePaths(r.Restored) != "b b@1.0.0" {
		t.Errorf("one is gone: %+v", r)
	}
	if r := mustInstall(t, p, w, Options{Force: true}); r.Unchanged != 0 || len(r.Restored) != 2 {
		t.Errorf("by force: %+v", r)
	}
	if err := os.Remove(filepath.Join(p.dir, "node_modules/.bin/a")); err != nil {
		t.Fatal(err)
	}
	if r := mustInstall(t, p, w, Options{}); r.Unchanged != 2 || !r.Linked {
		t.Errorf("a command is gone: %+v", r)
	}
}

// A peer is looked for where node finds it, whoever put it there (SPEC I19).
func TestPeerOfOthers(t *testing.T) {
	w := newWorld(t)
	w.publish("plugin@1.0.0", `"peerDependencies": {"chalk": "^5"}`)
	for _, test := range []struct{ dir, id, want string }{
		{"", "", "needs the peer chalk@^5, which is not installed"},
		{".", "chalk@5.1.0", ""},
		{".", "chalk@4.0.0", "chalk@4.0.0 is installed"},
		{"..", "chalk@5.1.0", ""},
	} {
		p := project(t, "")
		inner := filepath.Join(p.dir, "inner")
		write(t, filepath.Join(inner, packagejson.Name), "{}")
		p, err := Open(inner)
		if err != nil {
			t.Fatal(err)
		}
		if test.id != "" {
			name, version := fakes.Cut(test.id)
			write(t, filepath.Join(inner, test.dir, lockfile.NodeModules, name, packagejson.Name), `{"name":"chalk","version":"`+version+`"}`)
		}
		var got []string
		for _, w := range mustAdd(t, p, w, "plugin").Warnings {
			got = append(got, w.Text)
		}
		if (test.want == "") != (len(got) == 0) || !strings.Contains(strings.Join(got, "\n"), test.want) {
			t.Errorf("%+v: warnings %q", test, got)
		}
	}
}

// A frozen installation leaves even what an earlier es left behind in the project
// (SPEC I12), and a program with a byte order mark is warned of (SPEC I131).
func TestFrozenTouchesNodeModulesAlone(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"bin": {"a": "a.js"}`, files{"a.js": "\xef\xbb\xbf#!/usr/bin/env node\n"})
	p := project(t, `"a": "1"`)
	mustInstall(t, p, w, Options{})
	left := filepath.Join(p.dir, ".es-new-"+packagejson.Name)
	write(t, left, "x")
	if err := os.RemoveAll(filepath.Join(p.dir, lockfile.NodeModules)); err != nil {
		t.Fatal(err)
	}
	r := mustInstall(t, p, w, Options{Frozen: true})
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Text, "byte order mark") {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
	mustInstall(t, p, w, Options{})
	if _, err := os.Stat(left); err == nil {
		t.Error("it stays after an installation that is not frozen")
	}
}
