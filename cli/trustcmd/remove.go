package trustcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func trustRemoveCommand(a cli.App) *cobra.Command {
	var line int
	cmd := &cobra.Command{
		Use:     "remove KEY [SCOPE...]",
		Aliases: []string{"rm"},
		Short:   "take back what add or deny said of a key",
		Long: `Removes the key from the trust file, or only the scopes that are named. A denial
of the key is removed too, when no scope is named.

es trust remove --line N takes line N out of the file, whatever it says and also
when it cannot be read; what it denied or asked for is gone then.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("line") {
				return cli.Arguments(1, -1, "a full fingerprint")(cmd, args)
			}
			if len(args) > 0 {
				return cli.Usagef(cmd, "--line takes no key: it removes the line whatever it says")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.WithHome(cmd.Context(), func(h *home.Home) error { return runTrustRemoveLine(cmd.Context(), a, h, line) })
			}
			f, err := records.ParseFingerprint(args[0])
			if err != nil {
				return ui.Coded(ui.ExitUsage, err, "es trust list shows the keys")
			}
			scopes, err := parseScopes(cmd, args[1:], true)
			if err != nil {
				return err
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runTrustRemove(cmd.Context(), a, h, f, scopes) })
		},
	}
	cmd.Flags().IntVar(&line, "line", 0, "number of a line to remove, also one that cannot be read")
	cmd.AddCommand(removeNPMCommand(a))
	return cmd
}

func runTrustRemoveLine(ctx context.Context, a cli.App, h *home.Home, n int) error {
	text, err := trust.RemoveLine(ctx, h.TrustPath(), n)
	if err != nil {
		return ui.Coded(ui.ExitNotFound, err, "es trust list shows the lines")
	}
	if a.JSON {
		return a.Emit(map[string]any{"line": n, "text": text})
	}
	a.Note("removed line %d of %s: %q", n, h.TrustPath(), text)
	return nil
}

func runTrustRemove(ctx context.Context, a cli.App, h *home.Home, f records.Fingerprint, scopes []records.Scope) error {
	var gone, allowed = 0, false
	err := trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) error {
		gone = policy.RemoveKey(f, scopes...)
		if len(scopes) == 0 {
			allowed = policy.Allow(f)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if gone == 0 && !allowed {
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("key %s has no such line in %s", f, h.TrustPath()), "es trust list shows the lines")
	}
	if a.JSON {
		return a.Emit(map[string]any{"fingerprint": f, "removed": gone, "denialRemoved": allowed})
	}
	if gone > 0 {
		a.Note("key %s is no longer trusted for that; where a broader line holds a name, it decides now", f)
	}
	if allowed {
		a.Note("key %s is no longer denied", f)
	}
	return nil
}
