package nodecmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
)

func peersCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "show who is connected, and what they gave",
		Long: `Shows each connected peer: its id, who called whom (in or out), how it was found
(asked, remembered, lan, dht or incoming), its program, what it gave since the
node started, and its address.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithNetwork(cmd.Context(), a.ReadingHome, func(n api.Network) error { return runPeers(cmd.Context(), a, n) })
		},
	}
}

func runPeers(ctx context.Context, a cli.App, n api.Network) error {
	peers, err := n.Peers(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		if peers == nil {
			peers = []api.PeerInfo{}
		}
		return a.Emit(peers)
	}
	if len(peers) == 0 {
		a.Note("no peers connected")
		a.Hint("es connect ADDR")
		return nil
	}
	var rows [][]string
	for _, p := range peers {
		addr := ""
		if len(p.Addrs) > 0 {
			addr = p.Addrs[0]
		}
		direction := "in"
		if p.Outbound {
			direction = "out"
		}
		rows = append(rows, []string{p.Peer, direction, p.Found, ui.Safe(p.Agent), given(p), ui.Safe(addr)})
	}
	a.ColumnsOf(rows, 0, nil)
	return nil
}

// given says what a peer has brought.
func given(p api.PeerInfo) string {
	var what []string
	if p.Records > 0 {
		what = append(what, ui.Plural(p.Records, "record"))
	}
	if p.Received > 0 {
		what = append(what, ui.BytesText(p.Received))
	}
	if len(what) == 0 {
		return "nothing yet"
	}
	return strings.Join(what, ", ")
}
