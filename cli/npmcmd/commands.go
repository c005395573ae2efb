// Package npmcmd has the commands that take packages from npm's registries, and that
// install what npm's lockfile says.
package npmcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

// SignImports signs releases with an own key and announces them, and returns how many were
// signed that were not before.
type SignImports func(ctx context.Context, a cli.App, h *home.Home, key string, releases []*records.Release) (int, error)

// Commands are those of this package.
func Commands(a cli.App, sign SignImports) []*cobra.Command {
	commands := []*cobra.Command{ciCommand(a), importCommand(a, sign)}
	for _, client := range clients {
		commands = append(commands, clientCommand(a, client))
	}
	return commands
}

func importCommand(a cli.App, sign SignImports) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "take packages from elsewhere into this home",
		Args:  cli.NoArguments,
		RunE:  func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(importNPMCommand(a, sign), importOSVCommand(a))
	return cmd
}
