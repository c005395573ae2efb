package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "make and choose the key that signs what you publish",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.keyNewCommand(), a.keyListCommand(), a.keyExportCommand(), a.keyImportCommand(), a.keyUseCommand(), a.keyRevokeCommand())
	return cmd
}

// keyJSON is a key as --json prints it.
type keyJSON struct {
	Fingerprint records.Fingerprint `json:"fingerprint"`
	UID         string              `json:"uid"`
	Default     bool                `json:"default"`
	GPG         bool                `json:"gpg,omitempty"`
	Created     time.Time           `json:"created"`
	Expires     *time.Time          `json:"expires,omitempty"`
	Problem     string              `json:"problem,omitempty"`
	Revocation  string              `json:"revocation,omitempty"` // file with the certificate, of a new key
}

func describeKey(k home.OwnKey, now time.Time) keyJSON {
	j := keyJSON{Fingerprint: k.Fingerprint(), UID: k.Key.UserID(), Default: k.Default, GPG: k.GPG, Created: k.Key.Created().UTC()}
	if t, ok := k.Key.Expires(); ok {
		t = t.UTC()
		j.Expires = &t
	}
	var ended *author.KeyEndedError
	if errors.As(author.CheckKey(k.Key, now), &ended) {
		j.Problem = ended.Problem()
	}
	return j
}

type keyNewOptions struct {
	name, email  string
	noPassphrase bool
	revocation   string // a file; "" for the home
}

func (a *app) keyNewCommand() *cobra.Command {
	var o keyNewOptions
	cmd := &cobra.Command{
		Use:   "new --name NAME --email ADDRESS",
		Short: "make an OpenPGP key for signing",
		Long: `Makes an Ed25519 OpenPGP key and keeps it in your home directory, encrypted with
a passphrase. The name and the address are public: they travel with all that the
key signs. Scripts set ES_PASSPHRASE, or --no-passphrase to store it in clear.

Beside it, a revocation certificate is made: whoever has that file can void the
key, without its passphrase. It is the way out when the key is stolen, or the
passphrase lost. Keep a copy of both elsewhere; nobody can make them again.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(o.name) == "" {
				return usagef(cmd, "a key needs --name")
			}
			return a.withHome(cmd.Context(), func(h *home.Home) error { return a.runKeyNew(cmd.Context(), h, o) })
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "your name or your project's, as others will see it")
	cmd.Flags().StringVar(&o.email, "email", "", "an address, as others will see it")
	cmd.Flags().BoolVar(&o.noPassphrase, "no-passphrase", false, "store the secret key in clear")
	cmd.Flags().StringVar(&o.revocation, "revocation", "", "new file for the revocation certificate (default: beside the key)")
	return cmd
}

func (a *app) runKeyNew(ctx context.Context, h *home.Home, o keyNewOptions) error {
	secret, err := sign.NewSecretKey(o.name, o.email, time.Now())
	if err != nil {
		return err
	}
	passphrase, err := a.newPassphrase(ctx, o.noPassphrase)
	if err != nil {
		return err
	}
	file, err := secret.Marshal(passphrase)
	if err != nil {
		return err
	}
	where, err := storeRevocation(h, secret, o.revocation)
	if err != nil {
		return err
	}
	own, err := h.AddKey(ctx, file)
	if err != nil {
		return err
	}
	if err := h.Index().SetLogKnown(ctx, own.Fingerprint()); err != nil { // it has signed nothing anywhere
		return err
	}
	if a.JSON {
		j := describeKey(own, time.Now())
		j.Revocation = where
		return a.Emit(j)
	}
	a.Printf("%s", own.Fingerprint())
	a.Note("made a key for %s in %s%s", ui.UIDText(own.Key.UserID()), h.Dir(), defaultNote(own))
	a.Note("what voids it when it is stolen, or its passphrase lost: %s", where)
	a.Note("nobody can make these again: keep copies elsewhere")
	a.Hint("es key export --secret %s >FILE; es key export --revocation %s >FILE", own.Fingerprint(), own.Fingerprint())
	a.Hint("es publish --dry-run shows what a module of yours would hold")
	return nil
}

// storeRevocation makes a revocation certificate, puts it into the file, or beside the
// key when none is named, and returns where it is.
func storeRevocation(h *home.Home, secret *sign.SecretKey, file string) (where string, err error) {
	certificate, err := secret.RevocationCertificate(time.Now())
	if err != nil {
		return "", err
	}
	if file == "" {
		f := secret.Key().Fingerprint()
		return h.RevocationPath(f), h.AddRevocation(f, certificate)
	}
	if err := atomicfile.Create(file, certificate, 0o600); err != nil {
		return "", fmt.Errorf("write revocation certificate: %w", err)
	}
	return file, nil
}

func defaultNote(own home.OwnKey) string {
	if own.Default {
		return ", which now signs what you publish"
	}
	return fmt.Sprintf("; es key use %s makes it the one that signs", own.Fingerprint())
}

// newPassphrase asks for a passphrase twice, or takes ES_PASSPHRASE.
func (a *app) newPassphrase(ctx context.Context, none bool) ([]byte, error) {
	if none {
		return nil, nil
	}
	if p := a.Getenv("ES_PASSPHRASE"); p != "" {
		return []byte(p), nil
	}
	if !a.Asks {
		return nil, ui.Hinted(errors.New("a new key needs a passphrase, and nobody is at this terminal"),
			"set ES_PASSPHRASE, or give --no-passphrase to store the key in clear")
	}
	first, err := a.ReadPassphrase(ctx, "passphrase for the new key: ")
	if err != nil {
		return nil, err
	}
	if len(first) == 0 {
		return nil, ui.Hinted(errors.New("the passphrase is empty"), "give --no-passphrase to store the key in clear")
	}
	again, err := a.ReadPassphrase(ctx, "the same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, again) {
		return nil, errors.New("the two passphrases differ; no key was made")
	}
	return first, nil
}

// passphrase returns what asks for that of an existing key.
func (a *app) passphrase(ctx context.Context) func() ([]byte, error) {
	return func() ([]byte, error) {
		if p := a.Getenv("ES_PASSPHRASE"); p != "" {
			return []byte(p), nil
		}
		if !a.Asks {
			return nil, ui.Hinted(errors.New("the key has a passphrase, and nobody is at this terminal"), "set ES_PASSPHRASE")
		}
		return a.ReadPassphrase(ctx, "passphrase: ")
	}
}

func (a *app) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "list your own keys",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.readingHome(cmd.Context(), func(h *home.Home) error { return a.runKeyList(cmd.Context(), h) })
		},
	}
}

func (a *app) runKeyList(ctx context.Context, h *home.Home) error {
	keys, err := h.Keys(ctx)
	if err != nil {
		return err
	}
	list := make([]keyJSON, len(keys))
	for i, k := range keys {
		list[i] = describeKey(k, time.Now())
	}
	if a.JSON {
		return a.Emit(list)
	}
	if len(list) == 0 {
		a.Note("no key of your own yet; reading and installing needs none")
		a.Hint("es key new --name NAME --email ADDRESS")
		return nil
	}
	var rows [][]string
	for _, k := range list {
		var about []string
		if k.Default {
			about = append(about, "default")
		}
		if k.GPG {
			about = append(about, "in gpg")
		}
		if k.Problem != "" {
			about = append(about, k.Problem)
		}
		rows = append(rows, []string{k.Fingerprint.String(), ui.UIDText(k.UID), strings.Join(about, ", ")})
	}
	a.Table(rows)
	return nil
}

func (a *app) keyExportCommand() *cobra.Command {
	var secret, revocation bool
	cmd := &cobra.Command{
		Use:   "export [FINGERPRINT]",
		Short: "print a public key, for others to trust",
		Long: `Prints your default public key, or the named one, as an armored OpenPGP block
that es trust add and gpg --import read. With --secret it prints the secret key
file instead, as it is stored: keep a copy where nobody else finds it, for es
key import. With --revocation it prints the certificate that voids the key, and
makes one where none was stored.`,
		Args: arguments(0, 1, "at most one fingerprint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.readingHome(cmd.Context(), func(h *home.Home) error { return a.runKeyExport(cmd.Context(), h, args, secret, revocation) })
		},
	}
	cmd.Flags().BoolVar(&secret, "secret", false, "print the secret key, as it is stored")
	cmd.Flags().BoolVar(&revocation, "revocation", false, "print the revocation certificate")
	cmd.MarkFlagsMutuallyExclusive("secret", "revocation")
	return cmd
}

func (a *app) runKeyExport(ctx context.Context, h *home.Home, args []string, secret, revocation bool) error {
	key, own, err := a.findKey(ctx, h, args)
	if err != nil {
		return err
	}
	if !secret && !revocation {
		_, err := a.Out.Write(key.Armor())
		return err
	}
	if own == nil {
		return fmt.Errorf("key %s is not yours, so its secret is not here", key.Fingerprint())
	}
	if revocation {
		return a.exportRevocation(ctx, h, own)
	}
	if own.GPG {
		return ui.Hinted(fmt.Errorf("gpg holds the secret of key %s; es never sees it", key.Fingerprint()), "gpg --export-secret-keys %s", key.Fingerprint())
	}
	file, err := h.SecretFile(key.Fingerprint())
	if err != nil {
		return err
	}
	_, err = a.Out.Write(file)
	return err
}

func (a *app) exportRevocation(ctx context.Context, h *home.Home, own *home.OwnKey) error {
	f := own.Fingerprint()
	certificate, err := os.ReadFile(h.RevocationPath(f))
	if errors.Is(err, fs.ErrNotExist) && own.GPG {
		return ui.Hinted(fmt.Errorf("gpg holds the secret of key %s, and made its certificate", f), "gpg --gen-revoke %s", f)
	}
	if errors.Is(err, fs.ErrNotExist) { // of a key from a backup, or of an older es
		var file []byte
		if file, err = h.SecretFile(f); err != nil {
			return err
		}
		secret, err := sign.ReadSecretKey(file, a.passphrase(ctx))
		if err != nil {
			return err
		}
		if certificate, err = secret.RevocationCertificate(time.Now()); err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("read revocation certificate: %w", err)
	}
	_, err = a.Out.Write(certificate)
	return err
}

// findKey returns the key that args name, or the default one; own is nil for a
// key that the index knows from others.
func (a *app) findKey(ctx context.Context, h *home.Home, args []string) (key *sign.Key, own *home.OwnKey, err error) {
	if len(args) == 0 {
		k, err := h.Default(ctx)
		if err != nil {
			return nil, nil, keyHint(err)
		}
		return k.Key, &k, nil
	}
	f, err := records.ParseFingerprint(args[0])
	if err != nil {
		return nil, nil, ui.Coded(ui.ExitUsage, err, "es key list shows your keys")
	}
	if k, err := h.OwnKey(ctx, f); err == nil {
		return k.Key, &k, nil
	} else if !errors.Is(err, home.ErrNoKey) {
		return nil, nil, err
	}
	known, err := h.Index().Key(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	if known == nil {
		return nil, nil, ui.Coded(ui.ExitNotFound, fmt.Errorf("key %s is not known here", f), "es key list shows your keys")
	}
	return known, nil, nil
}

func keyHint(err error) error {
	if errors.Is(err, home.ErrNoKey) {
		return ui.Hinted(errors.New("you have no key to sign with yet"), "es key new --name NAME --email ADDRESS, or es key use gpg:KEYID")
	}
	return err
}

func (a *app) keyImportCommand() *cobra.Command {
	var which string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "add a secret key of yours, or a public key of somebody's",
		Long: `Reads an OpenPGP key from FILE ("-" is standard input). A secret key becomes one
of your own keys; gpg's keys are better left in gpg: es key use gpg:KEYID.
A public key is only remembered: it is believed when es trust add says so.
Of a file with several keys, --key FINGERPRINT names the one.`,
		Args: arguments(1, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withHome(cmd.Context(), func(h *home.Home) error { return a.runKeyImport(cmd.Context(), h, args[0], which) })
		},
	}
	cmd.Flags().StringVar(&which, "key", "", "fingerprint of the one to take, of several in the file")
	return cmd
}

// keyInFile reads the one key of a file, or of several the one whose fingerprint is
// which. It never chooses.
func (a *app) keyInFile(ctx context.Context, path, which string) (sign.FileKey, error) {
	var none sign.FileKey
	b, err := a.ReadFile(ctx, path)
	if err != nil {
		return none, err
	}
	keys, err := sign.SplitKeyFile(b)
	if err != nil {
		return none, fmt.Errorf("read key %q: the file %w", path, err)
	}
	var wanted records.Fingerprint
	if which != "" {
		if wanted, err = records.ParseFingerprint(which); err != nil {
			return none, ui.Coded(ui.ExitUsage, fmt.Errorf("--key: %w", err))
		}
	}
	var found []string
	for _, k := range keys {
		if k.Fingerprint == wanted && which != "" || which == "" && len(keys) == 1 {
			return k, nil
		}
		found = append(found, fileKeyText(k))
	}
	const shown = 10
	if len(found) > shown {
		found = append(found[:shown], fmt.Sprintf("and %d more", len(keys)-shown))
	}
	err = fmt.Errorf("read key %q: the file holds %s: %s", path, ui.Plural(int64(len(keys)), "key"), strings.Join(found, "; "))
	if which != "" {
		return none, ui.Coded(ui.ExitNotFound, fmt.Errorf("%w; none of them is %s", err, wanted))
	}
	return none, ui.Hinted(err, "--key FINGERPRINT names the one to take")
}

// fileKeyText names a key in a file.
func fileKeyText(k sign.FileKey) string {
	if k.Fingerprint.IsZero() {
		return "one of a kind that es does not know"
	}
	key, err := k.Key()
	if err != nil {
		return fmt.Sprintf("%s (%s)", k.Fingerprint, ui.Safe(err.Error()))
	}
	return fmt.Sprintf("%s %s", k.Fingerprint, ui.UIDText(key.UserID()))
}

func (a *app) runKeyImport(ctx context.Context, h *home.Home, path, which string) error {
	found, err := a.keyInFile(ctx, path, which)
	if err != nil {
		return err
	}
	if found.Secret {
		file, err := found.SecretFile()
		if err != nil {
			return ui.Hinted(fmt.Errorf("read key %q: %w", path, err), "a key whose secret is in gpg or on a smartcard signs by es key use gpg:KEYID")
		}
		own, err := h.AddKey(ctx, file)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Emit(describeKey(own, time.Now()))
		}
		a.Printf("%s", own.Fingerprint())
		a.Note("added the key of %s to your own keys%s", ui.UIDText(own.Key.UserID()), defaultNote(own))
		return nil
	}
	key, err := found.Key()
	if err != nil {
		return fmt.Errorf("read key %q: %w", path, err)
	}
	merged, _, err := h.Index().AddKey(ctx, key)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(describeKey(home.OwnKey{Key: merged}, time.Now()))
	}
	a.Printf("%s", merged.Fingerprint())
	a.Note("remembered the key of %s; it is not trusted by that", ui.UIDText(merged.UserID()))
	a.Hint("es trust add %s SCOPE...", merged.Fingerprint())
	return nil
}

func (a *app) keyUseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "use FINGERPRINT | gpg:KEYID",
		Short: "choose the key that signs",
		Long: `Chooses the key that signs what you publish: one of your own by its fingerprint,
or one that gpg holds (on disk, in an agent or on a smartcard) as gpg:KEYID,
where KEYID is a fingerprint, a long key id or an address. es never sees the
secret of a key in gpg.`,
		Args: arguments(1, 1, "a fingerprint, or gpg:KEYID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withHome(cmd.Context(), func(h *home.Home) error { return a.runKeyUse(cmd.Context(), h, args[0]) })
		},
	}
}

func (a *app) runKeyUse(ctx context.Context, h *home.Home, which string) error {
	f, err := a.usedKey(ctx, h, which)
	if err != nil {
		return err
	}
	if err := h.SetDefault(ctx, f); err != nil {
		if errors.Is(err, home.ErrNoKey) {
			return ui.Coded(ui.ExitNotFound, fmt.Errorf("key %s is not one of your own keys", f), "es key list shows them; gpg:KEYID uses one that gpg holds")
		}
		return err
	}
	own, err := h.OwnKey(ctx, f)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(describeKey(own, time.Now()))
	}
	a.Printf("%s", f)
	a.Note("what you publish is now signed by %s", ui.UIDText(own.Key.UserID()))
	if p := describeKey(own, time.Now()).Problem; p != "" {
		a.Warn("this key is %s and cannot sign", p)
	}
	return nil
}

// usedKey finds the key to use, and takes it over from gpg when it is there.
func (a *app) usedKey(ctx context.Context, h *home.Home, which string) (records.Fingerprint, error) {
	id, inGPG := strings.CutPrefix(which, "gpg:")
	if !inGPG {
		f, err := records.ParseFingerprint(which)
		if err != nil {
			return f, ui.Coded(ui.ExitUsage, err, "es key list shows your keys; gpg:KEYID uses one that gpg holds")
		}
		return f, nil
	}
	if strings.TrimSpace(id) == "" {
		return records.Fingerprint{}, ui.Coded(ui.ExitUsage, errors.New("gpg: needs a key id after it"), "gpg --list-secret-keys shows them")
	}
	k, err := sign.OpenGPG(ctx, a.gpg(), id)
	if err != nil {
		return records.Fingerprint{}, ui.Hinted(err, "gpg --list-secret-keys shows the keys that gpg can sign with")
	}
	own, err := h.AddGPGKey(ctx, k.Key())
	return own.Fingerprint(), err
}

// gpg is the user's own: GNUPGHOME and the agent are its business.
func (a *app) gpg() sign.GPG { return sign.GPG{} }
