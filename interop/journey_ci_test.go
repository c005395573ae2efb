package interop

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// committed makes a project with packages, by a user who knows where they are.
func committed(t *testing.T, u *user, addr, key string, names ...string) string {
	t.Helper()
	project := u.project()
	u.shell(project, "es connect "+addr).ends(t, 0)
	u.shell(project, "es trust add "+key+" "+strings.Join(names, " ")+" --yes").ends(t, 0)
	u.shell(project, "es add "+strings.Join(names, " ")+" --yes").ends(t, 0)
	return project
}

// checkout is what a job has of a project: what was committed.
func checkout(t *testing.T, project string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "es-lock.json"} {
		must(t, dir, nil, "cp", filepath.Join(project, name), name)
	}
	return dir
}

// TestJourneyCI has twelve jobs at once, each with a fresh home and all behind one
// address, install what a lockfile names from a node that they are told of.
func TestJourneyCI(t *testing.T) {
	net := newInternet(t)
	ada, bob := newcomer(t, net.host("ada")), newcomer(t, net.host("bob"))
	ada.shell(t.TempDir(), "es key new --name Ada --no-passphrase").ends(t, 0)
	there := ada.daemon()
	sources := map[string]string{"one": small(t, "one"), "two": small(t, "two"), "three": small(t, "three")}
	for _, dir := range sources {
		ada.es(dir, "publish")
	}
	project := committed(t, bob, there.addrs[0], keyOf(ada), "one", "two", "three")

	office := net.host("ci")
	jobs := make([]result, 12)
	dirs := make([]string, len(jobs))
	took := make([]time.Duration, len(jobs))
	var all sync.WaitGroup
	for i := range jobs {
		job := newcomer(t, office)
		dirs[i] = checkout(t, project)
		all.Go(func() {
			start := time.Now()
			jobs[i] = job.shell(dirs[i], "es connect "+there.addrs[0]+" && es install --frozen && es install --frozen && es verify")
			took[i] = time.Since(start)
		})
	}
	all.Wait()
	t.Logf("twelve jobs: the slowest took %v", slices.Max(took).Round(time.Millisecond))
	for i, job := range jobs {
		if job.code != 0 {
			t.Errorf("job %d: %v", i, job)
			continue
		}
		for name, source := range sources {
			if diff := differences(readTree(t, filepath.Join(dirs[i], "node_modules", name)), readTree(t, source)); diff != "" {
				t.Errorf("job %d: %s: %s", i, name, diff)
			}
		}
	}

	// What a pipeline reads of a job that fails is its exit code.
	alone := newcomer(t, office)
	fails := func(code int, dir, line string, texts ...string) {
		t.Helper()
		alone.shell(dir, line).ends(t, code, texts...)
		if r := alone.shell(dir, line+" --json"); r.code != code {
			t.Errorf("with --json: %v", r)
		}
	}
	dir := checkout(t, project)
	fails(6, dir, "es install --frozen", "no peer is known", "es connect ADDR")
	fails(1, t.TempDir(), "es install --frozen", "there is no es-lock.json")
	write(t, filepath.Join(dir, "package.json"), `{"name":"project","esDependencies":{"one":"^2.0.0","two":"^1.0.0","three":"^1.0.0"}}`)
	fails(1, dir, "es install --frozen", "does not agree with package.json", "es install, without --frozen")
	there.stop()
	fails(6, dir, "es connect "+there.addrs[0], "connection refused", "es node must be running there")
	fails(6, checkout(t, project), "es install --frozen")
}
