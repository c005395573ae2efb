package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node"
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
			return a.say(cmd, key, func(ctx context.Context, s *statements) (records.Body, error) {
				c, err := moduleToEndorse(ctx, s.home, name, v, module)
				if err != nil {
					return nil, err
				}
				a.note("%s@%s is %s", name, v, c)
				return &records.Endorse{Name: name, Version: v, Module: c, Claim: claim, Text: text}, nil
			})
		},
	}
	a.keyFlag(cmd, &key)
	cmd.Flags().StringVar(&claim, "claim", records.Reviewed, "reviewed, rebuilt or imported")
	cmd.Flags().StringVar(&text, "text", "", "what you want to say about it")
	cmd.Flags().StringVar(&module, "module", "", "CID of the module, where several are claimed")
	return cmd
}

// moduleToEndorse finds the one module that is claimed for a version, or checks
// that the one that the user names is.
func moduleToEndorse(ctx context.Context, h *node.Home, name records.Name, v records.Version, named string) (cid.Cid, error) {
	if err := knownVersion(ctx, h, name, v); err != nil {
		return cid.Undef, err
	}
	all, err := h.Index().Releases(ctx, name)
	if err != nil {
		return cid.Undef, err
	}
	var modules []string
	for _, r := range all {
		if c := r.Body.Module.String(); r.Body.Version == v && r.Void == "" && !slices.Contains(modules, c) {
			modules = append(modules, c)
		}
	}
	slices.Sort(modules)
	if named == "" && len(modules) == 1 {
		named = modules[0]
	}
	if named == "" {
		return cid.Undef, hinted(fmt.Errorf("%s@%s is claimed to be several modules: %s", name, v, strings.Join(modules, ", ")),
			"name the one that you looked at with --module CID")
	}
	c, err := cid.Decode(named)
	if err != nil {
		return cid.Undef, coded(exitUsage, fmt.Errorf("--module %.100q is not a CID", named))
	}
	if !slices.Contains(modules, c.String()) {
		return cid.Undef, coded(exitNotFound, fmt.Errorf("nobody released %s@%s as %s", name, v, c), "es info "+string(name)+" shows who says what")
	}
	return c, nil
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
				return a.say(cmd, key, func(ctx context.Context, s *statements) (records.Body, error) { return d, s.delegates(ctx, to) })
			}
			if d.Scopes, d.Until, err = delegated(cmd, args[1:], until); err != nil {
				return err
			}
			if depth < 0 || depth > records.MaxDepthGrant {
				return usagef(cmd, "--depth %d is not 0 to %d", depth, records.MaxDepthGrant)
			}
			return a.say(cmd, key, func(ctx context.Context, s *statements) (records.Body, error) {
				if known, err := s.home.Index().Key(ctx, to); err != nil || known != nil {
					return d, err
				}
				a.warn("key %s has not been seen here yet: is it the right one?", to)
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

// delegates fails where nothing is delegated to the key.
func (p *statements) delegates(ctx context.Context, to records.Fingerprint) error {
	all, err := p.home.Index().Statements(ctx, p.own.Fingerprint(), "delegate")
	if err != nil {
		return err
	}
	var newest *index.Statement
	for i := range all {
		s := &all[i]
		if d, ok := s.Record.Body.(*records.Delegate); ok && d.To == to && s.Void == "" && (newest == nil || s.Newer(newest.Meta)) {
			newest = s
		}
	}
	if newest != nil && len(newest.Record.Body.(*records.Delegate).Scopes) > 0 {
		return nil
	}
	return coded(exitNotFound, fmt.Errorf("key %s has delegated nothing to %s: nothing to take back, and nothing was signed", p.own.Fingerprint(), to))
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

var errSameKey = errors.New("the new key is the old one")

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
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runRotate(cmd.Context(), h, key, args[0]) })
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

func (a *app) runRotate(ctx context.Context, h *node.Home, from, to string) error {
	before, err := a.signingKey(ctx, h, from)
	if err != nil {
		return err
	}
	after, err := a.signingKey(ctx, h, to)
	if err != nil {
		return err
	}
	if before.Fingerprint() == after.Fingerprint() {
		return hinted(errSameKey, "es key new makes one; es key list shows yours")
	}
	old := &statements{app: a, home: h, own: before}
	next := &statements{app: a, home: h, own: after}
	for _, s := range []*statements{old, next} {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
	if _, err := old.sign(ctx, &records.Successor{To: after.Fingerprint()}); err != nil {
		return err
	}
	if _, err := next.sign(ctx, &records.Successor{From: before.Fingerprint()}); err != nil {
		return err
	}
	n, err := next.releaseAgain(ctx, before.Fingerprint())
	if err != nil {
		return err
	}
	if err := next.tagAgain(ctx, before.Fingerprint()); err != nil {
		return err
	}
	if err := h.SetDefault(ctx, after.Fingerprint()); err != nil {
		return err
	}
	told := a.announce(ctx, h, append(old.made, next.made...))
	if a.json {
		return a.emit(rotateJSON{before.Fingerprint().String(), after.Fingerprint().String(), n, told})
	}
	a.printf("%s", after.Fingerprint())
	a.note("the new key signs from now on, and has released %s again", plural(int64(n), "version"))
	a.hint("es key revoke %s --reason superseded   (once the news has spread)", before.Fingerprint())
	return nil
}

// tagAgain says once more what a key says of tags, where this key says nothing: tags of
// the old key stay where they are, and would hold back what this key releases.
func (p *statements) tagAgain(ctx context.Context, by records.Fingerprint) error {
	all, err := p.home.Index().Statements(ctx, by, "tag")
	if err != nil {
		return err
	}
	done := map[records.Name]bool{}
	for _, s := range all {
		name := s.Record.Body.(*records.Tag).Name
		if done[name] {
			continue
		}
		done[name] = true
		tags, err := p.home.Index().Tags(ctx, name)
		if err != nil {
			return err
		}
		for _, t := range tags {
			mine := func(o index.Tag) bool { return o.Author == p.own.Fingerprint() && o.Body.Tag == t.Body.Tag }
			if t.Author != by || t.Body.Version == "" || slices.ContainsFunc(tags, mine) {
				continue
			}
			if _, err := p.sign(ctx, t.Body); err != nil {
				return fmt.Errorf("tag %s@%s as %s again: %w", name, t.Body.Version, t.Body.Tag, err)
			}
		}
	}
	return nil
}

// releaseAgain signs every release of a key once more that still stands and that
// this key has not released itself.
func (p *statements) releaseAgain(ctx context.Context, by records.Fingerprint) (int, error) {
	type version struct {
		name    records.Name
		version records.Version
	}
	mine, err := p.home.Index().Statements(ctx, p.own.Fingerprint(), "release")
	if err != nil {
		return 0, err
	}
	done := map[version]bool{}
	for _, s := range mine {
		if r, ok := s.Record.Body.(*records.Release); ok {
			done[version{r.Name, r.Version}] = true
		}
	}
	proofs, err := p.home.Index().Equivocations(ctx)
	if err != nil {
		return 0, err
	}
	for _, e := range proofs {
		if e.Author == by {
			done[version{e.Name, e.Version}] = true // which of the modules was meant, nobody knows
		}
	}
	withdrawn, err := p.home.Index().Withdrawn(ctx, by)
	if err != nil {
		return 0, err
	}
	all, err := p.home.Index().Statements(ctx, by, "release")
	if err != nil {
		return 0, err
	}
	released := 0
	for _, s := range all {
		r, ok := s.Record.Body.(*records.Release)
		if !ok || s.Void != "" || withdrawn[s.ID] || done[version{r.Name, r.Version}] {
			continue
		}
		done[version{r.Name, r.Version}] = true
		if _, err := p.sign(ctx, r); err != nil {
			return released, fmt.Errorf("release %s@%s again: %w", r.Name, r.Version, err)
		}
		released++
	}
	return released, nil
}
