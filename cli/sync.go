package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
)

func (a *app) syncCommand() *cobra.Command {
	var o api.SyncOptions
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "get the records that are missing here",
		Long: `Asks the peers that can be reached for records that this home does not have:
those of the keys you trust and of those they delegate to. While you trust
nobody, and with --all, strangers' records come too, as many as are kept.

A running es node does this by itself; without one, other commands see what was
known when this one ran last.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.Offline {
				return usagef(cmd, "--offline and sync contradict each other")
			}
			return a.withHome(cmd.Context(), func(h *home.Home) error { return a.runSync(cmd.Context(), h, o) })
		},
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "get the records of strangers too")
	return cmd
}

func (a *app) runSync(ctx context.Context, h *home.Home, o api.SyncOptions) error {
	n, err := a.join(ctx, h)
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
		if s.Crowded > 0 {
			return ui.Coded(ui.ExitUnreachable, nobodyAnswered(s), "try again in a minute; a node of your own in that network asks once for all: es node")
		}
		return ui.Coded(ui.ExitUnreachable, nobodyAnswered(s), "es connect ADDR meets a peer; es peers shows who is connected")
	}
	authors, err := h.Authors(ctx, time.Now())
	if err != nil {
		return err
	}
	view, err := h.View(time.Now())
	if err != nil {
		return err
	}
	if err := a.warnStale(ctx, h, view, authors, ui.Plural(int64(s.Peers), "peer")+" asked"); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(s)
	}
	a.Printf("%s from %s", newRecords(s), ui.Plural(int64(s.Peers), "peer"))
	if s.Refused > 0 {
		a.Note("%s not kept: from keys that you deny or that were revoked, or dated in the future", ui.Plural(s.Refused, "record"))
	}
	if !s.Complete {
		a.Note("these peers have more records")
		a.Hint("es sync")
	}
	return nil
}

func nobodyAnswered(s api.Synced) error {
	switch {
	case s.Crowded > 0:
		return fmt.Errorf("%s refused: too many connections from this address", ui.Plural(int64(s.Crowded), "peer"))
	case s.Failed == 0:
		return errors.New("nobody is connected who could be asked for records")
	}
	return errors.New("none of " + ui.Plural(int64(s.Failed), "connected peer") + " answered")
}

func newRecords(s api.Synced) string {
	if s.Records == 0 {
		return "nothing new"
	}
	return ui.Plural(s.Records, "new record") + " (" + ui.BytesText(s.Bytes) + ")"
}
