// Command es is a module index without a registry; see package cli.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/democmd"
	"github.com/everythingstays/es/cli/keycmd"
	"github.com/everythingstays/es/cli/nodecmd"
	"github.com/everythingstays/es/cli/npmcmd"
	"github.com/everythingstays/es/cli/projectcmd"
	"github.com/everythingstays/es/cli/publishcmd"
	"github.com/everythingstays/es/cli/searchcmd"
	"github.com/everythingstays/es/cli/trustcmd"
)

// groups are the commands that es has.
var groups = []cli.Group{
	democmd.Commands, keycmd.Commands, nodecmd.Commands,
	func(a cli.App) []*cobra.Command { return npmcmd.Commands(a, publishcmd.SignImports) },
	projectcmd.Commands, publishcmd.Commands, searchcmd.Commands, trustcmd.Commands,
}

func main() { os.Exit(cli.Main(nodecmd.Join, groups...)) }
