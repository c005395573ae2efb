package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withNPM is how npm behaves where there is no network.
const withNPM = "export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false; "

// packed makes a tarball of a package with npm, for npm to install.
func (u *user) packed(name, version string) string {
	u.t.Helper()
	dir := u.t.TempDir()
	write(u.t, filepath.Join(dir, "package.json"), `{"name":"`+name+`","version":"`+version+`","main":"index.js"}`)
	write(u.t, filepath.Join(dir, "index.js"), "module.exports = '"+name+" from npm'\n")
	u.shell(dir, withNPM+"npm pack --silent").ends(u.t, 0)
	return filepath.Join(dir, name+"-"+version+".tgz")
}

// packages lists what stands in node_modules.
func packages(t *testing.T, project string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(project, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

// TestJourneyReaderBesideNPM adds a package of es to a project that npm made: npm
// removes it as es says, puts it back with the hook that es names, and keeps what is
// its own through all that es does.
func TestJourneyReaderBesideNPM(t *testing.T) {
	net := newInternet(t)
	ada, reader := newcomer(t, net.host("ada")), newcomer(t, net.host("reader"))
	ada.shell(t.TempDir(), "es key new --name Ada --no-passphrase").ends(t, 0)
	there := ada.daemon()
	for _, name := range []string{"left-pad", "ms"} {
		ada.es(small(t, name), "publish")
	}

	project := t.TempDir()
	types := func(code int, line string, texts ...string) {
		t.Helper()
		reader.shell(project, withNPM+line).ends(t, code, texts...)
	}
	holds := func(want string) {
		t.Helper()
		if got := packages(t, project); got != want {
			t.Errorf("node_modules holds %q, want %q", got, want)
		}
	}
	types(0, "npm init -y && npm install "+reader.packed("ms", "2.1.3")+" && npm install -D "+reader.packed("ava", "1.0.0"))
	npms := readTree(t, filepath.Join(project, "node_modules", "ms"))

	types(5, "es add left-pad", "no release of left-pad is known here", "es connect ADDR")
	types(0, "es connect "+there.addrs[0])
	types(3, "es add left-pad", "UNKNOWN KEY", "es trust add ")
	types(0, "es trust add "+keyOf(ada)+" left-pad ms --yes", "es add left-pad --accept-key")
	types(0, "es add left-pad --yes", "+  left-pad@1.0.0", "npm removes what es puts into node_modules", `"scripts": {"dependencies": "es install --frozen"}`)
	holds("ava left-pad ms")

	// What es says of npm is so, and what es does about it.
	types(0, "npm install", "removed 1 package")
	holds("ava ms")
	types(1, "es list", "not installed", "hint: es install")
	types(0, "es install --frozen", "=  left-pad@1.0.0")
	holds("ava left-pad ms")

	types(0, `npm pkg set "scripts.dependencies=es install --frozen"`)
	for _, c := range []struct{ line, want string }{
		{"npm install", "ava left-pad ms"},
		{"npm ci", "ava left-pad ms"},
		{"npm prune", "ava left-pad ms"},
		{"rm -rf node_modules && npm install", "ava left-pad ms"},
		{"npm uninstall ava", "left-pad ms"},
	} {
		types(0, c.line)
		holds(c.want)
	}
	types(0, "es verify")

	// What npm put there stays what it is.
	types(1, "es add ms --yes", "node_modules/.package-lock.json asks for it", "npm uninstall NAME", "--force")
	types(5, "es remove ms")
	types(0, "es remove left-pad", "-  left-pad@1.0.0")
	holds("ms")
	types(0, "npm ls && npm ci && npm ls")
	holds("ms")
	if diff := differences(readTree(t, filepath.Join(project, "node_modules", "ms")), npms); diff != "" {
		t.Error(diff)
	}
	manifest := readManifest(t, project)
	if len(manifest.Dependencies) != 1 || !strings.HasSuffix(manifest.Dependencies["ms"], "ms-2.1.3.tgz") {
		t.Errorf("npm's dependencies became %v", manifest.Dependencies)
	}
}

// keyOf returns the fingerprint of a user's only key.
func keyOf(u *user) string {
	u.t.Helper()
	var keys []struct{ Fingerprint string }
	u.json(&keys, "", "key", "list")
	if len(keys) != 1 {
		u.t.Fatalf("key list: %+v, want one key", keys)
	}
	return keys[0].Fingerprint
}
