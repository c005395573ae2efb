// Package projectcmd has the commands that change and check the project in the current directory.
package projectcmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{addCommand(a), installCommand(a), updateCommand(a), removeCommand(a), listCommand(a), verifyCommand(a)}
}
