package node

import (
	"context"

	"github.com/ipfs/go-cid"
)

// Client is the local API of a running daemon. It implements Network.
type Client struct{}

// Dial connects to the daemon of the home. The error is ErrNoDaemon when none
// answers, and a *VersionError when it speaks another version of the local API.
func Dial(ctx context.Context, h *Home) (*Client, error) { return nil, ErrNoDaemon }

// A VersionError says that the running daemon is of another version of es, which
// this one cannot talk to.
type VersionError struct {
	Daemon, Client string
}

func (e *VersionError) Error() string {
	return "the running es node has local API version " + e.Daemon + ", this es has " + e.Client + ": restart it"
}

func (c *Client) Announce(ctx context.Context, ids []cid.Cid) (Announced, error) {
	return Announced{}, ErrNoDaemon
}
func (c *Client) Fetch(ctx context.Context, w Want, progress func(Progress)) error {
	return ErrNoDaemon
}
func (c *Client) Connect(ctx context.Context, addr string) (PeerInfo, error) {
	return PeerInfo{}, ErrNoDaemon
}
func (c *Client) Peers(ctx context.Context) ([]PeerInfo, error) { return nil, ErrNoDaemon }
func (c *Client) Status(ctx context.Context) (Status, error)    { return Status{}, ErrNoDaemon }
func (c *Client) Close() error                                  { return nil }

// Join returns the running daemon of the home or, without one, a node in this
// process that is dialling the remembered peers and cfg.Bootstrap. It lasts until
// Close, which tells the outbox what peers have confirmed, or until ctx ends.
func Join(ctx context.Context, h *Home, cfg Config) (Network, error) { return nil, ErrNoDaemon }

var (
	_ Network = (*Node)(nil)
	_ Network = (*Client)(nil)
)
