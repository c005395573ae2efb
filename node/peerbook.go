package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
)

// Bounds of peers.json.
const (
	maxKnownPeers = 256
	maxPeerAddrs  = 8
	maxPeersAtIP  = 8 // that the user did not name
	maxPeerFile   = 1 << 20
)

// knownPeer is a peer that was met, and where it answered (SPEC.md [N80]).
type knownPeer struct {
	ID       peer.ID  `json:"peer"`
	Addrs    []string `json:"addrs"`             // the last that answered first
	Seen     int64    `json:"seen"`              // Unix seconds
	Asked    bool     `json:"asked,omitzero"`    // the user named it: it is never pushed out by others
	Answered int64    `json:"answered,omitzero"` // when it last answered a dial, Unix seconds; 0 if it never did
}

// info returns where the peer is dialled. Names count of those alone that the user
// named; a peer that never answered, which others told of, is sought at public
// addresses only.
func (k knownPeer) info() peer.AddrInfo {
	info := peer.AddrInfo{ID: k.ID}
	for _, s := range k.Addrs {
		if a, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	switch {
	case k.Asked:
	case k.Answered > 0:
		info.Addrs = plain(info.Addrs)
	default:
		info.Addrs = within(info.Addrs, reachPublic, networks{})
	}
	return info
}

// how says as what the peer counts when it is dialled.
func (k knownPeer) how() string {
	if k.Asked {
		return foundAsked
	}
	return foundRemembered
}

func (h *Home) peersPath() string { return filepath.Join(h.dir, "peers.json") }

// knownPeers returns the remembered peers, those that the user named first, then
// the last seen first. A file that cannot be understood counts as empty: it holds
// nothing that meeting peers again does not bring back.
func (h *Home) knownPeers() ([]knownPeer, error) {
	known, err := remembered[knownPeer](h.peersPath(), maxPeerFile)
	if err != nil {
		return nil, fmt.Errorf("read remembered peers: %w", err)
	}
	known = slices.DeleteFunc(known, func(k knownPeer) bool { return len(k.info().Addrs) == 0 })
	sortKnown(known)
	return known, nil
}

func sortKnown(known []knownPeer) {
	slices.SortStableFunc(known, func(a, b knownPeer) int {
		if a.Asked != b.Asked {
			if a.Asked {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Seen, a.Seen)
	})
}

// remember adds peers to peers.json, or renews what it says of them; the addresses
// at which they answered before stay. Other processes may do the same at the same
// time.
func (h *Home) remember(ctx context.Context, met ...knownPeer) error {
	if len(met) == 0 {
		return nil
	}
	return h.editPeers(ctx, func(known []knownPeer) []knownPeer {
		for _, m := range met {
			m.Seen = max(m.Seen, 1)
			i := slices.IndexFunc(known, func(k knownPeer) bool { return k.ID == m.ID })
			if i < 0 {
				i = len(known)
				known = append(known, knownPeer{ID: m.ID})
			}
			known[i] = known[i].join(m)
		}
		return known
	})
}

// join adds to what is known of a peer how it was met.
func (k knownPeer) join(met knownPeer) knownPeer {
	met.Addrs = unique(append(slices.Clone(met.Addrs), k.Addrs...))
	met.Addrs = met.Addrs[:min(len(met.Addrs), maxPeerAddrs)]
	met.Asked = met.Asked || k.Asked
	met.Seen, met.Answered = max(met.Seen, k.Seen), max(met.Answered, k.Answered)
	return met
}

// forget takes out of peers.json what never answered, now neither.
func (h *Home) forget(ctx context.Context, peers ...peer.ID) error {
	return h.editPeers(ctx, func(known []knownPeer) []knownPeer {
		return slices.DeleteFunc(known, func(k knownPeer) bool {
			return !k.Asked && k.Answered == 0 && slices.Contains(peers, k.ID)
		})
	})
}

func (h *Home) editPeers(ctx context.Context, edit func([]knownPeer) []knownPeer) error {
	if h.readOnly {
		return nil
	}
	h.peers.Lock()
	defer h.peers.Unlock()
	unlock, err := filelock.Wait(ctx, h.peersPath()+".lock", lockTimeout)
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	defer unlock()
	known, err := h.knownPeers()
	if err != nil {
		return err
	}
	known = edit(known)
	sortKnown(known)
	known = spread(known)
	known = known[:min(len(known), maxKnownPeers)]
	b, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	if err := atomicfile.Replace(h.peersPath(), append(b, '\n')); err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	return nil
}

// spread keeps the first few at one IP of those whom the user did not name, so that
// nobody fills the file from one machine. This one may have any number.
func spread(known []knownPeer) []knownPeer {
	at := map[string]int{}
	return slices.DeleteFunc(known, func(k knownPeer) bool {
		addrs := k.info().Addrs
		if k.Asked || len(addrs) == 0 {
			return false
		}
		ip, ok := plainIP(addrs[0])
		if !ok || ip.IsLoopback() {
			return false
		}
		at[ip.String()]++
		return at[ip.String()] > maxPeersAtIP
	})
}
