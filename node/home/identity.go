package home

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
)

// Identity returns the key of a node that stays, and makes it the first time.
func (h *Home) Identity() (crypto.PrivKey, error) {
	path := filepath.Join(h.dir, "identity")
	b, err := regularfile.Read(path, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		key, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make peer identity: %w", err)
		}
		if b, err = crypto.MarshalPrivateKey(key); err != nil {
			return nil, fmt.Errorf("make peer identity: %w", err)
		}
		if err := atomicfile.Replace(path, b); err != nil {
			return nil, fmt.Errorf("write peer identity: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read peer identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("read peer identity %s: %w", path, err)
	}
	return key, nil
}
