package main

import (
	"os"
	"strings"
	"testing"
)

// SPEC I290: what is locked is installed by its CIDs, also when the user denies the key
// that signed it, and the user is told.
func TestADeniedSignerOfALockedPackageIsTold(t *testing.T) {
	d := newDesk(t)
	must := func(args ...string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, code := d.es(args...)
		if code != 0 {
			t.Fatalf("es %q ends with %d: %s", args, code, stderr)
		}
		return stdout, stderr
	}
	fpr, _ := must("key", "new", "--name", "Ada", "--no-passphrase")
	fpr = strings.TrimSpace(fpr)
	for name, text := range map[string]string{"lib/package.json": `{"name": "lib", "version": "1.0.0"}`, "lib/index.js": "1", "app/package.json": "{}"} {
		if err := os.MkdirAll(strings.Split(name, "/")[0], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	must("--offline", "publish", "lib")
	t.Chdir("app")
	must("--offline", "add", "lib")
	must("trust", "deny", fpr)
	for _, args := range [][]string{{"--offline", "install", "--frozen"}, {"--offline", "install"}} {
		if err := os.RemoveAll("node_modules"); err != nil {
			t.Fatal(err)
		}
		_, stderr := must(args...)
		if !strings.Contains(stderr, "lib@1.0.0") || !strings.Contains(stderr, "deny") {
			t.Errorf("es %q says %q, and not that the signer is denied", args, stderr)
		}
		if _, err := os.Stat("node_modules/lib/index.js"); err != nil {
			t.Error(err)
		}
	}
}
