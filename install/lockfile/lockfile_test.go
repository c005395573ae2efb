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
	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

// lockfileOf returns the file of a vector, which parts.json makes where it would be large.
func lockfileOf(t *testing.T, v *vectors.Vector) []byte {
	text := v.File("parts.json")
	if text == "" {
		return []byte(v.File(Name))
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
	for _, v := range vectors.Read(t, "../../testdata/install/lockfile/*.txtar") {
		written := lockfileOf(t, v)
		l, err := Parse(written)
		if v.Expect == "ok" != (err == nil) {
			t.Errorf("%s: %v, want %s", v.Name, err, v.Expect)
		}
		var syntax *jsonfile.SyntaxError
		switch at := v.More["at"]; {
		case err == nil:
		case !errors.As(err, &syntax):
			t.Errorf("%s: %T is no *SyntaxError", v.Name, err)
		case syntax.Rule != v.Spec:
			t.Errorf("%s: %v breaks %s, want %s", v.Name, err, syntax.Rule, v.Spec)
		case at != "" && at != fmt.Sprintf("%d:%d", syntax.Line, syntax.Column):
			t.Errorf("%s: %v, want it at %s", v.Name, err, at)
		}
		if err != nil {
			continue
		}
		if other := v.File("other.json"); other != "" {
			// Another spelling of the same packages.
			if l, err = Parse([]byte(other)); err != nil {
				t.Errorf("%s: %v", v.Name, err)
				continue
			}
		}
		if v.File(Name) == "" {
			if l, err = Parse(l.Bytes()); err != nil || len(l.Packages) != bytes.Count(written, []byte(`"node_modules/`))-bytes.Count(written, []byte(`"link":`)) {
				t.Errorf("%s: reads differently when it is written: %v", v.Name, err)
			}
			continue
		}
		if string(l.Bytes()) != v.File(Name) {
			t.Errorf("%s: the lockfile is\n%s", v.Name, l.Bytes())
		}
	}
}

// FuzzLockfile holds what reading promises to the rest of the package: nothing
// outside of node_modules is named, and the encoding is stable.
func FuzzLockfile(f *testing.F) {
	for _, v := range vectors.Read(f, "../../testdata/install/*/*.txtar") {
		if v.Has(Name) {
			f.Add([]byte(v.File(Name)))
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
