package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// ErrNoKey is returned when the home has no own key, or not the one asked for.
var ErrNoKey = errors.New("no such own key")

// OwnKey is a key that this home signs with.
type OwnKey struct {
	Key     *sign.Key
	GPG     bool // gpg holds the secret; otherwise keys/FINGERPRINT.key does
	Default bool
}

// Fingerprint returns the primary key's fingerprint.
func (k OwnKey) Fingerprint() records.Fingerprint { return k.Key.Fingerprint() }

const (
	SecretSuffix = ".key" // an armored secret key block
	gpgSuffix    = ".gpg" // the public key block of a key whose secret gpg holds
	revSuffix    = ".rev" // a revocation certificate
)

func (h *Home) keyDir() string { return filepath.Join(h.dir, "keys") }

func (h *Home) keyPath(f records.Fingerprint, suffix string) string {
	return filepath.Join(h.keyDir(), f.String()+suffix)
}

func keyFileName(name string) (f records.Fingerprint, gpg, ok bool) {
	digits, isSecret := strings.CutSuffix(name, SecretSuffix)
	if !isSecret {
		if digits, gpg = strings.CutSuffix(name, gpgSuffix); !gpg {
			return f, false, false
		}
	}
	f, err := records.ParseFingerprint(digits)
	return f, gpg, err == nil && f.String() == digits
}

// keyFiles lists the directory of own keys; a home that is not made yet has none.
func (h *Home) keyFiles() ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(h.keyDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list own keys: %w", err)
	}
	return entries, nil
}

// Keys returns the own keys, sorted by fingerprint.
func (h *Home) Keys(ctx context.Context) ([]OwnKey, error) {
	entries, err := h.keyFiles()
	if err != nil {
		return nil, err
	}
	chosen, _, err := h.defaultName()
	if err != nil {
		return nil, err
	}
	var keys []OwnKey
	for _, e := range entries {
		f, gpg, ok := keyFileName(e.Name())
		if !ok {
			continue
		}
		k, err := h.readOwn(ctx, f, gpg)
		if err != nil {
			return nil, err
		}
		k.Default = f == chosen
		keys = append(keys, k)
	}
	return keys, nil
}

// readOwn reads an own key, joined with what the index knows of it: a revocation,
// say.
func (h *Home) readOwn(ctx context.Context, f records.Fingerprint, gpg bool) (OwnKey, error) {
	suffix := SecretSuffix
	if gpg {
		suffix = gpgSuffix
	}
	path := h.keyPath(f, suffix)
	b, err := regularfile.Read(path, sign.MaxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return OwnKey{}, fmt.Errorf("key %s: %w", f, ErrNoKey)
	}
	if err != nil {
		return OwnKey{}, fmt.Errorf("read own key: %w", err)
	}
	k, err := sign.ReadOwnKey(b)
	if err != nil {
		return OwnKey{}, fmt.Errorf("read own key %s: %w", path, err)
	}
	if k.Fingerprint() != f {
		return OwnKey{}, fmt.Errorf("read own key %s: the file holds key %s", path, k.Fingerprint())
	}
	known, err := h.index.Key(ctx, f)
	if err != nil {
		return OwnKey{}, err
	}
	if known != nil {
		if k, err = known.Merge(k); err != nil {
			return OwnKey{}, fmt.Errorf("read own key %s: %w", path, err)
		}
	}
	return OwnKey{Key: k, GPG: gpg}, nil
}

// AddKey stores a secret key file as sign.SecretKey.Marshal writes it, and its
// public half in the index. The first key of a home becomes the default. A key
// that is there already is an error and stays as it is.
func (h *Home) AddKey(ctx context.Context, secret []byte) (OwnKey, error) {
	k, err := sign.ReadKey(secret)
	if err != nil {
		return OwnKey{}, fmt.Errorf("add key: %w", err)
	}
	path := h.keyPath(k.Fingerprint(), SecretSuffix)
	if _, err := os.Lstat(path); err == nil {
		return OwnKey{}, fmt.Errorf("add key: %s is there already", k.Fingerprint())
	}
	return h.addOwn(ctx, OwnKey{Key: k}, path, secret)
}

// AddGPGKey makes a key whose secret gpg holds an own key of the home.
func (h *Home) AddGPGKey(ctx context.Context, k *sign.Key) (OwnKey, error) {
	return h.addOwn(ctx, OwnKey{Key: k, GPG: true}, h.keyPath(k.Fingerprint(), gpgSuffix), k.Block())
}

func (h *Home) addOwn(ctx context.Context, own OwnKey, path string, file []byte) (OwnKey, error) {
	if _, _, err := h.index.AddKey(ctx, own.Key); err != nil {
		return OwnKey{}, fmt.Errorf("add key: %w", err)
	}
	if err := atomicfile.Replace(path, file); err != nil {
		return OwnKey{}, fmt.Errorf("add key: %w", err)
	}
	chosen, _, err := h.defaultName()
	if err != nil {
		return OwnKey{}, err
	}
	if chosen.IsZero() {
		if err := h.writeDefault(own); err != nil {
			return OwnKey{}, err
		}
		chosen = own.Fingerprint()
	}
	own.Default = chosen == own.Fingerprint()
	return own, nil
}

// SetDefault makes an own key the one that signs when none is named.
func (h *Home) SetDefault(ctx context.Context, f records.Fingerprint) error {
	own, err := h.OwnKey(ctx, f)
	if err != nil {
		return fmt.Errorf("set default key: %w", err)
	}
	return h.writeDefault(own)
}

func (h *Home) writeDefault(own OwnKey) error {
	name := own.Fingerprint().String()
	if own.GPG {
		name = "gpg:" + name
	}
	if err := atomicfile.Replace(h.defaultPath(), []byte(name+"\n")); err != nil {
		return fmt.Errorf("set default key: %w", err)
	}
	return nil
}

func (h *Home) defaultPath() string { return filepath.Join(h.dir, "default") }

// defaultName reads which key is the default; zero when there is none.
func (h *Home) defaultName() (f records.Fingerprint, gpg bool, err error) {
	b, err := regularfile.Read(h.defaultPath(), maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err != nil {
		return f, false, fmt.Errorf("read default key: %w", err)
	}
	name, gpg := strings.CutPrefix(strings.TrimSpace(string(b)), "gpg:")
	if f, err = records.ParseFingerprint(name); err != nil {
		return f, false, fmt.Errorf("read default key %s: %w", h.defaultPath(), err)
	}
	return f, gpg, nil
}

// Default returns the default key; the error is ErrNoKey when there is none.
func (h *Home) Default(ctx context.Context) (OwnKey, error) {
	f, gpg, err := h.defaultName()
	if err != nil {
		return OwnKey{}, err
	}
	if f.IsZero() {
		return OwnKey{}, ErrNoKey
	}
	own, err := h.readOwn(ctx, f, gpg)
	own.Default = true
	return own, err
}

// OwnKey returns the own key with this fingerprint, or ErrNoKey.
func (h *Home) OwnKey(ctx context.Context, f records.Fingerprint) (OwnKey, error) {
	own, err := h.readOwn(ctx, f, false)
	if errors.Is(err, ErrNoKey) {
		own, err = h.readOwn(ctx, f, true)
	}
	if err != nil {
		return OwnKey{}, err
	}
	chosen, _, err := h.defaultName()
	own.Default = chosen == f
	return own, err
}

// SecretFile returns the file of an own key whose secret is in the home.
func (h *Home) SecretFile(f records.Fingerprint) ([]byte, error) {
	b, err := regularfile.Read(h.keyPath(f, SecretSuffix), sign.MaxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key %s: %w", f, ErrNoKey)
	}
	return b, err
}

// RevocationPath returns where the revocation certificate of an own key is or would be
// (docs/program.md [N103]).
func (h *Home) RevocationPath(f records.Fingerprint) string { return h.keyPath(f, revSuffix) }

// AddRevocation stores the revocation certificate of an own key.
func (h *Home) AddRevocation(f records.Fingerprint, certificate []byte) error {
	if err := atomicfile.Replace(h.RevocationPath(f), certificate); err != nil {
		return fmt.Errorf("store revocation certificate: %w", err)
	}
	return nil
}

// Signer opens an own key for signing. passphrase is called when the secret is in
// the home and encrypted; gpg says how to run gpg for the others.
func (h *Home) Signer(ctx context.Context, own OwnKey, gpg sign.GPG, passphrase func() ([]byte, error)) (sign.Signer, error) {
	if own.GPG {
		return sign.OpenGPG(ctx, gpg, own.Fingerprint().String())
	}
	b, err := h.SecretFile(own.Fingerprint())
	if err != nil {
		return nil, err
	}
	return sign.ReadSecretKey(b, passphrase)
}
