package nodecmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
)

func connectCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "connect ADDR",
		Short: "meet a peer, and remember it",
		Long: `Dials a peer by its multiaddr, as es node prints it after "listening", such as
  /ip4/192.0.2.7/tcp/4011/p2p/12D3KooW...
The peer is remembered and dialled again by every later command that needs one.`,
		Args: cli.Arguments(1, 1, "a multiaddr that ends in /p2p/PEER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.Offline {
				return cli.Usagef(cmd, "--offline and connect contradict each other")
			}
			return a.WithNetwork(cmd.Context(), a.WithHome, func(n api.Network) error { return runConnect(cmd.Context(), a, n, args[0]) })
		},
	}
}

func runConnect(ctx context.Context, a cli.App, n api.Network, addr string) error {
	p, err := n.Connect(ctx, addr)
	if err != nil {
		var unreachable *api.UnreachableError
		if errors.As(err, &unreachable) {
			return err
		}
		if errors.As(err, new(*swarm.RefusedError)) {
			return ui.Coded(ui.ExitUnreachable, err, "try again in a minute")
		}
		var wrong *api.WrongAddrError
		if errors.As(err, &wrong) && wrong.At != "" {
			return ui.Coded(ui.ExitUnreachable, err, "it is remembered at "+ui.Safe(wrong.At)+", which stays: nothing has to be done if that one is right")
		}
		const there = "es node must be running there; it prints its addresses, such as /ip4/192.0.2.7/tcp/4011/p2p/12D3KooW..."
		if wrong != nil {
			return ui.Coded(ui.ExitUnreachable, err, there)
		}
		return ui.Hinted(err, there)
	}
	if a.JSON {
		return a.Emit(p)
	}
	a.Printf("%s", p.Peer)
	a.Note("connected to %s, and remembered", ui.Safe(p.Agent))
	return nil
}
