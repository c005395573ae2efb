package sign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// GPG says how to run gpg.
type GPG struct {
	Program string // "gpg" when empty
	Home    string // its --homedir; gpg's own choice when empty
}

// A GPGKey signs through the gpg program, so that agents, smartcards and
// pinentries work as they do there. es never sees the secret.
type GPGKey struct {
	gpg     GPG
	key     *Key
	secrets map[records.Fingerprint]bool // whose secret gpg can reach
	only    records.Fingerprint          // the one to sign with, if the user named it
}

// OpenGPG finds the one secret key that KeyID (a fingerprint, key id or user id)
// names. As with gpg, a trailing "!" asks for exactly that key or subkey.
func OpenGPG(ctx context.Context, gpg GPG, keyID string) (*GPGKey, error) {
	id, exact := strings.CutSuffix(keyID, "!")
	out, err := gpg.run(ctx, nil, "--batch", "--with-colons", "--fixed-list-mode", "--list-secret-keys", "--", id)
	if err != nil {
		return nil, fmt.Errorf("gpg key %q: no such secret key: %w", keyID, err)
	}
	listed := parseListing(out.stdout)
	if len(listed) != 1 {
		return nil, fmt.Errorf("gpg key %q: names %d secret keys; give one fingerprint: %s", keyID, len(listed), fingerprints(listed))
	}
	g := &GPGKey{gpg: gpg, secrets: make(map[records.Fingerprint]bool)}
	for _, k := range listed[0] {
		g.secrets[k.fpr] = k.secret
		if exact && strings.HasSuffix(k.fpr.String(), strings.ToUpper(strings.TrimPrefix(id, "0x"))) {
			g.only = k.fpr
		}
	}
	if exact && g.only.IsZero() {
		return nil, fmt.Errorf("gpg key %q: is a user id, and only a fingerprint can end in \"!\"", keyID)
	}
	if g.key, err = GPGPublicKey(ctx, gpg, listed[0][0].fpr.String()); err != nil {
		return nil, err
	}
	return g, nil
}

// GPGPublicKey exports the public key that KeyID names from gpg's keyring,
// minimised.
func GPGPublicKey(ctx context.Context, gpg GPG, keyID string) (*Key, error) {
	// What is newer than export-clean keeps the history of self-signatures, so
	// cleaning is for keys that strangers have flooded only.
	var err error
	for _, options := range []string{"no-export-attributes", "export-clean,no-export-attributes"} {
		var out result
		out, err = gpg.run(ctx, nil, "--batch", "--no-armor", "--export-options", options, "--export", "--", keyID)
		if err != nil {
			return nil, fmt.Errorf("gpg key %q: %w", keyID, err)
		}
		if len(out.stdout) == 0 {
			return nil, fmt.Errorf("gpg key %q: is not in gpg's keyring", keyID)
		}
		if keys, err := SplitKeyFile(out.stdout); err == nil && len(keys) > 1 {
			var all []string
			for _, k := range keys {
				all = append(all, k.Fingerprint.String())
			}
			return nil, fmt.Errorf("gpg key %q: names %d keys; give one fingerprint: %s", keyID, len(keys), strings.Join(all, ", "))
		}
		var k *Key
		if k, err = ReadKey(out.stdout); err == nil {
			return k, nil
		}
		if len(out.stdout) <= MaxKeyFile {
			break
		}
	}
	return nil, fmt.Errorf("gpg key %q: %w", keyID, err)
}

// Key returns the public key.
func (g *GPGKey) Key() *Key { return g.key }

// Sign implements Signer. gpg dates the signature by its own clock. A key that
// cannot sign at that time is refused before anybody is asked for a passphrase.
func (g *GPGKey) Sign(ctx context.Context, record []byte, context string, at time.Time) ([]byte, error) {
	signer, err := g.signer(at)
	if err != nil {
		return nil, g.advise(err)
	}
	out, err := g.gpg.run(ctx, record,
		"--no-armor", "--no-textmode", "--digest-algo", "SHA256", "--default-sig-expire", "0",
		"--set-notation", ContextNotation+"="+context,
		"--local-user", signer.String()+"!", "--output", "-", "--detach-sign")
	if err != nil {
		return nil, fmt.Errorf("sign with gpg key %s: %w", signer, err)
	}
	signature, err := openpgp.CanonicalSignature(out.stdout)
	if err != nil {
		return nil, fmt.Errorf("sign with gpg key %s: %w", signer, err)
	}
	return signature, nil
}

func (g *GPGKey) signer(at time.Time) (records.Fingerprint, error) {
	if !g.only.IsZero() {
		return g.only, g.key.check(g.only, at.Unix())
	}
	return g.key.signerAt(at.Unix(), func(f records.Fingerprint) bool { return g.secrets[f] })
}

// advise adds what the user can do about a key that cannot sign.
func (g *GPGKey) advise(err error) error {
	var ke *KeyError
	if !errors.As(err, &ke) {
		return err
	}
	f := g.key.Fingerprint()
	switch ke.Problem {
	case Expired:
		which := ""
		if ke.Fingerprint != f {
			which = " " + ke.Fingerprint.String()
		}
		return fmt.Errorf("%w; renew it with: gpg --quick-set-expire %s 2y%s", err, f, which)
	case Revoked:
		return fmt.Errorf("%w; choose another key with: es key use", err)
	case NotForSigning, MissingSubkey:
		return fmt.Errorf("%w; give it a signing subkey with: gpg --quick-add-key %s ed25519 sign", err, f)
	case NoSecret:
		return fmt.Errorf("%w; its secret is not on this machine: import it or insert its smartcard", err)
	}
	return err
}

type listedKey struct {
	fpr    records.Fingerprint
	secret bool
}

// parseListing reads gpg's --with-colons listing (GnuPG doc/DETAILS): a list of
// keys, each the primary key and its subkeys.
func parseListing(b []byte) [][]listedKey {
	var keys [][]listedKey
	secret, want := false, false
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		switch f[0] {
		case "sec":
			keys = append(keys, nil)
			fallthrough
		case "ssb":
			// Field 15 has "#" for a key whose secret is elsewhere.
			want, secret = true, len(f) > 14 && f[14] != "#"
		case "fpr":
			if !want || len(f) < 10 {
				continue
			}
			want = false
			if fpr, err := records.ParseFingerprint(f[9]); err == nil && len(keys) > 0 {
				last := len(keys) - 1
				keys[last] = append(keys[last], listedKey{fpr, secret})
			}
		}
	}
	return keys
}

func fingerprints(keys [][]listedKey) string {
	var list []string
	for _, k := range keys {
		if len(k) > 0 {
			list = append(list, k[0].fpr.String())
		}
	}
	return strings.Join(list, ", ")
}

// endWait is how long gpg may take to end when it is interrupted.
const endWait = 2 * time.Second

type result struct {
	stdout []byte
	status []string // what followed "[GNUPG:] "
}

// run runs gpg and returns what it wrote. gpg inherits the terminal through the
// environment (GPG_TTY), so that a pinentry can ask.
func (g GPG) run(ctx context.Context, stdin []byte, args ...string) (result, error) {
	var stdout, stderr bytes.Buffer
	all, err := g.options(ctx)
	if err == nil {
		cmd := exec.CommandContext(ctx, g.program(), append(all, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		// gpg tells its agent to take the question for a passphrase from the terminal.
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = endWait
		err = cmd.Run()
	}
	r := result{stdout: stdout.Bytes()}
	words := ""
	for line := range strings.Lines(stderr.String()) {
		if s, ok := strings.CutPrefix(line, "[GNUPG:] "); ok {
			r.status = append(r.status, strings.TrimSpace(s))
		} else if s := strings.TrimSpace(line); s != "" {
			words = s
		}
	}
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		return r, ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return r, fmt.Errorf("the program %q is not installed", g.program())
	}
	switch cause := statusCause(r.status); cause {
	case "":
	case ErrNoPinentry.Error():
		return r, ErrNoPinentry
	default:
		return r, errors.New(cause)
	}
	return r, fmt.Errorf("%q", records.CleanText(words, openpgp.MaxUserID))
}

// gpgCodes are the libgpg-error codes that people meet when signing.
var gpgCodes = map[uint64]string{
	11:  "bad passphrase",
	17:  "gpg has no secret for it",
	62:  "nobody entered the passphrase in time",
	77:  "gpg-agent does not run",
	86:  ErrNoPinentry.Error(),
	99:  "cancelled",
	112: "the smartcard is not inserted",
	177: "no passphrase was given",
	198: "cancelled",

	0x8000 | 102: ErrNoPinentry.Error(), // ENOTTY: the pinentry is for a terminal, and there is none
}

// statusCause says why gpg failed, from its status lines (GnuPG doc/DETAILS).
func statusCause(status []string) string {
	cause := ""
	for _, line := range status {
		f := strings.Fields(line)
		code := func(i int) string {
			if i >= len(f) {
				return ""
			}
			n, err := strconv.ParseUint(f[i], 10, 32)
			if err != nil {
				return ""
			}
			return gpgCodes[n&0xffff]
		}
		switch f[0] {
		case "INV_SGNR":
			if len(f) > 1 {
				cause = map[string]string{
					"4": "it is revoked", "5": "it is expired", "9": "gpg has no secret for it",
				}[f[1]]
			}
		case "NO_SECKEY":
			cause = "gpg has no secret for it"
		case "SC_OP_FAILURE":
			cause = "the smartcard refused"
			if len(f) > 1 && f[1] == "1" {
				cause = "cancelled"
			} else if len(f) > 1 && f[1] == "2" {
				cause = "wrong PIN"
			}
		case "ERROR", "FAILURE":
			if c := code(2); c != "" {
				cause = c
			}
		}
	}
	return cause
}
