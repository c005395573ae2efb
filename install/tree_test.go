package install

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// full is set for the long variants of the random tests.
var full = os.Getenv("ES_FULL") != ""

func fakeModule(id string) cid.Cid {
	sum, err := multihash.Sum([]byte(id), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, sum)
}

// randomReleases makes releases that need each other in every way, conflicts
// and cycles included. Every range can be satisfied.
func randomReleases(rng *rand.Rand) []*Resolution {
	names, versions := 2+rng.IntN(7), 1+rng.IntN(4)
	version := func() string { return fmt.Sprintf("%d.%d.0", 1+rng.IntN(versions), rng.IntN(2)) }
	var list []*Resolution
	exists := map[string]bool{}
	for n := range names {
		for range 1 + rng.IntN(2*versions) {
			id := fmt.Sprintf("%c@%s", 'a'+n, version())
			if !exists[id] {
				exists[id] = true
				name, v := cutSpec(id)
				list = append(list, &Resolution{
					Release: records.Release{Name: records.Name(name), Version: records.Version(v), Module: fakeModule(id)},
					Record:  recordOf(id, alice), Signer: alice,
				})
			}
		}
	}
	density := rng.IntN(4)
	for _, r := range list {
		for range rng.IntN(density + 2) {
			to := list[rng.IntN(len(list))]
			spec := randomRange(rng, to.Version)
			if _, twice := r.Manifest.Dependencies[string(to.Name)]; rng.IntN(6) == 0 && !twice {
				r.Manifest.OptionalDependencies = with(r.Manifest.OptionalDependencies, to.Name, spec)
			} else if rng.IntN(12) == 0 {
				r.Manifest.Dependencies = with(r.Manifest.Dependencies, "alias-"+to.Name, "npm:"+string(to.Name)+"@"+spec)
			} else if r.Manifest.OptionalDependencies[string(to.Name)] == "" {
				r.Manifest.Dependencies = with(r.Manifest.Dependencies, to.Name, spec)
			}
		}
		if rng.IntN(15) == 0 {
			r.Manifest.Bundled = slices.Sorted(maps.Keys(r.Manifest.Dependencies))
		}
	}
	return list
}

func with(m map[string]string, name records.Name, spec string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[string(name)] = spec
	return m
}

func randomRange(rng *rand.Rand, v records.Version) string {
	major, _, _ := strings.Cut(string(v), ".")
	return []string{string(v), "^" + string(v), "~" + string(v), ">=" + string(v), major, "*", "x"}[rng.IntN(7)]
}

func plan(t *testing.T, releases []*Resolution, roots map[string]string, locked *lockfile.File) *treeNode {
	t.Helper()
	w := newWorld(t)
	w.releases = releases
	var edges []edge
	for name, spec := range roots {
		edges = append(edges, newEdge(name, spec, false))
	}
	b := &planner{shelf: newShelf(w.sources()), resolver: w, options: &Options{}, locked: locked}
	tree, err := b.plan(context.Background(), edges)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// SPEC I13, I14, I15, I16
func TestEveryRequireIsSatisfied(t *testing.T) {
	rounds := 600
	if full {
		rounds = 50_000
	}
	links, nested := 0, 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		releases := randomReleases(rng)
		roots := map[string]string{}
		for range 1 + rng.IntN(3) {
			r := releases[rng.IntN(len(releases))]
			roots[string(r.Name)] = randomRange(rng, r.Version)
		}
		tree := plan(t, releases, roots, nil)
		l := tree.lockfile()
		for _, p := range l.Packages {
			if p.Link != "" {
				links++
			}
			if lockfile.Parent(p.Path) != "" {
				nested++
			}
		}
		if bad := requireAll(l, roots); len(bad) > 0 {
			t.Fatalf("seed %d: %s\n%s", seed, strings.Join(bad, "\n"), l.Bytes())
		}
		if _, reasons := treeOf(l, tree.edges); len(reasons) > 0 {
			t.Fatalf("seed %d: the tree does not agree with itself: %v\n%s", seed, reasons, l.Bytes())
		}

		shuffled := slices.Clone(releases)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := plan(t, shuffled, roots, nil).lockfile(); !bytes.Equal(again.Bytes(), l.Bytes()) {
			t.Fatalf("seed %d: another order gives another tree:\n%s\n%s", seed, l.Bytes(), again.Bytes())
		}
		read, err := lockfile.Parse(l.Bytes())
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, l.Bytes())
		}
		if !bytes.Equal(read.Bytes(), l.Bytes()) {
			t.Fatalf("seed %d: the lockfile changes when it is read:\n%s\n%s", seed, l.Bytes(), read.Bytes())
		}
		if again := plan(t, nil, roots, read).lockfile(); !bytes.Equal(again.Bytes(), l.Bytes()) {
			t.Fatalf("seed %d: planning again from the lockfile moves packages:\n%s\n%s", seed, l.Bytes(), again.Bytes())
		}
	}
	if links == 0 || nested < rounds/10 {
		t.Errorf("%d links and %d nested packages in %d trees: the graphs are too simple", links, nested, rounds)
	}
}

// requireAll looks for every dependency as node does, by paths alone, and
// returns those that are missing or not what was asked for.
func requireAll(l *lockfile.File, roots map[string]string) (bad []string) {
	find := func(from, name string) *Package {
		for at := from; ; at = lockfile.Parent(at) {
			if p := l.Packages[strings.TrimPrefix(at+"/node_modules/"+name, "/")]; p != nil {
				return p
			}
			if at == "" {
				return nil
			}
		}
	}
	check := func(from string, deps map[string]string, bundled []string, optional bool) {
		for name, text := range deps {
			if slices.Contains(bundled, name) {
				continue
			}
			real, want := name, text
			if rest, ok := strings.CutPrefix(text, "npm:"); ok {
				real, want = cutSpec(rest)
			}
			spec, err := ParseSpec(want)
			if err != nil {
				panic(err)
			}
			switch p := find(from, name); {
			case p == nil && optional:
			case p == nil:
				bad = append(bad, fmt.Sprintf("%q finds no %s", from, name))
			case string(p.Name) != real || !spec.Match(p.Version):
				bad = append(bad, fmt.Sprintf("%q asks for %s@%s and finds %s", from, name, text, p))
			}
		}
	}
	check("", roots, nil, false)
	for path, p := range l.Packages {
		if p.Link != "" {
			path = p.Link
		}
		check(path, p.Dependencies, p.Bundled, false)
		check(path, p.OptionalDependencies, p.Bundled, true)
	}
	return bad
}

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
	linked, lock := layout(t, p.dir), read(t, p.dir, lockfile.Name)
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
	if l := layout(t, p.dir); !slices.Contains(l, path+" b@3.0.0") || !slices.Contains(l, path+"/node_modules/b b@4.0.0") {
		t.Errorf("node_modules holds %v", l)
	}
	mustVerify(t, p, w)

	write(t, filepath.Join(p.dir, lockfile.Name), lock)
	if r := mustInstall(t, p, w, Options{}); len(r.Warnings) > 0 {
		t.Errorf("warnings %+v", r.Warnings)
	}
	if l := layout(t, p.dir); !slices.Equal(l, linked) {
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
		for _, r := range randomReleases(rng) {
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
			if res := mustAdd(t, p, w, string(r.Name)+"@"+randomRange(rng, r.Version)); len(res.Warnings) > 0 {
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
					want = append(want, strings.TrimPrefix(path, lockfile.NodeModules+"/")+" -> "+linkTarget(path, q.Link))
				} else {
					want = append(want, strings.TrimPrefix(path, lockfile.NodeModules+"/")+" "+q.String())
				}
			}
			wantLayout(t, p, want...)
		}
		lock := read(t, p.dir, lockfile.Name)
		clone := project(t, "")
		write(t, filepath.Join(clone.dir, lockfile.Name), lock)
		write(t, filepath.Join(clone.dir, packageJSON), read(t, p.dir, packageJSON))
		if _, err := clone.Install(context.Background(), Sources{Blocks: w.local}, Options{Frozen: true}); err != nil {
			t.Fatal(err)
		}
		if a, b := layout(t, p.dir), layout(t, clone.dir); !slices.Equal(a, b) {
			t.Errorf("seed %d: a frozen install of the same lockfile gives\n%v\nnot\n%v", seed, b, a)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
