package sign

import (
	"context"
	"errors"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

var errUnbuilt = errors.New("not built yet")

// A Key is an author's public key: a minimal key block, every signature in it
// verified. It is immutable and may be shared.
type Key struct {
	primary records.Fingerprint
	block   []byte
}

// Revocation says that and since when an owner has withdrawn a key.
type Revocation struct {
	Hard   bool      // the key may be in other hands: nothing it ever signed counts
	At     time.Time // a soft revocation counts from here on
	Reason uint8     // the code of RFC 9580 section 5.2.3.31
	Text   string    // the owner's words, cleaned for display
}

// ParseKey reads a minimal key block as it travels between nodes: binary, at
// most records.MaxKeyBlock bytes, in its one canonical form. The error is a
// *KeyBlockError and final.
func ParseKey(block []byte) (*Key, error) { return nil, errUnbuilt }

// ReadKey reads an OpenPGP public key (or the public half of a secret key) from
// the bytes of a file, armored or binary, at most 1 MiB, and minimises it.
func ReadKey(file []byte) (*Key, error) { return nil, errUnbuilt }

// Fingerprint returns the primary key's fingerprint: the author.
func (k *Key) Fingerprint() records.Fingerprint { return k.primary }

// UserID returns the name and address that the key carries, cleaned for display.
// Anybody can make a key with any user id.
func (k *Key) UserID() string { return "" }

// Created returns when the primary key was made, as it says.
func (k *Key) Created() time.Time { return time.Time{} }

// Expires returns the first moment at which the primary key is no longer valid,
// and whether there is one.
func (k *Key) Expires() (time.Time, bool) { return time.Time{}, false }

// Revocation returns the most severe revocation of the primary key, if any.
func (k *Key) Revocation() (Revocation, bool) { return Revocation{}, false }

// Block returns the key block that ParseKey reads back as this key.
func (k *Key) Block() []byte { return append([]byte(nil), k.block...) }

// Merge returns the union of what two blocks of the same key say. It commutes,
// associates and is idempotent, within the limits of SPEC.md too.
func (k *Key) Merge(other *Key) (*Key, error) { return nil, errUnbuilt }

// Verified is a record whose signature was verified. Only Open makes one.
type Verified struct {
	record *records.Record
}

// Record returns the record. It must not be modified.
func (v Verified) Record() *records.Record { return v.record }

// ID returns the record's CID.
func (v Verified) ID() cid.Cid { return cid.Undef }

// RecordBytes returns the record's canonical encoding, which was signed.
func (v Verified) RecordBytes() []byte { return nil }

// Signature returns the OpenPGP signature packet.
func (v Verified) Signature() []byte { return nil }

// Envelope returns the bytes that were opened.
func (v Verified) Envelope() []byte { return nil }

// EnvelopeID returns the CID of the envelope's block.
func (v Verified) EnvelopeID() cid.Cid { return cid.Undef }

// SignedAt returns when the signature says it was made.
func (v Verified) SignedAt() time.Time { return time.Time{} }

// SigningKey returns the fingerprint of the key that signed: the author's
// primary key or one of its subkeys.
func (v Verified) SigningKey() records.Fingerprint { return records.Fingerprint{} }

// Check says whether the signature counts by a newer key block of its author.
// The error is a *KeyError.
func (v Verified) Check(newer *Key) error { return errUnbuilt }

// Keys finds key blocks by full fingerprint.
type Keys interface {
	Key(records.Fingerprint) (*Key, bool)
}

// KeyRing is a set of keys in memory, by primary fingerprint.
type KeyRing map[records.Fingerprint]*Key

// Key returns the key with this primary fingerprint.
func (r KeyRing) Key(f records.Fingerprint) (*Key, bool) {
	k, ok := r[f]
	return k, ok
}

// Open decodes an envelope and verifies it by the author's key. The error is a
// *SignatureError, a *KeyError or an *UnknownKeyError.
func Open(envelope []byte, keys Keys) (Verified, error) { return Verified{}, errUnbuilt }

// A Signer signs records for one author.
type Signer interface {
	// Key returns the author's public key.
	Key() *Key
	// Sign returns one canonical signature packet over record, with our notation
	// saying context (see records.Context). A signer with a clock of its own
	// dates it by that clock and not at.
	Sign(ctx context.Context, record []byte, context string, at time.Time) ([]byte, error)
}

// Sign encodes r, has s sign it, and opens the result: what it returns, any other
// node opens too. r.Author must be the signer's.
func Sign(ctx context.Context, s Signer, r *records.Record) (Verified, error) {
	return Verified{}, errUnbuilt
}

// A SecretKey is an own key whose secret es holds itself.
type SecretKey struct{}

// NewSecretKey makes a v4 Ed25519 key that certifies and signs and does not
// expire. The user id is "Name <email>".
func NewSecretKey(name, email string, now time.Time) (*SecretKey, error) { return nil, errUnbuilt }

// ReadSecretKey reads what Marshal wrote. It calls passphrase, which may be nil,
// when the key is encrypted.
func ReadSecretKey(file []byte, passphrase func() ([]byte, error)) (*SecretKey, error) {
	return nil, errUnbuilt
}

// Marshal returns an armored private key block, encrypted unless passphrase is nil.
func (s *SecretKey) Marshal(passphrase []byte) ([]byte, error) { return nil, errUnbuilt }

// Key returns the public key.
func (s *SecretKey) Key() *Key { return nil }

// Sign implements Signer; the signature is dated at.
func (s *SecretKey) Sign(ctx context.Context, record []byte, context string, at time.Time) ([]byte, error) {
	return nil, errUnbuilt
}

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
