package sign

import (
	"context"
	"fmt"
	"time"

	"github.com/everythingstays/es/records"
)

// A Signer signs records for one author. *SecretKey and *GPGKey are signers.
type Signer interface {
	// Key returns the author's public key.
	Key() *Key
	// Sign returns one canonical signature packet over record, with our notation
	// saying context (see records.Context). A signer with a clock of its own
	// dates it by that clock and not at.
	Sign(ctx context.Context, record []byte, context string, at time.Time) ([]byte, error)
}

// Sign encodes r, has s sign it, and opens the result: what it returns, any other
// node with s's key opens too. r.Author must be the signer's, and a signer with a
// clock of its own needs r.Time to be now. A *KeyError says that the key can sign
// no more.
func Sign(ctx context.Context, s Signer, r *records.Record) (Verified, error) {
	key := s.Key()
	if r.Author != key.Fingerprint() {
		return Verified{}, fmt.Errorf("sign record: its author is %s, the key is %s", r.Author, key.Fingerprint())
	}
	b, err := records.Encode(r)
	if err != nil {
		return Verified{}, fmt.Errorf("sign record: %w", err)
	}
	signature, err := s.Sign(ctx, b, records.Context(r.Body), time.Unix(r.Time, 0))
	if err != nil {
		return Verified{}, err
	}
	envelope, err := records.EncodeEnvelope(b, signature)
	if err != nil {
		return Verified{}, fmt.Errorf("sign record: %w", err)
	}
	v, err := Open(envelope, KeyRing{key.Fingerprint(): key})
	if err != nil {
		return Verified{}, fmt.Errorf("sign record: %w", err)
	}
	return v, nil
}
