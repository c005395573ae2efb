package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func (a *app) heartbeatCommand() *cobra.Command {
	var key, within string
	cmd := &cobra.Command{
		Use:   "heartbeat",
		Short: "promise when you will say something again",
		Long: `Signs that you have said nothing else until now, and that you will say something
again --within this time: a release, another statement or another heartbeat.
Whoever trusts you is warned when it passes without: either you are late, or
somebody keeps your news from them.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := parseAge(within)
			if err != nil || d == 0 {
				return usagef(cmd, "--within %q is not a duration such as 72h, 30d or 12w", within)
			}
			return a.signAndAnnounce(cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) {
				next := time.Now().Add(d)
				a.Note("your next release, statement or heartbeat is due by %s", next.UTC().Format(time.DateOnly))
				return &records.Heartbeat{Next: next.Unix()}, nil
			})
		},
	}
	a.keyFlag(cmd, &key)
	cmd.Flags().StringVar(&within, "within", "90d", "time until you say something again, such as 72h, 30d or 12w")
	return cmd
}

// staleText says why news of an author seem to be missing, or "".
func staleText(f home.Freshness, now time.Time) string {
	var all []string
	if f.Missing > 0 {
		all = append(all, fmt.Sprintf("%s that others of theirs name, withheld or not here yet", ui.Plural(int64(f.Missing), "record")))
	}
	if days, overdue := f.Overdue(now); overdue {
		all = append(all, fmt.Sprintf("head expired %s ago: promised news by %s, and none is here", ui.Plural(int64(days), "day"), f.Promised.Format(time.DateOnly)))
	}
	return strings.Join(all, "; ")
}

// warnStale says of which of the authors news seem to be missing. Asked says who was
// asked for them.
func (a *app) warnStale(ctx context.Context, h *home.Home, view *trust.View, authors []records.Fingerprint, asked string) error {
	for _, author := range authors {
		f, err := h.Fresh(ctx, author)
		if err != nil {
			return err
		}
		if text := staleText(f, time.Now()); text != "" {
			who := home.AuthorHealth{KeyHealth: home.KeyHealth{Fingerprint: author}, Label: view.Label(author)}
			a.Warn("%s: %s; %s", authorText(who), text, asked)
		}
	}
	return nil
}

// askedText says who was asked for news, and when.
func (n *news) askedText(h *home.Home) (string, error) {
	if n != nil {
		n.mu.Lock()
		peers := n.peers
		n.mu.Unlock()
		if peers > 0 {
			return ui.Plural(int64(peers), "peer") + " asked", nil
		}
	}
	last, err := h.Synced()
	if err != nil {
		return "", err
	}
	if last.IsZero() {
		return "nobody was asked yet", nil
	}
	return "peers were asked last on " + dateTime(last), nil
}

// doneText says at the end of a sentence who was asked for news, if that mattered.
func (n *news) doneText(h *home.Home) (string, error) {
	if n == nil {
		return "", nil
	}
	n.mu.Lock()
	tried := n.tried
	n.mu.Unlock()
	if !tried {
		return "", nil
	}
	asked, err := n.askedText(h)
	return "; " + asked, err
}

func dateTime(t time.Time) string { return t.Format("2006-01-02 15:04") }

// noteAge says how old what is shown may be, when it is.
func (a *app) noteAge(h *home.Home, now time.Time) error {
	last, err := h.Synced()
	switch {
	case err != nil:
		return err
	case last.IsZero():
		a.Note("this is what is known here; nobody was asked for news yet: es sync does")
	case now.Sub(last) > newsFresh:
		a.Note("this is what was known on %s, when peers were asked last; es sync asks for news", dateTime(last))
	}
	return nil
}
