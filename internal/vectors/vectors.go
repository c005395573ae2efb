// Package vectors is for tests: it runs the test vectors in testdata, and holds them
// against their generators.
package vectors

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A Vector is one file of testdata: an input and the verdict that the rules it names
// demand.
type Vector struct {
	Name    string // file name without ".txtar"
	Expect  string // "ok", or how it is refused
	Spec    string // the rules it shows; a refused one breaks exactly one
	Comment string
	More    map[string]string // what else the header says
	Files   []txtar.File
}

// File returns the contents of a section, or "".
func (v *Vector) File(name string) string {
	for _, f := range v.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// Has reports whether there is a section of the name.
func (v *Vector) Has(name string) bool {
	return slices.ContainsFunc(v.Files, func(f txtar.File) bool { return f.Name == name })
}

// Set adds a section, or gives it other contents.
func (v *Vector) Set(name, data string) {
	for i := range v.Files {
		if v.Files[i].Name == name {
			v.Files[i].Data = []byte(data)
			return
		}
	}
	v.Files = append(v.Files, txtar.File{Name: name, Data: []byte(data)})
}

// Bytes returns the file.
func (v *Vector) Bytes() []byte {
	header := fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", v.Expect, v.Spec, v.Comment)
	for _, key := range slices.Sorted(maps.Keys(v.More)) {
		header = fmt.Appendf(header, "%s: %s\n", key, v.More[key])
	}
	return txtar.Format(&txtar.Archive{Comment: header, Files: v.Files})
}

// Run runs every vector in dir whose name begins with one of kinds; of each kind
// there must be some. ruleOf returns the tag of the rule that a verdict is about;
// outcomeOnly passes over it.
func Run(t *testing.T, dir string, kinds []string, outcomeOnly bool, run func(*testing.T, *Vector) error, ruleOf func(error) string) {
	t.Helper()
	for _, kind := range kinds {
		for _, v := range Read(t, filepath.Join(dir, kind+"*.txtar")) {
			t.Run(v.Name, func(t *testing.T) {
				err := run(t, v)
				switch {
				case v.Expect == "ok" && err != nil:
					t.Error(err)
				case v.Expect == "ok" || v.Expect == "refused" && err != nil && outcomeOnly:
				case v.Expect != "refused":
					t.Errorf("unknown verdict %q", v.Expect)
				case ruleOf(err) != v.Spec:
					t.Errorf("got %v [%s], want it refused by %s", err, ruleOf(err), v.Spec)
				}
			})
		}
	}
}

// Generated holds the committed vectors in dir whose names begin with one of kinds
// against made, what their generators make; with update it writes them.
func Generated(t *testing.T, update bool, dir string, kinds []string, made []*Vector, run func(*testing.T, *Vector) error, ruleOf func(error) string) {
	t.Helper()
	known := map[string]bool{}
	for _, v := range made {
		file := filepath.Join(dir, v.Name+".txtar")
		if known[file] {
			t.Errorf("%s is made twice", file)
		}
		known[file] = true
		if update {
			if err := run(t, v); (err == nil) != (v.Expect == "ok") || err != nil && ruleOf(err) != v.Spec {
				t.Errorf("%s: %v", v.Name, err)
			}
			if err := os.WriteFile(file, v.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		v.compare(t, file)
	}
	for _, kind := range kinds {
		files, _ := filepath.Glob(filepath.Join(dir, kind+"*.txtar"))
		for _, f := range files {
			if !known[f] {
				t.Errorf("%s has no generator", f)
			}
		}
	}
}

// compare holds the vector in file against v: inputs come from the generator, results
// from the committed file.
func (v *Vector) compare(t *testing.T, file string) {
	t.Helper()
	got, err := ReadFile(file)
	if err != nil {
		t.Errorf("%v; run this test with -update", err)
		return
	}
	if got.Expect != v.Expect || got.Spec != v.Spec || got.Comment != v.Comment {
		t.Errorf("%s has another header than its generator makes", file)
	}
	for _, f := range v.Files {
		if f.Name != "files" && got.File(f.Name) != string(f.Data) {
			t.Errorf("%s differs in %s from what its generator makes", file, f.Name)
		}
	}
}
