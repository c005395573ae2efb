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
