package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Passphrase returns what asks for that of an existing key.
func (a App) Passphrase(ctx context.Context) func() ([]byte, error) {
	return func() ([]byte, error) {
		if p := a.Getenv("ES_PASSPHRASE"); p != "" {
			return []byte(p), nil
		}
		if !a.Asks {
			return nil, ui.Hinted(errors.New("the key has a passphrase, and nobody is at this terminal"), "set ES_PASSPHRASE")
		}
		return a.ReadPassphrase(ctx, "passphrase: ")
	}
}

// FindKey returns the key that args name, or the default one; own is nil for a
// key that the index knows from others.
func (a App) FindKey(ctx context.Context, h *home.Home, args []string) (key *sign.Key, own *home.OwnKey, err error) {
	if len(args) == 0 {
		k, err := h.Default(ctx)
		if err != nil {
			return nil, nil, KeyHint(err)
		}
		return k.Key, &k, nil
	}
	f, err := records.ParseFingerprint(args[0])
	if err != nil {
		return nil, nil, ui.Coded(ui.ExitUsage, err, "es key list shows your keys")
	}
	if k, err := h.OwnKey(ctx, f); err == nil {
		return k.Key, &k, nil
	} else if !errors.Is(err, home.ErrNoKey) {
		return nil, nil, err
	}
	known, err := h.Index().Key(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	if known == nil {
		return nil, nil, ui.Coded(ui.ExitNotFound, fmt.Errorf("key %s is not known here", f), "es key list shows your keys")
	}
	return known, nil, nil
}

// KeyHint adds to node.ErrNoKey how to get a key.
func KeyHint(err error) error {
	if errors.Is(err, home.ErrNoKey) {
		return ui.Hinted(errors.New("you have no key to sign with yet"), "es key new --name NAME --email ADDRESS, or es key use gpg:KEYID")
	}
	return err
}

// KeyInFile reads the one key of a file, or of several the one whose fingerprint is
// which. It never chooses.
func (a App) KeyInFile(ctx context.Context, path, which string) (sign.FileKey, error) {
	var none sign.FileKey
	b, err := a.ReadFile(ctx, path)
	if err != nil {
		return none, err
	}
	keys, err := sign.SplitKeyFile(b)
	if err != nil {
		return none, fmt.Errorf("read key %q: the file %w", path, err)
	}
	var wanted records.Fingerprint
	if which != "" {
		if wanted, err = records.ParseFingerprint(which); err != nil {
			return none, ui.Coded(ui.ExitUsage, fmt.Errorf("--key: %w", err))
		}
	}
	var found []string
	for _, k := range keys {
		if k.Fingerprint == wanted && which != "" || which == "" && len(keys) == 1 {
			return k, nil
		}
		found = append(found, fileKeyText(k))
	}
	const shown = 10
	if len(found) > shown {
		found = append(found[:shown], fmt.Sprintf("and %d more", len(keys)-shown))
	}
	err = fmt.Errorf("read key %q: the file holds %s: %s", path, ui.Plural(int64(len(keys)), "key"), strings.Join(found, "; "))
	if which != "" {
		return none, ui.Coded(ui.ExitNotFound, fmt.Errorf("%w; none of them is %s", err, wanted))
	}
	return none, ui.Hinted(err, "--key FINGERPRINT names the one to take")
}

// fileKeyText names a key in a file.
func fileKeyText(k sign.FileKey) string {
	if k.Fingerprint.IsZero() {
		return "one of a kind that es does not know"
	}
	key, err := k.Key()
	if err != nil {
		return fmt.Sprintf("%s (%s)", k.Fingerprint, ui.Safe(err.Error()))
	}
	return fmt.Sprintf("%s %s", k.Fingerprint, ui.UIDText(key.UserID()))
}

// UsedKey finds the key to use, and takes it over from gpg when it is there.
func (a App) UsedKey(ctx context.Context, h *home.Home, which string) (records.Fingerprint, error) {
	id, inGPG := strings.CutPrefix(which, "gpg:")
	if !inGPG {
		f, err := records.ParseFingerprint(which)
		if err != nil {
			return f, ui.Coded(ui.ExitUsage, err, "es key list shows your keys; gpg:KEYID uses one that gpg holds")
		}
		return f, nil
	}
	if strings.TrimSpace(id) == "" {
		return records.Fingerprint{}, ui.Coded(ui.ExitUsage, errors.New("gpg: needs a key id after it"), "gpg --list-secret-keys shows them")
	}
	k, err := sign.OpenGPG(ctx, a.GPG(), id)
	if err != nil {
		return records.Fingerprint{}, ui.Hinted(err, "gpg --list-secret-keys shows the keys that gpg can sign with")
	}
	own, err := h.AddGPGKey(ctx, k.Key())
	return own.Fingerprint(), err
}

// GPG is the user's own: GNUPGHOME and the agent are its business.
func (a App) GPG() sign.GPG { return sign.GPG{} }
