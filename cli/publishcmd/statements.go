package publishcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// homeKey is an own key of a home, as package author signs with it.
type homeKey struct {
	home.OwnKey
	home       *home.Home
	gpg        sign.GPG
	passphrase func() ([]byte, error)
}

// Signer implements author.Keyring.
func (k homeKey) Signer(ctx context.Context) (sign.Signer, error) {
	return k.home.Signer(ctx, k.OwnKey, k.gpg, k.passphrase)
}

// LockSigning implements author.Keyring.
func (k homeKey) LockSigning(ctx context.Context) (unlock func(), err error) {
	return k.home.LockSigning(ctx)
}

// newAuthor returns who signs with the own key.
func newAuthor(ctx context.Context, a cli.App, h *home.Home, own home.OwnKey) *author.Author {
	return author.New(own.Key, homeKey{own, h, a.GPG(), a.Passphrase(ctx)}, authorlog.WithIndex(h.Index()), time.Now)
}

// statementJSON is what a command that signs one statement prints.
type statementJSON struct {
	Record string `json:"record"`
	Kind   string `json:"kind"`
	Author string `json:"author"`
	Peers  int    `json:"peers"`
}

// A statement makes the body of a record when what it needs to know of the home and of the
// author is up to date, and says what it is about.
type statement func(context.Context, *home.Home, *author.Author) (records.Body, error)

// signAndAnnounce signs one statement and announces it.
func signAndAnnounce(a cli.App, cmd *cobra.Command, key string, make statement) error {
	ctx := cmd.Context()
	if err := checkKeyFlag(cmd, key); err != nil {
		return err
	}
	return a.WithHome(ctx, func(h *home.Home) error {
		own, err := signingKey(ctx, a, h, key)
		if err != nil {
			return err
		}
		by := newAuthor(ctx, a, h, own)
		if err := catchUp(ctx, a, h, own, by, false); err != nil {
			return err
		}
		body, err := make(ctx, h, by)
		if err != nil {
			return authorRefusal(err)
		}
		made, err := by.SignStatement(ctx, body)
		if err != nil {
			return authorRefusal(err)
		}
		if made.Before {
			a.Note("%s", saidBefore(body))
		}
		peers := announce(ctx, a, h, by.Made())
		if a.JSON {
			return a.Emit(statementJSON{made.Record.String(), body.Kind(), own.Fingerprint().String(), peers})
		}
		a.Printf("%s", made.Record)
		return nil
	})
}

// saidBefore says that a statement stands already.
func saidBefore(body records.Body) string {
	done := map[string]string{records.Yanked: "is yanked", records.Deprecated: "is deprecated", records.Advisory: "has that advisory"}
	n, ok := body.(*records.Notice)
	if !ok {
		return "the key says that already; announcing it again"
	}
	return fmt.Sprintf("%s@%s %s already, in these words; announcing it again", n.Name, n.Range, done[n.NoticeOf])
}

// keyFlag adds the flags of every command that signs.
func keyFlag(a cli.App, cmd *cobra.Command, key *string) {
	cmd.Flags().StringVar(key, "key", "", "fingerprint of the own key that signs (default: es key use)")
	cmd.Flags().BoolVar(&a.First, "first", false, "the key has signed nothing that is not here, also where no peer can be asked")
}

// checkKeyFlag refuses an empty --key, most often a variable that is not set: it does not
// mean the default key.
func checkKeyFlag(cmd *cobra.Command, key string) error {
	if key == "" && cmd.Flags().Changed("key") {
		return cli.Usagef(cmd, "--key is an empty text, and names no key")
	}
	return nil
}
