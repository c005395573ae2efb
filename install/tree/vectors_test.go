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
	"github.com/everythingstays/es/records"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the results into the vectors of testdata/install/plan")

// A vector is one file of ../../testdata/install.
type vector struct {
	file    string
	archive *txtar.Archive
	header  map[string]string
}

func (v *vector) section(name string) string {
	for _, f := range v.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (v *vector) set(name, text string) {
	for i := range v.archive.Files {
		if v.archive.Files[i].Name == name {
			v.archive.Files[i].Data = []byte(text)
		}
	}
}

// vectors reads those of one kind.
func vectors(t *testing.T, kind string) []*vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../testdata/install", kind, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors of kind %s: %v", kind, err)
	}
	var list []*vector
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v := &vector{file, a, map[string]string{}}
		for line := range strings.Lines(string(a.Comment)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			v.header[key] = value
		}
		if v.header["expect"] == "" || v.header["spec"] == "" || v.header["comment"] == "" {
			t.Errorf("%s: the header lacks expect, spec or comment", file)
		}
		list = append(list, v)
	}
	return list
}

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
	for _, v := range vectors(t, "plan") {
		f, err := packagejson.Parse([]byte(v.section(packagejson.Name)))
		if err != nil {
			t.Fatal(err)
		}
		roots := map[string]string{}
		for _, d := range f.Dependencies() {
			roots[string(d.Name)] = d.Spec.Text
		}
		root, err := tryPlan(t, releasesOf(v.section("releases")), roots, nil)
		if v.header["expect"] != "ok" {
			if err == nil {
				t.Errorf("%s: it resolves", v.file)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", v.file, err)
		}
		l := root.Lockfile()
		var b strings.Builder
		for _, path := range slices.Sorted(maps.Keys(l.Packages)) {
			p := l.Packages[path]
			fmt.Fprintf(&b, "%s %s%s%s\n", path, p, map[bool]string{true: " optional"}[p.Optional], cmp.Or(map[bool]string{true: " -> " + p.Link}[p.Link != ""], ""))
		}
		if *update {
			v.set("tree", b.String())
			if err := os.WriteFile(v.file, txtar.Format(v.archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b.String() != v.section("tree") {
			t.Errorf("%s: the tree is\n%swant\n%s", v.file, b.String(), v.section("tree"))
		}
	}
}
