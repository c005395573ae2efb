package sign

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// gpgVectors makes the vectors that need a real gpg. They are committed, so that
// testing needs none.
func gpgVectors(t *testing.T) []vector {
	var list []vector
	for _, algo := range []string{"ed25519", "rsa3072", "rsa4096", "nistp256"} {
		g := testGPG(t)
		f := g.generate(algo, "cert,sign")
		list = append(list, g.signed("gpg-"+algo, f))
		if algo == "ed25519" {
			g.run("--quick-add-key", f, "ed25519", "sign", "0")
			list = append(list, g.signed("gpg-ed25519-subkey", f), g.raw(f))
		}
	}
	return list
}

// gpgKeyVectors are whole keys as gpg exports them.
func gpgKeyVectors(t *testing.T) []vector {
	g := testGPG(t)
	f := g.generate("ed25519", "cert,sign")
	g.run("--quick-add-key", f, "cv25519", "encr", "1y")
	g.run("--quick-add-key", f, "ed25519", "sign", "1y")
	g.run("--quick-add-uid", f, "Second Name <second@example.com>")
	g.run("--quick-set-expire", f, "3y")
	export := g.run("--export", f)
	k, err := ReadKey([]byte(export))
	if err != nil {
		t.Fatal(err)
	}
	return []vector{{"gpg-export", "ok", "S47", "an export of gpg, with two user ids, an encryption subkey and a renewal",
		map[string][]byte{"export.hex": []byte(export), "merged.hex": k.Block()}}}
}

type gpgForTests struct {
	GPG
	t *testing.T
}

func testGPG(t *testing.T) gpgForTests {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "es-gpg") // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run(); err != nil {
			t.Error(err)
		}
		os.RemoveAll(home)
	})
	return gpgForTests{GPG{Home: home}, t}
}

func (g gpgForTests) run(args ...string) string {
	g.t.Helper()
	all := append([]string{"--homedir", g.Home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)
	out, err := exec.Command("gpg", all...).Output()
	if err != nil {
		g.t.Fatalf("gpg %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func (g gpgForTests) generate(algo, usage string) string {
	g.t.Helper()
	g.run("--quick-gen-key", "Gpg User <gpg@example.com>", algo, usage, "never")
	for line := range strings.Lines(g.run("--with-colons", "-K")) {
		if p := strings.Split(line, ":"); p[0] == "fpr" {
			return p[9]
		}
	}
	g.t.Fatal("gpg made no key")
	return ""
}

func (g gpgForTests) open(f string) (*GPGKey, *records.Record) {
	g.t.Helper()
	k, err := OpenGPG(g.t.Context(), g.GPG, f)
	if err != nil {
		g.t.Fatal(err)
	}
	now := time.Now().Unix()
	return k, &records.Record{Author: k.Key().Fingerprint(), Time: now, Body: &records.Heartbeat{Next: now + 86400}}
}

func (g gpgForTests) signed(name, f string) vector {
	g.t.Helper()
	k, r := g.open(f)
	v, err := Sign(g.t.Context(), k, r)
	if err != nil {
		g.t.Fatal(err)
	}
	return describe(g.t, vector{name, "ok", "S16", "signed by gpg 2.2 and put into canonical form",
		map[string][]byte{"envelope.cbor.hex": v.Envelope(), "key.hex": k.Key().Block()}})
}

// raw is what gpg writes before it is put into canonical form.
func (g gpgForTests) raw(f string) vector {
	g.t.Helper()
	k, r := g.open(f)
	b, err := records.Encode(r)
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := g.GPG.run(g.t.Context(), b, "--batch", "--set-notation", ContextNotation+"="+records.Context(r.Body), "--local-user", f, "--detach-sign")
	if err != nil {
		g.t.Fatal(err)
	}
	return describe(g.t, vector{"gpg-raw", "signature-error", "S2", "as gpg 2.2 writes it",
		map[string][]byte{"envelope.cbor.hex": join(g.t, b, out.stdout), "key.hex": k.Key().Block()}})
}
