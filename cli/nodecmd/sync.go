package nodecmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
)

func syncCommand(a cli.App) *cobra.Command {
	var o api.SyncOptions
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "get the records that are missing here",
		Long: `Asks the peers that can be reached for records that this home does not have:
those of the keys you trust and of those they delegate to. While you trust
nobody, and with --all, strangers' records come too, as many as are kept.

A running es node does this by itself; without one, other commands see what was
known when this one ran last.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.Offline {
				return cli.Usagef(cmd, "--offline and sync contradict each other")
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runSync(cmd.Context(), a, h, o) })
		},
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "get the records of strangers too")
	return cmd
}

func runSync(ctx context.Context, a cli.App, h *home.Home, o api.SyncOptions) error {
	n, err := a.Join(ctx, h)
	if err != nil {
		return err
	}
	defer n.Close()
	bar := a.NewProgress()
	s, err := n.Sync(ctx, o, func(s api.Synced) {
		bar.Stage("getting records", fmt.Sprintf("%d  %s", s.Records, ui.BytesText(s.Bytes)))
	})
	bar.End()
	if err != nil {
		return err
	}
	if s.Peers == 0 {
		if s.Refusing > 0 {
			return ui.Coded(ui.ExitUnreachable, cli.NobodyAnswered(s), "try again in a minute; a node of your own in that network asks once for all: es node")
		}
		return ui.Coded(ui.ExitUnreachable, cli.NobodyAnswered(s), "es connect ADDR meets a peer; es peers shows who is connected")
	}
	authors, err := h.Authors(ctx, time.Now())
	if err != nil {
		return err
	}
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return err
	}
	if err := a.WarnStale(ctx, h, evaluator, authors, ui.Plural(int64(s.Peers), "peer")+" asked"); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(s)
	}
	a.Printf("%s from %s", cli.NewRecords(s), ui.Plural(int64(s.Peers), "peer"))
	if s.Refused > 0 {
		a.Note("%s not kept: from keys that you deny or that were revoked, or dated in the future", ui.Plural(s.Refused, "record"))
	}
	if !s.Complete {
		a.Note("these peers have more records")
		a.Hint("es sync")
	}
	return nil
}
