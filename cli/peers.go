package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/node"
)

func (a *app) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "show who is connected, and what they gave",
		Long: `Shows each connected peer: its id, who called whom (in or out), how it was found
(asked, remembered, lan, dht or incoming), its program, what it gave since the
node started, and its address.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withNetwork(cmd.Context(), a.readingHome, func(n node.Network) error { return a.runPeers(cmd.Context(), n) })
		},
	}
}

func (a *app) runPeers(ctx context.Context, n node.Network) error {
	peers, err := n.Peers(ctx)
	if err != nil {
		return err
	}
	if a.json {
		if peers == nil {
			peers = []node.PeerInfo{}
		}
		return a.emit(peers)
	}
	if len(peers) == 0 {
		a.note("nobody is connected")
		a.hint("es connect ADDR")
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
		rows = append(rows, []string{p.Peer, direction, p.Found, safe(p.Agent), given(p), safe(addr)})
	}
	a.columnsOf(rows, 0, nil)
	return nil
}

// given says what a peer has brought.
func given(p node.PeerInfo) string {
	var what []string
	if p.Records > 0 {
		what = append(what, plural(p.Records, "record"))
	}
	if p.Received > 0 {
		what = append(what, bytesText(p.Received))
	}
	if len(what) == 0 {
		return "nothing yet"
	}
	return strings.Join(what, ", ")
}
