package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/everythingstays/es/modules/extract"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// A project whose files are hard links to the block store leaves the store as it is:
// what is written again, updated or removed is replaced and never written into. SPEC I20, I21 and I27 hold as without links.
func TestHardLinksLeaveTheStoreAlone(t *testing.T) {
	w := newWorld(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		w.publish("tool@"+version, `"bin": "cli.js", "dependencies": {"lib": "1"}`, files{"cli.js": "console.log('" + version + "')\n"})
		w.publish("lib@"+version, "", files{"same.js": "the same in both\n"})
	}
	store, linked := t.TempDir(), 0
	var mu sync.Mutex // files of a package are written at once
	o := Options{Workers: 1, Extract: extract.Options{Link: func(c cid.Cid, into *os.File, name string) (bool, error) {
		b, err := w.local.Get(t.Context(), c)
		if err != nil {
			return false, err
		}
		mu.Lock()
		defer mu.Unlock()
		block := filepath.Join(store, c.String())
		if _, err := os.Stat(block); errors.Is(err, fs.ErrNotExist) {
			write(t, block, string(b))
		}
		linked++
		return true, os.Link(block, filepath.Join(into.Name(), name))
	}}}
	unchanged := func(after string) {
		t.Helper()
		entries, err := os.ReadDir(store)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			c, err := cid.Decode(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			b, info := read(t, store, e.Name()), fileInfo(t, filepath.Join(store, e.Name()))
			if sum, err := c.Prefix().Sum([]byte(b)); err != nil || !sum.Equals(c) || info.Mode() != 0o644 {
				t.Errorf("after %s the block %s holds %q with mode %v", after, c, b, info.Mode())
			}
		}
	}
	p := project(t, "")
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"add", func() error { _, err := p.Add(t.Context(), w.sources(), requests(t, "tool@1.0.0"), o); return err }},
		{"install", func() error { _, err := p.Install(t.Context(), w.sources(), o); return err }},
		{"force", func() error {
			force := o
			force.Force = true
			_, err := p.Install(t.Context(), w.sources(), force)
			return err
		}},
		{"another version", func() error { _, err := p.Add(t.Context(), w.sources(), requests(t, "tool@1.1.0"), o); return err }},
		{"update", func() error { _, err := p.Update(t.Context(), w.sources(), nil, o); return err }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		mustVerify(t, p, w)
		unchanged(step.what)
		if info := fileInfo(t, filepath.Join(p.dir, "node_modules/.bin/tool")); info.Mode().Perm()&0o111 == 0 {
			t.Errorf("after %s the program has mode %v", step.what, info.Mode())
		}
	}
	if linked < 6 {
		t.Errorf("%d files were linked", linked)
	}
	if _, err := p.Remove(t.Context(), w.sources(), []records.Name{"tool"}, o); err != nil {
		t.Fatal(err)
	}
	wantLayout(t, p)
	unchanged("remove")
}

func fileInfo(t *testing.T, name string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
