package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// full is set for the long variants of the random tests.
var full = os.Getenv("ES_FULL") != ""

// alice signs everything.
var alice = fakes.Key("alice")

// resolution is what alice has released.
func resolution(r records.Release) *Resolution {
	return &Resolution{Release: r, Record: fakes.Record(string(r.Name)+"@"+string(r.Version), alice), Signer: alice}
}

func randomReleases(rng *rand.Rand) []*Resolution {
	var list []*Resolution
	for _, r := range fakes.Releases(rng) {
		list = append(list, resolution(*r))
	}
	return list
}

// byName is a Resolver of many releases, and has no module.
type byName map[records.Name][]*Resolution

func resolverOf(releases []*Resolution) byName {
	m := byName{}
	for _, r := range releases {
		m[r.Name] = append(m[r.Name], r)
	}
	for _, list := range m {
		slices.SortFunc(list, func(a, b *Resolution) int { return a.Version.Compare(b.Version) })
	}
	return m
}

var errNotFound = errors.New("no such release")

// Resolve implements Resolver: the newest that matches; a tag is in the name of the
// version's pre-release, or latest.
func (m byName) Resolve(_ context.Context, name records.Name, spec packagejson.Spec) (*Resolution, error) {
	for _, r := range slices.Backward(m[name]) {
		tagged := spec.Kind != packagejson.Tag || spec.Text == "latest" || strings.HasPrefix(r.Version.Prerelease(), spec.Text)
		if spec.Match(r.Version) && tagged {
			return r, nil
		}
	}
	return nil, errNotFound
}

// Unsigned implements Modules.
func (byName) Unsigned(_ context.Context, name records.Name, c cid.Cid) (*lockfile.Package, error) {
	return nil, fmt.Errorf("%s: %w", name, errNotFound)
}

// Check implements Modules.
func (byName) Check(context.Context, *lockfile.Package) error { return nil }

// Chosen implements Modules.
func (byName) Chosen(*Resolution) {}

func plan(t *testing.T, releases []*Resolution, roots map[string]string, locked *lockfile.File) *Node {
	t.Helper()
	root, err := tryPlan(t, releases, roots, locked)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func tryPlan(t *testing.T, releases []*Resolution, roots map[string]string, locked *lockfile.File) (*Node, error) {
	var edges []Edge
	for name, spec := range roots {
		edges = append(edges, NewEdge(name, spec, false))
	}
	m := resolverOf(releases)
	root, _, err := Plan(t.Context(), edges, Options{Resolver: m, Modules: m, Locked: locked, Workers: 8})
	return root, err
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
			roots[string(r.Name)] = fakes.Range(rng, r.Version)
		}
		root := plan(t, releases, roots, nil)
		l := root.Lockfile()
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
		if _, reasons := FromLockfile(l, root.Edges); len(reasons) > 0 {
			t.Fatalf("seed %d: the tree does not agree with itself: %v\n%s", seed, reasons, l.Bytes())
		}

		shuffled := slices.Clone(releases)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := plan(t, shuffled, roots, nil).Lockfile(); !bytes.Equal(again.Bytes(), l.Bytes()) {
			t.Fatalf("seed %d: another order gives another tree:\n%s\n%s", seed, l.Bytes(), again.Bytes())
		}
		read, err := lockfile.Parse(l.Bytes())
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, l.Bytes())
		}
		if !bytes.Equal(read.Bytes(), l.Bytes()) {
			t.Fatalf("seed %d: the lockfile changes when it is read:\n%s\n%s", seed, l.Bytes(), read.Bytes())
		}
		if again := plan(t, nil, roots, read).Lockfile(); !bytes.Equal(again.Bytes(), l.Bytes()) {
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
	find := func(from, name string) *lockfile.Package {
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
				real, want = fakes.Cut(rest)
			}
			spec, err := packagejson.ParseSpec(want)
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
