package keycmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
)

func keyImportCommand(a cli.App) *cobra.Command {
	var which string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "add a secret key of yours, or a public key of somebody's",
		Long: `Reads an OpenPGP key from FILE ("-" is standard input). A secret key becomes one
of your own keys; gpg's keys are better left in gpg: es key use gpg:KEYID.
A public key is only remembered: it is believed when es trust add says so.
Of a file with several keys, --key FINGERPRINT names the one.`,
		Args: cli.Arguments(1, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runKeyImport(cmd.Context(), a, h, args[0], which) })
		},
	}
	cmd.Flags().StringVar(&which, "key", "", "fingerprint of the one to take, of several in the file")
	return cmd
}

func runKeyImport(ctx context.Context, a cli.App, h *home.Home, path, which string) error {
	found, err := a.KeyInFile(ctx, path, which)
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
		if problem := own.Key.SigningProblem(time.Now()); problem != nil {
			a.Warn("the key can sign nothing for es now: %s", ui.Safe(problem.Error()))
		}
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
