package sign

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// Reason says why a key is revoked (RFC 9580 section 5.2.3.31).
type Reason uint8

const (
	NoReason    Reason = 0 // hard
	Superseded  Reason = 1 // soft: what was signed before still counts
	Compromised Reason = 2 // hard: nothing that the key ever signed counts
	Retired     Reason = 3 // soft
)

// Revoke returns the key block with a revocation dated at. It cannot be undone
// once it is known to others. The text is for people and may be empty.
func (s *SecretKey) Revoke(reason Reason, text string, at time.Time) (*Key, error) {
	if err := records.CheckText(text, records.MaxText); err != nil {
		return nil, fmt.Errorf("revoke key: %w", err)
	}
	e, err := s.revoke(reason, text, at)
	if err != nil {
		return nil, err
	}
	revoked, err := newSecretKey(e)
	if err != nil {
		return nil, fmt.Errorf("revoke key: %w", err)
	}
	return s.key.Merge(revoked.key)
}

// revoke returns a copy of the key that is revoked.
func (s *SecretKey) revoke(reason Reason, text string, at time.Time) (*gocrypto.Entity, error) {
	var b bytes.Buffer
	if err := s.entity.SerializePrivateWithoutSigning(&b, nil); err != nil {
		return nil, fmt.Errorf("revoke key: %v", err)
	}
	e, err := gocrypto.ReadEntity(pgp.NewReader(&b)) // s stays as it is
	if err != nil {
		return nil, fmt.Errorf("revoke key: %v", err)
	}
	if err := e.Revoke(pgp.ReasonForRevocation(reason), text, &pgp.Config{Time: func() time.Time { return at }}); err != nil {
		return nil, fmt.Errorf("revoke key: %v", err)
	}
	return e, nil
}

// RevocationCertificate returns a revocation of the key alone, armored, as gpg makes it:
// who has it can revoke the key for ever, without its secret, by WithRevocation or with
// gpg (SPEC.md [S48]). The lines before the armor say so; gpg wants the colon before it
// removed, which keeps anybody from taking it by accident.
func (s *SecretKey) RevocationCertificate(at time.Time) ([]byte, error) {
	revoked, err := s.revoke(NoReason, "", at)
	if err != nil {
		return nil, err
	}
	var packet bytes.Buffer
	if err := revoked.Revocations[len(revoked.Revocations)-1].Packet.Serialize(&packet); err != nil {
		return nil, fmt.Errorf("revoke key: %v", err)
	}
	b, err := openpgp.Armor(gocrypto.PublicKeyType, packet.Bytes())
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, `This revokes the OpenPGP key
  %s
  %s
and makes all that it signed invalid, for ever and for everybody. It needs neither the key's
secret nor its passphrase. When the key is stolen, or lost:
  es key revoke %s --certificate FILE
For gpg --import, remove the colon before the dashes.

:%s`, s.key.Fingerprint(), s.key.UserID(), s.key.Fingerprint(), b)
	return text.Bytes(), nil
}

// ErrNotRevoked says that a revocation certificate is not of the key.
var ErrNotRevoked = errors.New("is no revocation of this key")

// WithRevocation returns the key block joined with a revocation certificate: a file
// with the signature alone, armored or binary, as gpg makes it; or with the whole
// revoked key. The secret is not needed (SPEC.md [S48]). The error is a
// *KeyBlockError, and ErrNotRevoked when the file revokes another key, or none.
func (k *Key) WithRevocation(file []byte) (*Key, error) {
	if len(file) > MaxKeyFile {
		return nil, fmt.Errorf("read revocation: file has %d bytes, the limit is %d", len(file), MaxKeyFile)
	}
	b, err := openpgp.Dearmor(file, MaxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read revocation: the file %w", err)
	}
	p, _, err := openpgp.NextPacket(b)
	if err != nil {
		return nil, fmt.Errorf("read revocation: the file %w", err)
	}
	if p.Type == openpgp.PacketSignature {
		// A certificate alone speaks of the key that it follows.
		_, rest, err := openpgp.NextPacket(k.block)
		if err != nil {
			return nil, fmt.Errorf("read revocation: %w", err)
		}
		primary := k.block[:len(k.block)-len(rest)]
		b = bytes.Join([][]byte{primary, b, rest}, nil)
	}
	other, err := ReadOwnKey(b) // a wrong clock must not keep a key from being revoked
	if err != nil {
		return nil, fmt.Errorf("read revocation: %w", err)
	}
	if _, revoked := other.Revocation(); !revoked || other.Fingerprint() != k.Fingerprint() {
		return nil, fmt.Errorf("read revocation: %w", badKey("S48", "%w %s", ErrNotRevoked, k.Fingerprint()))
	}
	return k.Merge(other)
}
