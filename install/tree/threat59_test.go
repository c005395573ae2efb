package tree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
)

// releaseOf is a release with exact dependencies.
func releaseOf(id string, deps map[string]string) *Resolution {
	name, version := fakes.Cut(id)
	return resolution(records.Release{
		Name: records.Name(name), Version: records.Version(version), Module: fakes.Module(id), Size: 100, Files: 2,
		Manifest: records.Manifest{Dependencies: deps},
	})
}

// bomb makes names with versions that need fan others in exact versions: no two agree,
// so that most must nest.
func bomb(rng *rand.Rand, names, versions, fan int) []*Resolution {
	var list []*Resolution
	for n := range names {
		for v := range versions {
			deps := map[string]string{}
			for range fan {
				deps[fmt.Sprintf("p%d", rng.IntN(names))] = fmt.Sprintf("%d.0.0", 1+rng.IntN(versions))
			}
			list = append(list, releaseOf(fmt.Sprintf("p%d@%d.0.0", n, v+1), deps))
		}
	}
	return list
}

// planned plans a project that needs p0@1.0.0 of the releases.
func planned(t *testing.T, releases []*Resolution) (*Node, *planner, error) {
	t.Helper()
	m := resolverOf(releases)
	b := &planner{Options: Options{Resolver: m, Modules: m, Workers: 8}}
	root, err := b.plan(t.Context(), []Edge{NewEdge("p0", "1.0.0", false)})
	return root, b, err
}

// TestThreat59BombsStaySmall: releases that need each other in conflicting versions
// give at most MaxCopies of each, whose every require is satisfied, however many ways
// lead to them. SPEC I17 and I123
func TestThreat59BombsStaySmall(t *testing.T) {
	links := 0
	for seed := range 12 {
		rng := rand.New(rand.NewPCG(uint64(seed), 59))
		releases := bomb(rng, 6+rng.IntN(6), 3, 4)
		root, _, err := planned(t, releases)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		l := root.Lockfile()
		copies := map[string]int{}
		for _, p := range l.Packages {
			if p.Link != "" {
				links++
			} else {
				copies[p.String()]++
			}
		}
		for id, n := range copies {
			if n > MaxCopies {
				t.Errorf("seed %d: %d copies of %s", seed, n, id)
			}
		}
		roots := map[string]string{"p0": "1.0.0"}
		if bad := requireAll(l, roots); len(bad) > 0 {
			t.Fatalf("seed %d: %s", seed, strings.Join(bad, "\n"))
		}
		read, err := lockfile.Parse(l.Bytes())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if _, reasons := FromLockfile(read, root.Edges); len(reasons) > 0 {
			t.Fatalf("seed %d: the tree does not agree with itself: %v", seed, reasons)
		}
		if again := plan(t, nil, roots, read).Lockfile(); string(again.Bytes()) != string(l.Bytes()) {
			t.Errorf("seed %d: planning again from the lockfile moves packages", seed)
		}
	}
	if links == 0 {
		t.Error("no bomb was large enough for a link")
	}
}

// TestThreat59Bounds: what is larger than a project may be is refused while it is
// planned, with the limit in the error, and before anything is asked or written.
// SPEC I124
func TestThreat59Bounds(t *testing.T) {
	wide := func(n, size, fan int) []*Resolution {
		root := map[string]string{}
		var list []*Resolution
		for i := range n {
			name := fmt.Sprintf("w%d", i)
			root[name] = "1.0.0"
			deps := map[string]string{}
			for k := range fan {
				deps[fmt.Sprintf("w%d", (i+k)%n)] = fmt.Sprintf(">=1 <%d", 2+i*fan+k)
			}
			r := releaseOf(name+"@1.0.0", deps)
			r.Size = int64(size)
			list = append(list, r)
		}
		return append(list, releaseOf("p0@1.0.0", root))
	}
	files := wide(20, 1, 0)
	for _, r := range files {
		r.Files = records.MaxFiles
	}
	deep := []*Resolution{releaseOf("p0@1.0.0", map[string]string{"d": "0.0.0", "e": "0.0.0"})}
	for v := range 160 { // each needs the other one, in a version that nobody has yet
		next := fmt.Sprintf("%d.0.0", v+1)
		deep = append(deep, releaseOf(fmt.Sprintf("d@%d.0.0", v), map[string]string{"e": next}), releaseOf(fmt.Sprintf("e@%d.0.0", v), map[string]string{"d": next}))
	}
	long := strings.Repeat("n", 100)
	paths := []*Resolution{releaseOf("p0@1.0.0", map[string]string{long + "d": "0.0.0", long + "e": "0.0.0"})}
	for v := range 60 {
		next := fmt.Sprintf("%d.0.0", v+1)
		paths = append(paths, releaseOf(fmt.Sprintf("%sd@%d.0.0", long, v), map[string]string{long + "e": next}), releaseOf(fmt.Sprintf("%se@%d.0.0", long, v), map[string]string{long + "d": next}))
	}
	for name, c := range map[string]struct {
		releases []*Resolution
		limit    int64
	}{
		"packages":     {wide(lockfile.MaxPackages, 1, 0), lockfile.MaxPackages},
		"bytes":        {wide(20, 1<<30, 0), MaxTreeSize},
		"files":        {files, MaxTreeFiles},
		"dependencies": {wide(700, 1, 300), MaxDependencies},
		"nesting":      {deep, lockfile.MaxNesting},
		"path":         {paths, lockfile.MaxPath},
	} {
		t.Run(name, func(t *testing.T) {
			_, b, err := planned(t, c.releases)
			var bound *BoundError
			if !errors.As(err, &bound) || bound.Limit != c.limit {
				t.Fatalf("%+v: %v, want the limit %d", b.sum, err, c.limit)
			}
		})
	}
}

// TestThreat59Questions: a dependency that is written in another way each time is
// resolved each time, but not for ever.
func TestThreat59Questions(t *testing.T) {
	b := &bounds{}
	for range MaxQuestions {
		if err := b.ask(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.ask(); !errors.As(err, new(*BoundError)) {
		t.Errorf("one question more: %v", err)
	}
}

// TestThreat59Cancel: whoever waits for a plan can end it at any time.
func TestThreat59Cancel(t *testing.T) {
	m := resolverOf(bomb(rand.New(rand.NewPCG(1, 59)), 12, 3, 4))
	ctx, cancel := context.WithCancel(t.Context())
	last := 0
	o := Options{Resolver: m, Modules: m, Workers: 8, Progress: func(_ records.Name, packages int) {
		if last = packages; last == 50 {
			cancel()
		}
	}}
	_, _, err := Plan(ctx, []Edge{NewEdge("p0", "1.0.0", false)}, o)
	if !errors.Is(err, context.Canceled) || last > 51 {
		t.Errorf("%v after %d packages", err, last)
	}
}
