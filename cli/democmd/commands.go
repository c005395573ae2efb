// Package democmd has the demonstration of es on one machine.
package democmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{demoCommand(a)}
}
