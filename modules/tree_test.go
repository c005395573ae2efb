package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/everythingstays/es/records"
	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	mdtest "github.com/ipfs/boxo/ipld/merkledag/test"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// everything is a module with all that a tree can hold.
func everything(seed uint64) fstest.MapFS {
	r := rand.New(rand.NewPCG(seed, 7))
	big := make([]byte, 2<<20+17)
	for i := range big {
		big[i] = byte(r.Uint32())
	}
	exact := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	return fstest.MapFS{
		packageJSON:                   text(`{"name":"@s/every","version":"1.2.3-rc.1","bin":{"tool":"bin/tool.js"}}`),
		"empty":                       text(""),
		"bin/tool.js":                 text("#!/usr/bin/env node\nconsole.log(1)\n"),
		"bin/empty":                   {Mode: 0o755},
		"bin/big":                     {Data: big, Mode: 0o711},
		".dot/.file":                  text("dot"),
		"big":                         {Data: big, Mode: 0o600},
		"exact":                       {Data: exact, Mode: 0o444},
		"lib/grüße/日本.js":             text("x"),
		"lib/e\u0301.js":              text("decomposed"),
		"a b/-c (d)/#e":               text("odd"),
		"node_modules/x/package.json": text("{}"),
	}
}

func TestPackedTreesExtractToTheSameBytesAndModes(t *testing.T) {
	m, store := packFS(t, everything(1))
	for name, blocks := range map[string]Blocks{"plain": store, "with sizes": sized{store}} {
		dir := t.TempDir()
		tree, err := Extract(t.Context(), blocks, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, openRoot(t, dir), "every", Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkExtracted(t, filepath.Join(dir, "every"), everything(1))
		if err := Check(t.Context(), blocks, tree, releaseOf(m)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if names, _ := os.ReadDir(dir); len(names) != 1 {
			t.Errorf("%s: extraction left %v behind", name, names)
		}
	}
}

func checkExtracted(t *testing.T, dir string, want fstest.MapFS) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			if info.Mode().Perm() != 0o755 {
				t.Errorf("directory %q has mode %v", p, info.Mode())
			}
			return nil
		}
		found++
		rel, _ := filepath.Rel(dir, p)
		file := want[filepath.ToSlash(rel)]
		if file == nil {
			t.Errorf("file %q was never packed", rel)
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil || !bytes.Equal(data, file.Data) {
			t.Errorf("file %q differs: %v", rel, err)
		}
		mode := fs.FileMode(0o644)
		if file.Mode&0o100 != 0 || rel == "bin/tool.js" {
			mode = 0o755
		}
		if info.Mode() != mode {
			t.Errorf("file %q has mode %v, want %v", rel, info.Mode(), mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != len(want) {
		t.Errorf("extracted %d files of %d", found, len(want))
	}
}

// slowFS shuffles what a directory lists and delays files at random places.
type shuffled struct {
	fstest.MapFS
	r *rand.Rand
}

func (s shuffled) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := s.MapFS.ReadDir(name)
	s.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, err
}

func TestTheOrderOfADirectoryDoesNotChangeTheCID(t *testing.T) {
	want, _ := packFS(t, everything(1))
	for seed := range uint64(10) {
		set, err := Whole(shuffled{everything(1), rand.New(rand.NewPCG(seed, 1))})
		if err != nil {
			t.Fatal(err)
		}
		m, err := set.Pack(t.Context(), Discard)
		if err != nil {
			t.Fatal(err)
		}
		if m.CID != want.CID || m.Size != want.Size || m.Files != want.Files {
			t.Fatalf("seed %d: %s with %d files, want %s with %d", seed, m.CID, m.Files, want.CID, want.Files)
		}
	}
}

func TestTimesAndOtherModeBitsDoNotChangeTheCID(t *testing.T) {
	pack := func(mode fs.FileMode, at time.Time) cid.Cid {
		m, _ := packFS(t, fstest.MapFS{"x": {Data: []byte("x"), Mode: mode, ModTime: at}})
		return m.CID
	}
	plain, exec := pack(0o644, time.Time{}), pack(0o755, time.Time{})
	if plain == exec {
		t.Fatal("the execute bit does not change the CID")
	}
	for mode := range fs.FileMode(0o1000) {
		want := plain
		if mode&0o100 != 0 {
			want = exec
		}
		if got := pack(mode, time.Unix(int64(mode), 0)); got != want {
			t.Fatalf("mode %o has CID %s, want %s", mode, got, want)
		}
	}
}

// boxoTree builds the same tree with boxo, in its profile UnixFS_v1_2025.
func boxoTree(t *testing.T, files map[string][]byte) cid.Cid {
	t.Helper()
	ds := mdtest.Mock()
	prefix := cid.NewPrefixV1(cid.DagProtobuf, multihash.SHA2_256)
	dir, err := uio.NewDirectory(ds, uio.WithCidBuilder(prefix), uio.WithSizeEstimationMode(uio.SizeEstimationBlock))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		params := helpers.DagBuilderParams{Dagserv: ds, Maxlinks: 1024, RawLeaves: len(data) > 0, CidBuilder: prefix}
		b, err := params.New(chunk.NewSizeSplitter(bytes.NewReader(data), 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		nd, err := balanced.Layout(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := dir.AddChild(t.Context(), name, nd); err != nil {
			t.Fatal(err)
		}
	}
	nd, err := dir.GetNode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ds.Get(t.Context(), nd.Cid()); err != nil {
		_ = ds.Add(t.Context(), nd.(*merkledag.ProtoNode))
	}
	return nd.Cid()
}

func TestTreesHaveTheCIDThatBoxoGivesThem(t *testing.T) {
	big := bytes.Repeat([]byte("es"), 1<<20+3)
	cases := map[string]map[string][]byte{
		"one file":        {packageJSON: []byte(minimalPackage)},
		"empty and large": {packageJSON: []byte(minimalPackage), "empty": {}, "big": big},
	}
	// 256 KiB are 5,241 entries of 50 bytes: counts around that, and one that
	// needs three levels.
	for _, n := range []int{5240, 5241, 5242, 5243, 9000} {
		files := map[string][]byte{packageJSON: []byte(minimalPackage)}
		for i := range n {
			files[fmt.Sprintf("f%05d", i)] = []byte{byte(i), byte(i >> 8)}
		}
		cases[fmt.Sprintf("%d files", n)] = files
	}
	hamts := 0
	for name, files := range cases {
		fsys := fstest.MapFS{}
		for p, data := range files {
			fsys[p] = &fstest.MapFile{Data: data, Mode: 0o644}
		}
		m, store := packFS(t, fsys)
		if want := boxoTree(t, files); m.CID != want {
			t.Errorf("%s: CID %s, boxo says %s", name, m.CID, want)
		}
		tree, err := Inspect(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(tree.Files) != len(files) {
			t.Errorf("%s: %d files of %d", name, len(tree.Files), len(files))
		}
		n, _ := decodeNode(store.blocks[m.CID])
		if f, _ := decodeFS(n.data); f.kind == typeHAMT {
			hamts++
		}
	}
	if hamts == 0 || hamts == len(cases) {
		t.Errorf("%d of %d directories are HAMTs: the limit was not crossed", hamts, len(cases))
	}
}

func TestFilesOfMoreThan1024ChunksAreBalancedLikeBoxo(t *testing.T) {
	for _, n := range []int{1024, 1025, 2048} {
		store := newMemory()
		b := &builder{context.Background(), store}
		var links []pbLink
		for i := range n {
			links = append(links, pbLink{cid: blockCID(cid.Raw, []byte{byte(i)}), tsize: chunkSize})
		}
		root, err := b.file(links, false)
		if err != nil {
			t.Fatal(err)
		}
		node, _ := decodeNode(store.blocks[root.cid])
		if want := map[int]int{1024: 1024, 1025: 2, 2048: 2}[n]; len(node.links) != want || root.bytes != int64(n)<<20 {
			t.Errorf("%d chunks: root has %d links and %d bytes", n, len(node.links), root.bytes)
		}
	}
}

func TestNoTreeHoldsTheEmptyRawBlock(t *testing.T) {
	const known = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	if EmptyRaw.String() != known {
		t.Fatalf("the empty raw block is %s", EmptyRaw)
	}
	_, store := packFS(t, everything(1))
	if _, held := store.blocks[EmptyRaw]; held {
		t.Error("a packed tree holds the empty raw block")
	}
	const emptyFile = "bafybeif7ztnhq65lumvvtr4ekcwd2ifwgm3awq4zfr3srh462rwyinlb4y"
	if c := cid.MustParse(emptyFile); store.blocks[c] == nil {
		t.Error("an empty file is not the well-known empty UnixFS file")
	}
	// Others' trees may hold it, though nobody can send it.
	foreign := newMemory()
	root := foreign.dir(
		named("a", pbLink{cid: EmptyRaw}),
		named("b", foreign.file([]uint64{0, 1}, pbLink{cid: EmptyRaw}, foreign.raw([]byte("x")))))
	tree, err := Extract(t.Context(), foreign, records.Target{CID: root.cid, Size: 1, Files: 2}, openRoot(t, t.TempDir()), "x", Options{})
	if err != nil || len(tree.Files) != 2 {
		t.Errorf("extract: %v, %v", tree, err)
	}
	err = Walk(t.Context(), foreign, records.Unbounded(root.cid), 2, func(c cid.Cid, b []byte) error {
		if c == EmptyRaw {
			t.Error("the empty raw block is asked for")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCRLFAfterAShebangIsMadeLFInProgramsOnly(t *testing.T) {
	crlf := "#!/usr/bin/env node\r\nlet x\r\n"
	m, store := packFS(t, fstest.MapFS{
		packageJSON: text(`{"name":"p","version":"1.0.0","bin":{"a":"./a.js","d":"d.js","e":"e.js"}}`),
		"a.js":      text(crlf),
		"b.js":      text(crlf),
		"d.js":      text("#!\r\n"),
		"e.js":      text("#!/" + string(bytes.Repeat([]byte("x"), 3000)) + "\r\n"),
	})
	tree, err := Inspect(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"a.js": "#!/usr/bin/env node\nlet x\r\n", "b.js": crlf, "d.js": "#!\r\n",
	} {
		got, err := tree.Read(t.Context(), store, path, 1<<20)
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, want %q: %v", path, got, want, err)
		}
	}
	if e, _ := tree.Read(t.Context(), store, "e.js", 1<<20); !bytes.HasSuffix(e, []byte("\r\n")) {
		t.Error("a line end beyond npm's 2,048 bytes was changed")
	}
}

func TestWalkGetsEveryBlockOnceParentsFirst(t *testing.T) {
	m, store := packFS(t, everything(1))
	for _, workers := range []int{1, 4} {
		store.gets = 0
		seen := map[cid.Cid]bool{}
		expected := map[cid.Cid]bool{m.CID: true}
		err := Walk(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, workers, func(c cid.Cid, b []byte) error {
			if !expected[c] || seen[c] {
				t.Errorf("block %s comes twice or before its parent", c)
			}
			seen[c] = true
			links, err := Links(c, b)
			for _, l := range links {
				expected[l] = true
			}
			return err
		})
		if err != nil || len(seen) != len(store.blocks) || store.gets != len(store.blocks) {
			t.Errorf("%d workers: %d of %d blocks with %d gets: %v", workers, len(seen), len(store.blocks), store.gets, err)
		}
	}
	err := Walk(t.Context(), store, records.Target{CID: m.CID, Size: 1, Files: 1}, 2, func(cid.Cid, []byte) error { return nil })
	if rule := ruleOf(err); rule != "M26" {
		t.Errorf("a walk far beyond its bounds: %v", err)
	}
}

func ruleOf(err error) string {
	var r *RuleError
	if errors.As(err, &r) {
		return r.Rule
	}
	return ""
}

func TestOneFlippedBitInAnyBlockIsCaught(t *testing.T) {
	m, store := packFS(t, everything(1))
	var all []cid.Cid
	for c := range store.blocks {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	for _, c := range all {
		good := store.blocks[c]
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		store.blocks[c] = bad
		dir := t.TempDir()
		_, err := Extract(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, openRoot(t, dir), "x", Options{})
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !corrupt.CID.Equals(c) {
			t.Errorf("block %s: %v", c, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("block %s: %v is left", c, left)
		}
		store.blocks[c] = good
	}
}

func releaseOf(m *Module) *records.Release {
	return &records.Release{
		Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins,
	}
}
