package trustcmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func trustListCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "show whom you believe",
		Long: `Shows each line of your trust file with what it lets in now and, inside a
project that has an es.trust, that file's lines too: they count in this project
alone.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runTrustList(cmd.Context(), a, h) })
		},
	}
}

// trusted is all that is believed in the current directory.
type trusted struct {
	policy    *trust.Policy
	project   *trust.Policy // empty without one
	evaluator *trust.Evaluator
	list      []trustJSON
	rulesJSON
}

type trustListJSON struct {
	Keys []trustJSON `json:"keys"`
	rulesJSON
}

type rulesJSON struct {
	Thresholds []thresholdJSON `json:"thresholds"`
	Pins       []pinJSON       `json:"pins"`
	MinAge     string          `json:"minAge,omitempty"`
	Broken     []brokenJSON    `json:"broken,omitempty"`
}

// brokenJSON is a line that cannot be read.
type brokenJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Text    string `json:"text"`
	Problem string `json:"problem"`
}

type thresholdJSON struct {
	Scope records.Scope `json:"scope"`
	Keys  int           `json:"keys"`
	Line  int           `json:"line"`
}

type pinJSON struct {
	Name     records.Name    `json:"name"`
	Version  records.Version `json:"version"`
	Module   string          `json:"module"`
	Line     int             `json:"line"`
	Released bool            `json:"released"` // some release that counts names the module
}

func runTrustList(ctx context.Context, a cli.App, h *home.Home) error {
	p, err := install.Open(".")
	if err != nil {
		return err
	}
	t, err := readTrusted(ctx, h, filepath.Join(p.Dir(), trust.ProjectFile))
	var syntax *trust.SyntaxError
	if errors.As(err, &syntax) {
		return listReadable(ctx, a, h, syntax)
	}
	if err != nil {
		return err
	}
	if err := t.readCoverage(ctx, h); err != nil {
		return err
	}
	if a.JSON {
		if err := a.Emit(trustListJSON{t.list, t.rulesJSON}); err != nil {
			return err
		}
	} else {
		printTrusted(a, t)
	}
	for _, w := range t.policy.Warnings() {
		a.Warn("%s: %s", h.TrustPath(), ui.Safe(w))
	}
	for _, w := range t.project.Warnings() {
		a.Warn("%s: %s", trust.ProjectFile, ui.Safe(w))
	}
	for _, l := range t.list {
		for _, s := range l.Overruled {
			a.Warn("%s: line %d: does nothing for %s, about which your own trust file decides", trust.ProjectFile, l.Line, s)
		}
	}
	if a.JSON {
		return nil
	}
	if len(t.policy.Entries())+len(t.policy.Authorities()) == 0 {
		a.Note("no key is trusted in %s", h.TrustPath())
		a.Hint("es search NAME shows who signed what; es trust add KEY NAME believes one of them")
	} else {
		a.Note("from %s, which you may edit", h.TrustPath())
	}
	if len(t.project.Entries()) > 0 {
		a.Note("and, for this project alone, from %s", ui.Safe(filepath.Join(p.Dir(), trust.ProjectFile)))
	}
	return nil
}

// listReadable shows a trust file of which some lines cannot be read: what can be, and
// what is wrong with the rest. Nothing of it lets anything in before that is mended.
func listReadable(ctx context.Context, a cli.App, h *home.Home, first *trust.SyntaxError) error {
	policy, broken, err := trust.LoadPartial(h.TrustPath())
	if err != nil {
		return err
	}
	t := &trusted{policy: policy, project: &trust.Policy{}, evaluator: trust.NewEvaluator(nil, nil, time.Now()), list: []trustJSON{}}
	if err := t.lines(ctx, h); err != nil {
		return err
	}
	if err := t.rules(ctx, h); err != nil {
		return err
	}
	if first.Path != h.TrustPath() {
		broken = append(broken, first)
	}
	for _, e := range broken {
		t.Broken = append(t.Broken, brokenJSON{e.Path, e.Line, e.Raw, e.Text})
	}
	if a.JSON {
		if err := a.Emit(trustListJSON{t.list, t.rulesJSON}); err != nil {
			return err
		}
	} else {
		printTrusted(a, t)
	}
	for _, e := range broken {
		a.Warn("%s: %s (the line is %.120q)", ui.Safe(e.Path), ui.Safe(e.Error()), e.Raw)
	}
	a.Warn("%s cannot be read, so that nothing is let in", ui.Plural(int64(len(broken)), "line"))
	for _, h := range cli.SyntaxHints(broken[0]) {
		a.Hint("%s", h)
	}
	return nil
}

func readTrusted(ctx context.Context, h *home.Home, path string) (*trusted, error) {
	policy, err := h.Trust()
	if err != nil {
		return nil, err
	}
	project, err := trust.LoadProject(path)
	if err != nil {
		return nil, err
	}
	evaluator, err := h.ProjectEvaluator(path, time.Now())
	if err != nil {
		return nil, err
	}
	t := &trusted{policy: policy, project: project, evaluator: evaluator, list: []trustJSON{}}
	if err := t.lines(ctx, h); err != nil {
		return nil, err
	}
	return t, t.rules(ctx, h)
}

// lines lists the own keys and those of the files.
func (t *trusted) lines(ctx context.Context, h *home.Home) error {
	own, err := h.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range own {
		t.list = append(t.list, trustJSON{Fingerprint: k.Fingerprint(), UID: k.Key.UserID(), Own: true})
	}
	overruled := t.evaluator.Overruled(t.project)
	for _, p := range []*trust.Policy{t.policy, t.project} {
		for _, e := range p.Entries() {
			key, err := h.Index().Key(ctx, e.Fingerprint)
			if err != nil {
				return err
			}
			l := entryJSON(e, key)
			if p == t.project {
				l.File, l.Overruled, l.Denied = trust.ProjectFile, overruled[e.Line], t.evaluator.Denied(e.Fingerprint)
			}
			t.list = append(t.list, l)
		}
	}
	for _, r := range t.policy.Authorities() {
		t.list = append(t.list, authorityJSON(&r))
	}
	for _, d := range t.policy.Denials() {
		t.list = append(t.list, trustJSON{Fingerprint: d.Fingerprint, Label: d.Label, Denied: true, Line: d.Line})
	}
	return nil
}

// readCoverage fills in how much each line lets in.
func (t *trusted) readCoverage(ctx context.Context, h *home.Home) error {
	keys, err := h.Authors(ctx, time.Now())
	if err != nil {
		return err
	}
	for _, e := range t.project.Entries() {
		if !slices.Contains(keys, e.Fingerprint) {
			keys = append(keys, e.Fingerprint)
		}
	}
	lines, err := resolve.New(h.Index()).Coverage(ctx, t.evaluator, keys)
	if err != nil {
		return err
	}
	for i, l := range t.list {
		if !l.Denied {
			n := lines[resolve.Line{Project: l.File != "", Number: l.Line}]
			t.list[i].Names, t.list[i].Versions = n.Names, n.Versions
		}
	}
	return nil
}

func printTrusted(a cli.App, t *trusted) {
	var rows [][]string
	for _, l := range t.list {
		label := l.Label
		if label == "" && (l.known || l.Own) {
			label = ui.UIDText(l.UID)
		}
		who := l.Fingerprint.String()
		if l.Registry != "" {
			who = ui.Safe(l.Registry)
			label = strings.TrimSpace(label + " " + registryText(l))
		}
		rows = append(rows, []string{who, ui.Safe(label), strings.Join(grantText(l), " "), coverageText(l), l.File})
	}
	a.Table(rows)
	printRules(a, t.rulesJSON)
}

// registryText says how a registry is known.
func registryText(l trustJSON) string {
	if l.Unsigned {
		return "(signs nothing)"
	}
	return fmt.Sprintf("(%s)", ui.Plural(int64(len(l.Keys)), "key"))
}

// grantText says what a line is for.
func grantText(l trustJSON) []string {
	var what []string
	switch {
	case l.Denied && l.File == "":
		what = append(what, "denied")
	case l.Own:
		what = append(what, "your own key, for names that no line decides")
	default:
		for _, s := range l.Scopes {
			what = append(what, string(s))
		}
	}
	if l.Imports {
		what = append(what, "imports too")
	}
	if l.Until != "" {
		what = append(what, "until "+l.Until)
	}
	return what
}

func coverageText(l trustJSON) string {
	switch {
	case l.Denied && l.File != "":
		return "denied by your own file"
	case l.Denied:
		return ""
	case l.Versions == 0:
		return "lets in nothing now"
	}
	return fmt.Sprintf("lets in %s of %s", ui.Plural(int64(l.Versions), "version"), ui.Plural(int64(l.Names), "name"))
}

// rules describes the lines that are not about one key.
func (t *trusted) rules(ctx context.Context, h *home.Home) error {
	t.rulesJSON = rulesJSON{Thresholds: []thresholdJSON{}, Pins: []pinJSON{}}
	for _, x := range t.policy.Thresholds() {
		t.Thresholds = append(t.Thresholds, thresholdJSON{x.Scope, x.Keys, x.Line})
	}
	for _, p := range t.policy.Pins() {
		d, err := resolve.New(h.Index()).Decide(ctx, p.Name, p.Version, t.evaluator)
		if err != nil {
			return err
		}
		t.Pins = append(t.Pins, pinJSON{p.Name, p.Version, p.Module.String(), p.Line, d.State == trust.Trusted})
	}
	if m, ok := t.policy.MinAge(); ok {
		t.MinAge = ageText(m.Age)
	}
	return nil
}

func printRules(a cli.App, r rulesJSON) {
	for _, t := range r.Thresholds {
		a.Printf("threshold  %d keys must agree about %s", t.Keys, t.Scope)
	}
	for _, p := range r.Pins {
		what := "which some release names"
		if !p.Released {
			what = "which no release that counts names: lets in nothing now"
		}
		a.Printf("pin        %s@%s is %s, %s", p.Name, p.Version, p.Module, what)
	}
	if r.MinAge != "" {
		a.Printf("min-age    %s", r.MinAge)
	}
}

// ageText writes whole days as the trust file does.
func ageText(age time.Duration) string {
	if hours := int(age / time.Hour); hours%24 != 0 {
		return fmt.Sprintf("%dh", hours)
	}
	return fmt.Sprintf("%dd", int(age/(24*time.Hour)))
}
