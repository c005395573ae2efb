package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/records"
)

// TestMain lets the test binary be the process that dies, or one of many.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ES_TEST_PROJECT"); dir != "" {
		os.Exit(child(dir, os.Getenv("ES_TEST_REQUESTS"), os.Getenv("ES_TEST_DIE_AT")))
	}
	os.Exit(m.Run())
}

const diedAsAsked = 77

// child adds requests to the project in dir, and dies before step dieAt of it;
// then it has printed the steps before.
func child(dir, requests, dieAt string) int {
	die, _ := strconv.Atoi(dieAt)
	p := &Project{dir: dir, NoteKey: noteKey}
	var mu sync.Mutex
	steps := 0
	p.step = func(op string) {
		mu.Lock()
		defer mu.Unlock()
		if steps++; steps == die {
			os.Exit(diedAsAsked)
		}
		fmt.Println(op)
	}
	var list []Request
	for arg := range strings.FieldsSeq(requests) {
		r, err := ParseRequest(arg)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		list = append(list, r)
	}
	w := crashWorld(panicking{})
	if _, err := p.Add(context.Background(), w.sources(), list, Options{Workers: 1}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// panicking stands for testing.TB in the child.
type panicking struct{ testing.TB }

func (panicking) Helper()           {}
func (panicking) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// crashWorld has two states of a project: a@1 needs things that a@2 does not,
// nests others, and both have commands.
func crashWorld(t testing.TB) *world {
	w := newWorld(t)
	w.publish("a@1.0.0", `"bin": {"a": "a.js", "old": "a.js"}, "dependencies": {"b": "1", "@s/gone": "1"}`, files{"a.js": "#!/usr/bin/env node\n1", "lib/x.js": "one"})
	w.publish("a@2.0.0", `"bin": {"a": "a.js", "new": "a.js"}, "dependencies": {"b": "2", "@s/new": "1"}`, files{"a.js": "#!/usr/bin/env node\n2", "lib/x.js": "two"})
	w.publish("b@1.0.0", "")
	w.publish("b@2.0.0", `"dependencies": {"c": "2"}`, files{"lib/b.js": "b"})
	w.publish("@s/gone@1.0.0", "")
	w.publish("@s/new@1.0.0", "")
	w.publish("c@1.0.0", `"dependencies": {"b": "1"}`, files{"lib/c.js": "1"})
	w.publish("c@2.0.0", "", files{"lib/c.js": "2"})
	// Four of these nest for ever, so that there is a link.
	w.publish("x@1.0.0", `"dependencies": {"y": "1.0.0"}`)
	w.publish("y@1.0.0", `"dependencies": {"x": "2.0.0"}`)
	w.publish("x@2.0.0", `"dependencies": {"y": "2.0.0"}`)
	w.publish("y@2.0.0", `"dependencies": {"x": "1.0.0"}`)
	return w
}

// SPEC I23
func TestThreat47CrashAtEveryStep(t *testing.T) {
	w := crashWorld(t)
	before, after := project(t, ""), project(t, "")
	mustAdd(t, before, w, "a@1", "c@1")
	if err := os.CopyFS(after.dir, os.DirFS(before.dir)); err != nil {
		t.Fatal(err)
	}
	requests := "a@2 x@1.0.0"
	steps := strings.Split(strings.TrimSpace(run(t, after.dir, requests, 0)), "\n")
	states := []*Project{before, after}
	stride := 8
	if full {
		stride = 1
	}
	t.Logf("%d steps: %s", len(steps), strings.Join(steps, ", "))
	if len(steps) < 30 {
		t.Errorf("the operation has %d steps only", len(steps))
	}
	for k := 1; k <= len(steps); k += stride {
		p := project(t, "")
		if err := os.CopyFS(p.dir, os.DirFS(before.dir)); err != nil {
			t.Fatal(err)
		}
		run(t, p.dir, requests, k)
		at := fmt.Sprintf("after a crash before %q", steps[k-1])
		neverMixed(t, at, w, p, states)
		mustInstall(t, p, w, Options{})
		settled(t, at+" and es install", w, p, states)
		mustAdd(t, p, w, strings.Fields(requests)...)
		settled(t, at+" and es add", w, p, states[1:])
		if t.Failed() {
			return
		}
	}
}

func run(t *testing.T, dir, requests string, dieAt int) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ES_TEST_PROJECT="+dir, "ES_TEST_REQUESTS="+requests, fmt.Sprint("ES_TEST_DIE_AT=", dieAt))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if dieAt > 0 && errors.As(err, &exit) && exit.ExitCode() == diedAsAsked {
		return string(out)
	}
	if err != nil || dieAt > 0 {
		t.Fatalf("the process ended with %v", err)
	}
	return string(out)
}

// neverMixed checks that each package that is there is whole and one of those
// in states, and that what both states have is there.
func neverMixed(t *testing.T, at string, w *world, p *Project, states []*Project) {
	t.Helper()
	var known [][]string
	for _, s := range states {
		known = append(known, installed(t, s.dir))
	}
	d, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, line := range installed(t, p.dir) {
		path, id, _ := strings.Cut(line, " ")
		if !slices.Contains(known[0], line) && !slices.Contains(known[1], line) {
			t.Errorf("%s: %s is in neither state", at, line)
			continue
		}
		if strings.HasPrefix(id, "->") {
			continue
		}
		i := slices.IndexFunc(w.releases, func(r *Resolution) bool { return string(r.Name)+"@"+string(r.Version) == id })
		n := &tree.Node{Package: withPath(w.releases[i].Locked(), path), Children: map[records.Name]*tree.Node{}}
		filepath.WalkDir(filepath.Join(p.dir, path), func(name string, e fs.DirEntry, err error) error {
			if e != nil && e.IsDir() && filepath.Base(name) == lockfile.NodeModules {
				entries, _ := os.ReadDir(name)
				for _, e := range entries {
					n.Children[records.Name(e.Name())] = &tree.Node{}
				}
			}
			return nil
		})
		_, damage, err := d.Compare(w.remote, nil).Check(t.Context(), n)
		if err != nil || len(damage) > 0 {
			t.Errorf("%s: %s is neither old nor new: %v %v", at, line, damage, err)
		}
	}
	for _, line := range []string{"a", "b", "c"} {
		if _, err := os.Stat(filepath.Join(p.dir, lockfile.NodeModules, line, packagejson.Name)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	for _, name := range []string{packagejson.Name, lockfile.Name} {
		now := read(t, p.dir, name)
		if now != read(t, states[0].dir, name) && now != read(t, states[1].dir, name) {
			t.Errorf("%s: %s is neither old nor new", at, name)
		}
	}
}

func withPath(p *Package, path string) *Package {
	p.Path = path
	return p
}

// settled checks that p is exactly one of the states.
func settled(t *testing.T, at string, w *world, p *Project, states []*Project) {
	t.Helper()
	mustVerify(t, p, w)
	list := everything(t, p.dir)
	for _, s := range states {
		if slices.Equal(list, everything(t, s.dir)) {
			return
		}
	}
	t.Errorf("%s: the project is in none of the states:\n%s", at, strings.Join(list, "\n"))
}

// everything lists the project with contents, but not what the note says.
func everything(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		line := e.Type().String() + " " + rel
		switch {
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			list = append(list, line+" "+target)
			return err
		case e.Type().IsRegular():
			line += " " + read(t, name)
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// SPEC I23. Eight processes add one package each.
func TestThreat49ParallelAdds(t *testing.T) {
	p := project(t, `"c": "1"`)
	names := strings.Fields("a@1 a@2 b@1 b@2 @s/gone @s/new c@2 x@1.0.0")
	var group sync.WaitGroup
	for _, name := range names {
		group.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "ES_TEST_PROJECT="+p.dir, "ES_TEST_REQUESTS="+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("add %s: %v\n%s", name, err, out)
			}
		})
	}
	group.Wait()
	deps, err := p.Dependencies()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range deps {
		got = append(got, string(d.Name))
	}
	if want := "@s/gone @s/new a b c x"; strings.Join(got, " ") != want {
		t.Errorf("package.json has %v, want %s", got, want)
	}
	w := crashWorld(t)
	for _, r := range w.releases {
		if err := w.Fetch(t.Context(), r.Name, records.Unbounded(r.Module)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Install(t.Context(), Sources{Blocks: w.local}, Options{Frozen: true}); err != nil {
		t.Error(err)
	}
	mustVerify(t, p, w)
}
