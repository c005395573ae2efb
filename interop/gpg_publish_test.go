package interop

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGPGKeysPublish publishes with keys that gpg holds, installs elsewhere, and
// has a gpg that knows nothing of es check what es exports.
func TestGPGKeysPublish(t *testing.T) {
	for _, c := range []struct {
		name, algo, subkey string
	}{
		{"rsa4096", "rsa4096", ""},
		{"ed25519-subkey", "ed25519", "ed25519"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := gpgHome(t)
			usage := "cert,sign"
			if c.subkey != "" {
				usage = "cert"
			}
			fingerprint := gpgKey(t, g, nil, c.algo, usage, "2y")
			if c.subkey != "" {
				gpg(t, g, "--passphrase", "", "--pinentry-mode", "loopback", "--quick-add-key", fingerprint, c.subkey, "sign", "1y")
			}
			author, reader := newUser(t), newUser(t)
			author.gnupg = g.Home
			author.es("", "key", "use", "gpg:"+fingerprint)
			author.es("", "connect", reader.node("--seed", "all").addrs[0])

			source := t.TempDir()
			name := "signed-by-" + c.name
			write(t, filepath.Join(source, "package.json"), `{"name":"`+name+`","version":"1.0.0"}`)
			release := author.publish(source)

			reader.es("", "trust", "add", fingerprint, name, "--yes")
			eventually(t, 10*time.Second, name+" in es search", func() bool {
				hits := reader.search(name)
				return slices.ContainsFunc(hits, func(h hit) bool { return h.Record == release.Record && h.Author == fingerprint && h.Trusted })
			})
			project := reader.project()
			reader.es(project, "add", name, "--yes")
			if diff := differences(readTree(t, filepath.Join(project, "node_modules", name)), readTree(t, source)); diff != "" {
				t.Error(diff)
			}

			out := t.TempDir()
			reader.es("", "export", name+"@1.0.0", "--out", out)
			stock := gpgHome(t)
			gpg(t, stock, "--import", filepath.Join(out, "key.asc"))
			said := gpg(t, stock, "--verify", filepath.Join(out, "record.sig"), filepath.Join(out, "record.cbor"))
			if !strings.Contains(said, "[GNUPG:] GOODSIG ") || !strings.Contains(said, "Good signature from") {
				t.Errorf("gpg --verify:\n%s", said)
			}
		})
	}
}

// TestExpiredGPGKeyDoesNotPublish: nothing is signed, stored or announced.
func TestExpiredGPGKeyDoesNotPublish(t *testing.T) {
	g := gpgHome(t)
	fingerprint := gpgKey(t, g, []string{"--faked-system-time", "20240101T000000"}, "ed25519", "cert,sign", "30d")
	author := newUser(t)
	author.gnupg = g.Home
	author.try("", "key", "use", "gpg:"+fingerprint)
	source := t.TempDir()
	write(t, filepath.Join(source, "package.json"), `{"name":"late","version":"1.0.0"}`)
	r := author.try("", "--offline", "publish", source)
	if r.code != 1 || !strings.Contains(r.stderr, "expired") || !strings.Contains(r.stderr, "hint: ") {
		t.Error(r)
	}
	if r := author.try("", "info", "late"); r.code != 5 {
		t.Error(r)
	}
}
