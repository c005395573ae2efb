package nodecmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
)

func statusCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show this node, its peers and its index",
		Args:  cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithNetwork(cmd.Context(), a.ReadingHome, func(n api.Network) error { return runStatus(cmd.Context(), a, n) })
		},
	}
}

func runStatus(ctx context.Context, a cli.App, n api.Network) error {
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(s)
	}
	switch {
	case s.Daemon:
		a.Linef("node      running, es %s", ui.Safe(s.Version))
	case a.Stuck != nil:
		a.Linef("node      running, and does not answer: %s", a.Stuck)
	default:
		a.Linef("node      not running: es node starts it")
	}
	a.Linef("peer      %s", s.Peer)
	for _, addr := range s.Addrs {
		a.Linef("address   %s", ui.Safe(addr))
	}
	if text, hint := unreached(s); text != "" {
		a.Linef("address   %s", text)
		a.Linef("          -> %s", hint)
	}
	a.Linef("peers     %d connected", s.Peers)
	a.Linef("reach     %s; meets peers by %s", reachText(s), meetText(s))
	a.Linef("index     %s by %s, %s", ui.Plural(s.Records, "record"), ui.Plural(s.Authors, "author"), ui.Plural(s.Releases, "release"))
	switch {
	case s.Synced.IsZero():
		a.Linef("news      never asked for: es sync")
	default:
		a.Linef("news      asked for %s", s.Synced.Format("2006-01-02 15:04"))
	}
	if s.Daemon {
		a.Linef("seeds     %s", seedText(s.Seed))
	}
	if s.Pending > 0 {
		a.Linef("outbox    %s of yours not announced to any peer yet", ui.Plural(s.Pending, "record"))
	}
	return nil
}

// reachText says what is known of whether others can dial the node.
func reachText(s api.Status) string {
	text := s.Reachability + " from outside"
	if s.Inbound > 0 {
		text += fmt.Sprintf("; dialled by %s", ui.Plural(int64(s.Inbound), "connected peer"))
	}
	return text
}

// seedText says which modules the node keeps for others.
func seedText(s api.Seed) string {
	switch s {
	case api.SeedAll:
		return "all: the modules of every release that it hears of are fetched and served"
	case api.SeedTrusted:
		return "trusted: the modules that your trust file lets in are fetched and served"
	}
	return "used: what was installed or published here is served"
}

// meetText says how the node finds others, and others find it.
func meetText(s api.Status) string {
	var ways []string
	if s.Private {
		ways = append(ways, "a private network alone")
	}
	if s.MDNS {
		ways = append(ways, "the local network (mDNS)")
	}
	if s.DHT.Network != api.DHTOff && s.DHT.Network != "" {
		ways = append(ways, fmt.Sprintf("the %s DHT (%s)", s.DHT.Network, ui.Plural(int64(s.DHT.Peers), "peer")))
	}
	return strings.Join(append(ways, "known addresses"), ", ")
}
