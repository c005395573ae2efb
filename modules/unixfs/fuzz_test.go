package unixfs_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/everythingstays/es/modules/casefold"
	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

func FuzzUnixFSNode(f *testing.F) {
	m := treetest.New()
	file := m.Raw([]byte("x"))
	for _, l := range []dagpb.Link{
		m.Dir(treetest.Named("x", file)), m.File([]uint64{1}, file), m.File(nil), hamtOf(m, treetest.Named("x", file), treetest.Named("y", file)),
		m.Node(&dagpb.FSNode{Type: dagpb.TypeSymlink, Data: []byte("/"), HasData: true}), m.Node(&dagpb.FSNode{Type: dagpb.TypeFile, Mode: 0o755}),
	} {
		f.Add(m.Blocks[l.CID])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := dagpb.DecodeNode(data)
		if err == nil {
			again, err := dagpb.DecodeNode(n.Encode())
			if err != nil || len(again.Links) != len(n.Links) || !bytes.Equal(again.Data, n.Data) {
				t.Fatalf("encoded again: %v", err)
			}
			if n.EncodedSize() != len(n.Encode()) {
				t.Fatal("encodedSize is wrong")
			}
		}
		store := treetest.New()
		store.Blocks[file.CID] = []byte("x")
		root := store.Block(cid.DagProtobuf, data)
		tree, err := unixfs.Inspect(t.Context(), store, records.Unbounded(root.CID))
		if err != nil {
			return
		}
		for _, e := range tree.Files {
			if err := unixfs.CheckPath(e.Path); err != nil {
				t.Fatal(err)
			}
			_, _ = tree.Read(t.Context(), store, e.Path, 1<<20)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, name := range hostileNames() {
		f.Add(name)
	}
	f.Add("\u13a0")
	f.Fuzz(func(t *testing.T, name string) {
		if unixfs.ElementProblem(name) != "" {
			return
		}
		if strings.ContainsAny(name, "/\\:\x00") || name == "." || name == ".." || len(name) > unixfs.MaxElement {
			t.Fatalf("%q is taken", name)
		}
		if casefold.Fold(casefold.Fold(name)) != casefold.Fold(name) {
			t.Fatalf("folding %q twice gives %q and %q", name, casefold.Fold(name), casefold.Fold(casefold.Fold(name)))
		}
		if casefold.Fold(strings.ToUpper(name)) != casefold.Fold(name) && casefold.Fold(strings.ToLower(name)) != casefold.Fold(name) {
			t.Fatalf("%q, and it in upper and in lower case, are three names", name)
		}
		root := treetest.OpenRoot(t, t.TempDir())
		w, err := root.Create(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		w.Close()
	})
}
