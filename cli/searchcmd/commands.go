// Package searchcmd has the commands that show what others have signed.
package searchcmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{searchCommand(a), infoCommand(a), exportCommand(a)}
}
