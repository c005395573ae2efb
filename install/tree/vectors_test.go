package tree

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

var update = flag.Bool("update", false, "write the results into the vectors of testdata/install/plan")

// releasesOf reads lines such as "a@1.0.0 b@^1 ?optional@1 +bundled@1".
func releasesOf(text string) []*Resolution {
	var list []*Resolution
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		name, version := fakes.Cut(words[0])
		r := resolution(records.Release{Name: records.Name(name), Version: records.Version(version), Module: fakes.Module(words[0]), Files: 1})
		for _, word := range words[1:] {
			dep, spec := fakes.Cut(strings.TrimLeft(word, "?+"))
			switch word[0] {
			case '?':
				r.Manifest.OptionalDependencies = fakes.With(r.Manifest.OptionalDependencies, records.Name(dep), spec)
				continue
			case '+':
				r.Manifest.Bundled = append(r.Manifest.Bundled, dep)
			}
			r.Manifest.Dependencies = fakes.With(r.Manifest.Dependencies, records.Name(dep), spec)
		}
		list = append(list, r)
	}
	return list
}

func TestPlanVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "../../testdata/install/plan/*.txtar") {
		f, err := packagejson.Parse([]byte(v.File(packagejson.Name)))
		if err != nil {
			t.Fatal(err)
		}
		roots := map[string]string{}
		for _, d := range f.Dependencies() {
			roots[string(d.Name)] = d.Spec.Text
		}
		root, err := tryPlan(t, releasesOf(v.File("releases")), roots, nil)
		if v.Expect != "ok" {
			if err == nil {
				t.Errorf("%s: it resolves", v.Name)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		l := root.Lockfile()
		var b strings.Builder
		for _, path := range slices.Sorted(maps.Keys(l.Packages)) {
			p := l.Packages[path]
			fmt.Fprintf(&b, "%s %s%s%s\n", path, p, map[bool]string{true: " optional"}[p.Optional], cmp.Or(map[bool]string{true: " -> " + p.Link}[p.Link != ""], ""))
		}
		if *update {
			v.Set("tree", b.String())
			if err := os.WriteFile(filepath.Join("../../testdata/install/plan", v.Name+".txtar"), v.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b.String() != v.File("tree") {
			t.Errorf("%s: the tree is\n%swant\n%s", v.Name, b.String(), v.File("tree"))
		}
	}
}
