package publishcmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func heartbeatCommand(a cli.App) *cobra.Command {
	var key, within string
	cmd := &cobra.Command{
		Use:   "heartbeat",
		Short: "promise when you will say something again",
		Long: `Signs that you have said nothing else until now, and that you will say something
again --within this time: a release, another statement or another heartbeat.
Whoever trusts you is warned when it passes without: either you are late, or
somebody keeps your news from them.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := cli.ParseAge(within)
			if err != nil || d == 0 {
				return cli.Usagef(cmd, "--within %q is not a duration such as 72h, 30d or 12w", within)
			}
			return signAndAnnounce(a, cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) {
				next := time.Now().Add(d)
				a.Note("your next release, statement or heartbeat is due by %s", next.UTC().Format(time.DateOnly))
				return &records.Heartbeat{Next: next.Unix()}, nil
			})
		},
	}
	keyFlag(a, cmd, &key)
	cmd.Flags().StringVar(&within, "within", "90d", "time until you say something again, such as 72h, 30d or 12w")
	return cmd
}
