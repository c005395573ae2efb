package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/node"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show this node, its peers and its index",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withNetwork(cmd.Context(), func(n node.Network) error { return a.runStatus(cmd.Context(), n) })
		},
	}
}

func (a *app) runStatus(ctx context.Context, n node.Network) error {
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.emit(s)
	}
	if s.Daemon {
		a.printf("node      running, es %s", safe(s.Version))
	} else {
		a.printf("node      not running: es node starts it")
	}
	a.printf("peer      %s", s.Peer)
	for _, addr := range s.Addrs {
		a.printf("address   %s", safe(addr))
	}
	a.printf("peers     %d connected", s.Peers)
	a.printf("index     %s by %s, %s", plural(s.Records, "record"), plural(s.Authors, "author"), plural(s.Releases, "release"))
	if s.Pending > 0 {
		a.printf("outbox    %s of yours that nobody has heard of yet", plural(s.Pending, "record"))
	}
	return nil
}
