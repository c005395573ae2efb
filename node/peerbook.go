package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Bounds of peers.json.
const (
	maxKnownPeers = 256
	maxPeerAddrs  = 16
	maxPeerFile   = 1 << 20
)

// knownPeer is a peer that was met, and where.
type knownPeer struct {
	ID    peer.ID  `json:"peer"`
	Addrs []string `json:"addrs"`
	Seen  int64    `json:"seen"`           // Unix seconds
	Asked bool     `json:"asked,omitzero"` // the user named it: it is never pushed out by others
}

func (k knownPeer) info() peer.AddrInfo {
	info := peer.AddrInfo{ID: k.ID}
	for _, s := range k.Addrs {
		if a, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info
}

func (h *Home) peersPath() string { return filepath.Join(h.dir, "peers.json") }

// knownPeers returns the remembered peers, those that the user named first, then
// the last seen first. A file that cannot be understood counts as empty: it holds
// nothing that meeting peers again does not bring back.
func (h *Home) knownPeers() ([]knownPeer, error) {
	info, err := os.Stat(h.peersPath())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() > maxPeerFile {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read remembered peers: %w", err)
	}
	b, err := os.ReadFile(h.peersPath())
	if err != nil {
		return nil, fmt.Errorf("read remembered peers: %w", err)
	}
	var known []knownPeer
	if err := json.Unmarshal(b, &known); err != nil {
		return nil, nil
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

// remember adds peers to peers.json, or renews what it says of them. Other
// processes may do the same at the same time.
func (h *Home) remember(ctx context.Context, met ...knownPeer) error {
	if len(met) == 0 {
		return nil
	}
	h.peers.Lock()
	defer h.peers.Unlock()
	unlock, err := waitLock(ctx, h.peersPath()+".lock")
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	defer unlock()
	known, err := h.knownPeers()
	if err != nil {
		return err
	}
	for _, m := range met {
		m.Seen = max(m.Seen, 1)
		m.Addrs = m.Addrs[:min(len(m.Addrs), maxPeerAddrs)]
		i := slices.IndexFunc(known, func(k knownPeer) bool { return k.ID == m.ID })
		if i < 0 {
			known = append(known, m)
			continue
		}
		m.Asked = m.Asked || known[i].Asked
		known[i] = m
	}
	sortKnown(known)
	known = known[:min(len(known), maxKnownPeers)]
	b, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	if err := replaceFile(h.peersPath(), append(b, '\n')); err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	return nil
}

// waitLock takes the lock file at path, for which others may hold up to 5 s.
func waitLock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.After(5 * time.Second)
	for {
		ok, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if ok {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-deadline:
			f.Close()
			return nil, fmt.Errorf("%s: another process has held it for 5s", path)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
