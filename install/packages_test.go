package install

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// directory stores a UnixFS directory that need not be a module, by taking the
// files of one that is.
func (w *world) directory(f files) string {
	w.t.Helper()
	return w.pack(f).CID.String()
}

// SPEC I2, I14
func TestAddByCID(t *testing.T) {
	w := newWorld(t)
	w.publish("b@1.0.0", "")
	c := w.directory(packageFiles("someone-elses-name@3.1.4", `"dependencies": {"b": "1"}, "bin": {"tool": "cli.js"}`, files{"cli.js": "#!/usr/bin/env node\n"}))
	p := project(t, "")
	r := mustAdd(t, p, w, "@my/name@"+c)
	if got := packagePaths(r.Added); got != "@my/name @my/name@3.1.4, b b@1.0.0" {
		t.Errorf("added %s", got)
	}
	wantLayout(t, p, "@my/name someone-elses-name@3.1.4", "b b@1.0.0")
	if got, err := os.Readlink(filepath.Join(p.dir, "node_modules/.bin/tool")); err != nil || got != filepath.FromSlash("../@my/name/cli.js") {
		t.Errorf("the command leads to %q, %v", got, err)
	}
	if q := r.Added[0]; q.Record.Defined() || !q.Signer.IsZero() {
		t.Errorf("%s has the record %s by %s", q, q.Record, q.Signer)
	}
	mustVerify(t, p, w)
	w.forget()
	mustInstall(t, p, w, Options{Frozen: true})
	if len(w.fetched)+len(w.resolved) > 0 {
		t.Errorf("fetched %v, resolved %v", w.fetched, w.resolved)
	}
}

// A module that one package pins is not what another one gets for its range,
// however well name and version fit.
// SPEC I13, I14
func TestPinsAreForWhoPins(t *testing.T) {
	w := newWorld(t)
	evil := w.directory(packageFiles("b@1.9.0", ""))
	w.publish("a@1.0.0", fmt.Sprintf(`"esDependencies": {"b": %q}`, evil))
	w.publish("b@1.0.0", "")
	w.publish("c@1.0.0", `"dependencies": {"b": "^1.0.0"}`)
	p := project(t, "")
	mustAdd(t, p, w, "a", "c")
	wantLayout(t, p, "a a@1.0.0", "b b@1.9.0", "c c@1.0.0", "c/node_modules/b b@1.0.0")

	w.publish("d@1.0.0", `"dependencies": {"b": "1.9.0"}, "esDependencies": {"b": "`+evil+`"}`)
	mustAdd(t, p, w, "d")
	wantLayout(t, p, "a a@1.0.0", "b b@1.9.0", "c c@1.0.0", "c/node_modules/b b@1.0.0", "d d@1.0.0")

	// The project's own choice is for everybody.
	p = project(t, "")
	mustAdd(t, p, w, "c", "b@"+evil)
	wantLayout(t, p, "b b@1.9.0", "c c@1.0.0")
}

// What stands in a package that is replaced is written again.
func TestNestedInWhatChanges(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1"}`)
	w.publish("a@1.1.0", `"dependencies": {"b": "1"}`)
	w.publish("b@1.0.0", "")
	w.publish("b@2.0.0", "")
	p := project(t, "")
	mustAdd(t, p, w, "a@1.0.0", "b@2")
	r := mustAdd(t, p, w, "a@1.1.0")
	wantLayout(t, p, "a a@1.1.0", "a/node_modules/b b@1.0.0", "b b@2.0.0")
	if len(r.Added) > 0 || len(r.Changed) != 1 || len(r.Removed) > 0 || r.Unchanged != 2 {
		t.Errorf("result %+v", r)
	}
	mustVerify(t, p, w)
}

// When the release of a pinned module is known, it is the same package.
func TestPinOfARelease(t *testing.T) {
	w := newWorld(t)
	b := w.publish("b@1.0.0", "")
	w.publish("a@1.0.0", fmt.Sprintf(`"esDependencies": {"b": %q}`, b.Module))
	w.publish("c@1.0.0", `"dependencies": {"b": "^1.0.0"}`)
	p := project(t, "")
	mustAdd(t, p, w, "a", "c")
	wantLayout(t, p, "a a@1.0.0", "b b@1.0.0", "c c@1.0.0")
	l, err := p.Lockfile()
	if err != nil || l.Packages["node_modules/b"].Record != b.Record {
		t.Errorf("b is locked as %+v, %v", l.Packages["node_modules/b"], err)
	}
	mustInstall(t, p, w, Options{Frozen: true})
}

func TestRemove(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1", "@s/c": "1"}, "bin": "cli.js"`, files{"cli.js": "#!/usr/bin/env node\n"})
	w.publish("b@1.0.0", "")
	w.publish("@s/c@1.0.0", "")
	w.publish("d@1.0.0", `"dependencies": {"b": "1"}`)
	p := project(t, "")
	mustAdd(t, p, w, "a", "d")
	w.forget()
	r, err := p.Remove(t.Context(), w.sources(), []records.Name{"a"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := packagePaths(r.Removed); got != "@s/c @s/c@1.0.0, a a@1.0.0" {
		t.Errorf("removed %s", got)
	}
	wantLayout(t, p, "b b@1.0.0", "d d@1.0.0")
	for _, gone := range []string{"node_modules/.bin", "node_modules/@s"} {
		if _, err := os.Lstat(filepath.Join(p.dir, gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", gone)
		}
	}
	if len(w.resolved) > 0 {
		t.Errorf("removing resolved %v", w.resolved)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"b"}, Options{}); !errors.As(err, new(*NotFoundError)) {
		t.Errorf("removing what nobody added: %v", err)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"d"}, Options{}); err != nil {
		t.Fatal(err)
	}
	wantLayout(t, p)
	if got := read(t, p.dir, packagejson.Name); got != "{}\n" {
		t.Errorf("package.json is %q", got)
	}
}

// SPEC I18
func TestOptionalDependencies(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"optionalDependencies": {"none": "1", "win": "1", "lost": "1", "fine": "1"}`)
	w.publish("win@1.0.0", `"os": ["win32"], "dependencies": {"below": "1"}`)
	w.publish("below@1.0.0", "")
	w.publish("fine@1.0.0", "")
	w.publish("lost@1.0.0", "")
	w.onFetch = func(name records.Name) error {
		if name == "lost" {
			return errors.New("nobody has it")
		}
		return nil
	}
	p := project(t, "")
	r, err := p.Add(t.Context(), w.sources(), requests(t, "a"), Options{Platform: Platform{OS: "linux", CPU: "x64"}})
	if err != nil {
		t.Fatal(err)
	}
	wantLayout(t, p, "a a@1.0.0", "fine fine@1.0.0")
	var skipped []string
	for _, s := range r.Skipped {
		skipped = append(skipped, string(s.Name)+": "+s.Err.Error())
	}
	want := []string{"lost: lost: nobody has it", "win: win@1.0.0 is for win32, not for linux",
		"none: resolve none@1, which a@1.0.0 needs: no such release"}
	if strings.Join(skipped, "\n") != strings.Join(want, "\n") {
		t.Errorf("skipped\n%s\nwant\n%s", strings.Join(skipped, "\n"), strings.Join(want, "\n"))
	}
	// The lockfile is the same for every platform.
	l, err := p.Lockfile()
	if err != nil {
		t.Fatal(err)
	}
	for path, optional := range map[string]bool{"a": false, "win": true, "below": true, "lost": true, "fine": true} {
		if q := l.Packages["node_modules/"+path]; q == nil || q.Optional != optional {
			t.Errorf("%s is locked as %+v", path, q)
		}
	}
	if _, err := p.Install(t.Context(), w.sources(), Options{Frozen: true, Platform: Platform{OS: "win32", CPU: "x64"}}); err != nil {
		t.Fatal(err)
	}
	wantLayout(t, p, "a a@1.0.0", "fine fine@1.0.0", "win win@1.0.0", "below below@1.0.0")
}

// A forged optional dependency is no reason to go on.
func TestOptionalButForged(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"optionalDependencies": {"b": "1"}`)
	w.publish("b@1.0.0", "").Size++
	_, err := project(t, "").Add(t.Context(), w.sources(), requests(t, "a"), Options{})
	if !errors.As(err, new(*IntegrityError)) {
		t.Errorf("got %v, want an *IntegrityError", err)
	}
	// An optional pin to what is no directory: a dag-pb node with a symbolic link.
	link := []byte{0x0a, 0x06, 0x08, 0x04, 0x12, 0x02, '.', '.'}
	c, err := cid.Prefix{Version: 1, Codec: cid.DagProtobuf, MhType: multihash.SHA2_256, MhLength: 32}.Sum(link)
	if err != nil {
		t.Fatal(err)
	}
	w.local.Put(t.Context(), c, link)
	w.publish("c@1.0.0", `"optionalDependencies": {"b": "1"}, "esDependencies": {"b": "`+c.String()+`"}`)
	_, err = project(t, "").Add(t.Context(), w.sources(), requests(t, "c"), Options{})
	if !errors.As(err, new(*IntegrityError)) {
		t.Errorf("got %v, want an *IntegrityError", err)
	}
}

// SPEC I19, I26 and I122
func TestWarnings(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"peerDependencies": {"b": "1", "c": "1", "d": "*"}, "peerDependenciesMeta": {"d": {"optional": true}},
		"os": ["!plan9"], "engines": {"node": ">=18"}, "scripts": {"postinstall": "touch canary"}`)
	w.publish("b@2.0.0", `"os": ["aix"]`)
	p := project(t, "")
	r, err := p.Add(t.Context(), w.sources(), requests(t, "a", "b"), Options{Platform: Platform{OS: "plan9", Node: "16.20.0"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range r.Warnings {
		got = append(got, w.Text)
	}
	want := []string{
		"a@1.0.0 is for !plan9, not for plan9",
		"a@1.0.0 needs the peer b@1, and b@2.0.0 is installed",
		"a@1.0.0 needs the peer c@1, which is not installed",
		"b@2.0.0 is for aix, not for plan9",
		"a@1.0.0 asks for node >=18, and this is 16.20.0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("warnings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if packagePaths(r.Scripts) != "a a@1.0.0" {
		t.Errorf("scripts of %s", packagePaths(r.Scripts))
	}
	if m, _ := filepath.Glob(filepath.Join(p.dir, "*/*/canary")); m != nil {
		t.Error("a script ran")
	}
}

func TestErrorsReachTheCaller(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "^1"}`)
	type distrust struct{ error }
	w.denied["b"] = distrust{errors.New("no trusted key")}
	p := project(t, "")
	_, err := p.Add(t.Context(), w.sources(), requests(t, "a"), Options{})
	if !errors.As(err, new(distrust)) || err.Error() != "resolve b@^1, which a@1.0.0 needs: no trusted key" {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, packagejson.Name)); err == nil {
		t.Error("package.json was made for nothing")
	}
	wantLayout(t, p)

	w.publish("c@1.0.0", `"dependencies": {"d": "git+ssh://example.org/d"}`)
	_, err = p.Add(t.Context(), w.sources(), requests(t, "c"), Options{})
	if !errors.As(err, new(*packagejson.SpecError)) {
		t.Errorf("got %v, want a *packagejson.SpecError", err)
	}
}

// SPEC I20. Every way in which a module may differ from its release.
func TestIntegrity(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*Resolution)
	}{
		{"size", func(r *Resolution) { r.Size++ }},
		{"files", func(r *Resolution) { r.Files++ }},
		{"dependencies", func(r *Resolution) { r.Manifest.Dependencies = map[string]string{"b": "1"} }},
		{"bin", func(r *Resolution) { r.Manifest.Bin = map[string]string{"a": "index.js"} }},
		{"description", func(r *Resolution) { r.Manifest.Description = "other" }},
	} {
		w := newWorld(t)
		w.publish("b@1.0.0", "")
		test.spoil(w.publish("a@1.0.0", ""))
		p := project(t, "")
		_, err := p.Add(t.Context(), w.sources(), requests(t, "a"), Options{})
		if !errors.As(err, new(*IntegrityError)) {
			t.Errorf("%s: %v, want an *IntegrityError", test.name, err)
		}
		wantLayout(t, p)
	}
	// A module of another name or version.
	w := newWorld(t)
	other := w.pack(packageFiles("b@2.0.0", ""))
	r := w.publish("a@1.0.0", "")
	r.Module, r.Size, r.Files = other.CID, other.Size, other.Files
	if _, err := project(t, "").Add(t.Context(), w.sources(), requests(t, "a"), Options{}); !errors.As(err, new(*IntegrityError)) {
		t.Errorf("another module: %v, want an *IntegrityError", err)
	}
	// A lockfile that gives a module other commands or dependencies.
	w = newWorld(t)
	w.publish("a@1.0.0", `"bin": "index.js"`)
	p := project(t, "")
	mustAdd(t, p, w, "a")
	lock := read(t, p.dir, lockfile.Name)
	for _, edit := range [][2]string{
		{`"a": "index.js"`, `"ls": "index.js"`}, {`"version": "1.0.0"`, `"version": "1.0.1"`}, {`"size": `, `"size": 1`},
	} {
		write(t, filepath.Join(p.dir, lockfile.Name), strings.Replace(lock, edit[0], edit[1], 1))
		os.RemoveAll(filepath.Join(p.dir, lockfile.NodeModules))
		_, err := p.Install(t.Context(), Sources{Blocks: w.local}, Options{Frozen: true})
		if !errors.As(err, new(*IntegrityError)) {
			t.Errorf("%s: %v, want an *IntegrityError", edit[1], err)
		}
		wantLayout(t, p)
	}
}

// SPEC I24. What npm put into node_modules.
func TestWhatExistsStays(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1"}`)
	w.publish("b@1.0.0", "")
	put := func(p *Project, name, said string) {
		write(t, filepath.Join(p.dir, lockfile.NodeModules, name, packagejson.Name), fmt.Sprintf(`{"name": %q, "version": "0.0.1"}`, said))
	}
	add := func(p *Project, o Options) error {
		_, err := p.Add(t.Context(), w.sources(), requests(t, "a"), o)
		return err
	}
	p := project(t, "")
	put(p, "a", "a")
	put(p, "other", "other")
	if err := add(p, Options{}); err != nil {
		t.Errorf("the package that was asked for: %v", err)
	}
	wantLayout(t, p, "a a@1.0.0", "b b@1.0.0", "other other@0.0.1")

	for _, test := range []struct{ at, said string }{{"a", "alias"}, {"b", "b"}} {
		p = project(t, "")
		put(p, test.at, test.said)
		if err := add(p, Options{}); !errors.As(err, new(*ExistsError)) {
			t.Errorf("%s at %s: %v, want an *ExistsError", test.said, test.at, err)
		}
		wantLayout(t, p, test.at+" "+test.said+"@0.0.1")
		if err := add(p, Options{Force: true}); err != nil {
			t.Error(err)
		}
		wantLayout(t, p, "a a@1.0.0", "b b@1.0.0")
	}

	// npm has replaced what es had installed: es does not remove it.
	put(p, "b", "b")
	r, err := p.Remove(t.Context(), w.sources(), []records.Name{"a"}, Options{})
	if err != nil || len(r.Warnings) != 1 {
		t.Errorf("removing: %+v, %v", r, err)
	}
	wantLayout(t, p, "b b@0.0.1")

	// A link in the way is not followed.
	outside := t.TempDir()
	for _, link := range []string{"node_modules", "node_modules/a", "node_modules/@s"} {
		p = project(t, "")
		w.publish("@s/c@1.0.0", "")
		if link != lockfile.NodeModules {
			os.Mkdir(filepath.Join(p.dir, lockfile.NodeModules), 0o755)
		}
		if err := os.Symlink(outside, filepath.Join(p.dir, filepath.FromSlash(link))); err != nil {
			t.Fatal(err)
		}
		_, err := p.Add(t.Context(), w.sources(), requests(t, "a", "@s/c"), Options{})
		if !errors.As(err, new(*ExistsError)) {
			t.Errorf("%s is a link: %v, want an *ExistsError", link, err)
		}
		if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
			t.Errorf("%s is a link: wrote %v, %v", link, entries, err)
		}
	}
}

func TestBundled(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "1", "c": "1"}, "bundleDependencies": ["b"]`,
		files{"node_modules/b/package.json": `{"name": "b", "version": "7.0.0"}`})
	w.publish("c@1.0.0", `"dependencies": {"b": "1"}`)
	w.publish("c@2.0.0", "")
	w.publish("b@1.0.0", "")
	p := project(t, "")
	mustAdd(t, p, w, "a", "c@2")
	wantLayout(t, p, "a a@1.0.0", "a/node_modules/b b@7.0.0", "c c@2.0.0", "a/node_modules/c c@1.0.0", "a/node_modules/c/node_modules/b b@1.0.0")
	mustVerify(t, p, w)
}

// plainDirectory makes a flat UnixFS directory of small files as a dag-pb node
// with raw leaves, the way ipfs add does.
func plainDirectory(t *testing.T, w *world, tree fstest.MapFS) cid.Cid {
	t.Helper()
	put := func(codec uint64, b []byte) cid.Cid {
		c, err := cid.Prefix{Version: 1, Codec: codec, MhType: multihash.SHA2_256, MhLength: 32}.Sum(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.remote.Put(t.Context(), c, b); err != nil {
			t.Fatal(err)
		}
		return c
	}
	field := func(key byte, b []byte) []byte { return append([]byte{key, byte(len(b))}, b...) }
	var node []byte
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		data := tree[name].Data
		link := slices.Concat(field(0x0a, put(cid.Raw, data).Bytes()), field(0x12, []byte(name)), []byte{0x18, byte(len(data))})
		node = append(node, field(0x12, link)...)
	}
	return put(cid.DagProtobuf, append(node, field(0x0a, []byte{0x08, 0x01})...))
}

// A directory without a package.json, or with one that says nothing, installs
// by CID too.
func TestPlainDirectory(t *testing.T) {
	w := newWorld(t)
	for name, text := range map[string]string{
		"none": "", "broken": "{", "list": "[]", "odd": `{"name": 7, "version": [], "dependencies": "x"}`,
		"noversion": `{"main": "x", "bin": "x"}`,
	} {
		tree := fstest.MapFS{"x": {Data: []byte("x")}}
		if text != "" {
			tree["package.json"] = &fstest.MapFile{Data: []byte(text)}
		}
		c := plainDirectory(t, w, tree)
		p := project(t, "")
		r := mustAdd(t, p, w, "dir@"+c.String())
		if len(r.Added) != 1 || r.Added[0].Version != "" {
			t.Errorf("%s: added %s", name, packagePaths(r.Added))
		}
		if got := read(t, p.dir, "node_modules/dir/x"); got != "x" {
			t.Errorf("%s: x holds %q", name, got)
		}
		if _, err := os.Stat(filepath.Join(p.dir, "node_modules/.bin/dir")); (err == nil) != (name == "noversion") {
			t.Errorf("%s: the command: %v", name, err)
		}
		mustVerify(t, p, w)
		mustInstall(t, p, w, Options{Frozen: true})
		write(t, filepath.Join(p.dir, "node_modules/dir/x"), "y")
		v, err := p.Verify(t.Context(), w.sources())
		if err != nil || len(v.Damage) != 1 || v.Damage[0].File != "x" {
			t.Errorf("%s: verified %+v, %v", name, v, err)
		}
	}
}
