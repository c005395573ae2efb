package trustcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

type trustAddOptions struct {
	label      string
	until      string
	yes        bool
	everything bool
	depth      int
	follow     bool
	imports    bool
	key        string // which, of several in a file
}

func trustAddCommand(a cli.App) *cobra.Command {
	var o trustAddOptions
	cmd := &cobra.Command{
		Use:   "add KEY|FILE SCOPE...",
		Short: "believe a key for some names",
		Long: `Believes what a key signs about the names in the scopes. KEY is a full
fingerprint, or gpg:USERID for a key in gpg's keyring, FILE a file with the
public key ("-" is standard input).

es shows the whole fingerprint and what it will let in, and asks. Compare the
fingerprint with one that the author gave you some other way: anybody can make a
key with anybody's name on it.`,
		Args: cli.Arguments(2, -1, "a key and at least one scope"),
		RunE: func(cmd *cobra.Command, args []string) error {
			scopes, err := parseScopes(cmd, args[1:], o.everything)
			if err != nil {
				return err
			}
			if o.depth < 0 || o.depth > records.MaxDepthGrant {
				return cli.Usagef(cmd, "--depth %d is not 0 to %d", o.depth, records.MaxDepthGrant)
			}
			until, err := parseUntil(cmd, o.until)
			if err != nil {
				return err
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error {
				e := trust.Entry{Scopes: scopes, Label: o.label, Until: until, Depth: o.depth, Follow: o.follow, Imports: o.imports}
				return runTrustAdd(cmd.Context(), a, h, args[0], o.key, e, o.yes)
			})
		},
	}
	cmd.Flags().StringVar(&o.label, "label", "", "what you call the key (default: from the key's user id)")
	cmd.Flags().StringVar(&o.key, "key", "", "fingerprint of the one to take, of several in FILE")
	cmd.Flags().StringVar(&o.until, "until", "", "last day that this counts, as 2027-12-31")
	cmd.Flags().IntVar(&o.depth, "depth", 0, "how many delegations in a row may start at the key, 0 to 3: whom it names may sign too")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "believe the key's successor, when both keys say that it is one")
	cmd.Flags().BoolVar(&o.imports, "imports", false, "believe it also where it only imported from a registry, as a team's mirror does")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.everything, "i-trust-everything", false, "allow the scope '*'")
	cmd.AddCommand(addNPMCommand(a))
	return cmd
}

func parseScopes(cmd *cobra.Command, args []string, everything bool) ([]records.Scope, error) {
	var scopes []records.Scope
	for _, s := range args {
		scope, err := records.ParseScope(s)
		if err != nil {
			return nil, ui.Coded(ui.ExitUsage, err, "scopes look like left-pad, left-*, @acme/* or *; quote them from your shell")
		}
		if scope == "*" && !everything {
			return nil, ui.Coded(ui.ExitUsage, errors.New("the scope * lets it publish under every name that no narrower line decides"),
				"name what you need, or give --i-trust-everything")
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

func parseUntil(cmd *cobra.Command, s string) (time.Time, error) {
	if !cmd.Flags().Changed("until") {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	switch {
	case err != nil: // an empty text, too: most often a variable that is not set
		return t, cli.Usagef(cmd, "--until %q is not a day like 2027-12-31", s)
	case !time.Now().Before(t.AddDate(0, 0, 1)):
		return t, cli.Usagef(cmd, "--until %s is over", s)
	}
	return t, nil
}

func runTrustAdd(ctx context.Context, a cli.App, h *home.Home, which, chosen string, e trust.Entry, yes bool) error {
	f, key, err := trustedKey(ctx, a, h, which, chosen)
	if err != nil {
		return err
	}
	e.Fingerprint = f
	if e.Label == "" && key != nil {
		e.Label = labelFrom(key.UserID())
	}
	showGrant(a, e, key)
	if err := a.WarnLookalikeScopes(ctx, h, e.Scopes); err != nil {
		return err
	}
	ok, err := a.Ask(ctx, "Trust it?", yes, "--yes")
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("nothing was changed")
	}
	var changed bool
	err = trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) error {
		if policy.Denied(f) {
			return ui.Hinted(fmt.Errorf("key %s is denied in %s", f, h.TrustPath()), "es trust remove %s takes that back first", f)
		}
		changed, err = policy.AddKey(e)
		return err
	})
	if err == nil {
		err = h.Index().Promote(ctx, f)
	}
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(entryJSON(e, key))
	}
	if !changed {
		a.Note("%s says that already", h.TrustPath())
		return nil
	}
	a.Note("added to %s", h.TrustPath())
	if name, err := records.ParseName(string(e.Scopes[0])); err == nil {
		hint := "es add " + string(name)
		if !a.Asks { // nobody is there to say yes to the key when it is first used
			hint += " --accept-key " + f.String()
		}
		a.Hint("%s", hint)
	}
	return nil
}

// trustedKey finds the key that the user names by fingerprint or in a file, of several
// there the chosen one. The
// key itself is nil when only its fingerprint is known.
func trustedKey(ctx context.Context, a cli.App, h *home.Home, which, chosen string) (records.Fingerprint, *sign.Key, error) {
	f, err := records.ParseFingerprint(which)
	if err == nil {
		key, err := h.Index().Key(ctx, f)
		return f, key, err
	}
	if id, ok := strings.CutPrefix(which, "gpg:"); ok {
		return trustedGPGKey(ctx, a, h, id)
	}
	if _, statErr := os.Stat(which); statErr != nil && which != "-" {
		return f, nil, ui.Coded(ui.ExitUsage, fmt.Errorf("%q is neither a full fingerprint nor a file", which),
			"es search NAME shows who signed what, with fingerprints (short key ids are not enough); gpg:USERID is a key in gpg's keyring")
	}
	found, err := a.KeyInFile(ctx, which, chosen)
	if err != nil {
		return f, nil, err
	}
	if found.Secret {
		return f, nil, ui.Hinted(fmt.Errorf("%q holds the secret of key %s, which nobody but its owner may have", which, found.Fingerprint),
			"if it is yours: es key import FILE; es key export prints the public key, for others to trust")
	}
	key, err := found.Key()
	if err != nil {
		return f, nil, fmt.Errorf("read key %q: %w", which, err)
	}
	merged, _, err := h.Index().AddKey(ctx, key)
	if err != nil {
		return f, nil, err
	}
	return merged.Fingerprint(), merged, nil
}

// trustedGPGKey takes a public key from gpg's keyring.
func trustedGPGKey(ctx context.Context, a cli.App, h *home.Home, id string) (records.Fingerprint, *sign.Key, error) {
	key, err := sign.GPGPublicKey(ctx, a.GPG(), id)
	if err != nil {
		return records.Fingerprint{}, nil, ui.Hinted(err, "gpg --list-keys shows the keys that gpg has")
	}
	merged, _, err := h.Index().AddKey(ctx, key)
	if err != nil {
		return records.Fingerprint{}, nil, err
	}
	return merged.Fingerprint(), merged, nil
}

// labelFrom makes a short label from a user id: "Ada <ada@example.org>" is ada.
func labelFrom(uid string) string {
	name, _, _ := strings.Cut(uid, "<")
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(name)) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.', r == '_':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	label := strings.Trim(b.String(), "-")
	return label[:min(len(label), trust.MaxLabel)]
}

// showGrant says what a new line will allow.
func showGrant(a cli.App, e trust.Entry, key *sign.Key) {
	a.Note("this believes the key")
	a.Note("    %s", cli.Grouped(e.Fingerprint))
	if key != nil {
		a.Note("    which says it belongs to %s", ui.UIDText(key.UserID()))
		a.Note("    (anybody can write any name there)")
		if p := grantProblem(key, time.Now()); p != "" {
			a.Warn("%s", p)
		}
	} else {
		a.Note("    which has not been seen here yet")
	}
	a.Note("when it signs")
	for _, s := range e.Scopes {
		a.Note("    %-20s %s", s, scopeText(s))
	}
	if e.Depth > 0 {
		a.Note("and whoever it delegates some of these to, over at most %s", ui.Plural(int64(e.Depth), "step"))
	}
	if e.Follow {
		a.Note("and a new key that it names as its successor, and that says the same")
	}
	if e.Imports {
		a.Note("also what it imported from a registry, by its word alone")
	}
	if !e.Until.IsZero() {
		a.Note("until %s", e.Until.Format(time.DateOnly))
	}
}

// grantProblem says why believing a key lets in nothing new, or nothing at all; "" when
// it can sign now.
func grantProblem(key *sign.Key, now time.Time) string {
	r, revoked := key.Revocation()
	expires, ends := key.Expires()
	problem := key.SigningProblem(now)
	switch {
	case revoked && r.Hard:
		return "the key was revoked on " + r.At.UTC().Format(time.DateOnly) + ": NOTHING that it ever signed counts"
	case revoked:
		return "the key was revoked on " + r.At.UTC().Format(time.DateOnly) + ": what it signed before counts, and nothing after"
	case ends && !now.Before(expires):
		return "the key expired on " + expires.UTC().Format(time.DateOnly) + ": what it signed before counts, and nothing after, unless its owner extends it"
	case problem != nil:
		return "the key can sign nothing for es now: " + ui.Safe(problem.Error())
	}
	return ""
}

func scopeText(s records.Scope) string {
	prefix, star := strings.CutSuffix(string(s), "*")
	switch {
	case !star:
		return "that name alone"
	case prefix == "":
		return "every name that no narrower line decides"
	case strings.HasSuffix(prefix, "/"):
		return "every name in the scope " + strings.TrimSuffix(prefix, "/")
	}
	return "names that begin with " + prefix
}
