package modules

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

var update = flag.Bool("update", false, "write the vectors that the generators make")

// vectorDir has the vectors of modules; those of trees are run by package unixfs.
const vectorDir = "../testdata/modules"

var vectorKinds = []string{"pack-", "package-", "import-", "fileset-"}

// TestVectors runs the vectors; bench/mutants sets ES_VECTORS, for the outcome alone.
func TestVectors(t *testing.T) {
	vectors.Run(t, vectorDir, vectorKinds, os.Getenv("ES_VECTORS") == "outcome", runVector, treetest.RuleOf)
}

func TestGenerated(t *testing.T) {
	made := slices.Concat(packVectors(), packLimitVectors(), packageVectors(), packageFormVectors(), packageCheckVectors(), fileSetVectors(), bundleSetVectors())
	vectors.Generated(t, *update, vectorDir, vectorKinds, made, runVector, treetest.RuleOf)
}

// runVector does what the sections of v ask for.
func runVector(t *testing.T, v *vectors.Vector) error {
	switch {
	case v.Has("files.json"):
		return runPack(t, v)
	case v.Has("package.json"):
		return runPackage(t, v)
	case v.Has("files"):
		return runFileSet(t, v)
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

func fsys(t *testing.T, v *vectors.Vector) fstest.MapFS {
	var list []vectorFile
	if err := json.Unmarshal([]byte(v.File("files.json")), &list); err != nil {
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
func runPack(t *testing.T, v *vectors.Vector) error {
	set, err := ScanFS(fsys(t, v))
	if err != nil {
		return err
	}
	store := treetest.New()
	m, err := set.Pack(t.Context(), store)
	if err != nil {
		return err
	}
	got := fmt.Sprintf("root %s\nsize %d\nfiles %d\nblocks %d\n", m.CID, m.Size, m.Files, len(store.Blocks))
	if *update {
		v.Set("module", got)
		if all := treetest.BlockLines(store); len(all) < 20_000 {
			v.Set("blocks", all)
		}
		return nil
	}
	if want := v.File("module"); got != want {
		t.Errorf("packed to\n%swant\n%s", got, want)
	}
	if v.Has("blocks") && treetest.BlockLines(store) != v.File("blocks") {
		t.Errorf("packed to the blocks\n%s", treetest.BlockLines(store))
	}
	_, err = unixfs.Inspect(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
	return err
}

// runPackage derives what a release says of package.json.
func runPackage(t *testing.T, v *vectors.Vector) error {
	p, err := ParsePackageJSON([]byte(v.File("package.json")))
	if name, version, ok := strings.Cut(strings.TrimSpace(v.File("imported")), " "); ok {
		p, err = ParseImported([]byte(v.File("package.json")), name, records.Version(version))
	}
	if err != nil {
		return err
	}
	m, err := p.Manifest(strings.Fields(v.File("paths")))
	if err != nil {
		return err
	}
	got := releaseJSON(t, &records.Release{Name: p.Name, Version: p.Version, Module: emptyModule, Size: 1, Files: 1, Manifest: m, Pins: p.Pins})
	if *update {
		v.Set("release.json", got)
	} else if got != v.File("release.json") {
		t.Errorf("got\n%swant\n%s", got, v.File("release.json"))
	}
	return nil
}

// releaseJSON returns the name, version, manifest and pins of a release as
// DAG-JSON, as they are in a record.
func releaseJSON(t *testing.T, r *records.Release) string {
	t.Helper()
	b, err := records.Encode(&records.Record{Author: treetest.SomeAuthor(t), Time: 1, Body: r})
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
func runFileSet(t *testing.T, v *vectors.Vector) error {
	dir := t.TempDir()
	for _, f := range v.Files {
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
	for line := range strings.Lines(v.File("links")) {
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
		for i := range v.Files {
			if v.Files[i].Name == "files" {
				v.Files[i].Data = []byte(got.String())
			}
		}
	} else if got.String() != v.File("files") {
		t.Errorf("scanned\n%swant\n%s", got.String(), v.File("files"))
	}
	return nil
}
