package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
)

// treeHash condenses all paths, modes and bytes in node_modules but es's own notes.
func treeHash(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	root := filepath.Join(dir, lockfile.NodeModules)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return nil
		}
		if err != nil || path == root || strings.HasPrefix(d.Name(), ".es-") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %v\n", strings.TrimPrefix(path, root), info.Mode())
		if info.Mode().IsRegular() {
			fmt.Fprintf(h, "%d %s\n", info.Size(), read(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestThreat9MixAndMatch is that what a lockfile names is installed, or nothing: from
// 1,000 random subsets of a history of 200 releases, before which and after which the
// lockfile was made, with the modules of some of them out of reach, comes the same
// tree, or an error and no tree. 20 subsets, or 1,000 with ES_FULL=1.
func TestThreat9MixAndMatch(t *testing.T) {
	subsets := 20
	if full {
		subsets = 1000
	}
	const names, versions = 20, 10
	w, p := newWorld(t), project(t, `"p0": "^1", "p1": "^1", "p2": "*"`)
	release := func(v int) {
		for i := range names {
			var needs []string
			for _, other := range []int{2*i + 3, 2*i + 4} {
				if other < names {
					needs = append(needs, fmt.Sprintf("%q: \"^1\"", fmt.Sprint("p", other)))
				}
			}
			w.publish(fmt.Sprintf("p%d@1.%d.0", i, v), `"dependencies": {`+strings.Join(needs, ", ")+`}`)
		}
	}
	for v := range versions {
		if release(v); v == versions/2 {
			mustInstall(t, p, w, Options{})
		}
	}
	want, lock, manifest := treeHash(t, p.dir), read(t, p.dir, lockfile.Name), read(t, p.dir, packagejson.Name)
	locked, err := p.Lockfile()
	if err != nil || len(locked.Packages) != names || len(w.releases) != names*versions {
		t.Fatalf("%d packages of %d releases: %v", len(locked.Packages), len(w.releases), err)
	}
	needed := map[records.Name]bool{}
	for _, p := range locked.Packages {
		needed[p.Name] = true
	}
	r := rand.New(rand.NewPCG(9, 0))
	none := treeHash(t, t.TempDir())
	same, failed := 0, 0
	for i := range subsets {
		lie := newWorld(t)
		lie.remote = w.remote
		for _, rel := range w.releases {
			if r.IntN(2) == 0 {
				lie.releases = append(lie.releases, rel)
			}
		}
		r.Shuffle(len(lie.releases), func(i, j int) { lie.releases[i], lie.releases[j] = lie.releases[j], lie.releases[i] })
		gone := records.Name("none")
		if r.IntN(3) == 0 {
			gone = records.Name(fmt.Sprint("p", r.IntN(names)))
		}
		lie.onFetch = func(n records.Name) error {
			if n == gone {
				return errNoBlock
			}
			return nil
		}
		q := project(t, "")
		write(t, filepath.Join(q.dir, packagejson.Name), manifest)
		write(t, filepath.Join(q.dir, lockfile.Name), lock)
		if i%3 == 2 { // package.json asks for more of what is locked
			write(t, filepath.Join(q.dir, packagejson.Name), strings.Replace(manifest, `"p0":`, `"p9": "^1", "p0":`, 1))
		}
		_, err := q.Install(context.Background(), lie.sources(), Options{Frozen: i%3 == 0})
		switch got := treeHash(t, q.dir); {
		case err == nil && got == want && !needed[gone]:
			same++
		case err != nil && got == none && needed[gone]:
			failed++
		default:
			t.Fatalf("subset %d, without %s: another tree, or none: %v\n%s", i, gone, err, installed(t, q.dir))
		}
		if read(t, q.dir, lockfile.Name) != lock {
			t.Fatalf("subset %d: the lockfile has changed", i)
		}
	}
	if same == 0 || failed == 0 {
		t.Errorf("%d identical trees, %d failures: one of the two was not tried", same, failed)
	}
	t.Logf("%d identical trees, %d failures", same, failed)
}
