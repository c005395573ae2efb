package projectcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/records"
)

func updateCommand(a cli.App) *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:     "update [NAME...]",
		Aliases: []string{"up", "upgrade"},
		Short:   "take the newest versions that package.json allows",
		Long: `Resolves the names again wherever they stand in node_modules, without names
everything, and installs the newest versions that package.json and the packages
that need them allow. es-lock.json keeps the rest, and package.json stays as it
is.

A module that another key signs than before is not taken before you accept the
key.`,
		Args: cli.Arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := parseNames(cmd, args)
			if err != nil {
				return err
			}
			return inProject(a, cmd, o, func(ctx context.Context, w *session) (*install.Result, error) {
				if err := warnWhileResolving(a, w, nil); err != nil {
					return nil, err
				}
				return w.project.Update(ctx, w.sources, names, w.options)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func parseNames(cmd *cobra.Command, args []string) ([]records.Name, error) {
	names := make([]records.Name, len(args))
	for i, s := range args {
		n, err := records.ParseName(s)
		if err != nil {
			return nil, cli.Usagef(cmd, "%v", err)
		}
		names[i] = n
	}
	return names, nil
}
