package managers

import (
	"os"
	"path/filepath"
	"testing"
)

// SPEC I134. A lockfile of which the names alone are read names what stands in it by itself.
func TestNamesInALockfile(t *testing.T) {
	const text = "lodash.merge@^4.6.2:\n  version \"4.6.2\"\n\"@types/node@*\":\nleft-pad@1: x/react@2\n  chalk: 5.0.0\n"
	for name, want := range map[string]bool{
		"lodash.merge": true, "lodash": false, "merge": false, "@types/node": true, "node": false, "types": false, "left-pad": true, "pad": false,
		"react": true, "chalk": true, "x": false, "nothing": false,
	} {
		if got := hasName(text, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// SPEC I134. Each file is told of by its name, and lockfiles come before fields.
func TestClaims(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"package.json":      `{"dependencies": {"a": "1", "b": "1"}, "peerDependencies": {"p": "*"}}`,
		"package-lock.json": `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/a": {}, "node_modules/a/node_modules/deep": {}}}`,
		"yarn.lock":         "y@1:\n",
		"bun.lock":          "[",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f := Find(root)
	for at, want := range map[string]string{
		"node_modules/a": "package-lock.json", "node_modules/a/node_modules/deep": "package-lock.json", "node_modules/deep": "",
		"node_modules/b": "dependencies of package.json", "node_modules/x/node_modules/b": "", "node_modules/p": "peerDependencies of package.json",
		"node_modules/y": "yarn.lock", "node_modules/x/node_modules/y": "", "node_modules/z": "",
	} {
		if got := f.Claim(at); got != want {
			t.Errorf("%s is claimed by %q, want %q", at, got, want)
		}
	}
	if !f.Has("npm") || !f.Has("yarn") || !f.Has("bun") || f.Has("pnpm") || HasHook(root) {
		t.Errorf("found %v", f.Names())
	}
}
