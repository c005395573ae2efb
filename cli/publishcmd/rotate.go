package publishcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
)

func rotateCommand(a cli.App) *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "rotate NEWKEY",
		Short: "move from your key to a new one",
		Long: `Signs with your key that NEWKEY, which must be yours too, is its successor, and
with NEWKEY that it succeeds your key. Then it releases again, with NEWKEY, what
your key released and did not take back, and says the same of tags, so that it
stays when the old key is revoked.

Those who trust your key with follow=yes believe NEWKEY at once; others are
told.`,
		Args: cli.Arguments(1, 1, "the fingerprint of the new key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKeyFlag(cmd, key); err != nil {
				return err
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runRotate(cmd.Context(), a, h, key, args[0]) })
		},
	}
	keyFlag(a, cmd, &key)
	return cmd
}

type rotateJSON struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Releases int    `json:"releases"` // released again
	Peers    int    `json:"peers"`
}

func runRotate(ctx context.Context, a cli.App, h *home.Home, from, to string) error {
	before, err := signingKey(ctx, a, h, from)
	if err != nil {
		return err
	}
	after, err := signingKey(ctx, a, h, to)
	if err != nil {
		return err
	}
	if before.Fingerprint() == after.Fingerprint() {
		return ui.Hinted(author.ErrSameKey, "es key new makes one; es key list shows yours")
	}
	old, next := newAuthor(ctx, a, h, before), newAuthor(ctx, a, h, after)
	if err := catchUp(ctx, a, h, before, old, false); err != nil {
		return err
	}
	if err := catchUp(ctx, a, h, after, next, false); err != nil {
		return err
	}
	n, err := author.Rotate(ctx, old, next)
	if err != nil {
		return authorRefusal(err)
	}
	if err := h.SetDefault(ctx, after.Fingerprint()); err != nil {
		return err
	}
	peers := announce(ctx, a, h, append(old.Made(), next.Made()...))
	if a.JSON {
		return a.Emit(rotateJSON{before.Fingerprint().String(), after.Fingerprint().String(), n, peers})
	}
	a.Printf("%s", after.Fingerprint())
	a.Note("the new key signs from now on, and has released %s again", ui.Plural(int64(n), "version"))
	a.Hint("es key revoke %s --reason superseded   (once the news has spread)", before.Fingerprint())
	return nil
}
