package searchcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/index/search"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// maxHits is the most that a search shows.
const maxHits = 1000

func searchCommand(a cli.App) *cobra.Command {
	var o search.Options
	cmd := &cobra.Command{
		Use:     "search QUERY...",
		Aliases: []string{"find", "s", "se"},
		Short:   "find modules by name, or by words of their description",
		Long: `Searches your own index, also while you type or mistype: the name itself
with or without its scope, dashes and dots, names with one letter wrong, names
that go on with it, then words in names, descriptions and keywords. What fits
the name best comes first, then what many need; what is yanked or deprecated
comes last.

  author:KEY    by a fingerprint, your label of a key, or part of its user id
  keyword:WORD  scope:@acme  license:MIT  depends:left-pad

narrow it. A * marks what the keys you trust have signed, a ! what they
disagree about, a - what only strangers sign. Once you trust somebody, names of
strangers are counted, and --all shows them. Of a name that none of your keys
signs, the keys that do are shown with what there is to judge them by.

On a terminal each name takes one line, cut where it is too long; --json and a
pipe have everything.`,
		Args: cli.Arguments(1, -1, "something to search for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Limit < 1 || o.Limit > maxHits {
				return cli.Usagef(cmd, "--limit %d is not between 1 and %d", o.Limit, maxHits)
			}
			o.All = o.All || a.JSON // which says of each who signs it
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error {
				return runSearch(cmd.Context(), a, h, strings.Join(args, " "), o)
			})
		},
	}
	cmd.Flags().IntVarP(&o.Limit, "limit", "n", 20, "show at most so many")
	cmd.Flags().BoolVar(&o.All, "all", false, "show names of strangers too")
	return cmd
}

type hitJSON struct {
	Name        records.Name          `json:"name"`
	Version     records.Version       `json:"version"`
	Description string                `json:"description"`
	Author      records.Fingerprint   `json:"author"`
	UID         string                `json:"uid"`
	Label       string                `json:"label"`
	Trusted     bool                  `json:"trusted"`
	State       trust.State           `json:"state"`
	Module      string                `json:"module"`
	Record      string                `json:"record"`
	Authors     []records.Fingerprint `json:"authors"` // the keys of Claimants
	Keys        int                   `json:"keys"`    // that released versions of the name
	Claimants   []claimantJSON        `json:"claimants"`
	License     string                `json:"license,omitempty"`
	Keywords    []string              `json:"keywords,omitempty"`
	Yanked      []string              `json:"yanked,omitempty"`     // what those say who count
	Deprecated  []string              `json:"deprecated,omitempty"` // likewise
}

// claimantJSON is a key that claims a name, with what a user can judge it by.
type claimantJSON struct {
	Key       records.Fingerprint   `json:"key"`
	UID       string                `json:"uid"`
	Label     string                `json:"label,omitempty"`
	Releases  int                   `json:"releases"`
	Newest    records.Version       `json:"newest"`
	FirstSeen time.Time             `json:"firstSeen"`
	Endorsers []records.Fingerprint `json:"endorsers,omitempty"` // that you believe
}

func describeClaimants(evaluator *trust.Evaluator, all []resolve.Claimant) []claimantJSON {
	list := []claimantJSON{}
	for _, c := range all {
		list = append(list, claimantJSON{c.Key, c.UserID, evaluator.Label(c.Key), c.Releases, c.Newest, c.FirstSeen, c.Endorsers})
	}
	return list
}

func runSearch(ctx context.Context, a cli.App, h *home.Home, query string, o search.Options) error {
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return err
	}
	found, err := search.New(h.Index()).Search(ctx, query, o, evaluator)
	if err != nil {
		return err
	}
	if none(found) && !a.Offline && h.Absent() && (a.NamedHome() == "" || h.Begun()) {
		// A new user's first command: what peers say is kept.
		return a.WithHome(ctx, func(h *home.Home) error { return runSearch(ctx, a, h, query, o) })
	}
	if none(found) && !a.Offline {
		if found, err = searchAfresh(ctx, a, h, query, o, found); err != nil {
			return err
		}
	}
	list, err := describe(ctx, h, evaluator, found.Names)
	if err != nil {
		return err
	}
	if a.JSON {
		if err := a.Emit(list); err != nil || len(list) > 0 {
			return err
		}
	}
	if len(list) == 0 {
		return nothingFound(ctx, a, h, query, found)
	}
	printHits(a, list, query)
	if err := noteCount(ctx, a, h, evaluator, query, found, o); err != nil {
		return err
	}
	if err := warnLookalikeHits(ctx, a, h, evaluator, list); err != nil {
		return err
	}
	if err := a.NoteAge(h, time.Now()); err != nil {
		return err
	}
	switch first := list[0]; first.State {
	case trust.Trusted:
		a.Hint("es add %s", first.Name)
	case trust.Untrusted:
		noteClaimants(a, evaluator, first.Name, first.Claimants, first.Keys)
	default:
		a.Hint("es info %s shows why %s is not let in", first.Name, first.Version)
	}
	return nil
}

// none reports whether nothing was found, not even what strangers sign.
func none(f search.Found) bool { return len(f.Names)+f.Hidden == 0 }

func describe(ctx context.Context, h *home.Home, evaluator *trust.Evaluator, names []records.Name) ([]hitJSON, error) {
	list := []hitJSON{}
	for _, name := range names {
		hit, err := search.New(h.Index()).Describe(ctx, name, evaluator)
		if err != nil {
			return nil, err
		}
		j, err := describeHit(ctx, h, evaluator, hit)
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
}

func describeHit(ctx context.Context, h *home.Home, evaluator *trust.Evaluator, hit search.Hit) (hitJSON, error) {
	j := hitJSON{
		Name: hit.Name, Version: hit.Release.Body.Version, Description: hit.Release.Body.Manifest.Description,
		Author: hit.Release.Author, Label: hit.Label, Trusted: hit.Decision.State == trust.Trusted, State: hit.Decision.State,
		Module: hit.Release.Body.Module.String(), Record: hit.Release.ID.String(), Keys: hit.Keys, Claimants: describeClaimants(evaluator, hit.Claimants),
	}
	for _, c := range hit.Claimants {
		j.Authors = append(j.Authors, c.Key)
	}
	j.License, j.Keywords = hit.Release.Body.Manifest.License, hit.Release.Body.Manifest.Keywords
	j.Yanked, j.Deprecated = noticeTexts(hit.Notices.Yanked), noticeTexts(hit.Notices.Deprecated)
	var err error
	j.UID, err = cli.UserID(ctx, h, hit.Release.Author)
	return j, err
}

func noticeTexts(notices []trust.Notice) (texts []string) {
	for _, n := range notices {
		texts = append(texts, n.Text)
	}
	return texts
}

// summary is what a line says of a module behind its signer.
func (j *hitJSON) summary() string {
	switch {
	case len(j.Yanked) > 0:
		return "yanked: " + ui.Safe(j.Yanked[0])
	case len(j.Deprecated) > 0:
		return "deprecated: " + ui.Safe(j.Deprecated[0])
	}
	return ui.Safe(j.Description)
}

// printHits shows a name a line; what the query matches is ui.Bold, what is trusted green and
// what is in conflict red.
func printHits(a cli.App, list []hitJSON, query string) {
	rows := make([][]string, len(list))
	for i, j := range list {
		rows[i] = []string{mark(j.State), string(j.Name), string(j.Version), cli.SignerText(j.Label, j.UID, j.Keys), j.summary()}
	}
	words := search.Words(query)
	a.ColumnsOf(rows, 1, func(row, column int, text string) string {
		switch {
		case column == 0:
			return ui.Coloured(map[string]string{"*": ui.Green, "!": ui.Red, "-": ui.Yellow}[text], text)
		case column == 1 || column == 4:
			return highlight(text, words)
		}
		return text
	})
}

// highlight makes the words bold where the text has them, whatever their case.
func highlight(text string, words []string) string {
	lower := strings.ToLower(text)
	if len(lower) != len(text) { // bytes cannot be compared one by one
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		n := 0
		for _, w := range words {
			if strings.HasPrefix(lower[i:], w) {
				n = max(n, len(w))
			}
		}
		if n > 0 {
			b.WriteString(ui.Coloured(ui.Bold, text[i:i+n]))
			i += n
			continue
		}
		b.WriteByte(text[i])
		i++
	}
	return b.String()
}

// noteCount says how many names there are.
func noteCount(ctx context.Context, a cli.App, h *home.Home, evaluator *trust.Evaluator, query string, found search.Found, o search.Options) error {
	shown := len(found.Names)
	text := ui.Plural(int64(shown), "name")
	if shown == o.Limit {
		total, err := search.New(h.Index()).Count(ctx, query, evaluator)
		if err != nil {
			return err
		}
		least := ""
		if total == search.MaxCount {
			least = "at least "
		}
		if more := total - shown - found.Hidden; more > 0 {
			text += fmt.Sprintf(", and %s%d more: es search --limit %d shows more of them", least, more, min(2*o.Limit, maxHits))
		}
	}
	a.Note("%s", text)
	if found.Hidden > 0 {
		a.Note("%s: %s", hiddenText(found.Hidden), allCommand(query))
	}
	return nil
}

func hiddenText(n int) string {
	if n == 1 {
		return "1 name that only strangers sign is hidden"
	}
	return fmt.Sprintf("%d names that only strangers sign are hidden", n)
}

func allCommand(query string) string { return "es search --all " + ui.ShellWord(query) + " shows them" }

// noteClaimants says what there is to judge the keys by that claim a name which no key
// that the user believes signs. It recommends none: whoever wants to be believed can make
// any number of keys, versions and names on them.
func noteClaimants(a cli.App, evaluator *trust.Evaluator, name records.Name, list []claimantJSON, keys int) {
	a.Note("no key that you trust signs %s; %s", name, claimText(keys))
	for _, c := range list {
		a.Note("    %s  %s", c.Key, claimantText(evaluator, c))
	}
	if rest := keys - len(list); rest > 0 {
		a.Note("    and %s more", ui.Plural(int64(rest), "key"))
	}
	if keys == 1 {
		a.Hint("es trust add %s %s   (believe this key for that name)", list[0].Key, name)
		return
	}
	a.Hint("es trust add KEY %s   (believe the one whose fingerprint its author gave you)", name)
	a.Hint("es info %s shows what they signed", name)
}

func claimText(keys int) string {
	if keys == 1 {
		return "this one does:"
	}
	return fmt.Sprintf("%d do, the one first that has been known here the longest:", keys)
}

// claimantText says what a user can judge a key by.
func claimantText(evaluator *trust.Evaluator, c claimantJSON) string {
	who := "no name on it"
	if c.UID != "" {
		who = "says " + ui.UIDText(c.UID)
	}
	if c.Label != "" {
		who = ui.Safe(c.Label) + ", " + who
	}
	text := fmt.Sprintf("%s; %s, the newest %s; known here since %s", who, ui.Plural(int64(c.Releases), "release"), c.Newest, c.FirstSeen.Format(time.DateOnly))
	if n := len(c.Endorsers); n > 0 {
		by := c.Endorsers[0].String()
		if label := evaluator.Label(c.Endorsers[0]); label != "" {
			by = ui.Safe(label)
		}
		text += "; endorsed by " + by
		if n > 1 {
			text += fmt.Sprintf(" and %d more that you trust", n-1)
		} else {
			text += ", whom you trust"
		}
	}
	return text
}

// lookalikeHits is how many hits are held against the names that the user knows: each
// takes milliseconds.
const lookalikeHits = 10

// warnLookalikeHits says which of the first hits that trust does not let in look like names that
// the user knows.
func warnLookalikeHits(ctx context.Context, a cli.App, h *home.Home, evaluator *trust.Evaluator, list []hitJSON) error {
	known, err := cli.ReadKnownNames(h, evaluator)
	if err != nil {
		return err
	}
	for _, hit := range list[:min(len(list), lookalikeHits)] {
		if hit.Trusted {
			continue
		}
		if err := a.WarnLookalikes(ctx, known, hit.Name); err != nil {
			return err
		}
	}
	return nil
}

// searchAfresh asks peers for records before it searches: nothing may be known here
// because nobody was asked yet.
func searchAfresh(ctx context.Context, a cli.App, h *home.Home, query string, o search.Options, found search.Found) (search.Found, error) {
	if h.ReadOnly() && !h.Absent() {
		a.Note("nobody was asked for more: what they say could not be kept in %s", h.Dir())
		return found, nil
	}
	network := &cli.Joined{App: a, Home: h}
	defer network.Close()
	n := &cli.News{App: a, Home: h, Network: network}
	if _, err := n.Get(ctx, true); err != nil {
		return search.Found{}, err
	}
	if h.Absent() && n.Peers > 0 {
		a.Note("what they said is not kept, since there is no home in %s yet: es sync makes one", h.Dir())
	}
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return search.Found{}, err
	}
	return search.New(h.Index()).Search(ctx, query, o, evaluator)
}

// mark is the first column of a search: how the version stands with this user.
func mark(s trust.State) string {
	switch s {
	case trust.Trusted:
		return "*"
	case trust.Conflict, trust.Equivocation:
		return "!"
	}
	return "-"
}

func nothingFound(ctx context.Context, a cli.App, h *home.Home, query string, found search.Found) error {
	if found.Hidden > 0 {
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("nothing that a key you trust signs was found for %q; %s", query, hiddenText(found.Hidden)), allCommand(query))
	}
	counts, err := h.Index().Counts(ctx)
	if err != nil {
		return err
	}
	notFound := fmt.Errorf("nothing found for %q among %s of %s", query, ui.Plural(counts.Names, "name"), ui.Plural(counts.Authors, "author"))
	if counts.Records == 0 {
		last, err := h.Synced()
		if err != nil {
			return err
		}
		if last.IsZero() {
			return ui.Coded(ui.ExitNotFound, fmt.Errorf("nothing found for %q: no peer was asked for records yet", query),
				"es sync asks those that are known or near; es connect ADDR meets another")
		}
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("nothing found for %q: the peers that were asked last on %s had no records for you", query, last.Format("2006-01-02 15:04")),
			"es connect ADDR meets another peer; es sync --all gets what strangers say too")
	}
	if len(found.Suggestions) > 0 {
		return ui.Coded(ui.ExitNotFound, notFound, "did you mean "+orList(found.Suggestions)+"?")
	}
	return ui.Coded(ui.ExitNotFound, notFound, "try fewer or shorter words")
}

// orList is a, b or c.
func orList(names []records.Name) string {
	text := string(names[0])
	for i, n := range names[1:] {
		if i == len(names)-2 {
			text += " or " + string(n)
		} else {
			text += ", " + string(n)
		}
	}
	return text
}
