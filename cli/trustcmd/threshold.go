package trustcmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func trustThresholdCommand(a cli.App) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "threshold M SCOPE",
		Short: "ask for several keys to agree",
		Long: `Lets nothing in under the names of SCOPE unless M of the keys that you believe
for them say that it is the same module: by releasing it or, all but one, by
endorsing it. A key and its successors count once, and so do all delegates of
one key. With --remove, es trust threshold SCOPE takes that back.`,
		Args: cli.Arguments(1, 2, "a number and a scope"),
		RunE: func(cmd *cobra.Command, args []string) error {
			scope, err := records.ParseScope(args[len(args)-1])
			if err != nil {
				return ui.Coded(ui.ExitUsage, err, "scopes look like left-pad, left-*, @acme/* or *; quote them from your shell")
			}
			if remove != (len(args) == 1) {
				return cli.Usagef(cmd, "%s takes a number and a scope, or --remove and a scope", cmd.CommandPath())
			}
			m := 0
			if !remove {
				if m, err = strconv.Atoi(args[0]); err != nil || m < 1 || m > trust.MaxThreshold {
					return cli.Usagef(cmd, "%q is not a number from 1 to %d", args[0], trust.MaxThreshold)
				}
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runThreshold(cmd.Context(), a, h, m, scope) })
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the threshold back")
	return cmd
}

func runThreshold(ctx context.Context, a cli.App, h *home.Home, m int, scope records.Scope) error {
	keys := map[records.Fingerprint]bool{}
	err := trust.Update(ctx, h.TrustPath(), func(p *trust.Policy) error {
		for _, e := range p.Entries() {
			for _, s := range e.Scopes {
				if s == scope {
					keys[e.Fingerprint] = true
				}
			}
		}
		for _, t := range p.Authorities() { // all keys of which are one voice
			if slices.Contains(t.Scopes, scope) {
				keys[t.Fingerprints()[0]] = true
			}
		}
		if m > 0 {
			return p.SetThreshold(m, scope)
		}
		if !p.RemoveThreshold(scope) {
			return ui.Coded(ui.ExitNotFound, fmt.Errorf("%s has no threshold for %s", h.TrustPath(), scope), "es trust list")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"scope": scope, "threshold": max(m, 1)})
	}
	if m == 0 {
		a.Note("one key is enough for %s again", scope)
		return nil
	}
	a.Note("%s must agree about %s from now on; you believe %d for exactly that", ui.Plural(int64(m), "key"), scope, len(keys))
	if len(keys) < m {
		a.Hint("es trust add KEY %s   (until then nothing new is let in there)", ui.ShellWord(string(scope)))
	}
	return nil
}
