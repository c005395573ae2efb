package node

import (
	"context"
	"errors"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
)

// Join returns the running daemon of the home or, without one, a node in this
// process that dials the remembered peers and cfg.Bootstrap. It lasts until
// Close, which may take up to a minute while peers fetch what was announced, or
// until ctx ends.
func Join(ctx context.Context, h *home.Home, cfg Config) (api.Network, error) {
	c, err := localapi.Dial(ctx, h)
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, localapi.ErrNoDaemon) {
		return nil, err
	}
	return JoinBeside(ctx, h, cfg)
}

// JoinBeside is Join without asking for a daemon: for one that does not answer.
func JoinBeside(ctx context.Context, h *home.Home, cfg Config) (api.Network, error) {
	cfg.Ephemeral = true
	n, err := New(ctx, h, cfg)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() { failed <- n.Run(ctx) }() // Close waits for it
	select {
	case <-n.Ready():
		return n, nil
	case err := <-failed:
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
}

var _ api.Network = (*Node)(nil)
