package keycmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
)

func keyUseCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "use FINGERPRINT | gpg:KEYID",
		Short: "choose the key that signs",
		Long: `Chooses the key that signs what you publish: one of your own by its fingerprint,
or one that gpg holds (on disk, in an agent or on a smartcard) as gpg:KEYID,
where KEYID is a fingerprint, a long key id or an address. es never sees the
secret of a key in gpg.`,
		Args: cli.Arguments(1, 1, "a fingerprint, or gpg:KEYID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runKeyUse(cmd.Context(), a, h, args[0]) })
		},
	}
}

func runKeyUse(ctx context.Context, a cli.App, h *home.Home, which string) error {
	f, err := a.UsedKey(ctx, h, which)
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
