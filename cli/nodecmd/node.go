package nodecmd

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/registry"
	"github.com/everythingstays/es/node/swarm"
)

type nodeOptions struct {
	private  string
	network  networkOptions
	registry registryOptions
}

func nodeCommand(a cli.App) *cobra.Command {
	var o nodeOptions
	cmd := &cobra.Command{
		Use:   "node",
		Short: "take part in the network until stopped",
		Long: `Runs a node: it receives and passes on records, serves the modules that are
here, and does the network's part of other es commands in this home.

It listens on port 4011, TCP and UDP, of all addresses of this machine, or on a
port that the system chooses when that one is taken, which it says. It prints
"listening ADDR/p2p/PEER" for each address, those first that most can reach, and
then "ready". Peers are found by themselves: on the local network by mDNS,
elsewhere through the public DHT of IPFS, and again wherever they were met
before. To meet somebody at once, give one of these addresses to them for es
connect. Where a router or a container forwards a port to this machine,
--announce tells others of it.

A network of one's own is made of nodes that know each other: with --dht own and
--bootstrap ADDR they ask nobody else. With --private KEYFILE they let in only
those who have the same key; --private new makes one.

With --registry it serves npm's clients on loopback what this home has imported,
as far as the trust file and the advisories of es import osv let it; --upstream
fetches on demand what is missing. es npm, es pnpm, es yarn and es bun need none
of this: they serve their client by themselves.

All flags are remembered in this home, those that say how peers are found for
all other commands too, and all but --audit. --listen default, and none for any
other that names an address, forget.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.network.check(cmd); err != nil {
				return err
			}
			if a.Offline {
				return cli.Usagef(cmd, "--offline and node contradict each other")
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error {
				s, err := h.Settings()
				if err != nil {
					return err
				}
				if err := o.registry.check(cmd, s); err != nil {
					return err
				}
				return runNode(cmd.Context(), a, h, o)
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.network.listen, "listen", nil, "multiaddr to listen on, or default; may be repeated (default: TCP and QUIC on port 4011 of all addresses, or on a free port)")
	f.StringArrayVar(&o.network.announce, "announce", nil, "multiaddr where others reach this node, as behind a router that forwards a port, or none; may be repeated")
	f.StringArrayVar(&o.network.bootstrap, "bootstrap", nil, "multiaddr of a peer to meet first, or none; may be repeated")
	f.StringVar(&o.network.dht, "dht", "", "which DHT to find peers and modules in: public, own (that of the bootstrap peers) or off (default public)")
	f.StringVar(&o.network.mdns, "mdns", "", "whether to find peers on the local network: on or off (default on)")
	f.StringVar(&o.private, "private", "", "file with the key of a private network, or new to make one")
	f.StringVar(&o.network.seed, "seed", "", "which modules to fetch for serving them: used, trusted or all (default used)")
	o.registry.addFlags(cmd)
	return cmd
}

func runNode(ctx context.Context, a cli.App, h *home.Home, o nodeOptions) error {
	a.Linger()
	if err := goPrivate(ctx, a, h, o.private); err != nil {
		return err
	}
	cfg, err := nodeConfig(a, h, o.network.over)
	if err != nil {
		return err
	}
	s, err := h.Settings()
	if err != nil {
		return err
	}
	s = o.registry.over(o.network.over(s))
	cfg.Listen, cfg.Announce, cfg.Seed = s.Listen, s.Announce, s.Seed
	n, err := node.New(ctx, h, cfg)
	if err != nil {
		return err
	}
	served, closeRegistry, err := openRegistry(a, h, s, o.registry.audit)
	if err != nil {
		return err
	}
	defer closeRegistry()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.Run(ctx) })
	if served != nil {
		group.Go(func() error { return served.Run(ctx) })
	}
	group.Go(func() error { return begin(ctx, a, h, n, served, o) })
	err = registryError(group.Wait())
	var locked *home.LockedError
	if errors.As(err, &locked) {
		return ui.Hinted(err, "stop that one first, or use another --home")
	}
	if errors.As(err, new(*swarm.ListenError)) && len(o.network.listen) == 0 {
		return ui.Hinted(err, "the home remembers where to listen; es node --listen default forgets it")
	}
	return err
}

// begin waits until everything serves, and says where. What a node could not start with
// is not remembered.
func begin(ctx context.Context, a cli.App, h *home.Home, n *node.Node, served *registry.Server, o nodeOptions) error {
	all := []<-chan struct{}{n.Ready()}
	if served != nil {
		all = append(all, served.Ready())
	}
	for _, ready := range all {
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
		}
	}
	if err := remember(h, o.network.over, o.registry.over); err != nil {
		return err
	}
	if served != nil {
		printRegistry(a, served)
	}
	s, err := h.Settings()
	if err != nil {
		return err
	}
	return printReady(ctx, a, n, len(s.Listen) == 0)
}

// printReady says where the node is, and what of that its user might not expect.
func printReady(ctx context.Context, a cli.App, n *node.Node, usual bool) error {
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	for _, addr := range s.Addrs {
		a.Printf("listening %s", addr)
	}
	if moved := elsewhere(s.Listen); usual && len(moved) > 0 {
		a.Note("port %d is taken: it listens on %s, and the next time elsewhere; --listen chooses where", address.DefaultPort, strings.Join(moved, " and "))
	}
	if text, hint := unreached(s); text != "" {
		a.Note("%s", text)
		a.Hint("%s", hint)
	}
	a.Printf("ready")
	return a.Printed()
}

// elsewhere are the addresses with another port than the usual one.
func elsewhere(listen []string) []string {
	return slices.DeleteFunc(slices.Clone(listen), func(addr string) bool {
		return slices.Contains(strings.Split(addr, "/"), strconv.Itoa(address.DefaultPort))
	})
}

// unreached says of a daemon that others cannot dial why, and what to do; "" of
// any other.
func unreached(s api.Status) (text, hint string) {
	onlyLoopback := len(s.Listen) > 0 && !slices.ContainsFunc(s.Listen, func(addr string) bool {
		return !strings.HasPrefix(addr, "/ip4/127.") && !strings.HasPrefix(addr, "/ip6/::1/")
	})
	switch audience := s.Audience(); {
	case !s.Daemon || audience > address.AudienceMachine || s.Reachability == "private": // which says more
		return "", ""
	case len(s.Listen) == 0:
		return "nobody can reach this node: it listens nowhere", "es node --listen default"
	case onlyLoopback:
		return "nobody outside this machine can reach this node: it listens on loopback alone", "es node --listen default"
	}
	return "nobody outside this machine can reach this node: the machine has no other address", "connect this machine to a network"
}
