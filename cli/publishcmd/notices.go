package publishcmd

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
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

func deprecateCommand(a cli.App) *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use:   "deprecate NAME[@RANGE] [TEXT]",
		Short: "tell users of a module to move on",
		Long: `Signs that the versions in RANGE (default: all) are deprecated, and why. Whoever
trusts you for the name sees the text when they add or look at such a version;
it can still be installed.`,
		Args: cli.Arguments(1, 2, "NAME[@RANGE] and a text"),
		RunE: func(cmd *cobra.Command, args []string) error { return runNotice(a, cmd, records.Deprecated, o, args) },
	}
	o.flags(a, cmd)
	return cmd
}

func yankCommand(a cli.App) *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use:   "yank NAME@RANGE [TEXT]",
		Short: "keep versions of yours from being chosen",
		Long: `Signs that the versions in RANGE should not be chosen any more. Ranges and tags
pass over them for whoever trusts you for the name; lockfiles, and those who ask
for the version by its number, still get it. Nothing can be deleted.`,
		Args: cli.Arguments(1, 2, "NAME@RANGE and a text"),
		RunE: func(cmd *cobra.Command, args []string) error { return runNotice(a, cmd, records.Yanked, o, args) },
	}
	o.flags(a, cmd)
	return cmd
}

func adviseCommand(a cli.App) *cobra.Command {
	var o noticeOptions
	cmd := &cobra.Command{
		Use:   "advise NAME@RANGE TEXT",
		Short: "warn of a vulnerability",
		Long: `Signs a security advisory about the versions in RANGE, whoever published them.
Whoever trusts you for the name is told.`,
		Args: cli.Arguments(1, 2, "NAME@RANGE and a text"),
		RunE: func(cmd *cobra.Command, args []string) error { return runNotice(a, cmd, records.Advisory, o, args) },
	}
	o.flags(a, cmd)
	cmd.Flags().StringVar(&o.severity, "severity", "", "low, moderate, high or critical")
	cmd.Flags().StringVar(&o.fixed, "fixed", "", "range of versions that are not affected any more")
	cmd.Flags().StringArrayVar(&o.refs, "ref", nil, "identifier or address, such as CVE-2026-1234; may be repeated")
	return cmd
}

func (o *noticeOptions) flags(a cli.App, cmd *cobra.Command) {
	keyFlag(a, cmd, &o.key)
	cmd.Flags().BoolVar(&o.undo, "undo", false, "take an earlier notice about exactly this range back")
}

// runNotice signs a notice. Without a text it says nothing, which is how notices
// are taken back (SPEC.md [X4]): so a text is required where none is meant.
func runNotice(a cli.App, cmd *cobra.Command, kind string, o noticeOptions, args []string) error {
	name, rng, err := parseRange(cmd, args[0], kind)
	if err != nil {
		return err
	}
	if rng == "" && kind != records.Deprecated {
		return cli.Usagef(cmd, "%s needs versions: %s@1.2.3, or %s@'<2.0.0'", cmd.CommandPath(), name, name)
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
		return cli.Usagef(cmd, "--undo takes a notice back, and needs no text")
	case !o.undo && text == "" && kind == records.Yanked:
		text = "yanked by its author"
	case !o.undo && text == "":
		return cli.Usagef(cmd, "%s needs a text that says why; --undo takes a notice back", cmd.CommandPath())
	}
	if o.severity != "" && !slices.Contains([]string{"low", "moderate", "high", "critical"}, o.severity) {
		return cli.Usagef(cmd, "--severity %q is not low, moderate, high or critical", o.severity)
	}
	if o.fixed != "" {
		if _, err := npmrange.Parse(o.fixed); err != nil {
			return cli.Usagef(cmd, "--fixed %.80q %v", o.fixed, err)
		}
	}
	for _, t := range append([]string{text}, o.refs...) {
		if err := records.CheckText(t, records.MaxLongText); err != nil {
			return cli.Usagef(cmd, "%.40q: %v", t, err)
		}
	}
	n := &records.Notice{Name: name, Range: rng, NoticeOf: kind, Text: text, Severity: o.severity, Fixed: o.fixed, Refs: o.refs}
	return signAndAnnounce(a, cmd, o.key, func(ctx context.Context, h *home.Home, by *author.Author) (records.Body, error) {
		if err := by.Check(ctx, n); err != nil {
			return nil, err
		}
		if err := showReach(ctx, a, h, name, rng); err != nil || o.undo || kind != records.Yanked {
			return n, err
		}
		return n, warnLatest(ctx, a, by, name, rng)
	})
}

// warnLatest says when the versions that are yanked are what "latest" stands for, by
// what the key says.
func warnLatest(ctx context.Context, a cli.App, by *author.Author, name records.Name, rng string) error {
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
func showReach(ctx context.Context, a cli.App, h *home.Home, name records.Name, rng string) error {
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

// parseRange reads NAME or NAME@RANGE, for a notice of that kind.
func parseRange(cmd *cobra.Command, s, kind string) (records.Name, string, error) {
	base, rng := s, ""
	if i := strings.LastIndex(s, "@"); i > 0 {
		if base, rng = s[:i], s[i+1:]; strings.TrimSpace(rng) == "" { // most often a variable that is not set
			all := base
			if kind != records.Deprecated { // whose range is all versions where none is given
				all += "@'*'"
			}
			return "", "", cli.Usagef(cmd, "no versions follow the @ of %q: for all of them write %s", s, all)
		}
	}
	name, err := records.ParseName(base)
	if err != nil {
		return "", "", cli.Usagef(cmd, "%v", err)
	}
	if rng != "" {
		if _, err := npmrange.Parse(rng); err != nil {
			return "", "", cli.Usagef(cmd, "%.80q %v", rng, err)
		}
	}
	return name, rng, nil
}
