// Package publishcmd has the commands that sign what an author has to say: releases, and statements about them.
package publishcmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
)

// Commands are those of this package.
func Commands(a cli.App) []*cobra.Command {
	return []*cobra.Command{publishCommand(a), tagCommand(a), deprecateCommand(a), yankCommand(a), adviseCommand(a), endorseCommand(a), delegateCommand(a), rotateCommand(a), heartbeatCommand(a)}
}
