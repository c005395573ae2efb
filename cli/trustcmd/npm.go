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
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/upstream"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
	"github.com/everythingstays/es/trust/authority"
)

type addNPMOptions struct {
	registry   string
	keys       string // a file
	unsigned   bool
	label      string
	until      string
	yes        bool
	everything bool
}

func addNPMCommand(a cli.App) *cobra.Command {
	var o addNPMOptions
	cmd := &cobra.Command{
		Use:   "npm SCOPE...",
		Short: "let an npm registry say what the releases of some names are",
		Long: `Believes what the registry that npm is configured for signs about the names in
the scopes, whoever imports it: each tarball is unpacked here and compared with
what is said to be made of it. The registry's signing keys are fetched once from
the registry itself, or read from FILE, shown, and pinned in your trust file.

With --unsigned, for a registry that signs nothing, only what this home takes
from it itself counts.`,
		Example: `  es trust add npm lodash
  es trust add npm '@acme/*' --registry https://npm.acme.example/ --unsigned`,
		Args: cli.Arguments(1, -1, "at least one scope"),
		RunE: func(cmd *cobra.Command, args []string) error {
			scopes, err := parseScopes(cmd, args, o.everything)
			if err != nil {
				return err
			}
			until, err := parseUntil(cmd, o.until)
			if err != nil {
				return err
			}
			if o.unsigned && o.keys != "" {
				return cli.Usagef(cmd, "--unsigned is for a registry that has no keys; leave out --keys")
			}
			grant := authority.Authority{Scopes: scopes, Unsigned: o.unsigned, Label: o.label, Until: until}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runAddNPM(cmd.Context(), a, h, grant, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.registry, "registry", "", "the registry (default: the one that npm is configured for)")
	f.StringVar(&o.keys, "keys", "", "take its keys from this file, which has what its keys endpoint says")
	f.BoolVar(&o.unsigned, "unsigned", false, "it signs nothing: believe what this home takes from it itself")
	f.StringVar(&o.label, "label", "", "what you call the registry")
	f.StringVar(&o.until, "until", "", "last day that this counts, as 2027-12-31")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.everything, "i-trust-everything", false, "allow the scope '*'")
	return cmd
}

func runAddNPM(ctx context.Context, a cli.App, h *home.Home, grant authority.Authority, o addNPMOptions) error {
	var err error
	if grant.Registry, grant.Keys, err = findRegistry(ctx, a, grant.Scopes, o); err != nil {
		return err
	}
	showAuthority(a, &grant)
	if err := a.WarnLookalikeScopes(ctx, h, grant.Scopes); err != nil {
		return err
	}
	ok, err := a.Ask(ctx, "Trust it?", o.yes, "--yes")
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("nothing was changed")
	}
	var changed bool
	err = trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) error {
		for _, key := range grant.Fingerprints() {
			if policy.Denied(key) {
				return ui.Hinted(fmt.Errorf("key %s is denied in %s", key, h.TrustPath()), "es trust remove %s takes that back first", key)
			}
		}
		changed, err = policy.AddAuthority(grant)
		return err
	})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(authorityJSON(&grant))
	}
	if !changed {
		a.Note("%s says that already", h.TrustPath())
		return nil
	}
	a.Note("added to %s", h.TrustPath())
	if name, err := records.ParseName(string(grant.Scopes[0])); err == nil {
		a.Hint("es add %s", name)
	}
	return nil
}

// findRegistry returns the registry of the scopes and its keys.
func findRegistry(ctx context.Context, a cli.App, scopes []records.Scope, o addNPMOptions) (base string, keys []npm.SigningKey, err error) {
	// What a repository's .npmrc says is not asked whom to trust.
	from, err := upstream.Open(upstream.Options{Named: o.registry, Environ: os.Environ(), Getenv: a.Getenv, Agent: "es/" + cli.Version})
	if err != nil {
		return "", nil, err
	}
	defer from.Close()
	for _, s := range scopes {
		other, err := from.Base(ctx, nameIn(s))
		switch {
		case errors.Is(err, upstream.ErrNone):
			return "", nil, ui.Hinted(err, "say it with --registry URL, or to npm: npm config set registry URL")
		case err != nil:
			return "", nil, err
		case base != "" && other != base:
			return "", nil, ui.Coded(ui.ExitUsage, fmt.Errorf("%s and %s come from different registries, %s and %s", scopes[0], s, base, other),
				"add them one by one, or say which with --registry")
		}
		base = other
	}
	switch {
	case o.unsigned:
		return base, nil, nil
	case o.keys != "":
		keys, err = keysInFile(o.keys)
	case a.Offline:
		return "", nil, ui.Coded(ui.ExitUsage, errors.New("--offline asks no registry for its keys"), "--keys FILE takes them from a file")
	default:
		if keys, err = from.Keys(ctx, base); registry.Missing(err) {
			keys, err = nil, nil
		}
	}
	if err != nil {
		return "", nil, err
	}
	if len(keys) == 0 {
		return "", nil, ui.Hinted(fmt.Errorf("%s has no keys: it signs nothing", base),
			"--unsigned believes what this home takes from it itself; --keys FILE if you have its keys from elsewhere")
	}
	return base, keys, nil
}

// nameIn is a name of the scope, by which npm chooses the registry.
func nameIn(s records.Scope) string {
	if prefix, star := strings.CutSuffix(string(s), "*"); star {
		return prefix + "x"
	}
	return string(s)
}

func keysInFile(file string) ([]npm.SigningKey, error) {
	b, err := regularfile.Read(file, npm.MaxKeysJSON)
	if err != nil {
		return nil, fmt.Errorf("read the registry's keys: %w", err)
	}
	keys, err := npm.ParseKeys(b)
	if err == nil && len(keys) == 0 {
		err = ui.Hinted(fmt.Errorf("%q has no key of a registry", file), "it has what REGISTRY/-/npm/v1/keys says")
	}
	return keys, err
}

// showAuthority says what a new line will allow.
func showAuthority(a cli.App, t *authority.Authority) {
	a.Note("this believes the registry")
	a.Note("    %s", ui.Safe(t.Registry))
	now := time.Now()
	for i := range t.Keys {
		k := &t.Keys[i]
		a.Note("    key %s", cli.Grouped(authority.KeyFingerprint(k)))
		a.Note("        which it calls %s%s", ui.Safe(k.ID), keyEndText(k.Expires, now))
	}
	if t.Unsigned {
		a.Warn("it signs nothing: whoever answers in its place is believed")
		a.Note("when this home takes from it itself")
	} else {
		a.Note("when it signs a tarball, whoever brings that, of")
	}
	for _, s := range t.Scopes {
		a.Note("    %-20s %s", s, scopeText(s))
	}
	if !t.Until.IsZero() {
		a.Note("until %s", t.Until.Format(time.DateOnly))
	}
}

func keyEndText(expires, now time.Time) string {
	day := expires.UTC().Format(time.DateOnly)
	switch {
	case expires.IsZero():
		return ""
	case now.Before(expires):
		return ", until " + day
	}
	return ", expired on " + day + ": it counts for what was published before"
}

func removeNPMCommand(a cli.App) *cobra.Command {
	var named string
	cmd := &cobra.Command{
		Use:   "npm [SCOPE...]",
		Short: "take back what add npm said of a registry",
		Args:  cli.Arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			scopes, err := parseScopes(cmd, args, true)
			if err != nil {
				return err
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runRemoveNPM(cmd.Context(), a, h, named, scopes) })
		},
	}
	cmd.Flags().StringVar(&named, "registry", "", "the registry, where the trust file has several")
	return cmd
}

func runRemoveNPM(ctx context.Context, a cli.App, h *home.Home, named string, scopes []records.Scope) error {
	var base string
	var gone int
	err := trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) (err error) {
		if base, err = oneRegistry(h, policy, named); err != nil {
			return err
		}
		gone = policy.RemoveAuthority(base, scopes...)
		return nil
	})
	if err != nil {
		return err
	}
	if gone == 0 {
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("%s has no such line in %s", base, h.TrustPath()), "es trust list shows the lines")
	}
	if a.JSON {
		return a.Emit(map[string]any{"registry": base, "removed": gone})
	}
	a.Note("%s is no longer trusted for that; where a broader line holds a name, it decides now", base)
	return nil
}

// oneRegistry returns the registry that is named, as the trust file has it, or the only one.
func oneRegistry(h *home.Home, policy *trust.Policy, named string) (string, error) {
	var have []string
	for _, t := range policy.Authorities() {
		if !slices.Contains(have, t.Registry) {
			have = append(have, t.Registry)
		}
	}
	missing := func(what string) error {
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("%s has no line of %s", h.TrustPath(), what), "es trust list shows the lines")
	}
	if named != "" {
		for _, r := range have {
			if r == named || strings.TrimSuffix(r, "/") == strings.TrimSuffix(named, "/") {
				return r, nil
			}
		}
		return "", missing(fmt.Sprintf("the registry %q", named))
	}
	switch len(have) {
	case 0:
		return "", missing("a registry")
	case 1:
		return have[0], nil
	}
	return "", ui.Coded(ui.ExitUsage, fmt.Errorf("%s has %d registries: %s", h.TrustPath(), len(have), strings.Join(have, ", ")), "say which with --registry")
}

func denyNPMCommand(a cli.App) *cobra.Command {
	var named string
	cmd := &cobra.Command{
		Use:   "npm",
		Short: "never believe the keys of a registry that your trust file has",
		Args:  cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runDenyNPM(cmd.Context(), a, h, named) })
		},
	}
	cmd.Flags().StringVar(&named, "registry", "", "the registry, where the trust file has several")
	return cmd
}

func runDenyNPM(ctx context.Context, a cli.App, h *home.Home, named string) error {
	var base string
	var denied []records.Fingerprint
	err := trust.Update(ctx, h.TrustPath(), func(policy *trust.Policy) (err error) {
		if base, err = oneRegistry(h, policy, named); err != nil {
			return err
		}
		for _, t := range policy.Authorities() {
			if t.Registry != base {
				continue
			}
			for _, key := range t.Fingerprints() {
				if _, err := policy.Deny(key, t.Label); err != nil {
					return err
				}
				if !slices.Contains(denied, key) {
					denied = append(denied, key)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"registry": base, "denied": denied})
	}
	for _, key := range denied {
		a.Note("key %s of %s is denied: nothing it signs is believed", key, base)
	}
	return nil
}

// authorityJSON is a line of a registry as list shows it.
func authorityJSON(t *authority.Authority) trustJSON {
	j := trustJSON{Registry: t.Registry, Unsigned: t.Unsigned, Label: t.Label, Scopes: t.Scopes, Line: t.Line}
	if !t.Until.IsZero() {
		j.Until = t.Until.Format(time.DateOnly)
	}
	for i := range t.Keys {
		k := registryKeyJSON{KeyID: t.Keys[i].ID, Fingerprint: authority.KeyFingerprint(&t.Keys[i])}
		if e := t.Keys[i].Expires; !e.IsZero() {
			k.Expires = e.UTC().Format(time.RFC3339)
		}
		j.Keys = append(j.Keys, k)
	}
	return j
}

type registryKeyJSON struct {
	KeyID       string              `json:"keyid"`
	Fingerprint records.Fingerprint `json:"fingerprint"`
	Expires     string              `json:"expires,omitempty"`
}
