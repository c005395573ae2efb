package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// twoVersions packs two modules that have nothing but names in common.
func twoVersions(t testing.TB) (old, new records.Target, store *treetest.Store) {
	t.Helper()
	old, store = treetest.Pack(t, fstest.MapFS{"a": treetest.Text("old"), "old/b": treetest.Text("old"), "bin": {Data: []byte("old"), Mode: 0o755}})
	new, more := treetest.Pack(t, fstest.MapFS{"a": treetest.Text("new"), "new/b": treetest.Text("new"), "bin": treetest.Text("new")})
	for c, b := range more.Blocks {
		store.Blocks[c] = b
	}
	return old, new, store
}

func extract(t testing.TB, store unixfs.Blocks, m records.Target, root *os.Root, name string, o Options) error {
	t.Helper()
	_, err := Extract(t.Context(), store, records.Target{CID: m.CID, Size: m.Size, Files: m.Files}, root, name, o)
	return err
}

// versionAt tells which of the two versions is at dir, and fails on a mixture.
func versionAt(t testing.TB, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "a"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(dir); err == nil {
			t.Fatalf("%s is there without a file", dir)
		}
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	version := string(data)
	for _, p := range []string{"bin", version + "/b"} {
		if data, err := os.ReadFile(filepath.Join(dir, p)); err != nil || string(data) != version {
			t.Fatalf("a mixture: a is %s, %s is %q: %v", version, p, data, err)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 4 {
		t.Fatalf("a mixture: %v", list)
	}
	return version
}

func onlyIn(t testing.TB, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

func noExchange(*os.Root, string, string) error { return errors.ErrUnsupported }

func TestSwapReplacesWhateverIsThereAndFollowsNoLink(t *testing.T) {
	old, new, store := twoVersions(t)
	outside := t.TempDir()
	for _, what := range []string{"nothing", "module", "file", "empty directory", "link to a directory", "dangling link", "unreadable module"} {
		for _, journal := range []bool{false, true} {
			dir := t.TempDir()
			root := treetest.OpenRoot(t, dir)
			target := filepath.Join(dir, "x")
			var err error
			switch what {
			case "module", "unreadable module":
				err = extract(t, store, old, root, "x", Options{})
				if what == "unreadable module" {
					err = errors.Join(err, os.Chmod(filepath.Join(target, "old"), 0))
				}
			case "file":
				err = os.WriteFile(target, []byte("x"), 0o644)
			case "empty directory":
				err = os.Mkdir(target, 0o755)
			case "link to a directory":
				err = errors.Join(os.WriteFile(filepath.Join(outside, "keep"), []byte("x"), 0o644), os.Symlink(outside, target))
			case "dangling link":
				err = os.Symlink("/nowhere/at/all", target)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := treetest.Snapshot(t, outside)
			tree, err := unixfs.Inspect(t.Context(), store, records.Unbounded(new.CID))
			if err != nil {
				t.Fatal(err)
			}
			staged, err := Stage(t.Context(), store, tree, root, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if journal {
				staged.exchange = noExchange
			}
			if err := staged.Swap("x"); err != nil {
				t.Errorf("%s, journal %v: %v", what, journal, err)
				continue
			}
			if v := versionAt(t, target); v != "new" {
				t.Errorf("%s, journal %v: %s is there", what, journal, v)
			}
			onlyIn(t, dir, "x")
			if after := treetest.Snapshot(t, outside); after != before {
				t.Errorf("%s, journal %v: something outside changed:\n%s", what, journal, after)
			}
		}
	}
}

// TestThreat38PlantedLinks shows SPEC M60.
func TestThreat38PlantedLinks(t *testing.T) {
	old, _, store := twoVersions(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "a"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := treetest.Snapshot(t, outside)
	plants := map[string]func(dir string) error{
		"temporary directory": func(d string) error { return os.Symlink(outside, filepath.Join(d, ".es-tmp-1")) },
		"old module":          func(d string) error { return os.Symlink(outside, filepath.Join(d, ".es-tmp-1.old")) },
		"lock": func(d string) error {
			return os.Symlink(filepath.Join(outside, "a"), filepath.Join(d, ".es-tmp-1.lock"))
		},
		"lock that is a directory": func(d string) error { return os.MkdirAll(filepath.Join(d, ".es-tmp-1.lock", "x"), 0o755) },
		"link inside a stale directory": func(d string) error {
			return errors.Join(os.Mkdir(filepath.Join(d, ".es-tmp-1"), 0o755), os.Symlink(outside, filepath.Join(d, ".es-tmp-1", "a")))
		},
		"link inside the old module": func(d string) error {
			return errors.Join(os.Mkdir(filepath.Join(d, "x"), 0o755), os.Symlink(outside, filepath.Join(d, "x", "old")))
		},
	}
	for name, plant := range plants {
		dir := t.TempDir()
		if err := plant(dir); err != nil {
			t.Fatal(err)
		}
		if err := extract(t, store, old, treetest.OpenRoot(t, dir), "x", Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if v := versionAt(t, filepath.Join(dir, "x")); v != "old" {
			t.Errorf("%s: %s is there", name, v)
		}
		onlyIn(t, dir, "x")
		if after := treetest.Snapshot(t, outside); after != before {
			t.Errorf("%s: something outside changed:\n%s", name, after)
		}
	}
}

func TestExtractRefusesNamesThatLeadElsewhere(t *testing.T) {
	old, _, store := twoVersions(t)
	dir := t.TempDir()
	root := treetest.OpenRoot(t, dir)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/x", `a\b`, "x\x00", "con"} {
		if err := extract(t, store, old, root, name, Options{}); err == nil {
			t.Errorf("extracted to %q", name)
		}
	}
	onlyIn(t, dir)
}

// TestRecoverHealsEveryStepOfASwap shows SPEC M61. It makes the state that a crash after each step
// leaves behind, as a process leaves it that no longer holds its lock.
func TestRecoverHealsEveryStepOfASwap(t *testing.T) {
	old, new, store := twoVersions(t)
	steps := []string{"lock", "empty temp", "half a temp", "temp", "journal", "half a journal", "old moved", "new moved", "exchanged", "temp removed", "renamed, none before"}
	for _, step := range steps {
		dir := t.TempDir()
		root := treetest.OpenRoot(t, dir)
		if err := extract(t, store, old, root, "x", Options{}); err != nil {
			t.Fatal(err)
		}
		want := "old"
		crashAt(t, dir, step, store, new)
		switch step {
		case "new moved", "exchanged", "temp removed", "renamed, none before":
			want = "new"
		}
		for range 2 {
			if err := Recover(root); err != nil {
				t.Errorf("%s: %v", step, err)
			}
		}
		if v := versionAt(t, filepath.Join(dir, "x")); v != want {
			t.Errorf("%s: %s is there, want %s", step, v, want)
		}
		onlyIn(t, dir, "x")
	}
}

func crashAt(t *testing.T, dir, step string, store unixfs.Blocks, new records.Target) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	x, temp := filepath.Join(dir, "x"), filepath.Join(dir, ".es-tmp-0123456789abcdef")
	lock := func(journal string) { must(os.WriteFile(temp+".lock", []byte(journal), 0o600)) }
	full := func() { must(extract(t, store, new, treetest.OpenRoot(t, dir), filepath.Base(temp), Options{})) }
	switch step {
	case "lock":
		lock("")
	case "empty temp":
		lock("")
		must(os.Mkdir(temp, 0o755))
	case "half a temp":
		lock("")
		must(os.Mkdir(temp, 0o755))
		must(os.WriteFile(filepath.Join(temp, "a"), nil, 0o644))
	case "temp":
		full()
		lock("")
	case "journal":
		full()
		lock("x\n")
	case "half a journal":
		full()
		lock("x")
	case "old moved":
		full()
		lock("x\n")
		must(os.Rename(x, temp+".old"))
	case "new moved":
		full()
		lock("x\n")
		must(os.Rename(x, temp+".old"))
		must(os.Rename(temp, x))
	case "exchanged":
		full()
		lock("")
		must(os.Rename(x, x+"-"))
		must(os.Rename(temp, x))
		must(os.Rename(x+"-", temp))
	case "temp removed":
		full()
		must(os.RemoveAll(x))
		must(os.Rename(temp, x))
		lock("x\n")
	case "renamed, none before":
		must(os.RemoveAll(x))
		full()
		must(os.Rename(temp, x))
		lock("")
	default:
		t.Fatalf("unknown step %q", step)
	}
}

func TestADamagedJournalLosesNothing(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{".es-tmp-1.lock": "../x\n", ".es-tmp-1.old/a": "precious"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Recover(treetest.OpenRoot(t, dir)); err == nil || !strings.Contains(err.Error(), ".es-tmp-1.old") {
		t.Errorf("recover: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, ".es-tmp-1.old", "a")); string(data) != "precious" {
		t.Errorf("the old module is %q: %v", data, err)
	}
}

func TestRecoverLeavesWhatOthersAreWriting(t *testing.T) {
	old, new, store := twoVersions(t)
	dir := t.TempDir()
	root := treetest.OpenRoot(t, dir)
	tree, err := unixfs.Inspect(t.Context(), store, records.Unbounded(new.CID))
	if err != nil {
		t.Fatal(err)
	}
	staged, err := Stage(t.Context(), store, tree, root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// Locks are between open files, so another Root stands for another process.
	if err := extract(t, store, old, treetest.OpenRoot(t, dir), "x", Options{}); err != nil {
		t.Fatal(err)
	}
	if err := Recover(treetest.OpenRoot(t, dir)); err != nil {
		t.Fatal(err)
	}
	if err := staged.Swap("x"); err != nil {
		t.Fatal(err)
	}
	if v := versionAt(t, filepath.Join(dir, "x")); v != "new" {
		t.Errorf("%s is there", v)
	}
	onlyIn(t, dir, "x")
}

// TestALockThatWasRemovedBeforeItWasLockedIsNotOurs has Recover run between the
// creation of a lock file and its lock.
func TestALockThatWasRemovedBeforeItWasLockedIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	root := treetest.OpenRoot(t, dir)
	lock, err := root.Create(".es-tmp-1.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := Recover(root); err != nil {
		t.Fatal(err)
	}
	onlyIn(t, dir)
	temp := &tempDir{".es-tmp-1", lock}
	if ours, err := temp.acquire(root); ours || err != nil {
		t.Errorf("the lock that is gone is ours: %v, %v", ours, err)
	}
	if other, err := root.Create(".es-tmp-1.lock"); err != nil || other.Close() != nil {
		t.Fatal(err)
	}
	if ours, err := temp.acquire(root); ours || err != nil {
		t.Errorf("another lock of the same name is ours: %v, %v", ours, err)
	}
}

func TestManyExtractionsAtOnceLeaveOneWholeModule(t *testing.T) {
	old, new, store := twoVersions(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		m := []records.Target{old, new}[i%2]
		root := treetest.OpenRoot(t, dir)
		wg.Go(func() {
			for range 10 {
				if err := extract(t, store, m, root, "x", Options{Sync: SyncNone}); err != nil {
					t.Error(err)
				}
				if err := extract(t, store, m, root, fmt.Sprintf("y%d", i), Options{Sync: SyncNone}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	versionAt(t, filepath.Join(dir, "x"))
	onlyIn(t, dir, "x", "y0", "y1", "y2", "y3", "y4", "y5", "y6", "y7")
}

// failing gives blocks until it has given n.
type failing struct {
	*treetest.Store
	n int
	m sync.Mutex
}

var errGone = errors.New("the peer is gone")

func (f *failing) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	f.m.Lock()
	defer f.m.Unlock()
	if f.n--; f.n < 0 {
		return nil, errGone
	}
	return f.Store.Get(ctx, c)
}

func TestAFailureAtAnyBlockLeavesTheOldModule(t *testing.T) {
	old, new, store := twoVersions(t)
	dir := t.TempDir()
	root := treetest.OpenRoot(t, dir)
	if err := extract(t, store, old, root, "x", Options{}); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		err := extract(t, &failing{Store: store, n: n}, new, root, "x", Options{Sync: SyncFiles})
		onlyIn(t, dir, "x")
		if err == nil {
			if n < 5 {
				t.Errorf("extracted with %d blocks", n)
			}
			break
		}
		if !errors.Is(err, errGone) {
			t.Errorf("after %d blocks: %v", n, err)
		}
		if v := versionAt(t, filepath.Join(dir, "x")); v != "old" {
			t.Errorf("after %d blocks: %s is there", n, v)
		}
	}
	if v := versionAt(t, filepath.Join(dir, "x")); v != "new" {
		t.Errorf("at last %s is there", v)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Extract(cancelled, store, records.Unbounded(old.CID), root, "x", Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTheUmaskDoesNotChangeModes(t *testing.T) {
	defer setUmask(setUmask(0o077))
	m, store := treetest.Pack(t, treetest.Everything(1))
	dir := t.TempDir()
	if err := extract(t, store, m, treetest.OpenRoot(t, dir), "x", Options{}); err != nil {
		t.Fatal(err)
	}
	treetest.CheckExtracted(t, filepath.Join(dir, "x"), treetest.Everything(1))
}

func TestTheLinkHookMakesSingleBlockFilesOnly(t *testing.T) {
	m, store := treetest.Pack(t, treetest.Everything(1))
	dir := t.TempDir()
	var mu sync.Mutex
	linked := map[string]int{}
	o := Options{Link: func(c cid.Cid, into *os.File, name string) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		linked[name]++
		if name == "#e" {
			return false, nil
		}
		return true, os.WriteFile(filepath.Join(into.Name(), name), store.Blocks[c], 0o644)
	}}
	if err := extract(t, store, m, treetest.OpenRoot(t, dir), "x", o); err != nil {
		t.Fatal(err)
	}
	treetest.CheckExtracted(t, filepath.Join(dir, "x"), treetest.Everything(1))
	want := map[string]int{npmjson.FileName: 2, ".file": 1, "exact": 1, "日本.js": 1, "e\u0301.js": 1, "#e": 1}
	if fmt.Sprint(linked) != fmt.Sprint(want) {
		t.Errorf("linked %v, want %v", linked, want)
	}
}
