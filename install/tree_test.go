package install

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/records"
)

// full is set for the long variants of the random tests.
var full = os.Getenv("ES_FULL") != ""

// SPEC I17
func TestConflictThatNestsForEver(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1.0.0"}`)
	w.publish("b@1.0.0", `"dependencies": {"a": "2.0.0"}`)
	w.publish("a@2.0.0", `"dependencies": {"b": "2.0.0"}`)
	w.publish("b@2.0.0", `"dependencies": {"a": "1.0.0"}`)
	p := project(t, "")
	mustAdd(t, p, w, "a@1.0.0")
	b := "b/node_modules/"
	wantLayout(t, p, "a a@1.0.0", "b b@1.0.0", b+"a a@2.0.0", b+"b b@2.0.0", b+b+"a a@1.0.0",
		b+b+"b -> "+filepath.FromSlash("../../.."))
	mustVerify(t, p, w)
	w.forget()
	if r := mustInstall(t, p, w, Options{}); r.Unchanged != 6 {
		t.Errorf("the second install left %d packages alone, want 6", r.Unchanged)
	}
	if v, err := os.Stat(filepath.Join(p.dir, "node_modules/b/node_modules/b/node_modules/b/package.json")); err != nil || v.IsDir() {
		t.Errorf("the link leads nowhere: %v", err)
	}
}

// A link becomes a package with another one in it, and a link again.
func TestLinkBecomesPackage(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1.0.0"}`)
	w.publish("b@1.0.0", `"dependencies": {"a": "2.0.0"}`)
	w.publish("a@2.0.0", `"dependencies": {"b": "2"}`)
	w.publish("b@2.0.0", `"dependencies": {"a": "1"}`)
	p := project(t, "")
	mustAdd(t, p, w, "a@1.0.0")
	linked, lock := installed(t, p.dir), read(t, p.dir, lockfile.Name)
	path := "node_modules/b/node_modules/b/node_modules/b"
	if !slices.Contains(linked, path+" -> "+filepath.FromSlash("../../..")) {
		t.Fatalf("there is no link: %v", linked)
	}

	w.publish("b@2.1.0", `"dependencies": {"a": "1.1.0"}`)
	w.publish("a@1.1.0", `"dependencies": {"b": "3"}`)
	w.publish("b@3.0.0", `"dependencies": {"b": "4"}`)
	w.publish("b@4.0.0", "")
	os.Remove(filepath.Join(p.dir, lockfile.Name))
	if r := mustInstall(t, p, w, Options{}); len(r.Warnings) > 0 {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if l := installed(t, p.dir); !slices.Contains(l, path+" b@3.0.0") || !slices.Contains(l, path+"/node_modules/b b@4.0.0") {
		t.Errorf("node_modules holds %v", l)
	}
	mustVerify(t, p, w)

	write(t, filepath.Join(p.dir, lockfile.Name), lock)
	if r := mustInstall(t, p, w, Options{}); len(r.Warnings) > 0 {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if l := installed(t, p.dir); !slices.Equal(l, linked) {
		t.Errorf("node_modules holds %v, want %v", l, linked)
	}
	mustVerify(t, p, w)
}

func TestRandomTreesOnDisk(t *testing.T) {
	rounds := 6
	if full {
		rounds = 300
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 2))
		w := newWorld(t)
		for _, r := range fakes.Releases(rng) {
			fields, err := json.Marshal(map[string]any{
				"dependencies": r.Manifest.Dependencies, "optionalDependencies": r.Manifest.OptionalDependencies,
			})
			if err != nil {
				t.Fatal(err)
			}
			w.publish(string(r.Name)+"@"+string(r.Version), strings.TrimSuffix(string(fields[1:]), "}"))
		}
		p := project(t, "")
		for range 3 {
			r := w.releases[rng.IntN(len(w.releases))]
			if res := mustAdd(t, p, w, string(r.Name)+"@"+fakes.Range(rng, r.Version)); len(res.Warnings) > 0 {
				t.Errorf("warnings %+v", res.Warnings)
			}
			mustVerify(t, p, w)
			l, err := p.Lockfile()
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for path, q := range l.Packages {
				if q.Link != "" {
					target, err := filepath.Rel(filepath.Dir(path), q.Link)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, strings.TrimPrefix(path, lockfile.NodeModules+"/")+" -> "+target)
				} else {
					want = append(want, strings.TrimPrefix(path, lockfile.NodeModules+"/")+" "+q.String())
				}
			}
			wantLayout(t, p, want...)
		}
		lock := read(t, p.dir, lockfile.Name)
		clone := project(t, "")
		write(t, filepath.Join(clone.dir, lockfile.Name), lock)
		write(t, filepath.Join(clone.dir, packagejson.Name), read(t, p.dir, packagejson.Name))
		if _, err := clone.Install(context.Background(), Sources{Blocks: w.local}, Options{Frozen: true}); err != nil {
			t.Fatal(err)
		}
		if a, b := installed(t, p.dir), installed(t, clone.dir); !slices.Equal(a, b) {
			t.Errorf("seed %d: a frozen install of the same lockfile gives\n%v\nnot\n%v", seed, b, a)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestThreat59OnDisk: a bomb with links to packages that stand elsewhere is installed,
// verified, installed again from its lockfile, and removed.
func TestThreat59OnDisk(t *testing.T) {
	w := newWorld(t)
	w.publish("x@1.0.0", `"dependencies": {"y": "1.0.0"}`)
	w.publish("x@2.0.0", "")
	w.publish("y@1.0.0", "")
	w.publish("y@2.0.0", "")
	deps := []string{`"x": "2.0.0", "y": "2.0.0"`}
	for n := range tree.MaxCopies + 4 {
		name := fmt.Sprintf("u%d", n)
		w.publish(name+"@1.0.0", `"dependencies": {"x": "1.0.0"}`)
		deps = append(deps, fmt.Sprintf("%q: %q", name, "1.0.0"))
	}
	w.publish("p0@1.0.0", `"dependencies": {`+strings.Join(deps, ", ")+`}`)
	p := project(t, "")
	mustAdd(t, p, w, "p0@1.0.0")
	l, err := p.Lockfile()
	if err != nil {
		t.Fatal(err)
	}
	outside := 0
	for path, q := range l.Packages {
		if q.Link == "" {
			continue
		}
		if !strings.HasPrefix(path, q.Link+"/") {
			outside++
		}
		if _, err := os.Stat(filepath.Join(p.dir, filepath.FromSlash(path), packagejson.Name)); err != nil {
			t.Fatalf("the link %s leads nowhere: %v", path, err)
		}
	}
	if outside != 4 {
		t.Fatalf("%d links of %d packages lead to one that is not around them, want 4", outside, len(l.Packages))
	}
	mustVerify(t, p, w)
	if r := mustInstall(t, p, w, Options{}); len(r.Added)+len(r.Changed) > 0 {
		t.Errorf("the second install wrote %d packages", len(r.Added)+len(r.Changed))
	}
	mustInstall(t, p, w, Options{Frozen: true, Force: true})
	mustVerify(t, p, w)
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"p0"}, Options{}); err != nil {
		t.Fatal(err)
	}
	if left := installed(t, p.dir); len(left) > 0 {
		t.Errorf("node_modules still holds %v", left)
	}
}
