package keycmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/sign"
)

type keyNewOptions struct {
	name, email  string
	noPassphrase bool
	revocation   string // a file; "" for the home
}

func keyNewCommand(a cli.App) *cobra.Command {
	var o keyNewOptions
	cmd := &cobra.Command{
		Use:   "new --name NAME --email ADDRESS",
		Short: "make an OpenPGP key for signing",
		Long: `Makes an Ed25519 OpenPGP key and keeps it in your home directory, encrypted with
a passphrase. The name and the address are public: they travel with all that the
key signs. Scripts set ES_PASSPHRASE, or --no-passphrase to store it in clear.

Beside it, a revocation certificate is made: whoever has that file can revoke
the key, without its passphrase. It is the way out when the key is stolen, or
the passphrase lost. Keep a copy of both elsewhere; nobody can make them again.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(o.name) == "" {
				return cli.Usagef(cmd, "a key needs --name")
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runKeyNew(cmd.Context(), a, h, o) })
		},
	}
	cmd.Flags().StringVar(&o.name, "name", "", "your name or your project's, as others will see it")
	cmd.Flags().StringVar(&o.email, "email", "", "an address, as others will see it")
	cmd.Flags().BoolVar(&o.noPassphrase, "no-passphrase", false, "store the secret key in clear")
	cmd.Flags().StringVar(&o.revocation, "revocation", "", "new file for the revocation certificate (default: beside the key)")
	return cmd
}

func runKeyNew(ctx context.Context, a cli.App, h *home.Home, o keyNewOptions) error {
	secret, err := sign.NewSecretKey(o.name, o.email, time.Now())
	if err != nil {
		return err
	}
	passphrase, err := newPassphrase(ctx, a, o.noPassphrase)
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
	a.Note("what revokes it when it is stolen, or its passphrase lost: %s", where)
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
func newPassphrase(ctx context.Context, a cli.App, none bool) ([]byte, error) {
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
