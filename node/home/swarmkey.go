package home

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/pnet"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
)

// SwarmKey is the shared secret of a private network: only nodes that have it can
// talk to each other (SPEC.md [D20]).
type SwarmKey pnet.PSK

const (
	swarmKeyHeader = "/key/swarm/psk/1.0.0/\n/base16/\n"
	maxSwarmKey    = 4 << 10
)

// ErrSwarmKey is returned by SetSwarmKey for a home that belongs to another
// private network.
var ErrSwarmKey = errors.New("the home belongs to another private network")

// NewSwarmKey makes the key of a new private network.
func NewSwarmKey() SwarmKey {
	key := make(SwarmKey, 32)
	rand.Read(key) // never fails
	return key
}

// ParseSwarmKey reads a key in the format /key/swarm/psk/1.0.0/, as kubo has it.
func ParseSwarmKey(b []byte) (SwarmKey, error) {
	if len(b) > maxSwarmKey {
		return nil, fmt.Errorf("swarm key: longer than %d bytes", maxSwarmKey)
	}
	key, err := pnet.DecodeV1PSK(bytes.NewReader(b))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it is cut off")
	}
	if err != nil {
		return nil, fmt.Errorf("swarm key: %v; a key file starts with the lines /key/swarm/psk/1.0.0/ and /base16/", err)
	}
	return SwarmKey(key), nil
}

func (h *Home) swarmKeyPath() string { return filepath.Join(h.dir, "swarm.key") }

// SwarmKey returns the key of the private network that the home belongs to, nil
// when it belongs to none. A file that cannot be read is an error and never means
// the public network.
func (h *Home) SwarmKey() (SwarmKey, error) {
	b, err := regularfile.Read(h.swarmKeyPath(), maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read swarm key: %w", err)
	}
	key, err := ParseSwarmKey(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", h.swarmKeyPath(), err)
	}
	return key, nil
}

// SetSwarmKey makes the home part of a private network, for good: the error is
// ErrSwarmKey when it is part of another one.
func (h *Home) SetSwarmKey(key SwarmKey) error {
	have, err := h.SwarmKey()
	if err != nil {
		return err
	}
	if have != nil {
		if !bytes.Equal(have, key) {
			return ErrSwarmKey
		}
		return nil
	}
	if err := atomicfile.Replace(h.swarmKeyPath(), []byte(swarmKeyHeader+hex.EncodeToString(key)+"\n")); err != nil {
		return fmt.Errorf("write swarm key: %w", err)
	}
	return nil
}

// LANService is the name of the network's mDNS service: other networks on the same
// LAN have others, and a private one's does not tell the key.
func (k SwarmKey) LANService() string {
	if k == nil {
		return "_es._udp"
	}
	sum := sha256.Sum256(append([]byte("es mdns\x00"), k...))
	return "_es-" + hex.EncodeToString(sum[:6]) + "._udp"
}
