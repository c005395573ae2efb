package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/node"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show this node, its peers and its index",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withNetwork(cmd.Context(), a.readingHome, func(n node.Network) error { return a.runStatus(cmd.Context(), n) })
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
	switch {
	case s.Daemon:
		a.printf("node      running, es %s", safe(s.Version))
	case a.stuck != nil:
		a.printf("node      running, and does not answer: %s", a.stuck)
	default:
		a.printf("node      not running: es node starts it")
	}
	a.printf("peer      %s", s.Peer)
	for _, addr := range s.Addrs {
		a.printf("address   %s", safe(addr))
	}
	if text, hint := unreached(s); text != "" {
		a.printf("address   %s", text)
		a.printf("          -> %s", hint)
	}
	a.printf("peers     %d connected", s.Peers)
	a.printf("reach     %s; meets peers by %s", reachText(s), meetText(s))
	a.printf("index     %s by %s, %s", plural(s.Records, "record"), plural(s.Authors, "author"), plural(s.Releases, "release"))
	switch {
	case s.Synced.IsZero():
		a.printf("news      never asked for: es sync")
	default:
		a.printf("news      asked for %s", s.Synced.Format("2006-01-02 15:04"))
	}
	if s.Daemon {
		a.printf("seeds     %s", seedText(s.Seed))
	}
	if s.Pending > 0 {
		a.printf("outbox    %s of yours that nobody has heard of yet", plural(s.Pending, "record"))
	}
	return nil
}

// reachText says what is known of whether others can dial the node.
func reachText(s node.Status) string {
	text := s.Reachability + " from outside"
	if s.Inbound > 0 {
		text += fmt.Sprintf("; dialled by %s", plural(int64(s.Inbound), "connected peer"))
	}
	return text
}

// seedText says which modules the node keeps for others.
func seedText(s node.Seed) string {
	switch s {
	case node.SeedAll:
		return "all: the modules of every release that it hears of are fetched and served"
	case node.SeedTrusted:
		return "trusted: the modules that your trust file lets in are fetched and served"
	}
	return "used: what was installed or published here is served"
}

// meetText says how the node finds others, and others find it.
func meetText(s node.Status) string {
	var ways []string
	if s.Private {
		ways = append(ways, "a private network alone")
	}
	if s.MDNS {
		ways = append(ways, "the local network (mDNS)")
	}
	if s.DHT.Network != node.DHTOff && s.DHT.Network != "" {
		ways = append(ways, fmt.Sprintf("the %s DHT (%s)", s.DHT.Network, plural(int64(s.DHT.Peers), "peer")))
	}
	return strings.Join(append(ways, "known addresses"), ", ")
}
