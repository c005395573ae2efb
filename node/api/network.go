package api

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/records"
)

// Audience is who can dial the node itself, and not through another peer.
func (s Status) Audience() address.Audience {
	most := address.AudienceNobody
	for _, text := range s.Addrs {
		if a, err := ma.NewMultiaddr(text); err == nil && !address.IsCircuit(a) {
			most = max(most, address.AudienceOf(a))
		}
	}
	return most
}

// Network is what commands need of other peers. *Node is one inside this
// process, *Client is a running daemon, and Join returns whichever there is.
type Network interface {
	// Announce sends records of the index, by record id, to the peers that are
	// there. Having nobody to tell is no error: own records wait in the outbox
	// until a peer is met.
	Announce(ctx context.Context, ids []cid.Cid) (Announced, error)
	// AnnounceKey sends what the index knows of a key, such as a revocation, to the
	// peers that are there. Others get it when they pull.
	AnnounceKey(ctx context.Context, key records.Fingerprint) (Announced, error)
	// Fetch brings the whole tree w.CID into the block store of the home. It
	// calls progress, which may be nil, at most ten times a second and once at
	// the end; calls do not overlap. The error is an *UnreachableError when
	// nobody has sent what is missing, and a *modules.RuleError when the tree
	// breaks the limits of the format or of w.
	Fetch(ctx context.Context, w records.Target, progress func(Progress)) error
	// Sync asks the peers that are there for the records that this home lacks and
	// wants (docs/program.md [N43]). progress may be nil; calls do not overlap. That
	// nobody is there, or that nobody answers, is no error.
	Sync(ctx context.Context, o SyncOptions, progress func(Synced)) (Synced, error)
	// Holders asks the peers that are there, 32 at most, whether they have all of a
	// module. That nobody is there is no error.
	Holders(ctx context.Context, root cid.Cid) (Holders, error)
	// Survey asks at most 8 of the peers that are there how their records of
	// some authors compare with those here, and what time it is. It stores
	// nothing. Peers that do not answer are left out.
	Survey(ctx context.Context, authors []records.Fingerprint) ([]Answer, error)
	// Connect dials a multiaddr that ends in /p2p/PEER and remembers it.
	Connect(ctx context.Context, addr string) (PeerInfo, error)
	// Peers lists the connected peers.
	Peers(ctx context.Context) ([]PeerInfo, error)
	Status(ctx context.Context) (Status, error)
	// Close leaves the network. It does not stop a daemon.
	Close() error
}

// Announced says what became of an announcement.
type Announced struct {
	// Peers is how many peers were sent the records; with several records, the
	// smallest number.
	Peers int `json:"peers"`
}

// Progress is how far a fetch is.
type Progress struct {
	Bytes    int64 `json:"bytes"`    // of the blocks that are here, also those that were before
	Blocks   int64 `json:"blocks"`   // likewise
	Received int64 `json:"received"` // bytes of blocks that peers sent for this fetch
	From     int   `json:"from"`     // how many es nodes some of them came from
	Peers    int   `json:"peers"`    // connected
}

// PeerInfo describes a connected peer.
type PeerInfo struct {
	Peer     string   `json:"peer"`
	Addrs    []string `json:"addrs"` // of the connections, each ending in /p2p/PEER
	Agent    string   `json:"agent"` // what it calls itself, cleaned for display
	Outbound bool     `json:"outbound"`
	Gossip   bool     `json:"gossip"`   // exchanges records with this node, its own and others'
	Found    string   `json:"found"`    // how: "asked", "remembered", "lan", "dht" or "incoming"
	Records  int64    `json:"records"`  // that came from it first, since this node started
	Received int64    `json:"received"` // bytes of modules that came from it by transfer
	Sent     int64    `json:"sent"`     // likewise, to it
}

// Status describes a node and its home.
type Status struct {
	Peer     string   `json:"peer"`
	Addrs    []string `json:"addrs"`   // told to others, each ending in /p2p/PEER, best first
	Listen   []string `json:"listen"`  // what it listens on; relays are none
	Peers    int      `json:"peers"`   // connected
	Inbound  int      `json:"inbound"` // of these, those that dialled this node, from another machine
	Seed     Seed     `json:"seed"`
	Authors  int64    `json:"authors"`
	Records  int64    `json:"records"`
	Releases int64    `json:"releases"`
	Pending  int64    `json:"pending"` // own records that no peer has taken yet
	// Synced is when peers were last asked for all that is missing here.
	Synced  time.Time `json:"synced,omitzero"`
	Daemon  bool      `json:"daemon"` // a node that stays, not one for this command
	Version string    `json:"version"`

	Reachability string    `json:"reachability"` // from outside: "public", "private" or "unknown"
	DHT          DHTStatus `json:"dht"`
	MDNS         bool      `json:"mdns"`
	Private      bool      `json:"private"` // in a private network
}

// DHTStatus describes a node's part in the DHT.
type DHTStatus struct {
	Network DHT    `json:"network"`
	Mode    string `json:"mode"`  // "client", "server", or "" while nothing of it runs
	Peers   int    `json:"peers"` // of the DHT, known
}

// UnreachableError says that nobody who can be reached sent what is missing of a
// tree.
type UnreachableError struct {
	Root    cid.Cid
	Missing cid.Cid // the first block that did not come
	Peers   int     // connected when it was given up
	Tried   int     // remembered addresses that were dialled in vain
}

func (e *UnreachableError) Error() string {
	if e.Peers == 0 && e.Tried == 0 {
		return fmt.Sprintf("fetch %s: no peer is known", e.Root)
	}
	if e.Peers == 0 {
		return fmt.Sprintf("fetch %s: none of %d known peers answers", e.Root, e.Tried)
	}
	if e.Missing == e.Root {
		return fmt.Sprintf("fetch %s: none of %d connected peers has it", e.Root, e.Peers)
	}
	return fmt.Sprintf("fetch %s: none of %d connected peers sent its block %s", e.Root, e.Peers, e.Missing)
}
