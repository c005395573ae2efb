package keycmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/sign"
)

// maxCertificate is how many bytes a revocation certificate may have.
const maxCertificate = 1 << 20

func keyExportCommand(a cli.App) *cobra.Command {
	var secret, revocation bool
	cmd := &cobra.Command{
		Use:   "export [FINGERPRINT]",
		Short: "print a public key, for others to trust",
		Long: `Prints your default public key, or the named one, as an armored OpenPGP block
that es trust add and gpg --import read. With --secret it prints the secret key
file instead, as it is stored: keep a copy where nobody else finds it, for es
key import. With --revocation it prints the certificate that revokes the key,
and makes one where none was stored.`,
		Args: cli.Arguments(0, 1, "at most one fingerprint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runKeyExport(cmd.Context(), a, h, args, secret, revocation) })
		},
	}
	cmd.Flags().BoolVar(&secret, "secret", false, "print the secret key, as it is stored")
	cmd.Flags().BoolVar(&revocation, "revocation", false, "print the revocation certificate")
	cmd.MarkFlagsMutuallyExclusive("secret", "revocation")
	return cmd
}

func runKeyExport(ctx context.Context, a cli.App, h *home.Home, args []string, secret, revocation bool) error {
	key, own, err := a.FindKey(ctx, h, args)
	if err != nil {
		return err
	}
	if !secret && !revocation {
		return writeExport(a, key, "public", key.Armor())
	}
	if own == nil {
		return fmt.Errorf("key %s is not yours, so its secret is not here", key.Fingerprint())
	}
	if revocation {
		certificate, err := revocationOf(ctx, a, h, own)
		if err != nil {
			return err
		}
		return writeExport(a, key, "revocation", certificate)
	}
	if own.GPG {
		return ui.Hinted(fmt.Errorf("gpg holds the secret of key %s; es never sees it", key.Fingerprint()), "gpg --export-secret-keys %s", key.Fingerprint())
	}
	file, err := h.SecretFile(key.Fingerprint())
	if err != nil {
		return err
	}
	return writeExport(a, key, "secret", file)
}

// exportJSON is a file of a key, as es key export prints it.
type exportJSON struct {
	Fingerprint string `json:"fingerprint"`
	Kind        string `json:"kind"` // "public", "secret" or "revocation"
	Text        string `json:"text"`
}

func writeExport(a cli.App, key *sign.Key, kind string, text []byte) error {
	if a.JSON {
		return a.Emit(exportJSON{key.Fingerprint().String(), kind, string(text)})
	}
	_, err := a.Out.Write(text)
	return err
}

// revocationOf returns the certificate that revokes an own key, and makes it where none was
// stored.
func revocationOf(ctx context.Context, a cli.App, h *home.Home, own *home.OwnKey) ([]byte, error) {
	f := own.Fingerprint()
	certificate, err := regularfile.Read(h.RevocationPath(f), maxCertificate)
	if errors.Is(err, fs.ErrNotExist) && own.GPG {
		return nil, ui.Hinted(fmt.Errorf("gpg holds the secret of key %s, and made its certificate", f), "gpg --gen-revoke %s", f)
	}
	if errors.Is(err, fs.ErrNotExist) { // of a key from a backup, or of an older es
		var file []byte
		if file, err = h.SecretFile(f); err != nil {
			return nil, err
		}
		secret, err := sign.ReadSecretKey(file, a.Passphrase(ctx))
		if err != nil {
			return nil, err
		}
		if certificate, err = secret.RevocationCertificate(time.Now()); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("read revocation certificate: %w", err)
	}
	return certificate, nil
}
