package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/internal/vectors"
)

// FuzzLockfile holds that any lockfile that reads makes a tree.
func FuzzLockfile(f *testing.F) {
	for _, v := range seeds(f) {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := lockfile.Parse(b); err == nil {
			tree.FromLockfile(l, nil)
		}
	})
}

// seeds are the lockfiles of the vectors.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	var list [][]byte
	for _, v := range vectors.Read(f, "../testdata/install/*/*.txtar") {
		if v.Has(lockfile.Name) {
			list = append(list, []byte(v.File(lockfile.Name)))
		}
	}
	return list
}

// SPEC I7. What es writes for the same packages never differs.
func TestLockfileIsDeterministic(t *testing.T) {
	w := crashWorld(t)
	var first string
	for range 5 {
		p := project(t, `"c": "1", "a": "2", "x": "1.0.0"`)
		mustInstall(t, p, w, Options{})
		text := read(t, p.dir, lockfile.Name)
		if first == "" {
			first = text
		}
		if text != first {
			t.Fatalf("another lockfile:\n%s\n%s", text, first)
		}
	}
}

// A note that somebody else wrote moves nothing outside of node_modules.
func TestHostileNote(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", "")
	for _, text := range []string{
		`{"version":1,"modules":{"../victim":{"module":""}},"bins":{}}`,
		`{"version":1,"modules":{"node_modules/../victim":{"module":""}},"bins":{}}`,
		`{"version":1,"modules":{},"bins":{"victim/x":"node_modules/a"}}`,
		`{"version":1,"modules":{},"bins":{"node_modules/.bin/../../victim/x":"node_modules/a"}}`,
		`{"version":1,"modules":{},"bins":{"node_modules/.bin/x":"../victim"}}`,
		`{"version":2}`, `[]`, `{`, ``,
	} {
		p := project(t, `"a": "1"`)
		write(t, filepath.Join(p.dir, "victim/x"), "x")
		write(t, filepath.Join(p.dir, "victim/package.json"), "{}")
		var m layout.Note
		if json.Unmarshal([]byte(text), &m) == nil { // as this user's own es would not write it
			text = string(m.Encode(p.NoteKey))
		}
		write(t, filepath.Join(p.dir, "node_modules/.es-modules.json"), text)
		mustInstall(t, p, w, Options{})
		wantLayout(t, p, "a a@1.0.0")
		if got := read(t, p.dir, "victim/x"); got != "x" {
			t.Errorf("%s: victim holds %q", text, got)
		}
	}
}

// Permissions and links of package.json survive.
func TestPackageJSONKeepsModeAndLink(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", "")
	p := project(t, "")
	real := filepath.Join(t.TempDir(), "real.json")
	write(t, real, "{}\n")
	if err := os.Chmod(real, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, filepath.Join(p.dir, packagejson.Name)); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, p, w, "a")
	info, err := os.Lstat(real)
	if err != nil || info.Mode() != 0o600 || !strings.Contains(read(t, real), `"a": "^1.0.0"`) {
		t.Errorf("the file has mode %v, %v and holds %s", info.Mode(), err, read(t, real))
	}
}

// TestByteOrderMark reads each file of a project with a mark that an editor has left
// (SPEC I131).
func TestByteOrderMark(t *testing.T) {
	const mark = "\xef\xbb\xbf"
	w := newWorld(t)
	w.publish("a@1.0.0", "")
	p := project(t, `"a": "1.0.0"`)
	mustInstall(t, p, w, Options{})
	for _, name := range []string{packagejson.Name, lockfile.Name} {
		write(t, filepath.Join(p.dir, name), mark+read(t, p.dir, name))
	}
	mustInstall(t, p, w, Options{Frozen: true})
	w.publish("b@1.0.0", "")
	mustAdd(t, p, w, "b")
	if got := read(t, p.dir, packagejson.Name); !strings.HasPrefix(got, mark+"{") {
		t.Errorf("the edit lost package.json's mark: %q", got[:8])
	}
	if got := read(t, p.dir, lockfile.Name); !strings.HasPrefix(got, "{") {
		t.Errorf("es-lock.json starts with %q", got[:8])
	}
	if _, err := lockfile.Parse([]byte(mark + mark + "{}")); err == nil {
		t.Error("a second mark passed")
	}
}
