package cli

import (
	"context"
	"fmt"
	"sync"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
)

// A Joiner returns the running daemon of a home, or a node for one command.
type Joiner func(context.Context, App, *home.Home) (api.Network, error)

// Join returns the running daemon, or a node for this command.
func (a App) Join(ctx context.Context, h *home.Home) (api.Network, error) { return a.join(ctx, a, h) }

// WithNetwork runs f with the running daemon, or with a node for this command, of a
// home that is opened by with.
func (a App) WithNetwork(ctx context.Context, with func(context.Context, func(*home.Home) error) error, f func(api.Network) error) error {
	return with(ctx, func(h *home.Home) error {
		n, err := a.Join(ctx, h)
		if err != nil {
			return err
		}
		defer n.Close()
		return f(n)
	})
}

// Send joins the network to announce something, and returns how many peers got it. otherwise
// says what becomes of it when none did.
func (a App) Send(ctx context.Context, h *home.Home, otherwise string, announce func(api.Network) (api.Announced, error)) int {
	if a.Offline {
		a.Note("not announced, because of --offline: %s", otherwise)
		return 0
	}
	network, err := a.Join(ctx, h)
	if err != nil {
		a.Warn("not announced (%s): %s", ui.Safe(err.Error()), otherwise)
		return 0
	}
	sent, err := announce(network)
	if closing := network.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil:
		a.Warn("announcing failed (%s): %s", ui.Safe(err.Error()), otherwise)
	case sent.Peers == 0:
		a.Note("no peers connected: %s", otherwise)
		a.Hint("es connect ADDR")
	default:
		a.Note("announced to %s", ui.Plural(int64(sent.Peers), "peer"))
	}
	return sent.Peers
}

// Joined is the network, which a command joins when it first needs it: what is at
// hand needs none.
type Joined struct {
	App  App
	Home *home.Home

	once    sync.Once
	network api.Network
	err     error
}

// Join joins the network, the first time that it is called.
func (j *Joined) Join(ctx context.Context) (api.Network, error) {
	j.once.Do(func() { j.network, j.err = j.App.Join(ctx, j.Home) })
	if j.err != nil {
		return nil, fmt.Errorf("join the network: %w", j.err)
	}
	return j.network, nil
}

// Close leaves the network where it was joined.
func (j *Joined) Close() {
	if j.network != nil {
		j.network.Close()
	}
}
