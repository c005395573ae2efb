package modules

import (
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
)

// packFS packs the files of fsys, and a package.json if there is none.
func packFS(t testing.TB, fsys fstest.MapFS) (*Module, *treetest.Store) {
	t.Helper()
	if fsys[npmjson.FileName] == nil {
		fsys[npmjson.FileName] = &fstest.MapFile{Data: []byte(treetest.MinimalPackage), Mode: 0o644}
	}
	set, err := ScanFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	store := treetest.New()
	m, err := set.Pack(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return m, store
}
