package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// write gives a Writer the files of a tree in the order of paths.
func write(ctx context.Context, s unixfs.Store, tree fstest.MapFS, paths []string) (*Module, error) {
	w := NewWriter(s)
	for _, p := range paths {
		f := tree[p]
		if err := w.Add(ctx, p, int64(len(f.Data)), f.Mode&0o100 != 0, bytes.NewReader(f.Data)); err != nil {
			return nil, err
		}
	}
	return w.Finish(ctx)
}

// TestWriterMakesTheSameTree: whatever the order in which files come, the module is
// the one that ScanFS makes of them, with all its blocks.
func TestWriterMakesTheSameTree(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	big := make([]byte, 3<<20+17)
	for i := range big {
		big[i] = byte(random.Uint32())
	}
	bin := func(fields string) []byte { return []byte(`{"name":"p","version":"1.0.0",` + fields + `}`) }
	crlf := "#!/usr/bin/env node\r\nconsole.log(1)\r\n"
	for name, tree := range map[string]fstest.MapFS{
		"one file":       {npmjson.FileName: treetest.Text(treetest.MinimalPackage)},
		"empty files":    {npmjson.FileName: treetest.Text(treetest.MinimalPackage), "a": treetest.Text(""), "b": {Mode: 0o755}},
		"directories":    {npmjson.FileName: treetest.Text(treetest.MinimalPackage), "a/b/c": treetest.Text("1"), "a/b/d": treetest.Text("2"), "a.b": treetest.Text("3"), "a-b/c": treetest.Text("4")},
		"chunks":         {npmjson.FileName: treetest.Text(treetest.MinimalPackage), "big": {Data: big}, "exact": {Data: big[:2<<20]}, "again": {Data: big, Mode: 0o755}},
		"modes":          {npmjson.FileName: treetest.Text(treetest.MinimalPackage), "x": {Data: []byte("x"), Mode: 0o755}, "y": {Data: []byte("x"), Mode: 0o644}},
		"a program":      {npmjson.FileName: {Data: bin(`"bin":"cli.js"`)}, "cli.js": treetest.Text("#!/usr/bin/env node\n")},
		"CRLF":           {npmjson.FileName: {Data: bin(`"bin":"cli.js"`)}, "cli.js": treetest.Text(crlf), "lib.js": treetest.Text(crlf)},
		"CRLF and large": {npmjson.FileName: {Data: bin(`"bin":{"p":"cli.js"}`)}, "cli.js": {Data: append([]byte(crlf), big...)}},
		"bin directory":  {npmjson.FileName: {Data: bin(`"directories":{"bin":"bin"}`)}, "bin/a": treetest.Text(crlf), "bin/b": treetest.Text("b")},
		"BOM":            {npmjson.FileName: treetest.Text("\xef\xbb\xbf" + treetest.MinimalPackage)},
	} {
		set, err := ScanFS(tree)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := set.Pack(t.Context(), unixfs.Discard)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var paths []string
		for p := range tree {
			paths = append(paths, p)
		}
		for range 3 {
			random.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
			store := treetest.New()
			w := NewWriter(store)
			for _, p := range paths {
				if err := w.Add(t.Context(), p, int64(len(tree[p].Data)), tree[p].Mode&0o100 != 0, bytes.NewReader(tree[p].Data)); err != nil {
					t.Fatalf("%s in order %q: %v", name, paths, err)
				}
			}
			got, err := w.Finish(t.Context())
			if err != nil {
				t.Errorf("%s in order %q: %v", name, paths, err)
				continue
			}
			if got.CID != want.CID || got.Size != want.Size || got.Files != want.Files || fmt.Sprint(got.Manifest) != fmt.Sprint(want.Manifest) {
				t.Errorf("%s in order %q: %+v, want %+v", name, paths, got, want)
			}
			found, err := unixfs.Inspect(t.Context(), store, records.Target{CID: got.CID, Size: got.Size, Files: got.Files})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !slices.Equal(w.Entries(), found.Files) {
				t.Errorf("%s: entries %v, want %v", name, w.Entries(), found.Files)
			}
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	good := [2]string{npmjson.FileName, treetest.MinimalPackage}
	for _, c := range []struct {
		name, rule string
		files      [][2]string
	}{
		{"no package.json", "M40", [][2]string{{"a", ""}}},
		{"no files", "M40", nil},
		{"a path that leads out", "M10", [][2]string{good, {"../a", ""}}},
		{"a device of Windows", "M10", [][2]string{good, {"lib/nul.js", ""}}},
		{"names that differ in case", "M11", [][2]string{good, {"a", ""}, {"A", ""}}},
		{"a file twice with other contents", "M11", [][2]string{good, {"a", "1"}, {"a", "2"}}},
		{"a file that is a directory", "M11", [][2]string{good, {"a/b", ""}, {"a", ""}}},
		{"a file that is a directory, in between another", "M11", [][2]string{good, {"a", ""}, {"a-", ""}, {"a/b", ""}}},
		{"a large package.json", "M40", [][2]string{{npmjson.FileName, treetest.MinimalPackage + strings.Repeat(" ", MaxPackageJSON)}}},
		{"expansion", "M27", [][2]string{good, {"a", strings.Repeat("\x00", 60<<20)}}},
	} {
		w := NewWriter(unixfs.Discard)
		var err error
		for _, f := range c.files {
			if err = w.Add(t.Context(), f[0], int64(len(f[1])), false, strings.NewReader(f[1])); err != nil {
				break
			}
		}
		if err == nil {
			_, err = w.Finish(t.Context())
		}
		var rule *unixfs.RuleError
		if !errors.As(err, &rule) || rule.Rule != c.rule {
			t.Errorf("%s: %v, want %s", c.name, err, c.rule)
		}
	}
	w := NewWriter(unixfs.Discard)
	for range 2 {
		if err := w.Add(t.Context(), npmjson.FileName, int64(len(treetest.MinimalPackage)), false, strings.NewReader(treetest.MinimalPackage)); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := w.Finish(t.Context()); err != nil || m.Files != 1 || m.Size != int64(len(treetest.MinimalPackage)) {
		t.Errorf("the same file twice: %+v, %v", m, err)
	}
}

// TestWriterReadsExactly: contents that are shorter or longer than said are an error.
func TestWriterReadsExactly(t *testing.T) {
	for _, c := range []struct {
		path string
		size int64
		ok   bool
	}{
		{"a", 5000, true}, {"a", 4999, false}, {"a", 5001, false}, {"a", 10, false}, {"a", -1, false},
		{npmjson.FileName, 5001, false}, {npmjson.FileName, 4999, false},
	} {
		err := NewWriter(unixfs.Discard).Add(t.Context(), c.path, c.size, false, strings.NewReader(strings.Repeat("x", 5000)))
		if (err == nil) != c.ok {
			t.Errorf("%s of %d bytes: %v", c.path, c.size, err)
		}
	}
}

// A fullStore takes so many blocks.
type fullStore struct{ left int }

func (f *fullStore) Put(context.Context, cid.Cid, []byte) error {
	if f.left--; f.left < 0 {
		return io.ErrClosedPipe
	}
	return nil
}

func TestWriterWithoutStore(t *testing.T) {
	tree := fstest.MapFS{npmjson.FileName: treetest.Text(treetest.MinimalPackage), "a/b": {Data: []byte("x"), Mode: 0o755}}
	for n := range 5 { // two chunks, a file's node, two directories
		if _, err := write(t.Context(), &fullStore{n}, tree, []string{npmjson.FileName, "a/b"}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("without block %d: %v", n, err)
		}
	}
	if _, err := write(t.Context(), &fullStore{5}, tree, []string{npmjson.FileName, "a/b"}); err != nil {
		t.Error(err)
	}
}

// TestParseImported reads old packages as npm does (SPEC M360).
func TestParseImported(t *testing.T) {
	for _, c := range []struct {
		text, name, version string
		want                string // of dependencies; an error without
		rule                string
	}{
		{`{"name":"JSONStream","version":"1.3.5","dependencies":{"through":">=2.2.7 <3"}}`, "JSONStream", "1.3.5", "map[through:>=2.2.7 <3]", ""},
		{`{"name":"mime","version":"1.0.0","dependencies":[]}`, "mime", "1.0.0", "map[]", ""},
		{`{"name":"a","version":"1.0.0","dependencies":"none"}`, "a", "1.0.0", "map[]", ""},
		{`{"name":"a","version":"1.0.0","dependencies":{"b":{"version":"1"},"../c":"1","d":"2"}}`, "a", "1.0.0", "map[d:2]", ""},
		{`{"name":"a","version":"v1.0.0","bin":true,"engines":"node"}`, "a", "1.0.0", "map[]", ""},
		{`{"name":" a ","version":" = 1.0.0+build "}`, "a", "1.0.0", "map[]", ""},
		{`{"name":"x","name":"a","version":"1.0.0"}`, "a", "1.0.0", "map[]", ""},
		{`{"name":"b","version":"1.0.0"}`, "a", "1.0.0", "", "M360"},
		{`{"name":"A","version":"1.0.0"}`, "a", "1.0.0", "", "M360"},
		{`{"name":"a","version":"1.0.1"}`, "a", "1.0.0", "", "M360"},
		{`{"name":"a"}`, "a", "1.0.0", "", "M360"},
		{`{"name":"../a","version":"1.0.0"}`, "../a", "1.0.0", "", "M360"},
		{`[]`, "a", "1.0.0", "", "M40"},
	} {
		p, err := ParseImported([]byte(c.text), c.name, records.Version(c.version))
		if c.rule != "" {
			var rule *unixfs.RuleError
			if !errors.As(err, &rule) || rule.Rule != c.rule {
				t.Errorf("%s: %v, want %s", c.text, err, c.rule)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		m, err := p.Manifest([]string{npmjson.FileName})
		if got := fmt.Sprint(m.Dependencies); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.text, got, err, c.want)
		}
	}
}

func TestFileWriter(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 200_000)
	w := unixfs.NewFileWriter(treetest.New())
	for part := range slices.Chunk(content, 777_777) {
		if _, err := w.Writer(t.Context()).Write(part); err != nil {
			t.Fatal(err)
		}
	}
	root, err := w.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The same file in a module has the same root.
	tree := fstest.MapFS{npmjson.FileName: treetest.Text(treetest.MinimalPackage), "t.tgz": {Data: content}}
	store := treetest.New()
	m, err := write(t.Context(), store, tree, []string{"t.tgz", npmjson.FileName})
	if err != nil {
		t.Fatal(err)
	}
	inModule, err := unixfs.Inspect(t.Context(), store, records.Target{CID: m.CID, Size: -1, Files: -1})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(inModule.Files, func(e unixfs.Entry) bool { return e.Path == "t.tgz" })
	if inModule.Files[i].CID != root {
		t.Errorf("root %s, in a module %s", root, inModule.Files[i].CID)
	}
	failed := unixfs.NewFileWriter(&fullStore{0})
	if _, err := failed.Writer(t.Context()).Write(content); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a full store: %v", err)
	}
}
