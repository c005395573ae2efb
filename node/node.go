package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ipfs/go-cid"
)

// Seed says which modules a node fetches on its own so that it can serve them.
type Seed string

const (
	SeedUsed    Seed = "used"    // none but those that were installed or published here
	SeedTrusted Seed = "trusted" // those that the trust file lets in
	SeedAll     Seed = "all"     // those of every release it sees
)

// DefaultPort is the TCP and UDP port that a node listens on when it is free.
const DefaultPort = 4011

// Config says how a node works. The zero value is a node that listens on
// DefaultPort, or on a port that the system chooses when that is taken.
type Config struct {
	Listen    []string // multiaddrs; none for the default; a busy one is an error
	Bootstrap []string // multiaddrs ending in /p2p/PEER, dialled beside the remembered peers
	Seed      Seed     // "" means SeedUsed
	Log       *slog.Logger
	Version   string // of es, told to peers and to clients of the local API

	// Ephemeral is a node for one command: it has a passing identity, listens
	// nowhere, offers no local API, and may run beside a daemon.
	Ephemeral bool
}

// Node is one participant in the network, with the records, blocks and trust of
// one home. It implements Network once it runs.
type Node struct {
	home *Home
	cfg  Config
}

// A LockedError says that another process is the daemon of the home.
type LockedError struct {
	Home string
	PID  int // 0 when unknown
}

// New checks the configuration. Nothing is started before Run.
func New(ctx context.Context, h *Home, cfg Config) (*Node, error) {
	return nil, errors.New("node: not built yet")
}

// Run takes part in the network until ctx ends or Close is called, and then
// returns nil when everything it started has ended. It can be called once. The
// error is a *LockedError when the home has a daemon.
func (n *Node) Run(ctx context.Context) error { return errors.New("node: not built yet") }

// Ready is closed when the node listens and its API answers. It stays open when
// Run fails before.
func (n *Node) Ready() <-chan struct{} { return nil }

func (n *Node) Announce(ctx context.Context, ids []cid.Cid) (Announced, error) {
	return Announced{}, errors.New("node: not built yet")
}

func (n *Node) Fetch(ctx context.Context, w Want, progress func(Progress)) error {
	return errors.New("node: not built yet")
}

func (n *Node) Connect(ctx context.Context, addr string) (PeerInfo, error) {
	return PeerInfo{}, errors.New("node: not built yet")
}

func (n *Node) Peers(ctx context.Context) ([]PeerInfo, error) {
	return nil, errors.New("node: not built yet")
}

func (n *Node) Status(ctx context.Context) (Status, error) {
	return Status{}, errors.New("node: not built yet")
}

// Close ends Run and waits for it.
func (n *Node) Close() error { return nil }

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another es node is running for %s", e.Home)
	}
	return fmt.Sprintf("another es node (process %d) is running for %s", e.PID, e.Home)
}
