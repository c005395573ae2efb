package interop

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// gpgHome makes an empty GNUPGHOME. Its path is short because the agent's socket
// must fit in 108 bytes.
func gpgHome(t *testing.T) sign.GPG {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "es-gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("gpgconf --kill: %v\n%s", err, out)
		}
		os.RemoveAll(home)
	})
	return sign.GPG{Home: home}
}

// gpg runs the program and returns its output and status lines together.
func gpg(t *testing.T, g sign.GPG, args ...string) string {
	t.Helper()
	all := append([]string{"--homedir", g.Home, "--batch", "--yes", "--status-fd", "1"}, args...)
	out, err := exec.Command("gpg", all...).CombinedOutput()
	if err != nil {
		t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// gpgKey makes a key without passphrase and returns its fingerprint.
func gpgKey(t *testing.T, g sign.GPG, extra []string, algo, usage, expire string) string {
	t.Helper()
	args := append([]string{"--passphrase", "", "--pinentry-mode", "loopback"}, extra...)
	return created(t, gpg(t, g, append(args, "--quick-gen-key", "Gpg User <gpg@example.com>", algo, usage, expire)...))
}

func created(t *testing.T, status string) string {
	t.Helper()
	for line := range strings.Lines(status) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "KEY_CREATED" {
			return f[3]
		}
	}
	t.Fatalf("gpg made no key:\n%s", status)
	return ""
}

func newHeartbeat(author records.Fingerprint) *records.Record {
	now := time.Now().Unix()
	return &records.Record{Author: author, Time: now, Body: &records.Heartbeat{Next: now + 86400}}
}

// writeSigned writes what `es export` does and returns the two paths.
func writeSigned(t *testing.T, v sign.Verified) (record, signature string) {
	t.Helper()
	dir := t.TempDir()
	record, signature = filepath.Join(dir, "record.cbor"), filepath.Join(dir, "record.sig")
	if err := errors.Join(os.WriteFile(record, v.RecordBytes(), 0o644), os.WriteFile(signature, v.Signature(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return record, signature
}

func verifyWithGPG(t *testing.T, g sign.GPG, v sign.Verified) {
	t.Helper()
	record, signature := writeSigned(t, v)
	out := gpg(t, g, "--verify", signature, record)
	if !strings.Contains(out, "Good signature") || !strings.Contains(out, "[GNUPG:] VALIDSIG "+v.SigningKey().String()) {
		t.Errorf("gpg --verify:\n%s", out)
	}
}

func TestGPGVerifiesOwnKey(t *testing.T) {
	g := gpgHome(t)
	s, err := sign.NewSecretKey("Ada Example", "ada@example.com", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(public, s.Key().Armor(), 0o644); err != nil {
		t.Fatal(err)
	}
	gpg(t, g, "--import", public)
	v, err := sign.Sign(t.Context(), s, newHeartbeat(s.Key().Fingerprint()))
	if err != nil {
		t.Fatal(err)
	}
	verifyWithGPG(t, g, v)

	// A key without passphrase moves to gpg whole.
	file, err := s.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret.asc")
	if err := os.WriteFile(secret, file, 0o600); err != nil {
		t.Fatal(err)
	}
	gpg(t, g, "--import", secret)
	moved, err := sign.OpenGPG(t.Context(), g, s.Key().Fingerprint().String())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(moved.Key().Block(), s.Key().Block()) {
		t.Error("gpg returns another key block than it was given")
	}
	if _, err := sign.Sign(t.Context(), moved, newHeartbeat(s.Key().Fingerprint())); err != nil {
		t.Error(err)
	}
}

func TestOpenAcceptsGPG(t *testing.T) {
	for _, algo := range []string{"ed25519", "rsa3072", "rsa4096", "nistp256"} {
		t.Run(algo, func(t *testing.T) {
			g := gpgHome(t)
			f := gpgKey(t, g, nil, algo, "cert,sign", "never")
			s, err := sign.OpenGPG(t.Context(), g, f)
			if err != nil {
				t.Fatal(err)
			}
			for range 8 { // P-256: half of gpg's signatures need their s lowered
				v, err := sign.Sign(t.Context(), s, newHeartbeat(s.Key().Fingerprint()))
				if err != nil {
					t.Fatal(err)
				}
				if v.SigningKey().String() != f {
					t.Errorf("signed by %s, want %s", v.SigningKey(), f)
				}
				verifyWithGPG(t, g, v)
			}
			again, err := sign.ParseKey(s.Key().Block())
			if err != nil || !bytes.Equal(again.Block(), s.Key().Block()) {
				t.Errorf("key block does not survive: %v", err)
			}
		})
	}
}

// gpg signs with the newest signing subkey, and so does es.
func TestGPGSigningSubkey(t *testing.T) {
	g := gpgHome(t)
	f := gpgKey(t, g, nil, "ed25519", "cert", "never")
	if _, err := openAndSign(t, g, f); !isKeyProblem(err, sign.NotForSigning) {
		t.Errorf("signing with a certify-only key: %v", err)
	}
	gpg(t, g, "--passphrase", "", "--quick-add-key", f, "ed25519", "sign", "1y")
	v, err := openAndSign(t, g, f)
	if err != nil {
		t.Fatal(err)
	}
	if v.SigningKey().String() == f || v.Record().Author.String() != f {
		t.Errorf("author %s signed by %s", v.Record().Author, v.SigningKey())
	}
	verifyWithGPG(t, g, v)

	gpg(t, g, "--passphrase", "", "--quick-add-key", f, "rsa4096", "encr", "1y")
	exported, err := sign.GPGPublicKey(t.Context(), g, f)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(exported.Block()); n > 800 {
		t.Errorf("key block has %d bytes, the encryption subkey is not dropped", n)
	}
	if err := v.Check(exported); err != nil {
		t.Error(err)
	}
}

func openAndSign(t *testing.T, g sign.GPG, keyID string) (sign.Verified, error) {
	t.Helper()
	s, err := sign.OpenGPG(t.Context(), g, keyID)
	if err != nil {
		t.Fatal(err)
	}
	return sign.Sign(t.Context(), s, newHeartbeat(s.Key().Fingerprint()))
}

func isKeyProblem(err error, p sign.Problem) bool {
	var ke *sign.KeyError
	return errors.As(err, &ke) && ke.Problem == p
}

func TestExpiredGPGKeyCannotSign(t *testing.T) {
	g := gpgHome(t)
	old := []string{"--faked-system-time", "20240101T000000"}
	f := gpgKey(t, g, old, "ed25519", "cert,sign", "30d")
	_, err := openAndSign(t, g, f)
	if !isKeyProblem(err, sign.Expired) || !strings.Contains(err.Error(), "gpg --quick-set-expire "+f) {
		t.Errorf("signing with an expired key: %v", err)
	}
	// Doing what the error says makes it work.
	gpg(t, g, "--passphrase", "", "--quick-set-expire", f, "2y")
	if _, err := openAndSign(t, g, f); err != nil {
		t.Error(err)
	}
}

func TestRevokedGPGKeyCannotSign(t *testing.T) {
	g := gpgHome(t)
	f := gpgKey(t, g, nil, "ed25519", "cert,sign", "never")
	v, err := openAndSign(t, g, f)
	if err != nil {
		t.Fatal(err)
	}
	// gpg writes a revocation for later, with a colon that keeps it from
	// being imported by mistake.
	file := filepath.Join(g.Home, "openpgp-revocs.d", f+".rev")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte("\n:-----BEGIN"), []byte("\n-----BEGIN"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	gpg(t, g, "--import", file)
	if _, err := openAndSign(t, g, f); !isKeyProblem(err, sign.Revoked) {
		t.Errorf("signing with a revoked key: %v", err)
	}
	revoked, err := sign.GPGPublicKey(t.Context(), g, f)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := revoked.Revocation(); !ok || !r.Hard {
		t.Errorf("revocation is %+v, %t", r, ok)
	}
	if err := v.Check(revoked); !isKeyProblem(err, sign.Revoked) {
		t.Errorf("record by a key revoked without reason: %v", err)
	}
}

func TestGPGPassphrase(t *testing.T) {
	g := gpgHome(t)
	out := gpg(t, g, "--passphrase", "secret words", "--pinentry-mode", "loopback",
		"--quick-gen-key", "Gpg User <gpg@example.com>", "ed25519", "cert,sign", "never")
	f := created(t, out)

	for _, c := range []struct{ name, answer, want string }{
		{"cancelled", "ERR 83886179 Operation cancelled <Pinentry>", "cancelled"},
		{"wrong", "D wrong\nOK", "bad passphrase"},
		{"right", "D secret words\nOK", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			usePinentry(t, g, c.answer)
			_, err := openAndSign(t, g, f)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// usePinentry makes the agent ask a program that always gives one answer.
func usePinentry(t *testing.T, g sign.GPG, answer string) {
	t.Helper()
	answers := filepath.Join(g.Home, "answer")
	program := filepath.Join(g.Home, "pinentry")
	script := "#!/bin/sh\necho 'OK ready'\nwhile read -r line; do\n" +
		"case $line in GETPIN*) cat '" + answers + "';; BYE*) echo OK; exit;; *) echo OK;; esac\ndone\n"
	err := errors.Join(
		os.WriteFile(answers, []byte(answer+"\n"), 0o600),
		os.WriteFile(program, []byte(script), 0o700),
		os.WriteFile(filepath.Join(g.Home, "gpg-agent.conf"), []byte("pinentry-program "+program+"\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	// The agent must forget what it cached and read its configuration.
	if out, err := exec.Command("gpgconf", "--homedir", g.Home, "--kill", "gpg-agent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestGPGPresetPassphrase(t *testing.T) {
	g := gpgHome(t)
	if err := os.WriteFile(filepath.Join(g.Home, "gpg-agent.conf"), []byte("allow-preset-passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := gpg(t, g, "--passphrase", "secret words", "--pinentry-mode", "loopback",
		"--quick-gen-key", "Gpg User <gpg@example.com>", "ed25519", "cert,sign", "never")
	f := created(t, out)
	grip := ""
	for line := range strings.Lines(gpg(t, g, "--with-colons", "--with-keygrip", "-K", f)) {
		if p := strings.Split(line, ":"); p[0] == "grp" {
			grip = p[9]
		}
	}
	dir, err := exec.Command("gpgconf", "--list-dirs", "libexecdir").Output()
	if err != nil {
		t.Fatal(err)
	}
	preset := exec.Command(filepath.Join(strings.TrimSpace(string(dir)), "gpg-preset-passphrase"), "--preset", grip)
	preset.Env = append(os.Environ(), "GNUPGHOME="+g.Home)
	preset.Stdin = strings.NewReader("secret words")
	if out, err := preset.CombinedOutput(); err != nil {
		t.Fatalf("gpg-preset-passphrase: %v\n%s", err, out)
	}
	if _, err := openAndSign(t, g, f); err != nil {
		t.Error(err)
	}
}

func TestOpenGPGNamesNoKey(t *testing.T) {
	g := gpgHome(t)
	if _, err := sign.OpenGPG(t.Context(), g, "nobody@example.com"); err == nil {
		t.Error("found a key in an empty keyring")
	}
	a := gpgKey(t, g, nil, "ed25519", "cert,sign", "never")
	b := gpgKey(t, g, []string{"--allow-weak-key-signatures"}, "rsa3072", "cert,sign", "never")
	_, err := sign.OpenGPG(t.Context(), g, "gpg@example.com")
	if err == nil || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
		t.Errorf("ambiguous user id: %v", err)
	}
	if _, err := sign.OpenGPG(t.Context(), sign.GPG{Program: "/nonexistent/gpg"}, a); err == nil {
		t.Error("ran a program that does not exist")
	}
}
