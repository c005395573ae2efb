package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kills is how often each command is killed.
const kills = 50

// killed starts es in dir and kills it after a while. It returns what es had
// printed, and whether it was done before that.
func (u *user) killed(dir string, after time.Duration, args ...string) (stdout string, done bool) {
	u.t.Helper()
	var out strings.Builder
	cmd := exec.Command(u.program, args...)
	cmd.Dir = dir
	cmd.Env = environment(u.env())
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	exit := new(exec.ExitError)
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	if err != nil && exit.ExitCode() != -1 {
		u.t.Fatalf("es %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), err == nil
}

// killPoints returns delays spread over one undisturbed run, each somewhere at
// random in its share of it.
func killPoints(t testing.TB, undisturbed time.Duration) []time.Duration {
	seed := rand.Uint64()
	if s := os.Getenv("ES_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("ES_SEED: %v", err)
		}
	}
	t.Logf("undisturbed %v, ES_SEED=%d", undisturbed, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	points := make([]time.Duration, kills)
	for i := range points {
		share := 1.1 * float64(undisturbed) / kills
		points[i] = time.Duration((float64(i) + random.Float64()) * share)
	}
	random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points
}

// program writes a module of many files that all say which version it is.
func program(t testing.TB, version string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "package.json"), `{"name":"victim","version":"`+version+`","bin":{"victim":"run.js"}}`)
	write(t, filepath.Join(dir, "run.js"), "#!/usr/bin/env node\nconsole.log('"+version+"')\n")
	for i := range 80 {
		write(t, filepath.Join(dir, fmt.Sprintf("lib/%d/%d.js", i%7, i)), fmt.Sprintf("module.exports = '%s %d'\n", version, i))
	}
	write(t, filepath.Join(dir, "data.txt"), noise(t, version, 3<<19))
	return dir
}

// median returns the middle of three timed runs.
func median(run func()) time.Duration {
	var took [3]time.Duration
	for i := range took {
		start := time.Now()
		run()
		took[i] = time.Since(start)
	}
	return max(min(took[0], took[1]), min(max(took[0], took[1]), took[2]))
}

// TestKillPublish kills `es publish` at fifty points. What it acknowledged is
// kept, and publishing again completes what was cut off.
func TestKillPublish(t *testing.T) {
	author, fingerprint := newAuthor(t, "author")
	n := 0
	undisturbed := median(func() {
		n++
		author.publish(program(t, fmt.Sprintf("0.%d.0", n)))
	})
	acknowledged := map[string]published{}
	interrupted := 0
	for i, after := range killPoints(t, undisturbed) {
		source := program(t, fmt.Sprintf("1.%d.0", i))
		out, done := author.killed(source, after, "publish", "--json")
		var first published
		err := json.Unmarshal([]byte(out), &first)
		if done && err != nil {
			t.Fatalf("publish printed %q: %v", out, err)
		}
		if err != nil {
			interrupted++
		}
		again := author.publish(source)
		if err == nil && again.Module != first.Module {
			t.Fatalf("acknowledged %+v, then %+v", first, again)
		}
		if err == nil && again.Record != first.Record {
			t.Fatalf("acknowledged record %s, then %s", first.Record, again.Record)
		}
		acknowledged[again.Version] = again
	}
	if interrupted == 0 {
		t.Error("no run was interrupted")
	}
	t.Logf("%d of %d interrupted", interrupted, kills)

	for version, release := range acknowledged {
		var claims []struct {
			Module, Record, Signature string
			Stored                    bool
		}
		author.json(&claims, "", "verify", "victim@"+version)
		if len(claims) != 1 || claims[0].Module != release.Module || claims[0].Record != release.Record ||
			claims[0].Signature != "good" || !claims[0].Stored {
			t.Errorf("acknowledged %+v, verify says %+v", release, claims)
		}
	}
	reader := newUser(t)
	there := author.node()
	reader.node("--bootstrap", there.addrs[0])
	reader.es("", "trust", "add", fingerprint, "victim", "--yes")
	eventually(t, 20*time.Second, "every acknowledged release in the other index", func() bool {
		var status, other struct{ Releases int }
		author.json(&status, "", "status")
		reader.json(&other, "", "status")
		return status.Releases >= len(acknowledged) && other.Releases == status.Releases
	})
}

// TestKillAdd kills `es add` at fifty points while it replaces one version by
// another. The module is one or the other, whole, and adding again completes.
func TestKillAdd(t *testing.T) {
	author, _ := newAuthor(t, "author")
	versions := [2]string{"1.0.0", "2.0.0"}
	var want [2]tree
	for i, version := range versions {
		source := program(t, version)
		author.publish(source)
		want[i] = readTree(t, source).normalised(readManifest(t, source).bins())
	}
	project := author.project()
	installed := filepath.Join(project, "node_modules", "victim")
	now := 1
	add := func() { author.es(project, "add", "victim@"+versions[now]) }
	undisturbed := median(func() {
		now = 1 - now
		add()
	})
	interrupted := 0
	for _, after := range killPoints(t, undisturbed) {
		before := now
		now = 1 - now
		_, done := author.killed(project, after, "add", "victim@"+versions[now])
		if !done {
			interrupted++
		}
		got := readTree(t, installed)
		isNew := differences(got, want[now])
		isOld := differences(got, want[before])
		if isNew != "" && (done || isOld != "") {
			t.Fatalf("killed after %v (done %v): neither\n%s\nnor\n%s", after, done, isNew, isOld)
		}
		checkJSON(t, filepath.Join(project, "package.json"))
		checkJSON(t, filepath.Join(project, "es-lock.json"))

		add()
		if diff := differences(readTree(t, installed), want[now]); diff != "" {
			t.Fatalf("added again after %v: %s", after, diff)
		}
		if out := must(t, project, nil, filepath.Join(project, "node_modules", ".bin", "victim")); out != versions[now]+"\n" {
			t.Fatalf("victim printed %q, want %q", out, versions[now])
		}
		checkLeftovers(t, project)
	}
	if interrupted == 0 {
		t.Error("no run was interrupted")
	}
	t.Logf("%d of %d interrupted", interrupted, kills)
	author.es(project, "verify")
}

func checkJSON(t testing.TB, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Fatalf("%s is cut off: %q", name, data)
	}
}

// checkLeftovers fails on anything in the project that a finished install does
// not have.
func checkLeftovers(t testing.TB, project string) {
	t.Helper()
	allowed := map[string]bool{"package.json": true, "es-lock.json": true, "node_modules": true,
		"node_modules/victim": true, "node_modules/.bin": true, "node_modules/.bin/victim": true,
		"node_modules/.es-lock": true, "node_modules/.es-modules.json": true}
	err := filepath.WalkDir(project, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(project, name)
		if err != nil || relative == "." {
			return err
		}
		if !allowed[filepath.ToSlash(relative)] {
			t.Errorf("left over: %s", relative)
		}
		if relative == filepath.Join("node_modules", "victim") {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
