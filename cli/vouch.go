package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func (a *app) endorseCommand() *cobra.Command {
	var key, claim, text, module string
	cmd := &cobra.Command{
		Use:   "endorse NAME@VERSION",
		Short: "vouch for a module that somebody else released",
		Long: `Signs that NAME@VERSION is the module that you have looked at: reviewed (you
read it), rebuilt (you built it from its source and got this) or imported (you
took it from its registry and got this). Where a threshold asks for several
keys, yours counts as one.`,
		Args: arguments(1, 1, "NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, v, err := parseExact(cmd, args[0])
			if err != nil {
				return err
			}
			if !slices.Contains([]string{records.Reviewed, records.Rebuilt, records.Imported}, claim) {
				return usagef(cmd, "--claim %q is not reviewed, rebuilt or imported", claim)
			}
			if err := records.CheckText(text, records.MaxLongText); err != nil {
				return usagef(cmd, "--text: %v", err)
			}
			e := &records.Endorse{Name: name, Version: v, Claim: claim, Text: text}
			if module != "" {
				if e.Module, err = cid.Decode(module); err != nil {
					return ui.Coded(ui.ExitUsage, fmt.Errorf("--module %.100q is not a CID", module))
				}
			}
			return a.signAndAnnounce(cmd, key, func(ctx context.Context, h *home.Home, by *author.Author) (records.Body, error) {
				if !e.Module.Defined() {
					if e.Module, err = author.TheModule(ctx, h.Index(), name, v); err != nil {
						return nil, err
					}
				}
				if err := by.Check(ctx, e); err != nil {
					return nil, err
				}
				a.Note("%s@%s is %s", name, v, e.Module)
				return e, nil
			})
		},
	}
	a.keyFlag(cmd, &key)
	cmd.Flags().StringVar(&claim, "claim", records.Reviewed, "reviewed, rebuilt or imported")
	cmd.Flags().StringVar(&text, "text", "", "what you want to say about it")
	cmd.Flags().StringVar(&module, "module", "", "CID of the module, where several are claimed")
	return cmd
}

func (a *app) delegateCommand() *cobra.Command {
	var key, until string
	var depth int
	var undo bool
	cmd := &cobra.Command{
		Use:   "delegate KEY SCOPE...",
		Short: "let another key speak for yours on some names",
		Long: `Signs that KEY may release what SCOPE holds, as if you did, for those who trust
you with depth=1 or more in their trust file. --depth says how much further KEY
may pass that on. It ends with --until, a date, or with --undo.`,
		Args: arguments(1, -1, "the fingerprint of a key, and scopes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := records.ParseFingerprint(args[0])
			if err != nil {
				return usagef(cmd, "%v", err)
			}
			d := &records.Delegate{To: to, Depth: int64(depth)}
			if undo {
				if len(args) > 1 {
					return usagef(cmd, "--undo takes back all that was delegated to the key, and needs no scope")
				}
				d.Depth = 0
				return a.signAndAnnounce(cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) { return d, nil })
			}
			if d.Scopes, d.Until, err = delegated(cmd, args[1:], until); err != nil {
				return err
			}
			if depth < 0 || depth > records.MaxDepthGrant {
				return usagef(cmd, "--depth %d is not 0 to %d", depth, records.MaxDepthGrant)
			}
			return a.signAndAnnounce(cmd, key, func(ctx context.Context, h *home.Home, _ *author.Author) (records.Body, error) {
				if known, err := h.Index().Key(ctx, to); err != nil || known != nil {
					return d, err
				}
				a.Warn("key %s has not been seen here yet: is it the right one?", to)
				return d, nil
			})
		},
	}
	a.keyFlag(cmd, &key)
	cmd.Flags().StringVar(&until, "until", "", "last day, as 2027-12-31 (required)")
	cmd.Flags().IntVar(&depth, "depth", 0, "how many further delegations the key may chain, 0 to 3")
	cmd.Flags().BoolVar(&undo, "undo", false, "take back what was delegated to the key")
	return cmd
}

func delegated(cmd *cobra.Command, args []string, until string) ([]records.Scope, int64, error) {
	if len(args) == 0 {
		return nil, 0, usagef(cmd, "%s needs at least one scope, such as left-pad, '@acme/*' or 'acme-*'", cmd.CommandPath())
	}
	var scopes []records.Scope
	for _, s := range args {
		scope, err := records.ParseScope(s)
		if err != nil {
			return nil, 0, usagef(cmd, "%v", err)
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	if len(scopes) > records.MaxScopes {
		return nil, 0, usagef(cmd, "%d scopes, the limit is %d", len(scopes), records.MaxScopes)
	}
	if until == "" {
		return nil, 0, usagef(cmd, "--until is needed: a delegation that never ends is forgotten")
	}
	day, err := time.Parse(time.DateOnly, until)
	if err != nil {
		return nil, 0, usagef(cmd, "--until %q is not a date such as 2027-12-31", until)
	}
	end := day.AddDate(0, 0, 1)
	if !end.After(time.Now()) {
		return nil, 0, usagef(cmd, "--until %s is over", until)
	}
	return scopes, end.Unix(), nil
}

func (a *app) rotateCommand() *cobra.Command {
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
		Args: arguments(1, 1, "the fingerprint of the new key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKeyFlag(cmd, key); err != nil {
				return err
			}
			return a.withHome(cmd.Context(), func(h *home.Home) error { return a.runRotate(cmd.Context(), h, key, args[0]) })
		},
	}
	a.keyFlag(cmd, &key)
	return cmd
}

type rotateJSON struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Releases int    `json:"releases"` // released again
	Peers    int    `json:"peers"`
}

func (a *app) runRotate(ctx context.Context, h *home.Home, from, to string) error {
	before, err := a.signingKey(ctx, h, from)
	if err != nil {
		return err
	}
	after, err := a.signingKey(ctx, h, to)
	if err != nil {
		return err
	}
	if before.Fingerprint() == after.Fingerprint() {
		return ui.Hinted(author.ErrSameKey, "es key new makes one; es key list shows yours")
	}
	old, next := a.author(ctx, h, before), a.author(ctx, h, after)
	if err := a.catchUp(ctx, h, before, old); err != nil {
		return err
	}
	if err := a.catchUp(ctx, h, after, next); err != nil {
		return err
	}
	n, err := author.Rotate(ctx, old, next)
	if err != nil {
		return authorRefusal(err)
	}
	if err := h.SetDefault(ctx, after.Fingerprint()); err != nil {
		return err
	}
	peers := a.announce(ctx, h, append(old.Made(), next.Made()...))
	if a.JSON {
		return a.Emit(rotateJSON{before.Fingerprint().String(), after.Fingerprint().String(), n, peers})
	}
	a.Printf("%s", after.Fingerprint())
	a.Note("the new key signs from now on, and has released %s again", ui.Plural(int64(n), "version"))
	a.Hint("es key revoke %s --reason superseded   (once the news has spread)", before.Fingerprint())
	return nil
}
