package publishcmd

import (
	"context"
	"time"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

// askOwnLog is how long peers have to give what the own key signed elsewhere.
const askOwnLog = 30 * time.Second

// logPeers are the peers that a home can reach, as package author asks them.
type logPeers struct {
	app  cli.App
	home *home.Home
}

// AskLog implements author.Peers.
func (p logPeers) AskLog(ctx context.Context, author records.Fingerprint, search bool) (answered int, why string, err error) {
	network, err := p.app.Join(ctx, p.home)
	if err != nil {
		return 0, ui.Safe(err.Error()), ctx.Err()
	}
	defer network.Close()
	asking, cancel := context.WithTimeout(ctx, askOwnLog)
	defer cancel()
	s, err := network.Sync(asking, api.SyncOptions{Authors: []records.Fingerprint{author}, Search: search}, nil)
	switch {
	case ctx.Err() != nil:
		return 0, "", ctx.Err()
	case err != nil:
		return 0, ui.Safe(err.Error()), nil
	case s.Peers == 0:
		return 0, cli.NobodyAnswered(s).Error(), nil
	}
	return s.Peers, "", nil
}

// catchUp asks the peers that can be reached for what the key has signed elsewhere, and says
// what came of it; for a rehearsal, without noting that they were asked.
func catchUp(ctx context.Context, a cli.App, h *home.Home, own home.OwnKey, by *author.Author, rehearsal bool) error {
	o := author.LogOptions{Peers: logPeers{a, h}, First: a.First, Unasked: own.GPG && a.Offline, Rehearsal: rehearsal}
	if a.Offline {
		o.Peers, o.Why = nil, "--offline was given"
	}
	l, err := by.CatchUp(ctx, o)
	if err != nil {
		return authorRefusal(err)
	}
	peers := ui.Plural(int64(l.Answered), "peer")
	switch {
	case a.First:
	case !l.Known && l.Answered == 0:
		a.Warn("nobody was asked what key %s has signed elsewhere: a version that it released before would be frozen for ever", own.Fingerprint())
	case !l.Known && l.Records > 0:
		a.Note("your key is new here: %s of it came from %s", ui.Plural(int64(l.Records), "record"), peers)
	case !l.Known:
		a.Warn("your key is new here, and %s asked had no record of it: if it has signed elsewhere, stop, and es connect to a peer that knows", peers)
	case l.Answered == 0 && !a.Offline:
		a.Note("what your key has signed elsewhere was not looked up: %s", l.Why)
	}
	return nil
}
