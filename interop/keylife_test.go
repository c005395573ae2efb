package interop

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// What gpg asks for when it is to revoke: its menu has other numbers than the
// packets that it makes (RFC 9580 section 5.2.3.31).
const (
	gpgNoReason    = "0" // code 0
	gpgCompromised = "1" // code 2
	gpgSuperseded  = "2" // code 1
	gpgRetired     = "3" // code 3
)

const day = 24 * time.Hour

// ago makes gpg believe that it is earlier.
func ago(d time.Duration) []string {
	return []string{"--faked-system-time", time.Now().Add(-d).UTC().Format("20060102T150405")}
}

// gpgAnswers runs a program of gpg's that asks, and answers it; it returns what gpg
// wrote to standard output.
func gpgAnswers(t *testing.T, g sign.GPG, answers []string, args ...string) []byte {
	t.Helper()
	all := []string{"--homedir", g.Home, "--no-tty", "--yes", "--status-fd", "2", "--command-fd", "0", "--pinentry-mode", "loopback", "--passphrase", ""}
	cmd := exec.Command("gpg", append(all, args...)...)
	cmd.Stdin = strings.NewReader(strings.Join(answers, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// gpgQuietly runs gpg for a key without passphrase.
func gpgQuietly(t *testing.T, g sign.GPG, args ...string) string {
	t.Helper()
	return gpg(t, g, append([]string{"--passphrase", "", "--pinentry-mode", "loopback"}, args...)...)
}

// certificate makes a revocation certificate with gpg, as of some time ago.
func certificate(t *testing.T, g sign.GPG, key, reason string, since time.Duration) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "revoke.asc")
	b := gpgAnswers(t, g, []string{"y", reason, "said with gpg", "", "y"}, append(ago(since), "--armor", "--gen-revoke", key)...)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// revokeSubkey revokes the key's first subkey in gpg, as of some time ago.
func revokeSubkey(t *testing.T, g sign.GPG, key, reason string, since time.Duration) {
	t.Helper()
	gpgAnswers(t, g, []string{"key 1", "revkey", "y", reason, "said with gpg", "", "y", "save"}, append(ago(since), "--edit-key", key)...)
}

func subkeys(t *testing.T, g sign.GPG, key string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(gpg(t, g, "--with-colons", "--list-keys", key)) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			all = append(all, f[9])
		}
	}
	return all[1:]
}

// A life is that of one gpg key, whose author publishes a version with it, does
// something to the key, and publishes another.
type life struct {
	name  string
	key   func(l *living) // sets fpr
	then  func(l *living)
	again int       // exit code of publishing 2.0.0; nobody when it is not tried
	want  [2]string // what becomes of 1.0.0 and 2.0.0: trusted, unknown or backdated
}

const nobody = -1 // publishes

// living is a life that is being tested.
type living struct {
	*life
	t      *testing.T
	author *user
	gpg    sign.GPG
	fpr    string
}

func (l *living) module() string { return "life-" + l.name }

// verdict is what one node says about one version.
type verdict struct {
	State  string
	Hold   string
	Module string
	Claims []string // the effects of the author's, where the signature counts
	Add    int      // the exit code of es add
}

// primary makes a key that certifies and signs, created 90 days ago.
func primary(l *living) {
	l.fpr = gpgKey(l.t, l.gpg, ago(90*day), "ed25519", "cert,sign", "never")
}

// withSubkey makes a key that certifies alone, and a subkey that signs.
func withSubkey(l *living) {
	l.fpr = gpgKey(l.t, l.gpg, ago(90*day), "ed25519", "cert", "never")
	gpgQuietly(l.t, l.gpg, append(ago(90*day), "--quick-add-key", l.fpr, "ed25519", "sign", "never")...)
}

// revokedBy joins the key with a certificate by es key revoke.
func revokedBy(reason string, since time.Duration) func(*living) {
	return func(l *living) {
		l.author.es("", "key", "revoke", l.fpr, "--certificate", certificate(l.t, l.gpg, l.fpr, reason, since), "--yes")
	}
}

// replaced revokes the signing subkey and adds another.
func replaced(reason string, since time.Duration) func(*living) {
	return func(l *living) {
		revokeSubkey(l.t, l.gpg, l.fpr, reason, since)
		gpgQuietly(l.t, l.gpg, "--quick-add-key", l.fpr, "ed25519", "sign", "2y")
	}
}

// expired has the key end some days ago, which gpg said the day before.
func expired(since time.Duration) func(*living) {
	return func(l *living) {
		gpgQuietly(l.t, l.gpg, append(ago(since+day), "--quick-set-expire", l.fpr, "1d")...)
		l.author.es("", "key", "use", "gpg:"+l.fpr)
	}
}

// lives are the ways in which gpg ends keys; what must come of each is in SPEC.md
// section 6.3 and [T40].
func lives(ada, card *living) []*living {
	all := []struct {
		living *living
		life
	}{
		{ada, life{"untouched", primary, func(*living) {}, 0, [2]string{"trusted", "trusted"}}},
		// S21: no reason and a compromise take back all that the key signed.
		{ada, life{"revoked-0", primary, revokedBy(gpgNoReason, 0), 1, [2]string{"unknown", ""}}},
		{ada, life{"revoked-2-compromised", primary, revokedBy(gpgCompromised, 0), 1, [2]string{"unknown", ""}}},
		// S22: what was signed before counts.
		{ada, life{"revoked-1-superseded", primary, revokedBy(gpgSuperseded, 0), 1, [2]string{"trusted", ""}}},
		{ada, life{"revoked-3-retired", primary, revokedBy(gpgRetired, 0), 1, [2]string{"trusted", ""}}},
		{ada, life{"retired-before", primary, revokedBy(gpgRetired, 20*day), 1, [2]string{"unknown", ""}}},
		{ada, life{"secret-lost", primary, func(l *living) {
			// gpg wrote this certificate with the key; a colon keeps it from being imported by mistake.
			b, err := os.ReadFile(filepath.Join(l.gpg.Home, "openpgp-revocs.d", l.fpr+".rev"))
			file := filepath.Join(l.t.TempDir(), "lost.asc")
			if err == nil {
				err = os.WriteFile(file, bytes.Replace(b, []byte("\n:-----BEGIN"), []byte("\n-----BEGIN"), 1), 0o600)
			}
			if err != nil {
				l.t.Fatal(err)
			}
			gpg(l.t, l.gpg, "--delete-secret-keys", l.fpr)
			l.author.es("", "key", "revoke", l.fpr, "--certificate", file, "--yes")
		}, 1, [2]string{"unknown", ""}}},
		{ada, life{"revoked-in-gpg", primary, func(l *living) {
			gpg(l.t, l.gpg, "--import", certificate(l.t, l.gpg, l.fpr, gpgCompromised, 0))
			l.author.es("", "key", "use", "gpg:"+l.fpr)
		}, 1, [2]string{"unknown", ""}}},
		// S23: what was signed after the end does not count, until the key is renewed.
		{ada, life{"expired", primary, expired(20 * day), 1, [2]string{"unknown", ""}}},
		{ada, life{"backdated-expired", primary, func(l *living) {
			l.backdate(5 * day)
			expired(3 * day)(l)
		}, 1, [2]string{"trusted", ""}}},
		{ada, life{"renewed", primary, func(l *living) {
			expired(20 * day)(l)
			gpgQuietly(l.t, l.gpg, "--quick-set-expire", l.fpr, "2y")
		}, 0, [2]string{"trusted", "trusted"}}},
		{ada, life{"expires-later", primary, func(l *living) {
			gpgQuietly(l.t, l.gpg, "--quick-set-expire", l.fpr, "1y")
		}, 0, [2]string{"trusted", "trusted"}}},
		// S26 and S27: the same for a signing subkey, and the next one goes on.
		{ada, life{"subkey-0", withSubkey, replaced(gpgNoReason, 0), 0, [2]string{"unknown", "trusted"}}},
		{ada, life{"subkey-2-compromised", withSubkey, replaced(gpgCompromised, 0), 0, [2]string{"unknown", "trusted"}}},
		{ada, life{"subkey-1-superseded", withSubkey, replaced(gpgSuperseded, 0), 0, [2]string{"trusted", "trusted"}}},
		{ada, life{"subkey-3-retired", withSubkey, replaced(gpgRetired, 0), 0, [2]string{"trusted", "trusted"}}},
		{ada, life{"subkey-retired-before", withSubkey, replaced(gpgRetired, 20*day), 0, [2]string{"unknown", "trusted"}}},
		{ada, life{"subkey-expired", withSubkey, func(l *living) {
			gpgQuietly(l.t, l.gpg, append(ago(21*day), "--quick-set-expire", l.fpr, "1d", subkeys(l.t, l.gpg, l.fpr)[0])...)
			gpgQuietly(l.t, l.gpg, "--quick-add-key", l.fpr, "ed25519", "sign", "2y")
		}, 0, [2]string{"unknown", "trusted"}}},
		// T40: dated before the subkey was replaced, and first seen long after.
		{ada, life{"backdated-replaced", withSubkey, func(l *living) {
			l.backdate(40 * day)
			replaced(gpgSuperseded, 30*day)(l)
			l.author.es("", "key", "use", "gpg:"+l.fpr)
		}, 0, [2]string{"trusted", "trusted"}}}, // what the new subkey signs follows it
		{ada, life{"backdated-retired", primary, func(l *living) {
			l.backdate(40 * day)
			revokedBy(gpgRetired, 30*day)(l)
		}, 1, [2]string{"backdated", ""}}},
		// The primary key's secret is elsewhere, as with a smartcard.
		{card, life{"offline-primary", offlinePrimary, func(l *living) {
			away := l.elsewhere()
			revokeSubkey(l.t, away, l.fpr, gpgSuperseded, 0)
			gpgQuietly(l.t, away, "--quick-add-key", l.fpr, "rsa4096", "sign", "2y")
			l.bring(away)
		}, 0, [2]string{"trusted", "trusted"}}},
		{card, life{"offline-primary-stolen", offlinePrimary, func(l *living) {
			l.author.es("", "key", "revoke", l.fpr, "--certificate", certificate(l.t, l.elsewhere(), l.fpr, gpgCompromised, 0), "--yes")
		}, 1, [2]string{"unknown", ""}}},
	}
	var out []*living
	for _, a := range all {
		l := *a.living
		l.life = &a.life
		out = append(out, &l)
	}
	return out
}

// away has the GNUPGHOMEs that hold the primary keys of offlinePrimary.
var away = map[string]sign.GPG{}

func (l *living) elsewhere() sign.GPG { return away[l.name] }

// offlinePrimary makes an RSA-4096 key whose secret stays in a GNUPGHOME of its own;
// the author's agent has the secret of a signing subkey alone.
func offlinePrimary(l *living) {
	g := gpgHome(l.t)
	away[l.name] = g
	l.fpr = gpgKey(l.t, g, ago(90*day), "rsa4096", "cert", "never")
	gpgQuietly(l.t, g, append(ago(90*day), "--quick-add-key", l.fpr, "rsa4096", "sign", "never")...)
	l.bring(g)
}

// bring takes the secrets of the subkeys to the author's agent.
func (l *living) bring(from sign.GPG) {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "subkeys.gpg")
	gpgQuietly(l.t, from, "--output", file, "--export-secret-subkeys", l.fpr)
	gpgQuietly(l.t, l.gpg, "--import", file)
	for line := range strings.Lines(gpg(l.t, l.gpg, "--with-colons", "--list-secret-keys", l.fpr)) {
		if f := strings.Split(line, ":"); f[0] == "sec" && f[14] != "#" {
			l.t.Fatalf("the secret of the primary key is here: %s", line)
		}
	}
}

// backdated reports whether 1.0.0 is to be one that backdate makes.
func (l *living) backdated() bool { return strings.HasPrefix(l.name, "backdated-") }

// backdate replaces 1.0.0 by a release that the author's first subkey signs with an
// old date, in the author's index: es itself always tells the time.
func (l *living) backdate(d time.Duration) {
	l.t.Helper()
	wrapper := filepath.Join(l.t.TempDir(), "gpg")
	stamp := ago(d)[1]
	at, err := time.Parse("20060102T150405", stamp)
	if err != nil {
		l.t.Fatal(err)
	}
	script := "#!/bin/sh\nexec gpg --faked-system-time " + stamp + " \"$@\"\n"
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		l.t.Fatal(err)
	}
	s, err := sign.OpenGPG(l.t.Context(), sign.GPG{Program: wrapper, Home: l.gpg.Home}, l.fpr)
	if err != nil {
		l.t.Fatal(err)
	}
	x, err := index.Open(l.t.Context(), filepath.Join(l.author.home, "index.db"))
	if err != nil {
		l.t.Fatal(err)
	}
	defer x.Close()
	was, err := x.Releases(l.t.Context(), records.Name(l.module()))
	if err != nil || len(was) != 1 || was[0].Author == s.Key().Fingerprint() {
		l.t.Fatalf("releases: %+v, %v", was, err)
	}
	v, err := sign.Sign(l.t.Context(), s, &records.Record{Author: s.Key().Fingerprint(), Time: at.Unix(), Body: was[0].Body})
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := x.Add(l.t.Context(), v, s.Key(), index.Source{Own: true}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *living) publishes(version, key string) result {
	l.t.Helper()
	source := l.t.TempDir()
	write(l.t, filepath.Join(source, "package.json"), `{"name":"`+l.module()+`","version":"`+version+`"}`)
	return l.author.try(source, "publish", "--key", key)
}

// says asks a node about a version; without add, what es add would do is left out.
func (u *user) says(l *living, version string, add bool) verdict {
	u.t.Helper()
	name := l.module()
	r := u.try("", "why", name+"@"+version, "--json")
	var j struct {
		State, Hold, Module string
		Claims              []struct{ Author, Effect, Invalid string }
	}
	switch {
	case r.code == 5: // nothing is known, or not stored because it does not count ([T23])
		j.State = "unknown"
	case r.code != 0:
		u.t.Fatal(r)
	default:
		if err := json.Unmarshal([]byte(r.stdout), &j); err != nil {
			u.t.Fatal(err, r)
		}
	}
	v := verdict{State: j.State, Hold: j.Hold, Module: j.Module}
	for _, c := range j.Claims {
		if c.Invalid == "" && c.Author == l.fpr {
			v.Claims = append(v.Claims, c.Effect)
		}
	}
	if add {
		v.Add = u.try(u.project(), "add", name+"@"+version, "--yes").code
	}
	return v
}

// as returns the outcome in one word.
func (v verdict) as() string { return cmp.Or(v.Hold, v.State) }

// TestGPGKeyLives: gpg ends keys in all ways that it knows. What an author's node, one
// that heard it from there, one that heard it from that one alone, and a fourth behind
// it decide is the same, and what SPEC.md says.
func TestGPGKeyLives(t *testing.T) {
	ada := &living{t: t, author: newUser(t), gpg: gpgHome(t)}
	card := &living{t: t, author: newUser(t), gpg: gpgHome(t)}
	ada.author.gnupg, card.author.gnupg = ada.gpg.Home, card.gpg.Home
	all := lives(ada, card)
	other := gpgKey(t, ada.gpg, nil, "ed25519", "cert,sign", "never") // whom nobody trusts
	ada.author.es("", "key", "use", "gpg:"+other)
	var trusted strings.Builder
	for _, l := range all {
		l.key(l)
		l.author.es("", "key", "use", "gpg:"+l.fpr)
		fmt.Fprintf(&trusted, "key %s %s\n", l.fpr, l.module())
	}
	here, there := ada.author.node(), card.author.node()
	b := newReader(t, trusted.String())
	second := b.node("--seed", "all", "--bootstrap", here.addrs[0])
	b.es("", "connect", there.addrs[0])
	for _, l := range all {
		key := l.fpr
		if l.backdated() {
			key = other // who makes the module, so that its blocks are there
		}
		if r := l.publishes("1.0.0", key); r.code != 0 {
			t.Fatal(r)
		}
	}
	for _, l := range all {
		eventually(t, time.Minute, l.module()+" at the second node", func() bool {
			return l.backdated() || b.says(l, "1.0.0", false).as() == "trusted"
		})
	}

	for _, l := range all {
		l.then(l)
		if l.again == nobody {
			continue
		}
		if r := l.publishes("2.0.0", l.fpr); r.code != l.again {
			t.Errorf("%s: publishes again: %v", l.name, r)
		}
	}
	verdicts := agree(t, all, b, nil)
	// An own key is trusted with everything: the one that made a module for another is not to be asked.
	if err := os.Remove(filepath.Join(ada.author.home, "keys", other+".gpg")); err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		for i, v := range l.versions() {
			if got := l.author.says(l, v, true); !same(got, verdicts[l.name][i]) {
				t.Errorf("%s@%s: its author's node says %+v, the second %+v", l.name, v, got, verdicts[l.name][i])
			}
		}
	}
	here.stop()
	there.stop()
	c := newReader(t, trusted.String())
	third := c.node("--seed", "all", "--bootstrap", second.addrs[0])
	agree(t, all, c, verdicts)
	second.stop()
	d := newReader(t, trusted.String())
	d.node("--bootstrap", third.addrs[0])
	agree(t, all, d, verdicts)
}

func newReader(t *testing.T, trusted string) *user {
	t.Helper()
	u := newUser(t)
	if err := errors.Join(os.MkdirAll(u.home, 0o700), os.WriteFile(filepath.Join(u.home, "trust"), []byte(trusted), 0o600)); err != nil {
		t.Fatal(err)
	}
	return u
}

func (l *living) versions() []string {
	if l.want[1] == "" {
		return []string{"1.0.0"}
	}
	return []string{"1.0.0", "2.0.0"}
}

func same(a, b verdict) bool {
	return a.State == b.State && a.Hold == b.Hold && a.Module == b.Module && a.Add == b.Add && slices.Equal(a.Claims, b.Claims)
}

// agree waits until the node has heard everything, and compares what it decides with
// what SPEC.md says and with what another node decided.
func agree(t *testing.T, all []*living, u *user, others map[string][2]verdict) map[string][2]verdict {
	t.Helper()
	exits := map[string]int{"trusted": 0, "backdated": 3, "unknown": 5}
	heard := func() bool {
		u.try("", "sync")
		return !slices.ContainsFunc(all, func(l *living) bool {
			return slices.ContainsFunc(l.versions(), func(v string) bool {
				return u.says(l, v, false).as() != l.want[slices.Index(l.versions(), v)]
			})
		})
	}
	for deadline := time.Now().Add(time.Minute); !heard() && time.Now().Before(deadline); {
	}
	verdicts := map[string][2]verdict{}
	for _, l := range all {
		var said [2]verdict
		for i, v := range l.versions() {
			said[i] = u.says(l, v, true)
			if said[i].as() != l.want[i] || said[i].Add != exits[l.want[i]] {
				t.Errorf("%s@%s: %+v, want %s and exit code %d", l.name, v, said[i], l.want[i], exits[l.want[i]])
			}
			if others != nil && !same(said[i], others[l.name][i]) {
				t.Errorf("%s@%s: this node says %+v, another %+v", l.name, v, said[i], others[l.name][i])
			}
		}
		verdicts[l.name] = said
	}
	return verdicts
}
