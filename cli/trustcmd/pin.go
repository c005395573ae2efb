package trustcmd

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func trustPinCommand(a cli.App) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "pin NAME@VERSION CID",
		Short: "decide yourself which module a version is",
		Long: `Writes into the trust file that this version is this module, whoever else says
what. It ends a conflict between keys that you believe. Some key that is not
denied must have released that module; es info NAME shows what there is.
With --remove, es trust pin NAME@VERSION takes that back.`,
		Args: cli.Arguments(1, 2, "NAME@VERSION and the CID of a module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, v, err := cli.ParseExact(cmd, args[0])
			if err != nil {
				return err
			}
			if remove != (len(args) == 1) {
				return cli.Usagef(cmd, "%s takes NAME@VERSION and a CID, or --remove and NAME@VERSION", cmd.CommandPath())
			}
			if remove {
				return a.WithHome(cmd.Context(), func(h *home.Home) error { return runTrustUnpin(cmd.Context(), a, h, name, v) })
			}
			module, err := cid.Decode(args[1])
			if err != nil {
				return cli.Usagef(cmd, "%q is not a CID; es info %s shows them", args[1], name)
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runTrustPin(cmd.Context(), a, h, name, v, module) })
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the pin back")
	return cmd
}

func runTrustUnpin(ctx context.Context, a cli.App, h *home.Home, name records.Name, v records.Version) error {
	err := trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) error {
		if !policy.RemovePin(name, v) {
			return ui.Coded(ui.ExitNotFound, fmt.Errorf("%s has no pin of %s@%s", h.TrustPath(), name, v), "es trust list")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"name": name, "version": v, "removed": true})
	}
	a.Note("the pin of %s@%s is removed: the keys that you trust for the name decide again", name, v)
	return nil
}

func runTrustPin(ctx context.Context, a cli.App, h *home.Home, name records.Name, v records.Version, module cid.Cid) error {
	err := trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) error { return policy.SetPin(name, v, module) })
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"name": name, "version": v, "module": module.String()})
	}
	a.Note("%s@%s is %s from now on, by your own decision in %s", name, v, module, h.TrustPath())
	return nil
}
