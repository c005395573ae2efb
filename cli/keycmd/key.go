package keycmd

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func keyCommand(a cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "make and choose the key that signs what you publish",
		Args:  cli.NoArguments,
		RunE:  func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keyNewCommand(a), keyListCommand(a), keyExportCommand(a), keyImportCommand(a), keyUseCommand(a), keyRevokeCommand(a))
	return cmd
}

// keyJSON is a key as --json prints it.
type keyJSON struct {
	Fingerprint records.Fingerprint `json:"fingerprint"`
	UID         string              `json:"uid"`
	Default     bool                `json:"default"`
	GPG         bool                `json:"gpg,omitempty"`
	Created     time.Time           `json:"created"`
	Expires     *time.Time          `json:"expires,omitempty"`
	Problem     string              `json:"problem,omitempty"`
	Revocation  string              `json:"revocation,omitempty"` // file with the certificate, of a new key
}

func describeKey(k home.OwnKey, now time.Time) keyJSON {
	j := keyJSON{Fingerprint: k.Fingerprint(), UID: k.Key.UserID(), Default: k.Default, GPG: k.GPG, Created: k.Key.Created().UTC()}
	if t, ok := k.Key.Expires(); ok {
		t = t.UTC()
		j.Expires = &t
	}
	var ended *author.KeyEndedError
	if errors.As(author.CheckKey(k.Key, now), &ended) {
		j.Problem = ended.Problem()
	}
	return j
}
