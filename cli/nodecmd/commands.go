// Package nodecmd has the commands about the network: the node of this home and its peers.
package nodecmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{nodeCommand(a), connectCommand(a), peersCommand(a), syncCommand(a), statusCommand(a), doctorCommand(a)}
}
