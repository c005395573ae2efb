package trustcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/trust"
)

func trustDenyCommand(a cli.App) *cobra.Command {
	var label, chosen string
	cmd := &cobra.Command{
		Use:   "deny KEY|FILE",
		Short: "never believe a key, whatever else is said of it",
		Args:  cli.Arguments(1, 1, "a full fingerprint or a key file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runTrustDeny(cmd.Context(), a, h, args[0], chosen, label) })
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "what you call the key")
	cmd.Flags().StringVar(&chosen, "key", "", "fingerprint of the one to take, of several in FILE")
	cmd.AddCommand(denyNPMCommand(a))
	return cmd
}

func runTrustDeny(ctx context.Context, a cli.App, h *home.Home, which, chosen, label string) error {
	f, key, err := trustedKey(ctx, a, h, which, chosen)
	if err != nil {
		return err
	}
	if label == "" && key != nil {
		label = labelFrom(key.UserID())
	}
	var changed bool
	err = trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) error {
		changed, err = policy.Deny(f, label)
		return err
	})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(trustJSON{Fingerprint: f, Label: label, Denied: true})
	}
	if !changed {
		a.Note("key %s was denied already", f)
		return nil
	}
	a.Note("key %s is denied: nothing it signs is believed", f)
	return nil
}
