// Package vectors is for tests: it runs the test vectors in testdata, and holds them
// against their generators.
package vectors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A Vector is one file of testdata: an input and the verdict that the rules it names
// demand.
type Vector struct {
	Name    string // file name without ".txtar"
	Expect  string // "ok" or "refused"
	Spec    string // the rules it shows; a refused one breaks exactly one
	Comment string
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

// Set adds a section.
func (v *Vector) Set(name, data string) {
	v.Files = append(v.Files, txtar.File{Name: name, Data: []byte(data)})
}

// Bytes returns the file.
func (v *Vector) Bytes() []byte {
	return txtar.Format(&txtar.Archive{
		Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", v.Expect, v.Spec, v.Comment),
		Files:   v.Files,
	})
}

// Parse reads a file of testdata, whose name has no ending.
func Parse(name string, b []byte) (*Vector, error) {
	a := txtar.Parse(b)
	v := &Vector{Name: name, Files: a.Files}
	for _, line := range strings.Split(strings.TrimSpace(string(a.Comment)), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "expect":
			v.Expect = value
		case "spec":
			v.Spec = value
		case "comment":
			v.Comment = value
		default:
			return nil, fmt.Errorf("unknown header line %q", line)
		}
	}
	if v.Expect != "ok" && v.Expect != "refused" {
		return nil, fmt.Errorf("unknown verdict %q", v.Expect)
	}
	if v.Spec == "" || v.Comment == "" || len(v.Files) == 0 {
		return nil, errors.New("lacks spec, comment or sections")
	}
	return v, nil
}

// outcomeOnly passes over which rule a refusal is by (bench/mutants.sh).
var outcomeOnly = os.Getenv("ES_VECTORS") == "outcome"

// Run runs every vector in dir whose name begins with one of kinds; of each kind
// there must be some. ruleOf returns the tag of the rule that a verdict is about.
func Run(t *testing.T, dir string, kinds []string, run func(*testing.T, *Vector) error, ruleOf func(error) string) {
	t.Helper()
	for _, kind := range kinds {
		files, err := filepath.Glob(filepath.Join(dir, kind+"*.txtar"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no vectors %s*: %v", dir, kind, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txtar")
			t.Run(name, func(t *testing.T) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				v, err := Parse(name, b)
				if err != nil {
					t.Fatal(err)
				}
				err = run(t, v)
				switch {
				case v.Expect == "ok" && err != nil:
					t.Error(err)
				case v.Expect == "refused" && err != nil && outcomeOnly:
				case v.Expect == "refused" && ruleOf(err) != v.Spec:
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
	b, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v; run this test with -update", err)
		return
	}
	got, err := Parse(v.Name, b)
	if err != nil {
		t.Errorf("%s: %v", file, err)
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
