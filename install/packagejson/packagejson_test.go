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
	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

// verdict compares an error with what the vector expects.
func verdict(t *testing.T, v *vectors.Vector, err error) {
	t.Helper()
	if v.Expect == "ok" != (err == nil) {
		t.Errorf("%s: %v, want %s", v.Name, err, v.Expect)
	}
	if err == nil {
		return
	}
	var syntax *jsonfile.SyntaxError
	if !errors.As(err, &syntax) || syntax.Rule != v.Spec || fmt.Sprintf("%d:%d", syntax.Line, syntax.Column) != v.More["at"] {
		t.Errorf("%s: %#v, want %s at %s", v.Name, err, v.Spec, v.More["at"])
	}
}

// escapes make visible what an editor would not show.
var escapes = strings.NewReplacer(`\\`, `\`, `\r`, "\r", `\t`, "\t", `\b`, "\xef\xbb\xbf", "\\z\n", "", "\\0\n", "")

func TestEditVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "../../testdata/install/edit/*.txtar") {
		text := escapes.Replace(v.File("before"))
		dir := t.TempDir()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, Name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		f, _, err := Read(dir)
		for line := range strings.Lines(v.File("edits")) {
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
		verdict(t, v, err)
		if err == nil && string(f.Bytes()) != escapes.Replace(v.File("after")) {
			t.Errorf("%s: the file is\n%q\nwant\n%q", v.Name, f.Bytes(), escapes.Replace(v.File("after")))
		}
	}
}

func TestRequestVectors(t *testing.T) {
	kinds := map[Kind]string{Latest: "latest", Tag: "tag", Range: "range", Version: "version", CID: "cid"}
	for _, v := range vectors.Read(t, "../../testdata/install/request/*.txtar") {
		for line := range strings.Lines(v.File("requests")) {
			in, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
			r, err := ParseRequest(in)
			verdict(t, v, err)
			if got := kinds[r.Spec.Kind] + " " + r.Saved("1.2.3"); got != want {
				t.Errorf("%s: %s gives %q, want %q", v.Name, in, got, want)
			}
		}
	}
}

// FuzzPackageJSON holds that an edit changes what it should, and is undone by
// its opposite.
func FuzzPackageJSON(f *testing.F) {
	for _, v := range vectors.Read(f, "../../testdata/install/edit/*.txtar") {
		f.Add([]byte(escapes.Replace(string(v.Files[0].Data))))
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
