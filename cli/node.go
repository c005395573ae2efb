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
	listen  []string
	seed    string
	private string
	network networkOptions
}

func (a *app) nodeCommand() *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "node",
		Short: "take part in the network until stopped",
		Long: `Runs a node: it receives and passes on records, serves the modules that are here,
and does the network's part of other es commands in this home.

It prints "listening ADDR/p2p/PEER" for each address, and then "ready". Peers are
found by themselves: on the local network by mDNS, elsewhere through the public
DHT of IPFS, and again wherever they were met before. To meet somebody at once,
give one of these addresses to them for es connect.

A network of one's own is made of nodes that know each other: with --dht own and
--bootstrap ADDR they ask nobody else. With --private KEYFILE they let in only
those who have the same key; --private new makes one.

--dht, --mdns, --bootstrap and --private are remembered in this home, for all
other commands too.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch node.Seed(o.seed) {
			case node.SeedUsed, node.SeedTrusted, node.SeedAll:
			default:
				return usagef(cmd, "--seed %q is not used, trusted or all", o.seed)
			}
			if err := o.network.check(cmd); err != nil {
				return err
			}
			if a.offline {
				return usagef(cmd, "--offline and node contradict each other")
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runNode(cmd.Context(), h, o) })
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.listen, "listen", nil, "multiaddr to listen on; may be repeated (default: TCP and QUIC on port 4011, or on a free one)")
	f.StringArrayVar(&o.network.bootstrap, "bootstrap", nil, "multiaddr of a peer to meet first; may be repeated")
	f.StringVar(&o.network.dht, "dht", "", "which DHT to find peers and modules in: public, own (that of the bootstrap peers) or off (default public)")
	f.StringVar(&o.network.mdns, "mdns", "", "whether to find peers on the local network: on or off (default on)")
	f.StringVar(&o.private, "private", "", "file with the key of a private network, or new to make one")
	f.StringVar(&o.seed, "seed", string(node.SeedUsed), "which modules to fetch for serving them: used, trusted or all")
	return cmd
}

func (a *app) runNode(ctx context.Context, h *node.Home, o nodeOptions) error {
	if err := a.goPrivate(h, o.private); err != nil {
		return err
	}
	if err := a.remember(h, o.network); err != nil {
		return err
	}
	cfg, err := a.nodeConfig(h, o.network)
	if err != nil {
		return err
	}
	cfg.Listen, cfg.Seed = o.listen, node.Seed(o.seed)
	n, err := node.New(ctx, h, cfg)
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
		n, err := a.join(ctx, h)
		if err != nil {
			return err
		}
		defer n.Close()
		return f(n)
	})
}
