package modules

import (
	"errors"
	"testing"

	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// TestAModuleMustBeWhatItsReleaseSays shows SPEC M50.
func TestAModuleMustBeWhatItsReleaseSays(t *testing.T) {
	m, store := packFS(t, treetest.Everything(1))
	tree, err := unixfs.Inspect(t.Context(), store, records.Unbounded(m.CID))
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(r *records.Release){
		"name":         func(r *records.Release) { r.Name = "other" },
		"version":      func(r *records.Release) { r.Version = "1.2.3" },
		"size":         func(r *records.Release) { r.Size++ },
		"files":        func(r *records.Release) { r.Files-- },
		"module":       func(r *records.Release) { r.Module = tree.Files[0].CID },
		"pins":         func(r *records.Release) { r.Pins = map[records.Name]cid.Cid{"x": m.CID} },
		"description":  func(r *records.Release) { r.Manifest.Description = "x" },
		"bin":          func(r *records.Release) { r.Manifest.Bin = map[string]string{"tool": "big"} },
		"dependencies": func(r *records.Release) { r.Manifest.Dependencies = map[string]string{"x": "*"} },
		"bundled":      func(r *records.Release) { r.Manifest.Bundled = []string{"x"} },
		"scripts":      func(r *records.Release) { r.Manifest.Scripts = true },
	}
	for what, change := range changes {
		r := releaseOf(m)
		change(r)
		if err := Check(t.Context(), store, tree, r); treetest.RuleOf(err) != "M50" {
			t.Errorf("another %s: %v", what, err)
		}
	}
	r := releaseOf(m)
	r.Manifest.OS, r.Manifest.Engines, r.Pins = []string{}, map[string]string{}, map[records.Name]cid.Cid{}
	if err := Check(t.Context(), store, tree, r); err != nil {
		t.Errorf("empty instead of nothing: %v", err)
	}
	if err := Check(t.Context(), treetest.New(), tree, releaseOf(m)); err == nil || errors.As(err, new(*unixfs.RuleError)) {
		t.Errorf("without blocks: %v", err)
	}
}
