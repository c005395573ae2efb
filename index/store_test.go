package index_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	_ "modernc.org/sqlite"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	database := func(name, query string) string {
		path := filepath.Join(dir, name)
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, path, want string }{
		{"text", file("text", bytes.Repeat([]byte("not a database\n"), 100)), "is not an index of es"},
		{"foreign", database("foreign", "CREATE TABLE t (x)"), "is a database of another program"},
		{"newer", database("newer", "CREATE TABLE t (x); PRAGMA application_id=1702054232; PRAGMA user_version=99"), "was written by a newer es (format 99"},
		{"older", database("older", "CREATE TABLE t (x); PRAGMA application_id=1702054232"), "has the unknown format 0"},
		{"no directory", filepath.Join(dir, "none", "index"), "cannot be opened"},
		{"directory", dir, "cannot be opened"},
	} {
		before, _ := os.ReadFile(c.path)
		x, err := index.Open(t.Context(), c.path)
		if err == nil {
			x.Close()
			t.Errorf("%s: opened", c.name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) || !strings.HasPrefix(err.Error(), "open index: ") {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if after, _ := os.ReadFile(c.path); !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed", c.name)
		}
	}
}

func TestOddPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "100% sure? #1 & é")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	openAt(t, filepath.Join(dir, "index"))
	if _, err := os.Stat(filepath.Join(dir, "index")); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, "ann")
	add(t, x, a.says(release("left-pad", "1.0.0", "X")))
	for range 2 {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log was not folded in: %v", err)
	}
	if _, err := x.Counts(t.Context()); err == nil {
		t.Error("a closed index answers")
	}
	it := a.says(release("left-pad", "1.1.0", "X"))
	if _, err := x.Add(t.Context(), it.Verified, it.Key, it.Source); err == nil {
		t.Error("a closed index stores")
	}
	if c := must[index.Counts](t)(openAt(t, path).Counts(t.Context())); c.Records != 1 {
		t.Errorf("counts %+v", c)
	}
}

// TestWriteErrors: what the disk refuses is a clear error, and changes nothing.
func TestWriteErrors(t *testing.T) {
	for _, c := range []struct{ name, spoil, heal, want string }{
		{"full", "PRAGMA max_page_count=1", "PRAGMA max_page_count=1000000", "no space left on the disk"},
		{"read-only", "PRAGMA query_only=1", "PRAGMA query_only=0", "cannot be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, a := open(t), newAuthor(t, "ann")
			add(t, x, a.says(release("left-pad", "1.0.0", "X")))
			if err := x.ExecOnWriter(t.Context(), c.spoil); err != nil {
				t.Fatal(err)
			}
			var batch []index.Item
			for i := range 100 {
				batch = append(batch, a.says(release(records.Name(fmt.Sprint("pkg-", i)), "1.0.0", "X")))
			}
			if _, err := x.AddAll(t.Context(), batch); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if n := must[index.Counts](t)(x.Counts(t.Context())); n.Records != 1 || n.Names != 1 {
				t.Errorf("counts %+v", n)
			}
			if err := x.ExecOnWriter(t.Context(), c.heal); err != nil {
				t.Fatal(err)
			}
			add(t, x, batch...)
		})
	}
}

func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, "ann")
	var batch []index.Item
	for i := range 200 {
		batch = append(batch, a.says(release(records.Name(fmt.Sprint("pkg-", i)), "1.0.0", "X")))
	}
	add(t, x, batch...)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b); i++ { // all but the pages that say what tables there are
		b[i] ^= 0x55
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	x = openAt(t, path)
	if err := fsck.Check(t.Context(), x); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("check: %v", err)
	}
	found := 0
	_, err = fsck.Verify(t.Context(), x, func(int64, int64) {}, func(d fsck.Damage) {
		found++
		if !d.File() || d.Lost() {
			t.Errorf("damage %+v", d)
		}
	})
	if err != nil || found != 1 {
		t.Errorf("verify: %d, %v", found, err)
	}
	if _, err := x.Releases(t.Context(), "pkg-1"); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("releases: %v", err)
	}
}

// TestAllOrNothing: an error in the middle of a batch takes all of it back.
func TestAllOrNothing(t *testing.T) {
	x, a, b := open(t), newAuthor(t, "ann"), newAuthor(t, "bob")
	bad := b.says(release("right-pad", "1.0.0", "X"))
	bad.Key = nil // and none is stored
	if _, err := x.AddAll(t.Context(), []index.Item{a.says(release("left-pad", "1.0.0", "X")), bad}); err == nil {
		t.Error("no error")
	}
	if n := must[index.Counts](t)(x.Counts(t.Context())); n != (index.Counts{}) {
		t.Errorf("counts %+v", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	it := a.says(release("left-pad", "1.0.0", "X"))
	if _, err := x.Add(ctx, it.Verified, it.Key, it.Source); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	add(t, x, it)
}

// TestProcesses has several handles, as several processes do, open one new store
// at once and add overlapping records and the two halves of an equivocation.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	const handles, each = 6, 20
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	common := a.says(release("left-pad", "0.0.1", "X"))
	var own [handles][]index.Item
	for h := range own {
		for i := range each {
			own[h] = append(own[h], b.at(0, nil, release(records.Name(fmt.Sprintf("pkg-%d-%d", h, i)), "1.0.0", "X")))
		}
		own[h] = append(own[h], common, a.says(release("left-pad", "1.0.0", fmt.Sprint("module ", h))))
	}
	var wg sync.WaitGroup
	var outcomes [handles][]index.Outcome
	errs := make([]error, handles)
	for h := range handles {
		wg.Go(func() {
			x, err := index.Open(t.Context(), path)
			if err != nil {
				errs[h] = err
				return
			}
			for batch := range slices.Chunk(own[h], 4) {
				results, err := x.AddAll(t.Context(), batch)
				if err != nil {
					errs[h] = err
				}
				for _, r := range results {
					outcomes[h] = append(outcomes[h], r.Outcome)
				}
				if _, err := x.Counts(t.Context()); err != nil {
					errs[h] = err
				}
			}
			errs[h] = errors.Join(errs[h], x.Close())
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	n := map[index.Outcome]int{}
	for _, os := range outcomes {
		for _, o := range os {
			n[o]++
		}
	}
	want := map[index.Outcome]int{index.Known: handles - 1, index.Equivocation: 1, index.Frozen: handles - 2, index.Stored: handles*each + 2}
	if fmt.Sprint(n) != fmt.Sprint(want) {
		t.Errorf("outcomes %v, want %v", n, want)
	}
	x := openAt(t, path)
	if c := must[index.Counts](t)(x.Counts(t.Context())); c.Records != handles*(each+1)+1 || c.Keys != 2 {
		t.Errorf("counts %+v", c)
	}
	if p := must[[]index.Proof](t)(x.Equivocations(t.Context())); len(p) != 1 || len(p[0].Records) != handles {
		t.Errorf("proofs %+v", p)
	}
	if d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", "1.0.0", trusting(t, a))); d.State != trust.Equivocation {
		t.Errorf("decision %v", d.State)
	}
	if err := fsck.Check(t.Context(), x); err != nil {
		t.Error(err)
	}
}

var victim = flag.String("victim", "", "add records to the index at this path until killed")

// TestVictim is the process that TestThreat46Kill kills.
func TestVictim(t *testing.T) {
	if *victim == "" {
		return
	}
	x, err := index.Open(t.Context(), *victim)
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthor(t, "ann")
	for i := 0; ; i++ {
		it := a.says(release("left-pad", records.Version(fmt.Sprintf("1.0.%d", i)), fmt.Sprint(i)))
		it.Source.Own = true
		if _, err := x.Add(t.Context(), it.Verified, it.Key, it.Source); err != nil {
			t.Fatal(err)
		}
		fmt.Println("added", it.Verified.ID())
	}
}

// TestThreat46Kill kills a process that adds records, at a different point each time:
// what it said was added is there, latest is no older than that, and the store is
// whole.
func TestThreat46Kill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-victim="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var added []cid.Cid
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			id, ok := strings.CutPrefix(lines.Text(), "added ")
			if !ok {
				t.Fatalf("victim: %s", lines.Text())
			}
			c, err := cid.Decode(id)
			if err != nil {
				t.Fatal(err)
			}
			added = append(added, c)
			if len(added) == 3+7*round {
				cmd.Process.Kill()
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the victim ended by itself")
		}
		if len(added) < 3+7*round {
			t.Fatalf("the victim ended early, after %d", len(added))
		}
		x, err := index.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range added {
			if has, err := x.Has(t.Context(), id); !has || err != nil {
				t.Errorf("round %d: %s is lost: %v", round, id, err)
			}
		}
		rs := must[[]index.Release](t)(x.Releases(t.Context(), "left-pad"))
		// What is resolved is no older than what was there last (threat 6).
		by := must[index.Statement](t)(x.Statement(t.Context(), added[0])).Author
		latest := must[resolve.Resolution](t)(resolve.New(x).Resolve(t.Context(), "left-pad", "", evaluatorOf(t, "key "+by.String()+" left-pad\n")))
		if least := records.Version(fmt.Sprintf("1.0.%d", len(added)-1)); latest.Version.Compare(least) < 0 {
			t.Errorf("round %d: latest is %s, %s was there before the kill", round, latest.Version, least)
		}
		c := must[index.Counts](t)(x.Counts(t.Context()))
		if int64(len(rs)) != c.Records || c.Pending != c.Records {
			t.Errorf("round %d: %d releases, counts %+v", round, len(rs), c)
		}
		if err := fsck.Check(t.Context(), x); err != nil {
			t.Error(err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenTogether: whoever opens a new store while others make it finds it
// whole or empty.
func TestOpenTogether(t *testing.T) {
	for range 30 {
		path := filepath.Join(t.TempDir(), "index")
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				x, err := index.Open(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if err := x.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
}
