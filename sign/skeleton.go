package sign

import (
	"context"
	"errors"
	"time"
)

var errUnbuilt = errors.New("not built yet")

// GPG says how to run gpg.
type GPG struct {
	Program string // "gpg" when empty
	Home    string // its --homedir; gpg's own choice when empty
}

// A GPGKey signs through the gpg program, so that agents, smartcards and
// pinentries work as they do there. es never sees the secret.
type GPGKey struct{}

// OpenGPG finds the one secret key that keyID (a fingerprint, key id or user id)
// names.
func OpenGPG(ctx context.Context, gpg GPG, keyID string) (*GPGKey, error) { return nil, errUnbuilt }

// Key returns the public key.
func (g *GPGKey) Key() *Key { return nil }

// Sign implements Signer. gpg dates the signature by its own clock.
func (g *GPGKey) Sign(ctx context.Context, record []byte, context string, at time.Time) ([]byte, error) {
	return nil, errUnbuilt
}

// GPGPublicKey exports the public key that keyID names from gpg's keyring,
// minimised.
func GPGPublicKey(ctx context.Context, gpg GPG, keyID string) (*Key, error) { return nil, errUnbuilt }
