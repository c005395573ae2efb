package lockfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/internal/jsonfile"
	"github.com/everythingstays/es/records"
	"github.com/rogpeppe/go-internal/txtar"
)

// section returns a file of a vector.
func section(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// lockfileOf returns the file of a vector, which parts.json makes where it would be large.
func lockfileOf(t *testing.T, a *txtar.Archive) []byte {
	text := section(a, "parts.json")
	if text == "" {
		return []byte(section(a, Name))
	}
	var parts []any
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, part := range parts {
		if s, ok := part.(string); ok {
			b.WriteString(s)
			continue
		}
		repeated := part.(map[string]any)
		s, count := repeated["text"].(string), int(repeated["count"].(float64))
		if !strings.Contains(s, "%") {
			b.Grow(len(s)*count + 100)
			b.WriteString(strings.Repeat(s, count))
			continue
		}
		for i := range count {
			fmt.Fprintf(&b, s, i)
		}
	}
	return b.Bytes()
}

// TestVectors reads testdata/install/lockfile: each file is refused for what its header
// expects, or is written as it stands.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("../../testdata/install/lockfile/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors: %v", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		header := map[string]string{}
		for line := range strings.Lines(string(a.Comment)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			header[key] = value
		}
		if header["expect"] == "" || header["spec"] == "" || header["comment"] == "" {
			t.Errorf("%s: the header lacks expect, spec or comment", file)
		}
		written := lockfileOf(t, a)
		l, err := Parse(written)
		if header["expect"] == "ok" != (err == nil) {
			t.Errorf("%s: %v, want %s", file, err, header["expect"])
		}
		var syntax *jsonfile.SyntaxError
		switch at := header["at"]; {
		case err == nil:
		case !errors.As(err, &syntax):
			t.Errorf("%s: %T is no *SyntaxError", file, err)
		case syntax.Rule != header["spec"]:
			t.Errorf("%s: %v breaks %s, want %s", file, err, syntax.Rule, header["spec"])
		case at != "" && at != fmt.Sprintf("%d:%d", syntax.Line, syntax.Column):
			t.Errorf("%s: %v, want it at %s", file, err, at)
		}
		if err != nil {
			continue
		}
		if other := section(a, "other.json"); other != "" {
			// Another spelling of the same packages.
			if l, err = Parse([]byte(other)); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
		}
		if section(a, Name) == "" {
			if l, err = Parse(l.Bytes()); err != nil || len(l.Packages) != bytes.Count(written, []byte(`"node_modules/`))-bytes.Count(written, []byte(`"link":`)) {
				t.Errorf("%s: reads differently when it is written: %v", file, err)
			}
			continue
		}
		if string(l.Bytes()) != section(a, Name) {
			t.Errorf("%s: the lockfile is\n%s", file, l.Bytes())
		}
	}
}

// FuzzLockfile holds what reading promises to the rest of the package: nothing
// outside of node_modules is named, and the encoding is stable.
func FuzzLockfile(f *testing.F) {
	files, err := filepath.Glob("../../testdata/install/*/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range a.Files {
			if section.Name == Name {
				f.Add(section.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			return
		}
		for path, p := range l.Packages {
			if path != p.Path || !filepath.IsLocal(filepath.FromSlash(path)) || !strings.HasPrefix(path, NodeModules+"/") {
				t.Errorf("the path %q for %q", path, p.Path)
			}
			for command, program := range p.Bin {
				if strings.ContainsAny(command, "/\\") || !filepath.IsLocal(filepath.FromSlash(program)) {
					t.Errorf("the command %q with %q", command, program)
				}
			}
			for _, m := range []map[string]string{p.Dependencies, p.OptionalDependencies, p.PeerDependencies, p.Engines} {
				for name, text := range m {
					if records.CheckText(name+text, records.MaxText+records.MaxLongText) != nil {
						t.Errorf("the text %q", name+text)
					}
				}
			}
		}
		again, err := Parse(l.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), l.Bytes()) {
			t.Errorf("what is written reads differently: %v\n%s\n%s", err, l.Bytes(), again.Bytes())
		}
	})
}
