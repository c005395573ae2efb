package keycmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

var revocationReasons = map[string]sign.Reason{
	"unspecified": sign.NoReason, "superseded": sign.Superseded, "compromised": sign.Compromised, "retired": sign.Retired,
}

type revokeOptions struct {
	reason      string
	text        string
	certificate string // a file
	yes         bool

	read []byte // of the certificate
}

func keyRevokeCommand(a cli.App) *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use:   "revoke [FINGERPRINT]",
		Short: "revoke a key of yours, for ever and for everybody",
		Long: `Revokes a key. With the reason superseded or retired, what it signed before
still counts; with compromised or unspecified, nothing does that it ever signed.
It cannot be undone.

--certificate FILE uses a revocation certificate that was made before, with gpg
or es: that works for any key, also when its secret or its passphrase is lost.
es key new makes one. Without a fingerprint, it is of one of your own keys.`,
		Args: cli.Arguments(0, 1, "at most one fingerprint"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, ok := revocationReasons[o.reason]; !ok && o.certificate == "" {
				reasons := strings.Join(slices.Sorted(maps.Keys(revocationReasons)), ", ")
				if o.reason == "" {
					return cli.Usagef(cmd, "%s needs --reason, one of %s", cmd.CommandPath(), reasons)
				}
				return cli.Usagef(cmd, "--reason %q is none of %s", o.reason, reasons)
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runRevoke(cmd.Context(), a, h, args, o) })
		},
	}
	cmd.Flags().StringVar(&o.reason, "reason", "", "superseded, retired, compromised or unspecified")
	cmd.Flags().StringVar(&o.text, "text", "", "what you want to say about it")
	cmd.Flags().StringVar(&o.certificate, "certificate", "", "file with a revocation certificate")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

type revokeJSON struct {
	Fingerprint records.Fingerprint `json:"fingerprint"`
	Hard        bool                `json:"hard"`
	At          time.Time           `json:"at"`
	Peers       int                 `json:"peers"`
}

func runRevoke(ctx context.Context, a cli.App, h *home.Home, args []string, o revokeOptions) error {
	if o.certificate != "" {
		var err error
		if o.read, err = a.ReadFile(ctx, o.certificate); err != nil {
			return err
		}
	}
	if o.certificate != "" && len(args) == 0 {
		f, err := revokedBy(ctx, h, o)
		if err != nil {
			return err
		}
		args = []string{f.String()}
	}
	key, own, err := a.FindKey(ctx, h, args)
	if err != nil {
		return err
	}
	revoked, err := revokedKey(ctx, a, h, key, own, o)
	if err != nil {
		return err
	}
	r, _ := revoked.Revocation()
	effect := "what it signed before " + r.At.UTC().Format("2006-01-02 15:04") + " still counts"
	if r.Hard {
		effect = "NOTHING that it ever signed counts any more"
	}
	a.Note("this revokes the key")
	a.Note("    %s", cli.Grouped(key.Fingerprint()))
	a.Note("    which says it belongs to %s", ui.UIDText(key.UserID()))
	a.Note("%s; it cannot be undone", effect)
	ok, err := a.Ask(ctx, "Revoke it?", o.yes, "--yes")
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("nothing was changed")
	}
	merged, _, err := h.Index().AddKey(ctx, revoked)
	if err != nil {
		return err
	}
	peers := announceKey(ctx, a, h, merged.Fingerprint())
	if a.JSON {
		return a.Emit(revokeJSON{merged.Fingerprint(), r.Hard, r.At.UTC(), peers})
	}
	a.Printf("%s", merged.Fingerprint())
	return nil
}

// revokedBy finds which own key a certificate revokes.
func revokedBy(ctx context.Context, h *home.Home, o revokeOptions) (records.Fingerprint, error) {
	keys, err := h.Keys(ctx)
	if err != nil {
		return records.Fingerprint{}, err
	}
	for _, k := range keys {
		if _, err := k.Key.WithRevocation(o.read); err == nil {
			return k.Fingerprint(), nil
		}
	}
	return records.Fingerprint{}, ui.Hinted(fmt.Errorf("%q revokes none of your own keys", o.certificate), "es key revoke FINGERPRINT --certificate FILE revokes any key that is known here")
}

// revokedKey joins the key with a certificate, or with a revocation that its secret
// makes now.
func revokedKey(ctx context.Context, a cli.App, h *home.Home, key *sign.Key, own *home.OwnKey, o revokeOptions) (*sign.Key, error) {
	if o.certificate != "" {
		revoked, err := key.WithRevocation(o.read)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", o.certificate, err)
		}
		return revoked, nil
	}
	if own == nil {
		return nil, ui.Hinted(fmt.Errorf("key %s is not yours, so it cannot be revoked without its certificate", key.Fingerprint()), "es key revoke %s --certificate FILE", key.Fingerprint())
	}
	if own.GPG {
		return nil, ui.Hinted(fmt.Errorf("gpg holds the secret of key %s", key.Fingerprint()),
			"gpg --output revoke.asc --gen-revoke %s && es key revoke %s --certificate revoke.asc", key.Fingerprint(), key.Fingerprint())
	}
	file, err := h.SecretFile(key.Fingerprint())
	if err != nil {
		return nil, err
	}
	secret, err := sign.ReadSecretKey(file, a.Passphrase(ctx))
	if errors.Is(err, sign.ErrPassphrase) {
		return nil, ui.Hinted(err, "es key revoke %s --certificate %s needs none", key.Fingerprint(), ui.ShellWord(h.RevocationPath(key.Fingerprint())))
	}
	if err != nil {
		return nil, err
	}
	return author.Revoke(ctx, key, secret, revocationReasons[o.reason], o.text, time.Now)
}

// announceKey tells whoever is there, and returns how many heard it.
func announceKey(ctx context.Context, a cli.App, h *home.Home, key records.Fingerprint) int {
	return a.Send(ctx, h, "others get it when they meet this home", func(n api.Network) (api.Announced, error) { return n.AnnounceKey(ctx, key) })
}
