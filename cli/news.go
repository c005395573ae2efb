package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// AuthorText names an author with what the user calls them.
func AuthorText(a home.AuthorHealth) string {
	if a.Label != "" {
		return fmt.Sprintf("%s (%s)", a.Fingerprint, ui.Safe(a.Label))
	}
	return a.Fingerprint.String()
}

// StaleText says why news of an author seem to be missing, or "".
func StaleText(f home.Freshness, now time.Time) string {
	var all []string
	if f.Missing > 0 {
		all = append(all, fmt.Sprintf("%s that others of theirs name, withheld or not here yet", ui.Plural(int64(f.Missing), "record")))
	}
	if days, overdue := f.Overdue(now); overdue {
		all = append(all, fmt.Sprintf("head expired %s ago: promised news by %s, and none is here", ui.Plural(int64(days), "day"), f.Promised.Format(time.DateOnly)))
	}
	return strings.Join(all, "; ")
}

// WarnStale says of which of the authors news seem to be missing. Asked says who was
// asked for them.
func (a App) WarnStale(ctx context.Context, h *home.Home, evaluator *trust.Evaluator, authors []records.Fingerprint, asked string) error {
	for _, author := range authors {
		f, err := h.Fresh(ctx, author)
		if err != nil {
			return err
		}
		if text := StaleText(f, time.Now()); text != "" {
			who := home.AuthorHealth{KeyHealth: home.KeyHealth{Fingerprint: author}, Label: evaluator.Label(author)}
			a.Warn("%s: %s; %s", AuthorText(who), text, asked)
		}
	}
	return nil
}

// AskedText says who was asked for news, and when.
func (n *News) AskedText(h *home.Home) (string, error) {
	if n != nil {
		n.mu.Lock()
		peers := n.Peers
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

// DoneText says at the end of a sentence who was asked for news, if that mattered.
func (n *News) DoneText(h *home.Home) (string, error) {
	if n == nil {
		return "", nil
	}
	n.mu.Lock()
	tried := n.tried
	n.mu.Unlock()
	if !tried {
		return "", nil
	}
	asked, err := n.AskedText(h)
	return "; " + asked, err
}

func dateTime(t time.Time) string { return t.Format("2006-01-02 15:04") }

// NoteAge says how old what is shown may be, when it is.
func (a App) NoteAge(h *home.Home, now time.Time) error {
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

// When what a home was told counts as old, and how long a command waits for peers to
// tell it more.
const (
	newsFresh   = 10 * time.Minute
	newsWait    = 2 * time.Second
	missingWait = 10 * time.Second // when it cannot go on without
)

// News asks peers for records, once for a command, when what the home knows may
// be out of date.
type News struct {
	App     App
	Home    *home.Home
	Network *Joined

	mu    sync.Mutex
	asked bool // with as much waitLimit as there is
	tried bool
	Peers int // that answered
}

// Get asks for news, once in a command, and reports whether it did. That nobody
// answers is no error: it is said.
func (n *News) Get(ctx context.Context, missing bool) (asked bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked || n.tried && !missing {
		return false, nil
	}
	n.tried, n.asked = true, n.asked || missing
	last, err := n.Home.Synced()
	if err != nil {
		return false, err
	}
	network, err := n.Network.Join(ctx)
	if err != nil {
		return false, err
	}
	wait := newsWait
	if missing {
		wait = missingWait
	}
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s, err := network.Sync(asking, api.SyncOptions{}, nil)
	n.Peers = s.Peers
	switch {
	case ctx.Err() != nil:
		return true, ctx.Err()
	case err != nil && asking.Err() == nil:
		return false, err
	case s.Records > 0:
		n.App.Note("%s from %s", NewRecords(s), ui.Plural(int64(s.Peers), "peer"))
	case s.Peers == 0 && s.Refusing > 0:
		n.App.Warn("%v; try again in a minute", NobodyAnswered(s))
	case s.Peers == 0 && !last.IsZero():
		n.App.Note("no peer could be asked for new records; the last time was %s", dateTime(last))
	case s.Peers == 0 && !missing:
		n.App.Note("no peers connected, and none was asked for records before: only what is here is known")
	}
	return true, nil
}

// NobodyAnswered says why no peer gave records.
func NobodyAnswered(s api.Synced) error {
	switch {
	case s.Refusing > 0:
		return fmt.Errorf("%s refused: too many connections from this address", ui.Plural(int64(s.Refusing), "peer"))
	case s.Failed == 0:
		return errors.New("no peers connected")
	}
	return errors.New("none of " + ui.Plural(int64(s.Failed), "connected peer") + " answered")
}

// NewRecords says how many records came.
func NewRecords(s api.Synced) string {
	if s.Records == 0 {
		return "nothing new"
	}
	return ui.Plural(s.Records, "new record") + " (" + ui.BytesText(s.Bytes) + ")"
}
