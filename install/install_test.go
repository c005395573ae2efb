package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
)

func TestAdd(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "^1.0.0"}`)
	w.publish("b@1.0.0", "")
	w.publish("b@1.2.0", "")
	w.publish("b@2.0.0", "")
	p := project(t, "")
	r := mustAdd(t, p, w, "a")
	if got, want := packagePaths(r.Added), "a a@1.0.0, b b@1.2.0"; got != want {
		t.Errorf("added %s, want %s", got, want)
	}
	wantLayout(t, p, "a a@1.0.0", "b b@1.2.0")
	if got, want := read(t, p.dir, packagejson.Name), "{\n  \"esDependencies\": {\n    \"a\": \"^1.0.0\"\n  }\n}\n"; got != want {
		t.Errorf("package.json is\n%s\nwant\n%s", got, want)
	}
	mustVerify(t, p, w)

	w.forget()
	r = mustInstall(t, p, w, Options{})
	if len(r.Added)+len(r.Changed)+len(r.Removed) > 0 || r.Unchanged != 2 || len(w.resolved)+len(w.fetched) > 0 {
		t.Errorf("the second install did %+v, resolved %v, fetched %v", r, w.resolved, w.fetched)
	}
	w.publish("b@1.3.0", "")
	mustAdd(t, p, w, "b@2.0.0")
	wantLayout(t, p, "a a@1.0.0", "b b@2.0.0", "a/node_modules/b b@1.2.0")
	mustVerify(t, p, w)
}

func TestWhatIsSaved(t *testing.T) {
	w := newWorld(t)
	m := w.publish("@s/a@1.2.3", "").Module
	w.publish("@s/a@2.0.0-rc.1", "")
	for _, test := range []struct{ request, saved string }{
		{"@s/a@1.2.3", "1.2.3"},
		{"@s/a@~1.2", "~1.2"},
		{"@s/a@>=1 <2", ">=1 <2"},
		{"@s/a@rc", "^2.0.0-rc.1"},
		{"@s/a@" + m.String(), m.String()},
		{"@s/a", "^2.0.0-rc.1"},
	} {
		p := project(t, "")
		r := mustAdd(t, p, w, test.request)
		if len(r.Saved) != 1 || r.Saved[0].Spec != test.saved {
			t.Errorf("add %s saved %+v, want %q", test.request, r.Saved, test.saved)
		}
		deps, err := p.Dependencies()
		if err != nil || len(deps) != 1 || deps[0].Spec.Text != test.saved {
			t.Errorf("package.json has %+v, %v, want %q", deps, err, test.saved)
		}
		w.forget()
		if mustInstall(t, p, w, Options{Frozen: true}); len(w.resolved) > 0 {
			t.Errorf("a frozen install of %s resolved %v", test.saved, w.resolved)
		}
	}
}

func TestFrozen(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1.0.0"}`)
	w.publish("b@1.0.0", "")
	p := project(t, "")
	mustAdd(t, p, w, "a")
	lock, text := read(t, p.dir, lockfile.Name), read(t, p.dir, packagejson.Name)

	clone := project(t, "")
	write(t, filepath.Join(clone.dir, lockfile.Name), lock)
	write(t, filepath.Join(clone.dir, packagejson.Name), text)
	offline := Sources{Blocks: w.local}
	if _, err := clone.Install(context.Background(), offline, Options{Frozen: true}); err != nil {
		t.Fatal(err)
	}
	wantLayout(t, clone, "a a@1.0.0", "b b@1.0.0")

	for _, test := range []struct{ name, text, lock, reason string }{
		{"more", strings.Replace(text, `"a"`, "\"c\": \"1\",\n    \"a\"", 1), lock, "package.json asks for c@1, which is not locked"},
		{"other", strings.Replace(text, "^1.0.0", "^2.0.0", 1), lock, "package.json asks for a@^2.0.0, and a@1.0.0 is locked"},
		{"less", "{}", lock, "nothing needs node_modules/a"},
		{"hole", text, strings.Replace(lock, `"b": "1.0.0"`, `"d": "1.0.0"`, 1), "a@1.0.0 asks for d@1.0.0, which is not locked"},
	} {
		write(t, filepath.Join(clone.dir, packagejson.Name), test.text)
		write(t, filepath.Join(clone.dir, lockfile.Name), test.lock)
		_, err := clone.Install(context.Background(), offline, Options{Frozen: true})
		var disagree *DisagreeError
		if !errors.As(err, &disagree) || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v, want %q", test.name, err, test.reason)
		}
		if read(t, clone.dir, packagejson.Name) != test.text || read(t, clone.dir, lockfile.Name) != test.lock {
			t.Errorf("%s: a frozen install wrote", test.name)
		}
	}
	os.Remove(filepath.Join(clone.dir, lockfile.Name))
	if _, err := clone.Install(context.Background(), offline, Options{Frozen: true}); err == nil {
		t.Error("a frozen install without es-lock.json is no error")
	}
}

func TestFrozenNeedsTheBlocks(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", "")
	p := project(t, "")
	mustAdd(t, p, w, "a")
	if err := os.RemoveAll(filepath.Join(p.dir, lockfile.NodeModules)); err != nil {
		t.Fatal(err)
	}
	_, err := p.Install(context.Background(), Sources{Blocks: newMemory()}, Options{Frozen: true})
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Name != "a" {
		t.Errorf("got %v, want a *MissingError for a", err)
	}
}
