package sign

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// A SecretKey is an own key whose secret es holds itself. It may be shared.
type SecretKey struct {
	entity *gocrypto.Entity // decrypted
	key    *Key
}

// NewSecretKey makes a v4 Ed25519 key that certifies and signs and does not
// expire. The user id is "Name <email>"; either part may be empty, not both.
//
// The algorithm is the one that gpg calls ed25519 (EdDSALegacy), because gpg up
// to 2.4 cannot check signatures of the newer code point for the same curve.
func NewSecretKey(name, email string, now time.Time) (*SecretKey, error) {
	if err := checkUserID(name, email); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	config := &pgp.Config{
		Algorithm:   pgp.PubKeyAlgoEdDSA,
		Curve:       pgp.Curve25519,
		DefaultHash: crypto.SHA256,
		Time:        func() time.Time { return now },
	}
	e, err := gocrypto.NewEntity(name, "", email, config)
	if err != nil {
		return nil, fmt.Errorf("make key: %v", err)
	}
	e.Subkeys = nil // go-crypto adds one for encryption
	return newSecretKey(e)
}

func checkUserID(name, email string) error {
	for _, s := range []string{name, email} {
		if err := records.CheckText(s, openpgp.MaxUserID/2); err != nil {
			return fmt.Errorf("user id %q: %w", s, err)
		}
		if strings.ContainsAny(s, "()<>") {
			return fmt.Errorf("user id %q: has one of ( ) < >", s)
		}
	}
	if name == "" && email == "" {
		return errors.New("user id is empty")
	}
	return nil
}

func newSecretKey(e *gocrypto.Entity) (*SecretKey, error) {
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		return nil, fmt.Errorf("serialize public key: %v", err)
	}
	k, err := ReadOwnKey(b.Bytes())
	if err != nil {
		return nil, err
	}
	return &SecretKey{entity: e, key: k}, nil
}

// ErrPassphrase says that a passphrase was wrong, or needed and not given.
var ErrPassphrase = errors.New("wrong or missing passphrase")

// ReadSecretKey reads what Marshal wrote, or a secret key that another program
// exported, armored or binary. It calls passphrase, which may be nil, when the
// key is encrypted; a wrong one gives an error that is ErrPassphrase.
func ReadSecretKey(file []byte, passphrase func() ([]byte, error)) (*SecretKey, error) {
	if len(file) > MaxKeyFile {
		return nil, fmt.Errorf("read secret key: file has %d bytes, the limit is %d", len(file), MaxKeyFile)
	}
	b, err := openpgp.Dearmor(file, MaxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read secret key: %w", err)
	}
	e, err := gocrypto.ReadEntity(pgp.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil, fmt.Errorf("read secret key: %v", err)
	}
	if e.PrivateKey == nil {
		return nil, errors.New("read secret key: the file holds a public key only")
	}
	if err := decrypt(e, passphrase); err != nil {
		return nil, fmt.Errorf("read secret key: %w", err)
	}
	// Not what the library made of it: it passes over what it does not know.
	k, err := ReadOwnKey(b)
	if err != nil {
		return nil, fmt.Errorf("read secret key: %w", err)
	}
	return &SecretKey{entity: e, key: k}, nil
}

func decrypt(e *gocrypto.Entity, passphrase func() ([]byte, error)) error {
	encrypted := e.PrivateKey.Encrypted
	for _, sub := range e.Subkeys {
		encrypted = encrypted || sub.PrivateKey != nil && sub.PrivateKey.Encrypted
	}
	if !encrypted {
		return nil
	}
	if passphrase == nil {
		return ErrPassphrase
	}
	p, err := passphrase()
	if err != nil {
		return err
	}
	if err := e.DecryptPrivateKeys(p); err != nil {
		return ErrPassphrase
	}
	return nil
}

// Marshal returns an armored private key block, encrypted unless passphrase is
// nil: by Argon2id (64 MiB, 3 passes) and AES-256-OCB. Only es and other
// implementations of RFC 9580 read that; a key without passphrase is what gpg
// imports.
func (s *SecretKey) Marshal(passphrase []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := s.entity.SerializePrivateWithoutSigning(&b, nil); err != nil {
		return nil, fmt.Errorf("marshal secret key: %v", err)
	}
	if passphrase != nil {
		// Encrypting forgets the secret, so it is done to a copy.
		e, err := gocrypto.ReadEntity(pgp.NewReader(bytes.NewReader(b.Bytes())))
		if err != nil {
			return nil, fmt.Errorf("marshal secret key: %v", err)
		}
		if err := e.EncryptPrivateKeys(passphrase, encryption()); err != nil {
			return nil, fmt.Errorf("marshal secret key: %v", err)
		}
		b.Reset()
		if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
			return nil, fmt.Errorf("marshal secret key: %v", err)
		}
	}
	return openpgp.Armor(gocrypto.PrivateKeyType, b.Bytes())
}

func encryption() *pgp.Config {
	return &pgp.Config{
		DefaultCipher: pgp.CipherAES256,
		AEADConfig:    &pgp.AEADConfig{DefaultMode: pgp.AEADModeOCB},
		S2KConfig: &s2k.Config{
			S2KMode:      s2k.Argon2S2K,
			Argon2Config: &s2k.Argon2Config{NumberOfPasses: 3, DegreeOfParallelism: 4, Memory: 64 << 10},
		},
	}
}

// Key returns the public key.
func (s *SecretKey) Key() *Key { return s.key }

// Sign implements Signer; the signature is dated at.
func (s *SecretKey) Sign(ctx context.Context, record []byte, context string, at time.Time) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	secrets := secretsOf(s.entity)
	signer, err := s.key.signerAt(at.Unix(), func(f records.Fingerprint) bool { return secrets[f] != nil })
	if err != nil {
		return nil, err
	}
	return signWith(secrets[signer], record, context, at)
}

// secretsOf returns the secrets of a key and its subkeys that are there, encrypted or not.
func secretsOf(e *gocrypto.Entity) map[records.Fingerprint]*pgp.PrivateKey {
	secrets := make(map[records.Fingerprint]*pgp.PrivateKey)
	add := func(p *pgp.PrivateKey) {
		if p == nil || p.Dummy() {
			return
		}
		if f, err := records.FingerprintFromBytes(p.Fingerprint); err == nil {
			secrets[f] = p
		}
	}
	add(e.PrivateKey)
	for _, sub := range e.Subkeys {
		add(sub.PrivateKey)
	}
	return secrets
}

// signerAt picks the key that gpg would sign with: of those that may sign at t
// and whose secret there is, the newest subkey, or else the primary key. The
// error says what keeps the primary key or the newest subkey from it.
func (k *Key) signerAt(t int64, have func(records.Fingerprint) bool) (records.Fingerprint, error) {
	best, problem := k.primary, k.check(k.primary.Fingerprint, t)
	if problem == nil && !have(k.primary.Fingerprint) {
		problem = &KeyError{Fingerprint: k.primary.Fingerprint, Problem: NoSecret}
	}
	usable := problem == nil
	for _, e := range k.elements {
		if e.Role != openpgp.RoleSubkeyBinding || int64(e.Subkey.Created) > t {
			continue
		}
		err := k.check(e.Subkey.Fingerprint, t)
		if err == nil && !have(e.Subkey.Fingerprint) {
			err = &KeyError{Fingerprint: e.Subkey.Fingerprint, Problem: NoSecret}
		}
		switch {
		case err == nil && (!usable || best == k.primary || e.Subkey.Created >= best.Created):
			best, usable = e.Subkey, true
		case err != nil && !usable:
			problem = err
		}
	}
	if !usable {
		return records.Fingerprint{}, problem
	}
	return best.Fingerprint, nil
}

func signWith(key *pgp.PrivateKey, record []byte, context string, at time.Time) ([]byte, error) {
	sig := &pgp.Signature{
		Version:      key.Version,
		SigType:      pgp.SigTypeBinary,
		PubKeyAlgo:   key.PubKeyAlgo,
		Hash:         crypto.SHA256,
		CreationTime: at,
		Notations:    []*pgp.Notation{{Name: ContextNotation, Value: []byte(context), IsHumanReadable: true}},
	}
	h, err := sig.PrepareSign(nil)
	if err != nil {
		return nil, fmt.Errorf("sign record: %v", err)
	}
	h.Write(record)
	if err := sig.Sign(h, key, nil); err != nil {
		return nil, fmt.Errorf("sign record: %v", err)
	}
	var b bytes.Buffer
	if err := sig.Serialize(&b); err != nil {
		return nil, fmt.Errorf("sign record: %v", err)
	}
	return openpgp.CanonicalSignature(b.Bytes())
}
