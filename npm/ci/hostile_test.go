package ci

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A symbolic link that came with the project leads no installation out of it: the
// node_modules there, which would be replaced, are somebody else's.
func TestWorkspaceBehindLink(t *testing.T) {
	w := newWorld(t)
	w.put("node_modules/a", "")
	w.put("packages/w/node_modules/x", "")
	outside := t.TempDir()
	kept := filepath.Join(outside, "w", "node_modules", "kept")
	if err := errors.Join(os.MkdirAll(kept, 0o755), os.Symlink(outside, filepath.Join(w.project, "packages"))); err != nil {
		t.Fatal(err)
	}
	_, err := w.install(w.store)
	if err == nil || !strings.Contains(err.Error(), `the workspace "packages/w": `) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(w.project, "node_modules")); err == nil {
		t.Error("half of it is installed")
	}
}

// What cannot be installed is told before anything is replaced.
func TestWorkspaceThatIsMissing(t *testing.T) {
	w := newWorld(t)
	w.put("node_modules/a", "")
	w.put("packages/w/node_modules/x", "")
	old := filepath.Join(w.project, "node_modules", "old")
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := w.install(w.store)
	if err == nil || !strings.Contains(err.Error(), `the workspace "packages/w" is not there`) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Error(err)
	}
}

// A file of a package stands where another package is to stand.
func TestPackageOverFiles(t *testing.T) {
	w := newWorld(t)
	w.put("node_modules/a", "", "node_modules/b/package.json")
	w.put("node_modules/a/node_modules/b", "")
	_, err := w.install(w.store)
	if err == nil || !strings.Contains(err.Error(), "two packages have a file in node_modules/a/node_modules/b: ") {
		t.Errorf("error %v", err)
	}
}

// An installation from another home leaves alone what this one is making.
func TestLeftoversOfTheLiving(t *testing.T) {
	w := newWorld(t)
	w.put("node_modules/a", "")
	living, dead := filepath.Join(w.project, tempPrefix+"LIVING"), filepath.Join(w.project, tempPrefix+"DEAD")
	if err := errors.Join(os.Mkdir(living, 0o755), os.Mkdir(dead, 0o755)); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(w.project, tempPrefix+"LINK")); err != nil {
		t.Fatal(err)
	}
	unlock, free, err := lockTemp(living)
	if err != nil || !free {
		t.Fatal(free, err)
	}
	if _, err := w.install(w.store); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(living); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("a leftover stays")
	}
	if found, err := os.ReadDir(elsewhere); err != nil || len(found) > 0 {
		t.Errorf("behind the link: %v, %v", found, err)
	}
	unlock()
	if _, err := w.install(w.store); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(living); err == nil {
		t.Error("what was living stays when it is dead")
	}
}
