// Command es is a module index without a registry; see package cli.
package main

import (
	"os"

	"github.com/everythingstays/es/cli"
)

func main() { os.Exit(cli.Main()) }
