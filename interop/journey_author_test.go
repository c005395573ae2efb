package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gpgUser makes somebody's key in gpg, in its own home directory, with a passphrase;
// its agent ends with the test.
func gpgUser(t *testing.T, u *user) {
	t.Helper()
	home := filepath.Join(filepath.Dir(u.home), ".gnupg")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("gpgconf --kill: %v\n%s", err, out)
		}
	})
	u.shell(filepath.Dir(u.home), "gpg --batch --pinentry-mode loopback --passphrase geheim --quick-gen-key 'Ada <ada@example.org>' ed25519 cert,sign 2y").ends(t, 0)
}

// TestJourneyAuthor publishes a package with a build step and a key that gpg holds,
// where no terminal is, under tags; takes back what it can; and goes on after its home
// was lost. Readers get each version once, by whoever keeps them.
func TestJourneyAuthor(t *testing.T) {
	net := newInternet(t)
	there := newcomer(t, net.host("mirror")).daemon("--seed", "all")
	ada := newcomer(t, net.host("ada"))
	gpgUser(t, ada)
	pkg := filepath.Join(filepath.Dir(ada.home), "greet")
	write(t, filepath.Join(pkg, "package.json"), `{"name":"greet","version":"1.0.0","main":"dist/index.js","types":"dist/index.d.ts","files":["dist"],
"scripts":{"build":"mkdir -p dist && cp src/* dist/","prepack":"npm run build"}}`)
	write(t, filepath.Join(pkg, "src/index.js"), "module.exports = () => 'hello'\n")
	write(t, filepath.Join(pkg, "src/index.d.ts"), "export default function(): string\n")
	types := func(code int, line string, texts ...string) result {
		t.Helper()
		r := ada.shell(pkg, line)
		r.ends(t, code, texts...)
		return r
	}
	version := func(v string) {
		t.Helper()
		types(0, "npm version --no-git-tag-version "+v)
	}
	connect := "es connect " + there.addrs[0]

	types(1, "es publish", "no key to sign with", "es key new", "es key use gpg:KEYID")
	types(0, "es key use gpg:ada@example.org", "signed by Ada <ada@example.org>")
	types(0, connect, "connected to es/")
	types(1, "es publish", "NOT READY: greet@1.0.0", `main   "dist/index.js" is not in the module`, `"dist/index.d.ts"`, "npm run prepack", "es publish --yes")
	types(1, "es publish --dry-run", "NOT READY", "nothing was signed or stored")
	types(0, "npm run prepack")
	types(0, "es publish --dry-run", "dist/index.js", "nothing was signed or stored")
	types(1, "es publish", "gpg has no terminal to ask for the passphrase", "put pinentry-mode loopback and passphrase-file FILE into gpg.conf")
	secret := filepath.Join(filepath.Dir(ada.home), "secret")
	write(t, secret, "geheim\n")
	write(t, filepath.Join(filepath.Dir(ada.home), ".gnupg", "gpg.conf"), "pinentry-mode loopback\npassphrase-file "+secret+"\n")
	types(0, "es publish", "greet@1.0.0", "announced to 1 peer", "files at 1 peer")

	version("1.1.0-rc.1")
	types(1, "es publish", "NEEDS TAG: greet@1.1.0-rc.1", "es publish --tag next")
	types(0, "es publish --tag next", "tag     next")
	types(0, "es info greet", "tag latest is 1.0.0", "tag next is 1.1.0-rc.1")
	version("1.1.0")
	types(0, "es publish", "greet@1.1.0", "tag     latest")
	types(0, "es yank greet@1.0.0 'breaks on Tuesdays'", "about 1 version of greet: 1.0.0")
	types(0, "es deprecate greet@1.1.0-rc.1 'use 1.1.0'", "about 1 version of greet: 1.1.0-rc.1")

	// The home is lost. The key is not, and the mirror has its log.
	types(0, "rm -r ~/.es && es key use gpg:ada@example.org && echo '// changed' >> dist/index.js")
	types(6, "es publish", "UNKNOWN LOG", "es connect ADDR", "Nothing was signed or published")
	types(0, connect)
	types(1, "es publish", "ALREADY PUBLISHED: greet@1.1.0", "raise the version")
	version("1.2.0")
	types(0, "es publish", "greet@1.2.0", "tag     latest")
	types(0, "es info greet", "yanked 1.0.0: breaks on Tuesdays")

	reader := newcomer(t, net.host("reader"))
	project := reader.project()
	reads := func(code int, line string, texts ...string) {
		t.Helper()
		r := reader.shell(project, line)
		r.ends(t, code, texts...)
		if strings.Contains(strings.ToUpper(r.String()), "FROZEN") {
			t.Errorf("a version is frozen: %v", r)
		}
	}
	reads(0, connect)
	reads(0, "es trust add "+keyOf(ada)+" greet --yes")
	reads(0, "es add greet --yes", "+  greet@1.2.0")
	reads(0, `node -e 'if (require("greet")() !== "hello") process.exit(1)'`)
	reads(0, "es add greet@next --yes", "greet@1.1.0-rc.1", "use 1.1.0")
	reads(0, "es add greet@1.0.0 --yes", "greet@1.0.0", "breaks on Tuesdays")
	reads(0, "es info greet", "greet@1.2.0", "greet@1.1.0 ", "tag latest is 1.2.0", "tag next is 1.1.0-rc.1", "yanked 1.0.0: breaks on Tuesdays", "deprecated 1.1.0-rc.1: use 1.1.0")
	reads(0, "es verify")
}
