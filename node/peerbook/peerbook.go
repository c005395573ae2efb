package peerbook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/address"
)

// Bounds of peers.json.
const (
	maxPeers    = 256 // of them those go first that were seen longest ago
	maxPerIP    = 8   // that the user did not name
	maxAddrs    = 8   // of a peer
	lockTimeout = 5 * time.Second
	maxFile     = 1 << 20 // bytes
)

// Book is the file peers.json of a home. Several processes may edit it at once.
type Book struct {
	path     string
	readOnly bool
	mu       sync.Mutex // serializes this process's edits
}

// New returns the book at path. Nothing is read before it is asked for; a read-only
// book remembers and forgets nothing.
func New(path string, readOnly bool) *Book { return &Book{path: path, readOnly: readOnly} }

// Peer is a peer that was met, and where it answered (docs/program.md [N80]).
type Peer struct {
	ID       peer.ID  `json:"peer"`
	Addrs    []string `json:"addrs"`             // the last that answered first
	Seen     int64    `json:"seen"`              // Unix seconds
	Asked    bool     `json:"asked,omitzero"`    // the user named it: it is never pushed out by others
	Answered int64    `json:"answered,omitzero"` // when it last answered a dial, Unix seconds; 0 if it never did
}

// Info returns where the peer is dialled. Names count of those alone that the user
// named; a peer that never answered, which others told of, is sought at public
// addresses only.
func (k Peer) Info() peer.AddrInfo {
	info := peer.AddrInfo{ID: k.ID}
	for _, s := range k.Addrs {
		if a, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	switch {
	case k.Asked:
	case k.Answered > 0:
		info.Addrs = address.Plain(info.Addrs)
	default:
		info.Addrs = address.Within(info.Addrs, address.Public, address.Networks{})
	}
	return info
}

func sortPeers(known []Peer) {
	slices.SortStableFunc(known, func(a, b Peer) int {
		if a.Asked != b.Asked {
			if a.Asked {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Seen, a.Seen)
	})
}

// join adds to what is known of a peer how it was met.
func (k Peer) join(met Peer) Peer {
	met.Addrs = unique(append(slices.Clone(met.Addrs), k.Addrs...))
	met.Addrs = met.Addrs[:min(len(met.Addrs), maxAddrs)]
	met.Asked = met.Asked || k.Asked
	met.Seen, met.Answered = max(met.Seen, k.Seen), max(met.Answered, k.Answered)
	return met
}

// spread keeps the first few at one IP of those whom the user did not name, so that
// nobody fills the file from one machine. This one may have any number.
func spread(known []Peer) []Peer {
	at := map[string]int{}
	return slices.DeleteFunc(known, func(k Peer) bool {
		addrs := k.Info().Addrs
		if k.Asked || len(addrs) == 0 {
			return false
		}
		ip, ok := address.PlainIP(addrs[0])
		if !ok || ip.IsLoopback() {
			return false
		}
		at[ip.String()]++
		return at[ip.String()] > maxPerIP
	})
}

func unique(in []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range in {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// Known returns the remembered peers, those that the user named first, then
// the last seen first. A file that cannot be understood counts as empty: it holds
// nothing that meeting peers again does not bring back.
func (b *Book) Known() ([]Peer, error) {
	known, err := regularfile.ReadList[Peer](b.path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read remembered peers: %w", err)
	}
	known = slices.DeleteFunc(known, func(k Peer) bool { return len(k.Info().Addrs) == 0 })
	sortPeers(known)
	return known, nil
}

// Remember adds peers to peers.json, or renews what it says of them; the addresses
// at which they answered before stay. Other processes may do the same at the same
// time.
func (b *Book) Remember(ctx context.Context, met ...Peer) error {
	if len(met) == 0 {
		return nil
	}
	return b.edit(ctx, func(known []Peer) []Peer {
		for _, m := range met {
			m.Seen = max(m.Seen, 1)
			i := slices.IndexFunc(known, func(k Peer) bool { return k.ID == m.ID })
			if i < 0 {
				i = len(known)
				known = append(known, Peer{ID: m.ID})
			}
			known[i] = known[i].join(m)
		}
		return known
	})
}

// Forget takes out of peers.json what never answered, now neither.
func (b *Book) Forget(ctx context.Context, peers ...peer.ID) error {
	return b.edit(ctx, func(known []Peer) []Peer {
		return slices.DeleteFunc(known, func(k Peer) bool {
			return !k.Asked && k.Answered == 0 && slices.Contains(peers, k.ID)
		})
	})
}

func (b *Book) edit(ctx context.Context, change func([]Peer) []Peer) error {
	if b.readOnly {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	unlock, err := filelock.Wait(ctx, b.path+".lock", lockTimeout)
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	defer unlock()
	known, err := b.Known()
	if err != nil {
		return err
	}
	known = change(known)
	sortPeers(known)
	known = spread(known)
	known = known[:min(len(known), maxPeers)]
	text, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	if err := atomicfile.Replace(b.path, append(text, '\n')); err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	return nil
}
