package modules

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the vectors that the generators make")

// A vector is one file of testdata/modules: an input and the verdict that the
// rules it names demand.
type vector struct {
	name    string // file name without ".txtar"
	expect  string // "ok" or "refused"
	spec    string // the rules it shows; a refused one breaks exactly one
	comment string
	files   []txtar.File
}

func (v *vector) file(name string) string {
	for _, f := range v.files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (v *vector) has(name string) bool {
	return slices.ContainsFunc(v.files, func(f txtar.File) bool { return f.Name == name })
}

func (v *vector) set(name, data string) {
	v.files = append(v.files, txtar.File{Name: name, Data: []byte(data)})
}

func (v *vector) bytes() []byte {
	return txtar.Format(&txtar.Archive{
		Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", v.expect, v.spec, v.comment),
		Files:   v.files,
	})
}

func parseVector(name string, b []byte) (*vector, error) {
	a := txtar.Parse(b)
	v := &vector{name: name, files: a.Files}
	for _, line := range strings.Split(strings.TrimSpace(string(a.Comment)), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "expect":
			v.expect = value
		case "spec":
			v.spec = value
		case "comment":
			v.comment = value
		default:
			return nil, fmt.Errorf("unknown header line %q", line)
		}
	}
	if v.expect != "ok" && v.expect != "refused" {
		return nil, fmt.Errorf("unknown verdict %q", v.expect)
	}
	if v.spec == "" || v.comment == "" || len(v.files) == 0 {
		return nil, errors.New("lacks spec, comment or sections")
	}
	return v, nil
}

// TestVectors runs every vector of testdata/modules; there must be some.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "modules", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/modules has no vectors: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			v, err := parseVector(name, b)
			if err != nil {
				t.Fatal(err)
			}
			err = v.run(t)
			switch {
			case v.expect == "ok" && err != nil:
				t.Error(err)
			case v.expect == "refused" && ruleOf(err) != v.spec:
				t.Errorf("got %v [%s], want it refused by %s", err, ruleOf(err), v.spec)
			}
		})
	}
}

// run does what the sections of v ask for.
func (v *vector) run(t *testing.T) error {
	switch {
	case v.has("files.json"):
		return v.runPack(t)
	case v.has("blocks"):
		return v.runTree(t)
	case v.has("package.json"):
		return v.runPackage(t)
	case v.has("files"):
		return v.runFileSet(t)
	}
	return errors.New("has no section that says what to do")
}

// A vectorFile describes files of a module: one, or Count that have their
// number in Path and Text.
type vectorFile struct {
	Path   string `json:"path"`
	Before string `json:"before,omitempty"` // contents before Text
	Text   string `json:"text"`             // contents, or what is repeated
	Repeat int    `json:"repeat,omitempty"` // how often; 0 is once
	Exec   bool   `json:"exec,omitempty"`
	Count  int    `json:"count,omitempty"`
}

func (v *vector) fsys(t *testing.T) fstest.MapFS {
	var list []vectorFile
	if err := json.Unmarshal([]byte(v.file("files.json")), &list); err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	for _, f := range list {
		mode := os.FileMode(0o644)
		if f.Exec {
			mode = 0o755
		}
		data := f.Before + strings.Repeat(f.Text, max(f.Repeat, 1))
		if f.Count == 0 {
			fsys[f.Path] = &fstest.MapFile{Data: []byte(data), Mode: mode}
		}
		for i := range f.Count {
			fsys[fmt.Sprintf(f.Path, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, data, i), Mode: mode}
		}
	}
	return fsys
}

// runPack packs files.json. The expected root and blocks are those of v; made
// anew with -update.
func (v *vector) runPack(t *testing.T) error {
	set, err := Whole(v.fsys(t))
	if err != nil {
		return err
	}
	store := newMemory()
	m, err := set.Pack(t.Context(), store)
	if err != nil {
		return err
	}
	got := fmt.Sprintf("root %s\nsize %d\nfiles %d\nblocks %d\n", m.CID, m.Size, m.Files, len(store.blocks))
	if *update {
		v.set("module", got)
		if all := blockLines(store); len(all) < 20_000 {
			v.set("blocks", all)
		}
		return nil
	}
	if want := v.file("module"); got != want {
		t.Errorf("packed to\n%swant\n%s", got, want)
	}
	if v.has("blocks") && blockLines(store) != v.file("blocks") {
		t.Errorf("packed to the blocks\n%s", blockLines(store))
	}
	_, err = Inspect(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
	return err
}

// blockLines lists blocks by CID, each with its bytes in hexadecimal. Of more than 64
// KiB that are all zero their number is written: "0*2097152".
func blockLines(m *memory) string {
	var lines []string
	for c, b := range m.blocks {
		data := fmt.Sprintf("%x", b)
		if len(b) > 64<<10 && len(bytes.Trim(b, "\x00")) == 0 {
			data = fmt.Sprintf("0*%d", len(b))
		}
		lines = append(lines, fmt.Sprintf("%s %s\n", c, data))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// runTree reads a tree of which the blocks are given.
func (v *vector) runTree(t *testing.T) error {
	store := newMemory()
	for line := range strings.Lines(v.file("blocks")) {
		name, data, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(data)
		if zeros, ok := strings.CutPrefix(data, "0*"); ok {
			var n int
			n, err = strconv.Atoi(zeros)
			b = make([]byte, n)
		}
		if err != nil {
			t.Fatal(err)
		}
		store.blocks[cid.MustParse(name)] = b
	}
	bounds := records.Target{Size: -1, Files: -1}
	for line := range strings.Lines(v.file("want")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "root":
			bounds.CID, err = cid.Decode(value)
		case "size":
			_, err = fmt.Sscan(value, &bounds.Size)
		case "files":
			_, err = fmt.Sscan(value, &bounds.Files)
		default:
			err = fmt.Errorf("unknown line %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Inspect(t.Context(), store, bounds)
	if err != nil {
		return err
	}
	if v.has("release.json") {
		return Check(t.Context(), store, tree, v.release(t, bounds))
	}
	var got strings.Builder
	for _, f := range tree.Files {
		mode := "0644"
		if f.Exec {
			mode = "0755"
		}
		fmt.Fprintf(&got, "%s %d %s\n", mode, f.Size, f.Path)
	}
	if *update {
		v.set("tree", got.String())
	} else if got.String() != v.file("tree") {
		t.Errorf("the tree is\n%swant\n%s", got.String(), v.file("tree"))
	}
	return nil
}

// release is what release.json says of the tree.
func (v *vector) release(t *testing.T, b records.Target) *records.Release {
	t.Helper()
	builder := basicnode.Prototype.Any.NewBuilder()
	fields := fmt.Sprintf(`"files": %d, "module": {"/": %q}, "size": %d`, b.Files, b.CID.String(), b.Size)
	for line := range strings.Lines(v.file("release.json")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields += fmt.Sprintf(", %q: %s", key, value)
	}
	author := base64.RawStdEncoding.EncodeToString(someAuthor(t).Bytes())
	record := fmt.Sprintf(`{"author": {"/": {"bytes": %q}}, "body": {"release": {%s}}, "es": 1, "prev": [], "seq": 0, "time": 1}`, author, fields)
	if err := dagjson.Decode(builder, strings.NewReader(record)); err != nil {
		t.Fatalf("%v in %s", err, record)
	}
	var b2 bytes.Buffer
	if err := dagcbor.Encode(builder.Build(), &b2); err != nil {
		t.Fatal(err)
	}
	r, err := records.Decode(b2.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return r.Body.(*records.Release)
}

// runPackage derives what a release says of package.json.
func (v *vector) runPackage(t *testing.T) error {
	p, err := ParsePackageJSON([]byte(v.file("package.json")))
	if err != nil {
		return err
	}
	m, err := p.Manifest(strings.Fields(v.file("paths")))
	if err != nil {
		return err
	}
	got := releaseJSON(t, &records.Release{Name: p.Name, Version: p.Version, Module: emptyModule, Size: 1, Files: 1, Manifest: m, Pins: p.Pins})
	if *update {
		v.set("release.json", got)
	} else if got != v.file("release.json") {
		t.Errorf("got\n%swant\n%s", got, v.file("release.json"))
	}
	return nil
}

// releaseJSON returns the name, version, manifest and pins of a release as
// DAG-JSON, as they are in a record.
func releaseJSON(t *testing.T, r *records.Release) string {
	t.Helper()
	b, err := records.Encode(&records.Record{Author: someAuthor(t), Time: 1, Body: r})
	if err != nil {
		t.Fatal(err)
	}
	builder := basicnode.Prototype.Any.NewBuilder()
	if err := dagcbor.Decode(builder, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	n := builder.Build()
	for _, key := range []string{"body", "release"} {
		if n, err = n.LookupByString(key); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	for _, key := range []string{"name", "version", "manifest", "pins"} {
		field, err := n.LookupByString(key)
		if errors.As(err, new(datamodel.ErrNotExists)) {
			continue
		}
		var b bytes.Buffer
		if err := dagjson.Encode(field, &b); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s\n", key, b.String())
	}
	return out.String()
}

// runFileSet writes out the sections under "in/", and the symbolic links of the
// section "links", and scans them.
func (v *vector) runFileSet(t *testing.T) error {
	dir := t.TempDir()
	for _, f := range v.files {
		path, ok := strings.CutPrefix(f.Name, "in/")
		if !ok {
			continue
		}
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(v.file("links")) {
		name, target, _ := strings.Cut(strings.TrimSpace(line), " -> ")
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	set, err := Scan(dir)
	if err != nil {
		return err
	}
	var got strings.Builder
	for _, f := range set.Files {
		fmt.Fprintln(&got, f.Path)
	}
	if *update {
		for i := range v.files {
			if v.files[i].Name == "files" {
				v.files[i].Data = []byte(got.String())
			}
		}
	} else if got.String() != v.file("files") {
		t.Errorf("scanned\n%swant\n%s", got.String(), v.file("files"))
	}
	return nil
}

// TestGenerated holds the committed vectors against their generators; with
// -update it writes them.
func TestGenerated(t *testing.T) {
	made := map[string]bool{}
	for _, v := range slices.Concat(packVectors(), packLimitVectors(), treeVectors(), treeFormVectors(), checkVectors(),
		packageVectors(), packageFormVectors(), fileSetVectors(), bundleSetVectors()) {
		file := filepath.Join("..", "testdata", "modules", v.name+".txtar")
		if made[file] {
			t.Errorf("%s is made twice", file)
		}
		made[file] = true
		if *update {
			if err := v.run(t); (err == nil) != (v.expect == "ok") || err != nil && ruleOf(err) != v.spec {
				t.Errorf("%s: %v", v.name, err)
			}
			if err := os.WriteFile(file, v.bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v; run this test with -update", err)
			continue
		}
		// Inputs come from the generator, results from the committed file.
		got, err := parseVector(v.name, b)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if got.expect != v.expect || got.spec != v.spec || got.comment != v.comment {
			t.Errorf("%s has another header than its generator makes", file)
		}
		for _, f := range v.files {
			if f.Name != "files" && got.file(f.Name) != string(f.Data) {
				t.Errorf("%s differs in %s from what its generator makes", file, f.Name)
			}
		}
	}
	files, _ := filepath.Glob(filepath.Join("..", "testdata", "modules", "*.txtar"))
	for _, f := range files {
		if !made[f] {
			t.Errorf("%s has no generator", f)
		}
	}
}
