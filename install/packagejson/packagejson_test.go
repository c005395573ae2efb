package packagejson

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/internal/jsonfile"
	"github.com/everythingstays/es/records"
	"github.com/rogpeppe/go-internal/txtar"
)

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

// verdict compares an error with what the vector expects.
func (v *vector) verdict(t *testing.T, err error) {
	t.Helper()
	if v.header["expect"] == "ok" != (err == nil) {
		t.Errorf("%s: %v, want %s", v.file, err, v.header["expect"])
	}
	if err == nil {
		return
	}
	var syntax *jsonfile.SyntaxError
	if !errors.As(err, &syntax) || syntax.Rule != v.header["spec"] || fmt.Sprintf("%d:%d", syntax.Line, syntax.Column) != v.header["at"] {
		t.Errorf("%s: %#v, want %s at %s", v.file, err, v.header["spec"], v.header["at"])
	}
}

// escapes make visible what an editor would not show.
var escapes = strings.NewReplacer(`\\`, `\`, `\r`, "\r", `\t`, "\t", `\b`, "\xef\xbb\xbf", "\\z\n", "", "\\0\n", "")

func TestEditVectors(t *testing.T) {
	for _, v := range vectors(t, "edit") {
		text := escapes.Replace(v.section("before"))
		dir := t.TempDir()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, Name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		f, _, err := Read(dir)
		for line := range strings.Lines(v.section("edits")) {
			if err != nil {
				break
			}
			op, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, spec, _ := strings.Cut(rest, " ")
			if op == "set" {
				err = f.Set(records.Name(name), spec)
			} else {
				_, err = f.Remove(records.Name(name))
			}
		}
		v.verdict(t, err)
		if err == nil && string(f.Bytes()) != escapes.Replace(v.section("after")) {
			t.Errorf("%s: the file is\n%q\nwant\n%q", v.file, f.Bytes(), escapes.Replace(v.section("after")))
		}
	}
}

func TestRequestVectors(t *testing.T) {
	kinds := map[Kind]string{Latest: "latest", Tag: "tag", Range: "range", Version: "version", CID: "cid"}
	for _, v := range vectors(t, "request") {
		for line := range strings.Lines(v.section("requests")) {
			in, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
			r, err := ParseRequest(in)
			v.verdict(t, err)
			if got := kinds[r.Spec.Kind] + " " + r.Saved("1.2.3"); got != want {
				t.Errorf("%s: %s gives %q, want %q", v.file, in, got, want)
			}
		}
	}
}

// FuzzPackageJSON holds that an edit changes what it should, and is undone by
// its opposite.
func FuzzPackageJSON(f *testing.F) {
	files, err := filepath.Glob("../../testdata/install/edit/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(escapes.Replace(string(a.Files[0].Data))))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Bytes(), b) {
			t.Fatalf("%q reads as %q", b, p.Bytes())
		}
		deps := p.Dependencies()
		if err := p.Set("zz-new", "^1.0.0"); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		more := p.Dependencies()
		had := len(deps)
		for _, d := range deps {
			if d.Name == "zz-new" {
				had--
			}
		}
		if len(more) != had+1 {
			t.Errorf("%q: %d dependencies became %d: %q", b, len(deps), len(more), p.Bytes())
		}
		if found, err := p.Remove("zz-new"); err != nil || !found {
			t.Fatalf("%q: %v", b, err)
		}
		if less := p.Dependencies(); len(less) != had {
			t.Errorf("%q: removing left %d dependencies: %q", b, len(less), p.Bytes())
		}
	})
}
