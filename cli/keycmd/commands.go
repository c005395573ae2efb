// Package keycmd has the commands about own keys.
package keycmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{keyCommand(a)}
}
