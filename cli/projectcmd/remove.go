package projectcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/install"
)

func removeCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME...",
		Aliases: []string{"rm", "uninstall", "un", "r"},
		Short:   "remove modules from package.json and node_modules",
		Args:    cli.Arguments(1, -1, "at least one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := parseNames(cmd, args)
			if err != nil {
				return err
			}
			return inProject(a, cmd, installOptions{}, func(ctx context.Context, w *session) (*install.Result, error) {
				return w.project.Remove(ctx, w.sources, names, w.options)
			})
		},
	}
}
