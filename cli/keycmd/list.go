package keycmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
)

func keyListCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "list your own keys",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runKeyList(cmd.Context(), a, h) })
		},
	}
}

func runKeyList(ctx context.Context, a cli.App, h *home.Home) error {
	keys, err := h.Keys(ctx)
	if err != nil {
		return err
	}
	list := make([]keyJSON, len(keys))
	for i, k := range keys {
		list[i] = describeKey(k, time.Now())
	}
	if a.JSON {
		return a.Emit(list)
	}
	if len(list) == 0 {
		a.Note("no key of your own yet; reading and installing needs none")
		a.Hint("es key new --name NAME --email ADDRESS")
		return nil
	}
	var rows [][]string
	for _, k := range list {
		var about []string
		if k.Default {
			about = append(about, "default")
		}
		if k.GPG {
			about = append(about, "in gpg")
		}
		if k.Problem != "" {
			about = append(about, k.Problem)
		}
		rows = append(rows, []string{k.Fingerprint.String(), ui.UIDText(k.UID), strings.Join(about, ", ")})
	}
	a.Table(rows)
	return nil
}
