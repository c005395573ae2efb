package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// memory is a block store in memory.
type memory struct {
	mu     sync.Mutex
	blocks map[string][]byte
}

func newMemory() *memory { return &memory{blocks: map[string][]byte{}} }

var errNoBlock = errors.New("no such block")

func (m *memory) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blocks[string(c.Hash())]
	if !ok {
		return nil, errNoBlock
	}
	return b, nil
}

func (m *memory) Put(_ context.Context, c cid.Cid, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks[string(c.Hash())] = slices.Clone(b)
	return nil
}

// A world is everything outside of a project: authors with their releases, the
// blocks they have, and the blocks of this machine.
type world struct {
	t        testing.TB
	remote   *memory
	local    *memory
	releases []*Resolution
	denied   map[records.Name]error
	unheard  bool // no record is here

	mu       sync.Mutex
	resolved []string
	fetched  []records.Name
	onFetch  func(records.Name) error
}

func newWorld(t testing.TB) *world {
	return &world{t: t, remote: newMemory(), local: newMemory(), denied: map[records.Name]error{}}
}

func (w *world) sources() Sources {
	return Sources{Resolver: w, Blocks: w.local, Fetcher: w, Records: w}
}

var errNotFound = errors.New("no such release")

// Resolve implements Resolver: the tag latest is the newest release, and other
// tags are in the name of the version's pre-release.
func (w *world) Resolve(_ context.Context, name records.Name, spec Spec) (*Resolution, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolved = append(w.resolved, string(name)+"@"+spec.Text)
	if err := w.denied[name]; err != nil {
		return nil, err
	}
	var best *Resolution
	for _, r := range w.releases {
		tagged := spec.Kind != packagejson.Tag || spec.Text == "latest" || strings.HasPrefix(r.Version.Prerelease(), spec.Text)
		if r.Name == name && spec.Match(r.Version) && tagged && (best == nil || r.Version.Compare(best.Version) > 0) {
			best = r
		}
	}
	if best == nil {
		return nil, errNotFound
	}
	return best, nil
}

// Release implements Records.
func (w *world) Release(_ context.Context, record cid.Cid) (*Resolution, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unheard {
		return nil, false, nil
	}
	for _, r := range w.releases {
		for _, r := range append([]*Resolution{r}, r.Others...) {
			if r.Record == record {
				return r, true, nil
			}
		}
	}
	return nil, false, nil
}

// Fetch implements Fetcher.
func (w *world) Fetch(ctx context.Context, name records.Name, want records.Target) error {
	w.mu.Lock()
	w.fetched = append(w.fetched, name)
	hook := w.onFetch
	w.mu.Unlock()
	if hook != nil {
		if err := hook(name); err != nil {
			return err
		}
	}
	return unixfs.Walk(ctx, w.remote, want, 2, func(c cid.Cid, b []byte) error { return w.local.Put(ctx, c, b) })
}

func (w *world) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolved, w.fetched = nil, nil
}

// files are a package's files; package.json is made from the fields in json.
type files map[string]string

// pack stores a module and returns it.
func (w *world) pack(f files) *modules.Module {
	w.t.Helper()
	tree := fstest.MapFS{}
	for name, content := range f {
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		tree[name] = &fstest.MapFile{Data: []byte(content), Mode: mode}
	}
	set, err := modules.ScanFS(tree)
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := set.Pack(context.Background(), w.remote)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// alice signs everything unless a test says otherwise.
var alice, bob = fakes.Key("alice"), fakes.Key("bob")

// publish releases name@version with the given other fields of package.json,
// such as `"dependencies": {"b": "^1"}`, and files besides it.
func (w *world) publish(id, fields string, more ...files) *Resolution {
	w.t.Helper()
	m := w.pack(packageFiles(id, fields, more...))
	r := &Resolution{Record: fakes.Record(id, alice), Signer: alice, Release: records.Release{
		Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins,
	}}
	w.releases = append(w.releases, r)
	return r
}

func packageFiles(id, fields string, more ...files) files {
	name, version := fakes.Cut(id)
	if fields != "" {
		fields = ",\n  " + fields
	}
	f := files{
		"package.json": fmt.Sprintf("{\n  \"name\": %q,\n  \"version\": %q%s\n}\n", name, version, fields),
		"index.js":     fmt.Sprintf("module.exports = %q\n", id),
	}
	for _, m := range more {
		for name, content := range m {
			f[name] = content
		}
	}
	return f
}

// noteKey is the key of the user that the tests are.
var noteKey = []byte("the key of this user's notes")

// project makes a project with these esDependencies, such as `"a": "^1"`.
func project(t testing.TB, deps string) *Project {
	t.Helper()
	dir := t.TempDir()
	if deps != "" {
		write(t, filepath.Join(dir, packagejson.Name), "{\n  \"name\": \"app\",\n  \"esDependencies\": {"+deps+"}\n}\n")
	}
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.NoteKey = noteKey
	if p.dir != dir {
		// A package.json above the directory of temporary files is not this
		// test's.
		p.dir = dir
	}
	return p
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, elements ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func requests(t testing.TB, args ...string) []Request {
	t.Helper()
	var list []Request
	for _, arg := range args {
		r, err := ParseRequest(arg)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func mustAdd(t testing.TB, p *Project, w *world, args ...string) *Result {
	t.Helper()
	r, err := p.Add(context.Background(), w.sources(), requests(t, args...), Options{})
	if err != nil {
		t.Fatalf("add %v: %v", args, err)
	}
	return r
}

func mustInstall(t testing.TB, p *Project, w *world, o Options) *Result {
	t.Helper()
	r, err := p.Install(context.Background(), w.sources(), o)
	if err != nil {
		t.Fatalf("install: %v", err)
	}
	return r
}

func mustVerify(t testing.TB, p *Project, w *world) {
	t.Helper()
	v, err := p.Verify(context.Background(), w.sources())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range v.Damage {
		t.Errorf("%s %s: %s", d.Package.Path, d.File, d.Reason)
	}
	for _, at := range v.Extraneous {
		t.Errorf("%s: is a stranger", at)
	}
}

// installed lists node_modules as "path name@version" lines, from the disk, with
// links as "path -> target".
func installed(t testing.TB, dir string) []string {
	t.Helper()
	var lines []string
	var visit func(modules string)
	pkg := func(at string) {
		full := filepath.Join(dir, at)
		info, err := os.Lstat(full)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Type() == fs.ModeSymlink {
			target, err := os.Readlink(full)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, at+" -> "+target)
			return
		}
		var said struct{ Name, Version string }
		if err := json.Unmarshal([]byte(read(t, full, packagejson.Name)), &said); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, at+" "+said.Name+"@"+said.Version)
		if _, err := os.Stat(filepath.Join(full, lockfile.NodeModules)); err == nil {
			visit(at + "/" + lockfile.NodeModules)
		}
	}
	visit = func(modules string) {
		entries, err := os.ReadDir(filepath.Join(dir, modules))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			switch {
			case e.Name()[0] == '.':
			case e.Name()[0] == '@':
				inner, err := os.ReadDir(filepath.Join(dir, modules, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range inner {
					if i.Name()[0] == '.' {
						continue
					}
					pkg(modules + "/" + e.Name() + "/" + i.Name())
				}
			default:
				pkg(modules + "/" + e.Name())
			}
		}
	}
	visit(lockfile.NodeModules)
	slices.Sort(lines)
	return lines
}

func wantLayout(t testing.TB, p *Project, want ...string) {
	t.Helper()
	got := installed(t, p.dir)
	for i := range want {
		want[i] = lockfile.NodeModules + "/" + want[i]
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("node_modules holds\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// packagePaths names packages by path, for comparison.
func packagePaths(list []*Package) string {
	var s []string
	for _, p := range list {
		s = append(s, strings.TrimPrefix(p.Path, lockfile.NodeModules+"/")+" "+p.String())
	}
	return cmp.Or(strings.Join(s, ", "), "nothing")
}
