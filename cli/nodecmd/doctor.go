package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
	"github.com/everythingstays/es/trust"
)

// Where a doctor begins to worry.
const (
	clockWarning  = time.Minute
	clockFailure  = 10 * time.Minute // records are taken for those of the future from here on
	expiryWarning = 30 * 24 * time.Hour
	diskWarning   = 1 << 30 // bytes
)

func doctorCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "look for what is wrong here, and say what to do",
		Long: `Looks at the disk, the keys, the clock, the network, and at whether the records
of the keys you trust are complete, fresh and the same as what peers have. The
exit code is 1 when something is broken.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runDoctor(cmd.Context(), a, h) })
		},
	}
}

// finding is one thing that the doctor looked at.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warning or broken
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

type findings []finding

func (f *findings) ok(check, format string, args ...any) {
	*f = append(*f, finding{check, "ok", fmt.Sprintf(format, args...), ""})
}

func (f *findings) warn(check, hint, format string, args ...any) {
	*f = append(*f, finding{check, "warning", fmt.Sprintf(format, args...), hint})
}

func (f *findings) broken(check, hint, format string, args ...any) {
	*f = append(*f, finding{check, "broken", fmt.Sprintf(format, args...), hint})
}

func runDoctor(ctx context.Context, a cli.App, h *home.Home) error {
	now := time.Now()
	var f findings
	c, err := home.CheckHealth(ctx, h, now)
	var syntax *trust.SyntaxError
	if errors.As(err, &syntax) { // everything else depends on it
		f.broken("trust", cli.SyntaxHints(syntax)[0], "%s", ui.Message(err))
		return printFindings(a, f)
	}
	if err != nil {
		return err
	}
	checkDisk(&f, c)
	checkKeys(&f, c, now)
	if a.Offline {
		f.warn("network", "leave out --offline", "not looked at, because of --offline")
		checkAuthors(&f, c, nil, now)
	} else if h.ReadOnly() && !h.Absent() && !daemonRuns(ctx, h) {
		f.warn("network", "use a home of yours that can be written", "not looked at, since the home cannot be written")
		checkAuthors(&f, c, nil, now)
	} else if err := checkNetwork(ctx, a, h, &f, c, now); err != nil {
		return err
	}
	return printFindings(a, f)
}

// daemonRuns reports whether the home's own node answers.
func daemonRuns(ctx context.Context, h *home.Home) bool {
	c, err := localapi.Dial(ctx, h)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func checkNetwork(ctx context.Context, a cli.App, h *home.Home, f *findings, c home.Health, now time.Time) error {
	n, err := a.Join(ctx, h)
	if err != nil {
		return err
	}
	defer n.Close()
	answers, err := n.Survey(ctx, c.AuthorKeys())
	if err != nil {
		return err
	}
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	checkReach(f, s, answers)
	checkClock(f, answers)
	checkAuthors(f, c, answers, now)
	return nil
}

func checkDisk(f *findings, c home.Health) {
	if c.IndexError != "" {
		f.broken("index", "move index.db away; es sync brings others' records back", "%s", ui.Safe(c.IndexError))
	} else {
		f.ok("index", "%s, %d of them by strangers; %s on disk", ui.Plural(c.Records, "record"), c.Strangers, ui.BytesText(c.IndexBytes))
	}
	text := fmt.Sprintf("%s free, modules take %s", ui.BytesText(c.Free), ui.BytesText(c.BlockBytes))
	if c.Free < diskWarning {
		f.warn("disk", "make room", "%s", text)
		return
	}
	f.ok("disk", "%s", text)
}

func checkKeys(f *findings, c home.Health, now time.Time) {
	for _, k := range c.OwnKeys {
		checkKey(f, k, "your key "+k.Fingerprint.String(), now)
	}
	for _, k := range c.Authors {
		if k.Known {
			checkKey(f, k.KeyHealth, cli.AuthorText(k), now)
		}
	}
}

func checkKey(f *findings, k home.KeyHealth, who string, now time.Time) {
	switch {
	case k.Revoked != "":
		f.broken("key", "es trust remove "+k.Fingerprint.String(), "%s was revoked: %s", who, ui.Safe(k.Revoked))
	case k.Expires.IsZero() || k.Expires.After(now.Add(expiryWarning)):
		f.ok("key", "%s is valid", who)
	case k.Expires.After(now):
		f.warn("key", "its owner must extend it", "%s expires on %s", who, k.Expires.Format(time.DateOnly))
	default:
		f.warn("key", "its owner must extend it", "%s expired on %s; what it signed before still counts", who, k.Expires.Format(time.DateOnly))
	}
}

func checkReach(f *findings, s api.Status, answers []api.Answer) {
	daemon := "no es node is running: records arrive only while commands run"
	if s.Daemon {
		daemon = "es node is running"
	}
	switch {
	case len(answers) == 0 && s.Peers == 0 && s.Daemon: // which others may dial later
		f.warn("network", "es connect ADDR", "no peers connected; %s", daemon)
	case len(answers) == 0 && s.Peers == 0:
		f.broken("network", "es connect ADDR", "no peers connected; %s", daemon)
	case len(answers) == 0:
		f.warn("network", "es connect ADDR", "%s connected, none of them an es node; %s", ui.Plural(int64(s.Peers), "peer"), daemon)
	case !s.Daemon:
		f.warn("network", "es node", "%s answered; %s", ui.Plural(int64(len(answers)), "es node"), daemon)
	default:
		f.ok("network", "%s answered; %s", ui.Plural(int64(len(answers)), "es node"), daemon)
	}
	alone, hint := unreached(s)
	switch {
	case !s.Daemon:
	case len(s.Listen) == 0:
		f.broken("reach", hint, "%s", alone)
	case alone != "":
		f.warn("reach", hint, "%s", alone)
	case s.Reachability == "private":
		f.warn("reach", "forward a port to this machine, or leave it: others still reach it through peers", "not reachable from outside; meets peers by %s", meetText(s))
	default:
		f.ok("reach", "%s; meets peers by %s", reachText(s), meetText(s))
	}
	if s.Daemon {
		f.ok("seeds", "%s", seedText(s.Seed))
	}
	if s.Pending > 0 {
		f.warn("outbox", "es connect ADDR", "%s of yours not announced to any peer yet", ui.Plural(s.Pending, "record"))
	}
}

func checkClock(f *findings, answers []api.Answer) {
	offset, n := api.MedianOffset(answers)
	switch away := offset.Abs().Round(time.Second); {
	case n == 0:
	case away >= clockFailure:
		f.broken("clock", "set the clock", "%s away from that of %s: what you publish is taken for old or for the future", away, ui.Plural(int64(n), "peer"))
	case away >= clockWarning:
		f.warn("clock", "set the clock", "%s away from that of %s", away, ui.Plural(int64(n), "peer"))
	default:
		f.ok("clock", "agrees with %s", ui.Plural(int64(n), "peer"))
	}
}

func checkAuthors(f *findings, c home.Health, answers []api.Answer, now time.Time) {
	if len(c.Authors) == 0 {
		f.warn("trust", "es search QUERY shows who publishes; es trust add KEY SCOPE...", "you trust nobody yet")
	}
	for _, a := range c.Authors {
		who := cli.AuthorText(a)
		same, more := api.CompareAuthor(a.Fingerprint, answers)
		stale := cli.StaleText(a.Freshness, now)
		asked := fmt.Sprintf("%s asked, %d of them with the same records", ui.Plural(int64(len(answers)), "peer"), same)
		switch {
		case a.Records == 0:
			f.warn("author", "es sync", "%s: no record here, of a key that you trust", who)
		case stale != "":
			f.warn("author", "es sync; es connect ADDR, for somebody else to ask", "%s: %s; %s", who, stale, asked)
		case more > 0:
			f.warn("author", "es sync", "%s: %s have records that are not here", who, ui.Plural(int64(more), "peer"))
		default:
			f.ok("author", "%s: %s, the newest of %s, confirmed by %d of %s", who, ui.Plural(a.Records, "record"),
				a.Newest.Format(time.DateOnly), same, ui.Plural(int64(len(answers)), "peer"))
		}
	}
}

func printFindings(a cli.App, f findings) error {
	broken := 0
	for _, x := range f {
		if x.State == "broken" {
			broken++
		}
	}
	if a.JSON {
		if err := a.Emit(f); err != nil {
			return err
		}
	} else {
		for _, x := range f {
			a.Linef("%-8s %-8s %s", x.State, x.Check, x.Text)
			if x.Hint != "" {
				a.Printf("%-17s -> %s", "", x.Hint)
			}
		}
	}
	if broken > 0 {
		return errors.New(ui.Plural(int64(broken), "thing") + " broken")
	}
	return nil
}
