package publishcmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
)

// How long a publish waits for peers to fetch what it announced.
const (
	spreadQuiet = time.Second // without a block being asked for
	spreadMost  = time.Minute
	spreadWait  = 10 * time.Minute // with --wait and no time
	spreadPoll  = 250 * time.Millisecond
)

// spreading says how far a release has come.
type spreading struct {
	Peers   int  `json:"peers"`           // that were sent the record
	Holders int  `json:"holders"`         // of the connected peers, say that they have all files
	Daemon  bool `json:"daemon,omitzero"` // a running es node serves the files
	waited  bool // for holders, in vain
}

// spread announces records and sees who fetches the module that they release, with
// wait for that long and else as long as somebody does.
func spread(ctx context.Context, a cli.App, h *home.Home, ids []cid.Cid, module cid.Cid, wait time.Duration) (spreading, error) {
	var s spreading
	var failed error
	announce := func(n api.Network) (api.Announced, error) {
		_, s.Daemon = n.(*localapi.Client)
		sent, err := n.Announce(ctx, ids)
		if err != nil || sent.Peers == 0 && wait == 0 {
			return sent, err
		}
		if wait > 0 {
			a.Note("waiting up to %s for a peer to fetch the files", wait)
		}
		s.Holders, failed = awaitHolders(ctx, n, module, wait, s.Daemon)
		return sent, nil
	}
	s.Peers = a.Send(ctx, h, "queued, and announced when a peer connects", announce)
	switch {
	case failed != nil:
		return s, failed
	case s.Holders > 0:
		a.Note("files at %s, by their own word", ui.Plural(int64(s.Holders), "peer"))
	case s.Daemon:
		a.Note("nobody else has the files yet: the running es node serves them")
	case wait > 0:
		s.waited = true
	case s.Peers > 0:
		a.Warn("nobody else has the files yet: who wants them gets them only while this home serves them")
		a.Hint("es node serves them; es publish --wait stays until a peer has them")
	}
	return s, nil
}

// awaitHolders asks how many peers have a module, until one does and nobody fetches
// it any more.
func awaitHolders(ctx context.Context, n api.Network, module cid.Cid, wait time.Duration, daemon bool) (int, error) {
	start := time.Now()
	most := wait
	if wait == 0 {
		most = spreadMost
	}
	for {
		h, err := n.Holders(ctx, module)
		if err != nil {
			return 0, err
		}
		spent := time.Since(start)
		quiet := h.Idle > spreadQuiet && spent > spreadQuiet
		switch {
		case spent >= most, h.Have > 0 && (quiet || daemon || h.Have == h.Asked), wait == 0 && (quiet || daemon):
			return h.Have, nil
		}
		select {
		case <-time.After(spreadPoll):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// waitArgument takes a time off the end of args that was meant for --wait: flags that
// have a default value take theirs after = alone.
func (o *publishOptions) waitArgument(cmd *cobra.Command, args []string) ([]string, error) {
	if !cmd.Flags().Changed("wait") {
		return args, nil
	}
	if last := len(args) - 1; last >= 0 {
		if d, err := time.ParseDuration(args[last]); err == nil {
			if _, err := os.Stat(args[last]); errors.Is(err, fs.ErrNotExist) {
				o.wait, args = d, args[:last]
			}
		}
	}
	if o.wait <= 0 {
		return nil, cli.Usagef(cmd, "--wait %s is not a duration above 0, such as 10m", o.wait)
	}
	return args, nil
}

// unspread is the error of a publish that waited in vain.
func unspread(about string, wait time.Duration) error {
	return ui.Coded(ui.ExitUnreachable, errors.New(about+" is published, and after "+wait.String()+" no peer has fetched its files"),
		"es node serves them until somebody does; es publish --wait again waits again")
}
