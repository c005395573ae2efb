package interop

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ciProject asks for packages that are odd in one way or another: upper case, peers,
// binaries of platforms, old forms of package.json, thousands of files, commands that
// only a directory names.
var ciProject = map[string]any{
	"name": "odd", "version": "1.0.0",
	"dependencies": map[string]string{
		"JSONStream": "1.3.5", "mime": "1.2.4", "uuid": "1.4.1", "underscore": "1.0.3", "coffee-script": "1.0.1",
		"colors": "0.5.1", "iconv-lite": "0.4.24", "express": "4.21.2", "request": "2.88.2", "hanzi-writer-data": "2.0.1",
		"qs": "0.6.6", "optimist": "0.6.1", "Base64": "1.1.0", "short": "npm:ms@2.1.3",
	},
	"devDependencies":      map[string]string{"mocha": "10.8.2"},
	"optionalDependencies": map[string]string{"esbuild": "0.24.0"},
}

// npmEnvironment is what npm of this machine reads of its environment.
func npmEnvironment() (env []string) {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if name == "HOME" || strings.HasPrefix(strings.ToLower(name), "npm_config_") {
			env = append(env, pair)
		}
	}
	return env
}

// listTree describes every file below dir: mode, path, and what it holds or leads to.
func listTree(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel == ".package-lock.json" { // npm's own note of what it installed
			return nil
		}
		if e.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			lines = append(lines, rel+" -> "+target)
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		lines = append(lines, fmt.Sprintf("%s %v %x", rel, info.Mode(), sha256.Sum256(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func difference(a, b []string) (only []string) {
	has := make(map[string]bool)
	for _, line := range b {
		has[line] = true
	}
	for _, line := range a {
		if !has[line] && len(only) < 10 {
			only = append(only, line)
		}
	}
	return only
}

// TestCIMakesTheTreeOfNPM: es ci makes of npm's lockfile, file by file and mode by mode,
// what npm ci makes of it; again without a network; and npm finds nothing missing.
func TestCIMakesTheTreeOfNPM(t *testing.T) {
	program := built(t, buildES)
	// HOME and npm's own variables say which registry is asked, for npm and for es.
	home := append(npmEnvironment(), "ES_HOME="+filepath.Join(t.TempDir(), "home"))
	theirs, ours := t.TempDir(), t.TempDir()
	b, err := json.Marshal(ciProject)
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(theirs, "package.json"), b)
	quiet := []string{"--ignore-scripts", "--no-audit", "--no-fund"}
	npm(t, theirs, append([]string{"install", "--package-lock-only"}, quiet...)...)
	lock, err := os.ReadFile(filepath.Join(theirs, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(ours, "package.json"), b)
	put(filepath.Join(ours, "package-lock.json"), lock)

	for _, flags := range [][]string{nil, {"--omit=dev"}, {"--omit=dev", "--omit=optional"}} {
		npm(t, theirs, slices.Concat([]string{"ci"}, quiet, flags)...)
		args := append([]string{"ci"}, flags...)
		if flags != nil {
			args = append(args, "--offline") // what is needed came with the first
		}
		t.Logf("es %s: %s", strings.Join(args, " "), must(t, ours, home, program, args...))
		want, got := listTree(t, filepath.Join(theirs, "node_modules")), listTree(t, filepath.Join(ours, "node_modules"))
		if len(want) < 1000 {
			t.Fatalf("npm ci made %d files", len(want))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: only npm has %q, only es has %q", flags, difference(want, got), difference(got, want))
		}
	}
	must(t, ours, home, program, "ci", "--offline")
	if after, err := os.ReadFile(filepath.Join(ours, "package-lock.json")); err != nil || string(after) != string(lock) {
		t.Errorf("the lockfile was changed, %v", err)
	}
	npm(t, theirs, append([]string{"ci"}, quiet...)...)
	if theirs, ours := npm(t, theirs, "ls", "--all"), npm(t, ours, "ls", "--all"); strings.Count(theirs, "\n") != strings.Count(ours, "\n") {
		t.Errorf("npm ls says\n%s\nof ours, and of its own\n%s", ours, theirs)
	}
	must(t, ours, nil, "node", "-e", `
		for (const name of ["JSONStream", "mime", "express", "short", "iconv-lite", "mocha", "hanzi-writer-data/一"]) require(name)`)
}
