package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// noticeOptions are the flags of deprecate, yank and advise.
type noticeOptions struct {
	key      string
	undo     bool
	severity string
	fixed    string
	refs     []string
}

func (a *app) deprecateCommand() *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use:   "deprecate NAME[@RANGE] [TEXT]",
		Short: "tell users of a module to move on",
		Long: `Signs that the versions in RANGE (default: all) are deprecated, and why. Whoever
trusts you for the name sees the text when they add or look at such a version;
it can still be installed.`,
		Args: arguments(1, 2, "NAME[@RANGE] and a text"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runNotice(cmd, records.Deprecated, o, args) },
	}
	o.flags(a, cmd)
	return cmd
}

func (a *app) yankCommand() *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use:   "yank NAME@RANGE [TEXT]",
		Short: "keep versions of yours from being chosen",
		Long: `Signs that the versions in RANGE should not be chosen any more. Ranges and tags
pass over them for whoever trusts you for the name; lockfiles, and those who ask
for the version by its number, still get it. Nothing can be deleted.`,
		Args: arguments(1, 2, "NAME@RANGE and a text"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runNotice(cmd, records.Yanked, o, args) },
	}
	o.flags(a, cmd)
	return cmd
}

func (a *app) adviseCommand() *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use:   "advise NAME@RANGE TEXT",
		Short: "warn of a vulnerability",
		Long: `Signs a security advisory about the versions in RANGE, whoever published them.
Whoever trusts you for the name is told.`,
		Args: arguments(1, 2, "NAME@RANGE and a text"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runNotice(cmd, records.Advisory, o, args) },
	}
	o.flags(a, cmd)
	cmd.Flags().StringVar(&o.severity, "severity", "", "low, moderate, high or critical")
	cmd.Flags().StringVar(&o.fixed, "fixed", "", "range of versions that are not affected any more")
	cmd.Flags().StringArrayVar(&o.refs, "ref", nil, "identifier or address, such as CVE-2026-1234; may be repeated")
	return cmd
}

func (o *noticeOptions) flags(a *app, cmd *cobra.Command) {
	a.keyFlag(cmd, &o.key)
	cmd.Flags().BoolVar(&o.undo, "undo", false, "take an earlier notice about exactly this range back")
}

// runNotice signs a notice. Without a text it says nothing, which is how notices
// are taken back (SPEC.md [X4]): so a text is required where none is meant.
func (a *app) runNotice(cmd *cobra.Command, kind string, o noticeOptions, args []string) error {
	name, rng, err := parseRange(cmd, args[0])
	if err != nil {
		return err
	}
	if rng == "" && kind != records.Deprecated {
		return usagef(cmd, "%s needs versions: %s@1.2.3, or %s@'<2.0.0'", cmd.CommandPath(), name, name)
	}
	if rng == "" {
		rng = "*"
	}
	text := ""
	if len(args) == 2 {
		text = args[1]
	}
	switch {
	case o.undo && text != "":
		return usagef(cmd, "--undo takes a notice back, and needs no text")
	case !o.undo && text == "" && kind == records.Yanked:
		text = "yanked by its author"
	case !o.undo && text == "":
		return usagef(cmd, "%s needs a text that says why; --undo takes a notice back", cmd.CommandPath())
	}
	if o.severity != "" && !slices.Contains([]string{"low", "moderate", "high", "critical"}, o.severity) {
		return usagef(cmd, "--severity %q is not low, moderate, high or critical", o.severity)
	}
	if o.fixed != "" {
		if _, err := npmrange.Parse(o.fixed); err != nil {
			return usagef(cmd, "--fixed %.80q %v", o.fixed, err)
		}
	}
	for _, t := range append([]string{text}, o.refs...) {
		if err := records.CheckText(t, records.MaxLongText); err != nil {
			return usagef(cmd, "%.40q: %v", t, err)
		}
	}
	n := &records.Notice{Name: name, Range: rng, NoticeOf: kind, Text: text, Severity: o.severity, Fixed: o.fixed, Refs: o.refs}
	return a.signAndAnnounce(cmd, o.key, func(ctx context.Context, h *home.Home, by *author.Author) (records.Body, error) {
		if err := by.Check(ctx, n); err != nil {
			return nil, err
		}
		if err := a.showReach(ctx, h, name, rng); err != nil || o.undo || kind != records.Yanked {
			return n, err
		}
		return n, a.warnLatest(ctx, by, name, rng)
	})
}

// warnLatest says when the versions that are yanked are what "latest" stands for, by
// what the key says.
func (a *app) warnLatest(ctx context.Context, by *author.Author, name records.Name, rng string) error {
	latest, left, err := by.LatestAmong(ctx, name, rng)
	if err != nil || latest == "" {
		return err
	}
	a.Warn("latest of %s is %s, which this yanks", name, latest)
	if left != "" {
		a.Hint("es add %s gets %s until a version after %s is published; es tag %s@VERSION latest chooses another", name, left, latest, name)
	} else {
		a.Hint("es add %s finds no version of yours then: publish one that mends it", name)
	}
	return nil
}

// showReach says which known versions a notice is about.
func (a *app) showReach(ctx context.Context, h *home.Home, name records.Name, rng string) error {
	known, about, err := author.Reach(ctx, h.Index(), name, rng)
	if err != nil {
		return err
	}
	switch {
	case known == 0:
		a.Warn("nothing is known here of %s", name)
	case len(about) == 0:
		a.Warn("no known version of %s is in %q", name, rng)
	case len(about) > 5:
		a.Note("about %s of %s, %s to %s", ui.Plural(int64(len(about)), "version"), name, about[0], about[len(about)-1])
	default:
		texts := make([]string, len(about))
		for i, v := range about {
			texts[i] = string(v)
		}
		a.Note("about %s of %s: %s", ui.Plural(int64(len(about)), "version"), name, strings.Join(texts, ", "))
	}
	return nil
}

// parseRange reads NAME or NAME@RANGE.
func parseRange(cmd *cobra.Command, s string) (records.Name, string, error) {
	base, rng := s, ""
	if i := strings.LastIndex(s, "@"); i > 0 {
		if base, rng = s[:i], s[i+1:]; rng == "" {
			return "", "", usagef(cmd, "no versions follow the @ of %q: for all of them write %s", s, base)
		}
	}
	name, err := records.ParseName(base)
	if err != nil {
		return "", "", usagef(cmd, "%v", err)
	}
	if rng != "" {
		if _, err := npmrange.Parse(rng); err != nil {
			return "", "", usagef(cmd, "%.80q %v", rng, err)
		}
	}
	return name, rng, nil
}

func (a *app) tagCommand() *cobra.Command {
	var key string
	var remove bool
	cmd := &cobra.Command{
		Use:   "tag NAME@VERSION TAG",
		Short: "point a tag at a version, such as latest or next",
		Long: `Signs that TAG stands for this version, for whoever trusts you for the name.
With --remove, es tag NAME TAG takes the tag away.`,
		Args: arguments(2, 2, "NAME@VERSION and a tag"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckTag(args[1]); err != nil {
				return usagef(cmd, "%v", err)
			}
			if remove {
				name, err := records.ParseName(args[0])
				if err != nil {
					return usagef(cmd, "%v; --remove takes the name alone", err)
				}
				return a.signAndAnnounce(cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) {
					return &records.Tag{Name: name, Tag: args[1]}, nil
				})
			}
			name, v, err := parseExact(cmd, args[0])
			if err != nil {
				return err
			}
			return a.signAndAnnounce(cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) {
				return &records.Tag{Name: name, Tag: args[1], Version: v}, nil
			})
		},
	}
	a.keyFlag(cmd, &key)
	cmd.Flags().BoolVar(&remove, "remove", false, "take the tag away")
	return cmd
}
