package es_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/testdata/samples"
)

// nowhere is a store that keeps nothing.
type nowhere struct{}

func (nowhere) Put(context.Context, cid.Cid, []byte) error { return nil }

// TestSamples holds that testdata/README.md has the CIDs of the samples.
func TestSamples(t *testing.T) {
	page := readPage(t, "testdata/README.md")
	for _, dir := range samples.Dirs {
		fsys, err := fs.Sub(samples.FS, dir)
		if err != nil {
			t.Fatal(err)
		}
		set, err := modules.ScanFS(fsys)
		if err != nil {
			t.Fatal(err)
		}
		m, err := set.Pack(t.Context(), nowhere{})
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("    %s  %s\n", dir, m.CID); !strings.Contains(page, line) {
			t.Errorf("testdata/README.md lacks the line %q", line)
		}
	}
}
