package sign

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/packet"
	gocrypto "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// A FileKey is one of the OpenPGP keys in a file, with what the file says of it.
type FileKey struct {
	Secret      bool                // with its secret half, or what stands for it
	Fingerprint records.Fingerprint // zero when the key is of a kind that es does not know

	file    []byte // the whole file, if there is no other key in it
	packets []byte
}

// Key reads the public half, as ReadKey does.
func (k FileKey) Key() (*Key, error) {
	if k.file != nil {
		return ReadKey(k.file)
	}
	return ReadKey(k.packets)
}

// SecretFile returns an armored secret key that ReadSecretKey reads. It fails when the
// file has the public half alone, or no secret that es can use: of a smartcard, say.
func (k FileKey) SecretFile() ([]byte, error) {
	if !k.Secret {
		return nil, errors.New("read secret key: the file holds a public key only")
	}
	file, err := openpgp.Armor(gocrypto.PrivateKeyType, k.packets)
	if err != nil {
		return nil, err
	}
	if _, err := ReadSecretKey(file, nil); err != nil && !errors.Is(err, ErrPassphrase) {
		return nil, err
	}
	return file, k.checkSecret()
}

// checkSecret fails where what could sign has no secret in the file, but only what stands for
// one: gpg exports so a key whose secret is on a smartcard, or was left out.
func (k FileKey) checkSecret() error {
	e, err := gocrypto.ReadEntity(pgp.NewReader(bytes.NewReader(k.packets)))
	if err != nil {
		return fmt.Errorf("read secret key: %v", err)
	}
	key, err := ReadOwnKey(k.packets)
	if err != nil {
		return fmt.Errorf("read secret key: %w", err)
	}
	newest := e.PrimaryKey.CreationTime
	for _, sub := range e.Subkeys {
		if at := sub.PublicKey.CreationTime; at.After(newest) {
			newest = at
		}
	}
	secrets := secretsOf(e)
	var problem *KeyError
	_, err = key.signerAt(newest.Unix(), func(f records.Fingerprint) bool { return secrets[f] != nil })
	if errors.As(err, &problem) && problem.Problem == NoSecret {
		return errors.New("read secret key: the file does not have the secret that signs, which is on a smartcard or was left out")
	}
	return nil
}

// SplitKeyFile finds the keys in a file, armored or binary, one or several, public or
// secret. It does not verify them. An error says why the file is no file of keys, and
// one with no key in it is an error.
func SplitKeyFile(file []byte) ([]FileKey, error) {
	if len(file) == 0 {
		return nil, errors.New("is empty")
	}
	if len(file) > MaxKeyFile {
		return nil, fmt.Errorf("has %d bytes, the limit is %d", len(file), MaxKeyFile)
	}
	b, err := openpgp.Dearmor(file, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	var keys []FileKey
	for len(b) > 0 {
		p, rest, err := openpgp.NextPacket(b)
		if err != nil {
			return nil, err
		}
		if p.Type == openpgp.PacketPublicKey || p.Type == openpgp.PacketSecretKey {
			k := FileKey{Secret: p.Type == openpgp.PacketSecretKey}
			if public, _, err := openpgp.CutPublicKey(p.Body); err == nil {
				k.Fingerprint = public.Fingerprint
			}
			keys = append(keys, k)
		}
		if last := len(keys) - 1; last >= 0 { // signatures are of the key before them
			keys[last].packets = append(keys[last].packets, b[:len(b)-len(rest)]...)
		}
		b = rest
	}
	switch len(keys) {
	case 0:
		return nil, errors.New("holds no OpenPGP key")
	case 1:
		keys[0].file = file
	}
	// Of a key that is there with its secret, too, that one counts.
	return slices.DeleteFunc(slices.Clone(keys), func(k FileKey) bool {
		return !k.Secret && !k.Fingerprint.IsZero() && slices.ContainsFunc(keys, func(o FileKey) bool { return o.Secret && o.Fingerprint == k.Fingerprint })
	}), nil
}

// SigningProblem says why no key of the block could sign at the moment at, whoever has
// its secret; nil when one could. It is a *KeyError.
func (k *Key) SigningProblem(at time.Time) error {
	_, err := k.signerAt(at.Unix(), func(records.Fingerprint) bool { return true })
	return err
}

// Armor returns the key block as text that gpg --import and ReadKey read. Its v4
// signatures name their issuer outside of what they sign, too: a minimal block
// leaves that out, and gpg 2.2 takes such signatures for those of a third party.
func (k *Key) Armor() []byte {
	block, err := openpgp.WithIssuer(k.block, k.Fingerprint().Bytes())
	if err != nil {
		panic("sign: a verified key block " + err.Error())
	}
	b, err := openpgp.Armor(gocrypto.PublicKeyType, block)
	if err != nil {
		panic(err) // a bytes.Buffer takes every write
	}
	return b
}
