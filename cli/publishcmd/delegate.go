package publishcmd

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func delegateCommand(a cli.App) *cobra.Command {
	var key, until string
	var depth int
	var undo bool
	cmd := &cobra.Command{
		Use:   "delegate KEY SCOPE...",
		Short: "let another key speak for yours on some names",
		Long: `Signs that KEY may release what SCOPE holds, as if you did, for those who trust
you with depth=1 or more in their trust file. --depth says how much further KEY
may pass that on. It ends with --until, a date, or with --undo.`,
		Args: cli.Arguments(1, -1, "the fingerprint of a key, and scopes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := records.ParseFingerprint(args[0])
			if err != nil {
				return cli.Usagef(cmd, "%v", err)
			}
			d := &records.Delegate{To: to, Depth: int64(depth)}
			if undo {
				if len(args) > 1 {
					return cli.Usagef(cmd, "--undo takes back all that was delegated to the key, and needs no scope")
				}
				d.Depth = 0
				return signAndAnnounce(a, cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) { return d, nil })
			}
			if d.Scopes, d.Until, err = delegated(cmd, args[1:], until); err != nil {
				return err
			}
			if depth < 0 || depth > records.MaxDepthGrant {
				return cli.Usagef(cmd, "--depth %d is not 0 to %d", depth, records.MaxDepthGrant)
			}
			return signAndAnnounce(a, cmd, key, func(ctx context.Context, h *home.Home, _ *author.Author) (records.Body, error) {
				if known, err := h.Index().Key(ctx, to); err != nil || known != nil {
					return d, err
				}
				a.Warn("key %s has not been seen here yet: is it the right one?", to)
				return d, nil
			})
		},
	}
	keyFlag(a, cmd, &key)
	cmd.Flags().StringVar(&until, "until", "", "last day, as 2027-12-31 (required)")
	cmd.Flags().IntVar(&depth, "depth", 0, "how many further delegations the key may chain, 0 to 3")
	cmd.Flags().BoolVar(&undo, "undo", false, "take back what was delegated to the key")
	return cmd
}

func delegated(cmd *cobra.Command, args []string, until string) ([]records.Scope, int64, error) {
	if len(args) == 0 {
		return nil, 0, cli.Usagef(cmd, "%s needs at least one scope, such as left-pad, '@acme/*' or 'acme-*'", cmd.CommandPath())
	}
	var scopes []records.Scope
	for _, s := range args {
		scope, err := records.ParseScope(s)
		if err != nil {
			return nil, 0, cli.Usagef(cmd, "%v", err)
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	if len(scopes) > records.MaxScopes {
		return nil, 0, cli.Usagef(cmd, "%d scopes, the limit is %d", len(scopes), records.MaxScopes)
	}
	if until == "" {
		return nil, 0, cli.Usagef(cmd, "--until is needed: a delegation that never ends is forgotten")
	}
	day, err := time.Parse(time.DateOnly, until)
	if err != nil {
		return nil, 0, cli.Usagef(cmd, "--until %q is not a date such as 2027-12-31", until)
	}
	end := day.AddDate(0, 0, 1)
	if !end.After(time.Now()) {
		return nil, 0, cli.Usagef(cmd, "--until %s is over", until)
	}
	return scopes, end.Unix(), nil
}
