package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/node"
)

type nodeOptions struct {
	listen    []string
	bootstrap []string
	seed      string
}

func (a *app) nodeCommand() *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "node",
		Short: "take part in the network until stopped",
		Long: `Runs a node: it receives and passes on records, serves the modules that are here,
and does the network's part of other es commands in this home.

It prints "listening ADDR/p2p/PEER" for each address, and then "ready". Give one
of these addresses to others for es connect.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch node.Seed(o.seed) {
			case node.SeedUsed, node.SeedTrusted, node.SeedAll:
			default:
				return usagef(cmd, "--seed %q is not used, trusted or all", o.seed)
			}
			if a.offline {
				return usagef(cmd, "--offline and node contradict each other")
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runNode(cmd.Context(), h, o) })
		},
	}
	cmd.Flags().StringArrayVar(&o.listen, "listen", nil, "multiaddr to listen on; may be repeated (default: TCP and QUIC on port 4011, or on a free one)")
	cmd.Flags().StringArrayVar(&o.bootstrap, "bootstrap", nil, "multiaddr of a peer to meet first; may be repeated")
	cmd.Flags().StringVar(&o.seed, "seed", string(node.SeedUsed), "which modules to fetch for serving them: used, trusted or all")
	return cmd
}

func (a *app) runNode(ctx context.Context, h *node.Home, o nodeOptions) error {
	n, err := node.New(ctx, h, node.Config{Listen: o.listen, Bootstrap: o.bootstrap, Seed: node.Seed(o.seed), Version: version, Log: a.logger()})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.Run(ctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-n.Ready():
			return a.printReady(ctx, n)
		}
	})
	err = group.Wait()
	var locked *node.LockedError
	if errors.As(err, &locked) {
		return hinted(err, "stop that one first, or use another --home")
	}
	return err
}

func (a *app) printReady(ctx context.Context, n *node.Node) error {
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	for _, addr := range s.Addrs {
		a.printf("listening %s", addr)
	}
	a.printf("ready")
	return nil
}

// logger writes what a node has to say: warnings, and with --verbose more.
func (a *app) logger() *slog.Logger {
	level := slog.LevelWarn
	switch {
	case a.quiet:
		level = slog.LevelError
	case a.verbose:
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// withNetwork runs f with the running daemon, or with a node for this command.
func (a *app) withNetwork(ctx context.Context, f func(node.Network) error) error {
	return a.withHome(ctx, func(h *node.Home) error {
		n, err := node.Join(ctx, h, a.nodeConfig())
		if err != nil {
			return err
		}
		defer n.Close()
		return f(n)
	})
}
