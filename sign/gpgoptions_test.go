package sign

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

func TestKeptLines(t *testing.T) {
	got := keptLines([]byte("# comment\nlocal-user X\n--pinentry-mode loopback\n  passphrase-file \"/a b/c\"\narmor\nkeyring=~/k.kbx\nset-notation a@b=c\nno-autostart\nkeyringx y\nagent-program\t/usr/bin/agent\n"))
	want := []string{"--pinentry-mode", "loopback", "--passphrase-file", "/a b/c", "--keyring", "~/k.kbx", "--no-autostart", "--agent-program", "/usr/bin/agent"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What users write into gpg.conf for their mails and commits changes nothing
// of what es has gpg do.
func TestGPGConf(t *testing.T) {
	home, err := os.MkdirTemp("", "g") // the agent's socket needs a short path
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Fatalf("this test needs gpg: %v", err)
	}
	defer os.RemoveAll(home)
	defer exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte("pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	made := exec.CommandContext(t.Context(), "gpg", "--homedir", home, "--batch", "-q", "--pinentry-mode", "loopback", "--passphrase-file", secret,
		"--quick-generate-key", "C <c@example.org>", "ed25519", "sign", "0")
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loopback := "batch\npinentry-mode loopback\npassphrase-file " + secret + "\n"
	for _, line := range []string{
		"sig-policy-url https://example.org/policy\nset-notation note@example.org=1\nsig-keyserver-url hkps://example.org",
		"local-user somebody-else@example.org", "default-key somebody-else@example.org", "digest-algo SHA512", "faked-system-time 20200101T000000",
		"default-sig-expire 1y\nask-sig-expire", "comment hello\nemit-version\narmor\ntextmode", "output " + filepath.Join(home, "signed"),
		"no-such-option", "list-options show-uid-validity\nkeyid-format none\nwith-fingerprint", "export-options export-minimal", "status-fd 1\nlogger-fd 1\nverbose",
	} {
		if err := os.WriteFile(filepath.Join(home, "gpg.conf"), []byte(loopback+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := OpenGPG(t.Context(), GPG{Home: home}, "c@example.org")
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		r := &records.Record{Author: g.Key().Fingerprint(), Seq: 0, Time: time.Now().Unix(), Body: &records.Heartbeat{Next: time.Now().Add(time.Hour).Unix()}}
		if _, err := Sign(t.Context(), g, r); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "signed")); err == nil {
		t.Error("the signature went where gpg.conf says")
	}

	// Without the passphrase file there is nobody to ask.
	if err := os.WriteFile(filepath.Join(home, "gpg.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() // and the agent forgets
	g, err := OpenGPG(t.Context(), GPG{Home: home}, "c@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Sign(t.Context(), []byte("x"), "y", time.Now()); err == nil || !strings.Contains(err.Error(), ErrNoPinentry.Error()) {
		t.Errorf("without a terminal: %v", err)
	}
}
