// Package npmcmd has the commands that take packages from npm's registries, and that
// install what npm's lockfile says.
package npmcmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	commands := []*cobra.Command{ciCommand(a), importCommand(a)}
	for _, client := range clients {
		commands = append(commands, clientCommand(a, client))
	}
	return commands
}

func importCommand(a cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "take packages from elsewhere into this home",
		Args:  cli.NoArguments,
		RunE:  func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(importNPMCommand(a), importOSVCommand(a))
	return cmd
}
