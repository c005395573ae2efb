// Package trustcmd has the commands about whom the user believes, and why a version is taken or not.
package trustcmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{trustCommand(a), whyCommand(a)}
}
