package modules

import (
	"bytes"
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

	"github.com/everythingstays/es/modules/extract"
	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
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

func TestPackedTreesExtractToTheSameBytesAndModes(t *testing.T) {
	m, store := packFS(t, treetest.Everything(1))
	for name, blocks := range map[string]unixfs.Blocks{"plain": store, "with sizes": treetest.Sized{Store: store}} {
		dir := t.TempDir()
		tree, err := extract.Extract(t.Context(), blocks, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, treetest.OpenRoot(t, dir), "every", extract.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		treetest.CheckExtracted(t, filepath.Join(dir, "every"), treetest.Everything(1))
		if err := Check(t.Context(), blocks, tree, releaseOf(m)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if names, _ := os.ReadDir(dir); len(names) != 1 {
			t.Errorf("%s: extraction left %v behind", name, names)
		}
	}
}

// shuffled shuffles what a directory lists and delays files at random places.
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
	want, _ := packFS(t, treetest.Everything(1))
	for seed := range uint64(10) {
		set, err := ScanFS(shuffled{treetest.Everything(1), rand.New(rand.NewPCG(seed, 1))})
		if err != nil {
			t.Fatal(err)
		}
		m, err := set.Pack(t.Context(), unixfs.Discard)
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
		"one file":        {npmjson.FileName: []byte(treetest.MinimalPackage)},
		"empty and large": {npmjson.FileName: []byte(treetest.MinimalPackage), "empty": {}, "big": big},
	}
	// 256 KiB are 5,241 entries of 50 bytes: counts around that, and one that
	// needs three levels.
	for _, n := range []int{5240, 5241, 5242, 5243, 9000} {
		files := map[string][]byte{npmjson.FileName: []byte(treetest.MinimalPackage)}
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
		tree, err := unixfs.Inspect(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(tree.Files) != len(files) {
			t.Errorf("%s: %d files of %d", name, len(tree.Files), len(files))
		}
		n, _ := dagpb.DecodeNode(store.Blocks[m.CID])
		if f, _ := dagpb.DecodeFSNode(n.Data); f.Type == dagpb.TypeHAMTShard {
			hamts++
		}
	}
	if hamts == 0 || hamts == len(cases) {
		t.Errorf("%d of %d directories are HAMTs: the limit was not crossed", hamts, len(cases))
	}
}

func TestNoTreeHoldsTheEmptyRawBlock(t *testing.T) {
	const known = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	if unixfs.EmptyRaw.String() != known {
		t.Fatalf("the empty raw block is %s", unixfs.EmptyRaw)
	}
	_, store := packFS(t, treetest.Everything(1))
	if _, held := store.Blocks[unixfs.EmptyRaw]; held {
		t.Error("a packed tree holds the empty raw block")
	}
	const emptyFile = "bafybeif7ztnhq65lumvvtr4ekcwd2ifwgm3awq4zfr3srh462rwyinlb4y"
	if c := cid.MustParse(emptyFile); store.Blocks[c] == nil {
		t.Error("an empty file is not the well-known empty UnixFS file")
	}
	// Others' trees may hold it, though nobody can send it.
	foreign := treetest.New()
	root := foreign.Dir(
		treetest.Named("a", dagpb.Link{CID: unixfs.EmptyRaw}),
		treetest.Named("b", foreign.File([]uint64{0, 1}, dagpb.Link{CID: unixfs.EmptyRaw}, foreign.Raw([]byte("x")))))
	tree, err := extract.Extract(t.Context(), foreign, records.Target{CID: root.CID, Size: 1, Files: 2}, treetest.OpenRoot(t, t.TempDir()), "x", extract.Options{})
	if err != nil || len(tree.Files) != 2 {
		t.Errorf("extract: %v, %v", tree, err)
	}
	err = unixfs.Walk(t.Context(), foreign, records.Unbounded(root.CID), 2, func(c cid.Cid, b []byte) error {
		if c == unixfs.EmptyRaw {
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
		npmjson.FileName: treetest.Text(`{"name":"p","version":"1.0.0","bin":{"a":"./a.js","d":"d.js","e":"e.js"}}`),
		"a.js":           treetest.Text(crlf),
		"b.js":           treetest.Text(crlf),
		"d.js":           treetest.Text("#!\r\n"),
		"e.js":           treetest.Text("#!/" + string(bytes.Repeat([]byte("x"), 3000)) + "\r\n"),
	})
	tree, err := unixfs.Inspect(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
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
	m, store := packFS(t, treetest.Everything(1))
	for _, workers := range []int{1, 4} {
		store.Gets = 0
		seen := map[cid.Cid]bool{}
		expected := map[cid.Cid]bool{m.CID: true}
		err := unixfs.Walk(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, workers, func(c cid.Cid, b []byte) error {
			if !expected[c] || seen[c] {
				t.Errorf("block %s comes twice or before its parent", c)
			}
			seen[c] = true
			links, err := unixfs.Links(c, b)
			for _, l := range links {
				expected[l] = true
			}
			return err
		})
		if err != nil || len(seen) != len(store.Blocks) || store.Gets != len(store.Blocks) {
			t.Errorf("%d workers: %d of %d blocks with %d gets: %v", workers, len(seen), len(store.Blocks), store.Gets, err)
		}
	}
	err := unixfs.Walk(t.Context(), store, records.Target{CID: m.CID, Size: 1, Files: 1}, 2, func(cid.Cid, []byte) error { return nil })
	if rule := treetest.RuleOf(err); rule != "M26" {
		t.Errorf("a walk far beyond its bounds: %v", err)
	}
}

func TestOneFlippedBitInAnyBlockIsCaught(t *testing.T) {
	m, store := packFS(t, treetest.Everything(1))
	var all []cid.Cid
	for c := range store.Blocks {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	for _, c := range all {
		good := store.Blocks[c]
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		store.Blocks[c] = bad
		dir := t.TempDir()
		_, err := extract.Extract(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, treetest.OpenRoot(t, dir), "x", extract.Options{})
		var corrupt *unixfs.CorruptError
		if !errors.As(err, &corrupt) || !corrupt.CID.Equals(c) {
			t.Errorf("block %s: %v", c, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("block %s: %v is left", c, left)
		}
		store.Blocks[c] = good
	}
}

func releaseOf(m *Module) *records.Release {
	return &records.Release{
		Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins,
	}
}
