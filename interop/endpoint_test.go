package interop

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// usedPackages are what the projects below need.
var usedPackages = []string{
	"ms@2.1.3", "debug@4.3.7", "debug@4.4.0", "semver@7.7.2", "minimist@1.2.8", "mkdirp@0.5.6", "@sindresorhus/is@4.6.0", "left-pad@1.3.0", "typescript@5.4.5",
}

const usingProject = `{"name":"using","version":"1.0.0","dependencies":{"debug":"^4.3.0","semver":"7.7.2","mkdirp":"^0.5.0","@sindresorhus/is":"^4","pad":"npm:left-pad@^1"},"devDependencies":{"typescript":"5.4.5"}}`

// A behind is somebody in a namespace without any network but loopback, on which the
// registry of a test is, for which all clients are configured.
type behind struct {
	*user
	stop func() // the registry
}

func newBehind(t *testing.T, young string) *behind {
	t.Helper()
	netns := newInternet(t).name + "-alone"
	namespace(t, netns)
	u := newcomer(t, place{netns: netns})
	write(t, filepath.Join(filepath.Dir(u.home), ".npmrc"), "registry=http://"+loopbackRegistry+"/\nupdate-notifier=false\nfund=false\naudit=false\n")
	return &behind{u, serveRegistry(t, netns, registryOf(t, young, usedPackages...))}
}

// project makes one with the files, and returns its directory.
func (b *behind) project(files map[string]string) string {
	b.t.Helper()
	dir := b.t.TempDir()
	for name, text := range files {
		write(b.t, filepath.Join(dir, name), text)
	}
	return dir
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sameTree compares what stands in two node_modules, file by file and mode by mode.
func sameTree(t *testing.T, what, want, got string) {
	t.Helper()
	a, b := listTree(t, filepath.Join(want, "node_modules")), listTree(t, filepath.Join(got, "node_modules"))
	if len(a) < 20 || !slices.Equal(a, b) {
		t.Errorf("%s: of %d files only the client alone has %q, only that behind es has %q", what, len(a), difference(a, b), difference(b, a))
	}
}

// TestNPMBehindES: npm makes behind es what it makes without: fresh, frozen, and again
// where the registry is gone; the lockfile is the same.
func TestNPMBehindES(t *testing.T) {
	b := newBehind(t, "")
	package1 := map[string]string{"package.json": usingProject}
	alone := b.project(package1)
	cache := func() string {
		return "npm_config_omit_lockfile_registry_resolved=true npm_config_cache=" + t.TempDir() + " "
	}
	b.shell(alone, cache()+"npm install").ends(t, 0)
	locked := readText(t, filepath.Join(alone, "package-lock.json"))

	fresh := b.project(package1)
	b.shell(fresh, cache()+"es npm install").ends(t, 0)
	sameTree(t, "npm install", alone, fresh)
	if got := readText(t, filepath.Join(fresh, "package-lock.json")); got != locked {
		t.Errorf("the lockfile is\n%s\nwant\n%s", got, locked)
	}
	frozen := b.project(map[string]string{"package.json": usingProject, "package-lock.json": locked})
	b.shell(frozen, cache()+"es npm ci").ends(t, 0)
	sameTree(t, "npm ci", alone, frozen)

	// Nothing but this home is left.
	b.stop()
	for _, line := range []string{"es npm ci", "es --offline npm ci", "rm -r package-lock.json node_modules; es --offline npm install"} {
		b.shell(frozen, "export "+cache()+"; "+line).ends(t, 0)
		sameTree(t, line, alone, frozen)
	}
	if got := readText(t, filepath.Join(frozen, "package-lock.json")); got != locked {
		t.Errorf("offline the lockfile is\n%s\nwant\n%s", got, locked)
	}
	b.shell(frozen, "export "+cache()+"; es npm install react").ends(t, 1, "es: the registry is not reached, and nothing of react is here")
}

// TestReadmeInFrontOfNPM types the chapter of README about npm, word for word.
func TestReadmeInFrontOfNPM(t *testing.T) {
	b := newBehind(t, "debug@4.4.0")
	chapter := blocks(t, "## In front of npm, in five minutes")
	if len(chapter) != 2 {
		t.Fatalf("the chapter has %d blocks, want one for npm and one for other clients", len(chapter))
	}
	dir := b.project(map[string]string{"package.json": usingProject})
	advisories(t, filepath.Join(dir, "all.zip"))
	var said []string
	for line := range strings.Lines(chapter[0]) {
		command, _, _ := strings.Cut(line, "#")
		r := b.shell(dir, "export npm_config_cache="+t.TempDir()+"; "+command)
		t.Log(r)
		said = append(said, r.stdout+r.stderr)
		want := 0
		if strings.TrimSpace(command) == "es npm audit" { // which says that it found something
			want = 1
		}
		if r.code != want {
			t.Errorf("%s: exit code %d", command, r.code)
		}
	}
	for i, text := range []string{
		"added 8 packages", "added 8 packages", "added 8 packages", "3d", "refused (min-age): debug@4.4.0: it came out 1h ago", "1 of them of malware",
		"would be refused (malware): left-pad@1.3.0", "MAL-2026-1",
	} {
		if i >= len(said) || !strings.Contains(said[i], text) {
			t.Errorf("command %d does not say %q", i+1, text)
		}
	}
}

// advisories writes an archive as those have it who collect advisories.
func advisories(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("MAL-2026-1.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(`{"id":"MAL-2026-1","summary":"steals tokens","affected":[{"package":{"ecosystem":"npm","name":"left-pad"},"versions":["1.3.0"]}]}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
