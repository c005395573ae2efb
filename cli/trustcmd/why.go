package trustcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

func whyCommand(a cli.App) *cobra.Command {
	var proof string
	var all bool
	cmd := &cobra.Command{
		Use:     "why NAME[@VERSION|@RANGE|@TAG]",
		Aliases: []string{"explain"},
		Short:   "explain what a version is, who says so, and what would change that",
		Long: `Shows every claim about the version (default: the one that es add would take),
by whom and since when, which line of the trust file decided, and which single
edits of it would change the answer. An es.trust beside the package.json here
takes part.

With --proof DIR, where a key has signed two modules as this version, both
records are written there with their signatures, for gpg --verify.`,
		Args: cli.Arguments(1, 1, "a name, or NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, constraint, err := cli.ParseConstraint(cmd, args[0])
			if err != nil {
				return err
			}
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runWhy(cmd.Context(), a, h, name, constraint, proof, all) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show everybody who claims something about the version")
	cmd.Flags().StringVar(&proof, "proof", "", "directory to write a proof of equivocation to")
	return cmd
}

type whyJSON struct {
	Name      records.Name     `json:"name"`
	Version   records.Version  `json:"version"`
	State     trust.State      `json:"state"`
	Reason    string           `json:"reason"`
	Module    string           `json:"module,omitempty"`
	Signer    string           `json:"signer,omitempty"`
	Scope     records.Scope    `json:"scope,omitempty"`
	Threshold int              `json:"threshold"`
	Voices    int              `json:"voices"`
	Hold      string           `json:"hold,omitempty"`
	Take      []string         `json:"take,omitempty"` // how to take a version that is held or yanked
	Warnings  []string         `json:"warnings,omitempty"`
	Notices   []cli.NoticeJSON `json:"notices,omitempty"`
	Import    *importJSON      `json:"import,omitempty"`
	Claims    []whyClaimJSON   `json:"claims"`
	// MoreClaims are the releases of the version that are not shown, and MoreKeys the keys
	// of which none is.
	MoreClaims int                `json:"moreClaims"`
	MoreKeys   int                `json:"moreKeys"`
	Changes    []changeOfMindJSON `json:"changes"`
}

type whyClaimJSON struct {
	Author    records.Fingerprint `json:"author"`
	UID       string              `json:"uid"`
	Label     string              `json:"label,omitempty"`
	Module    string              `json:"module"`
	Record    string              `json:"record"`
	Endorse   string              `json:"endorse,omitempty"`
	Effect    trust.Effect        `json:"effect"`
	Invalid   string              `json:"invalid,omitempty"`
	Line      int                 `json:"line,omitempty"`
	Project   bool                `json:"project,omitempty"`
	Via       []string            `json:"via,omitempty"`
	Why       string              `json:"why,omitempty"`     // of an import
	Importer  records.Fingerprint `json:"importer,omitzero"` // whose record a registry's claim is in
	Time      time.Time           `json:"time"`
	FirstSeen time.Time           `json:"firstSeen"`
}

type changeOfMindJSON struct {
	Command string      `json:"command"`
	State   trust.State `json:"state"`
	Module  string      `json:"module,omitempty"`
}

func runWhy(ctx context.Context, a cli.App, h *home.Home, name records.Name, constraint, proof string, all bool) error {
	project := ""
	if _, err := os.Stat(trust.ProjectFile); err == nil {
		project = trust.ProjectFile
	}
	inputs, err := h.TrustInputs(project, time.Now())
	if err != nil {
		return err
	}
	evaluator := inputs.Evaluator()
	v, err := resolve.New(h.Index()).VersionFor(ctx, name, constraint, evaluator)
	if err != nil {
		return err
	}
	claims, notices, err := resolve.New(h.Index()).Claims(ctx, name, v, evaluator)
	if err != nil {
		return err
	}
	if len(claims) == 0 {
		return &resolve.NotFoundError{Name: name, Constraint: string(v)}
	}
	ruling, err := evaluator.Ruling(ctx, name)
	if err != nil {
		return err
	}
	d := ruling.Decide(v, claims)
	j, err := explainDecision(ctx, h, evaluator, d, all)
	if err != nil {
		return err
	}
	about := ruling.Notices(d, notices)
	for _, of := range [][]trust.Notice{about.Yanked, about.Deprecated, about.Advisories} {
		for _, n := range of {
			j.Notices = append(j.Notices, cli.DescribeNotice(n))
		}
	}
	if d.Hold != trust.NotHeld || len(about.Yanked) > 0 {
		j.Take = cli.HeldHints(d)
	}
	changes, err := inputs.Changes(ctx, name, v, claims)
	if err != nil {
		return err
	}
	for _, c := range changes {
		change := changeOfMindJSON{Command: changeText(name, v, c), State: c.State}
		if c.To.Defined() {
			change.Module = c.To.String()
		}
		j.Changes = append(j.Changes, change)
	}
	if proof != "" {
		return writeProof(ctx, a, h, name, v, proof)
	}
	if a.JSON {
		return a.Emit(j)
	}
	printWhy(a, h, j)
	return nil
}

// maxOthers is how many claims of keys that do not decide are shown unasked.
const maxOthers = 10

// inFront puts the claims that take part first, and cuts the others.
func inFront(d trust.Decision, all bool) []trust.Verdict {
	var first, others []trust.Verdict
	for _, c := range d.Claims {
		switch c.Effect {
		case trust.NotListed, trust.NotPinned, trust.InvalidSignature, trust.Retracted:
			others = append(others, c)
		default:
			first = append(first, c)
		}
	}
	slices.SortStableFunc(others, func(a, b trust.Verdict) int { return a.FirstSeen.Compare(b.FirstSeen) })
	if !all {
		others = others[:min(len(others), maxOthers)]
	}
	return append(first, others...)
}

func explainDecision(ctx context.Context, h *home.Home, evaluator *trust.Evaluator, d trust.Decision, all bool) (whyJSON, error) {
	j := whyJSON{
		Name: d.Name, Version: d.Version, State: d.State, Reason: d.Reason, Scope: d.Rule.Scope, Threshold: d.Rule.Threshold,
		Voices: d.Voices, Hold: d.Hold.String(), Claims: []whyClaimJSON{}, Changes: []changeOfMindJSON{},
	}
	if d.State == trust.Trusted {
		j.Module, j.Signer = d.Module.String(), d.Signer.String()
	}
	for _, w := range d.Warnings {
		if text := cli.WarningText(w); text != "" {
			j.Warnings = append(j.Warnings, text)
		}
	}
	j.Import = corroboration(evaluator, d)
	for _, c := range inFront(d, all) {
		uid, err := cli.UserID(ctx, h, c.Author)
		if err != nil {
			return j, err
		}
		if registry := evaluator.Registry(c.Author); registry != "" {
			uid = "the registry " + registry
		}
		j.Claims = append(j.Claims, whyClaimJSON{
			Author: c.Author, UID: uid, Label: evaluator.Label(c.Author), Module: c.Module.String(), Record: c.Record.String(), Endorse: c.Endorse,
			Effect: c.Effect, Invalid: c.Invalid, Line: c.Line, Project: c.Project, Via: cli.ViaText(c.Via), Why: c.Why, Importer: c.Importer, Time: c.Time.UTC(), FirstSeen: c.FirstSeen.UTC(),
		})
	}
	claims, keys, err := h.Index().CountReleases(ctx, d.Name, d.Version)
	if err != nil {
		return j, err
	}
	shown := map[records.Fingerprint]bool{}
	for _, c := range j.Claims {
		if c.Endorse == "" {
			claims--
			shown[c.Author] = true
		}
	}
	j.MoreClaims, j.MoreKeys = max(claims, 0), max(keys-len(shown), 0)
	return j, nil
}

// importJSON says who has imported the version as one module.
type importJSON struct {
	Keys     int    `json:"keys"`
	Believed int    `json:"believed"`           // of these, by the trust file
	Registry string `json:"registry,omitempty"` // whose own signature stands behind it
}

// corroboration counts the importers of the module that the version is, or of any while it
// is none; nil when nobody imported it.
func corroboration(evaluator *trust.Evaluator, d trust.Decision) *importJSON {
	believed := evaluator.ListedKeys()
	keys := map[records.Fingerprint]bool{}
	var j importJSON
	for _, c := range d.Claims {
		switch {
		case c.Release == nil || c.Invalid != "" || d.State == trust.Trusted && c.Module != d.Module:
		case !c.Importer.IsZero():
			if c.Effect == trust.Counts || c.Effect == trust.Pinned {
				j.Registry = evaluator.Registry(c.Author)
			}
		case !keys[c.Author]:
			keys[c.Author] = true
			if slices.Contains(believed, c.Author) {
				j.Believed++
			}
		}
	}
	if j.Keys = len(keys); j.Keys == 0 {
		return nil
	}
	return &j
}

func (j *importJSON) text() string {
	stands := "no registry's own signature stands behind it"
	if j.Registry != "" {
		stands = "the signature of " + ui.Safe(j.Registry) + " stands behind it"
	}
	return fmt.Sprintf("by %s, %d of which your trust file has; %s", ui.Plural(int64(j.Keys), "key"), j.Believed, stands)
}

// changeText writes an edit of the trust file as the command that makes it.
func changeText(name records.Name, v records.Version, c trust.Change) string {
	switch c.Kind {
	case trust.ChangeAdd:
		return fmt.Sprintf("es trust add %s %s", c.Key, ui.ShellWord(string(c.Scope)))
	case trust.ChangeFollow:
		return fmt.Sprintf("es trust add %s %s --follow", c.Key, ui.ShellWord(string(c.Scope)))
	case trust.ChangeRenew:
		return fmt.Sprintf("es trust add %s %s", c.Key, ui.ShellWord(string(c.Scope)))
	case trust.ChangeAllow:
		return "es trust remove " + c.Key.String()
	case trust.ChangeThreshold:
		return fmt.Sprintf("es trust threshold %d %s", c.Count, ui.ShellWord(string(c.Scope)))
	case trust.ChangePin:
		return fmt.Sprintf("es trust pin %s@%s %s", name, v, c.Module)
	case trust.ChangeUnpin:
		return fmt.Sprintf("es trust pin %s@%s --remove", name, v)
	case trust.ChangeImports:
		return fmt.Sprintf("es trust add %s %s --imports", c.Key, ui.ShellWord(string(c.Scope)))
	case trust.ChangeDeny:
		return "es trust deny " + c.Key.String()
	}
	return c.Kind.String()
}

func printWhy(a cli.App, h *home.Home, j whyJSON) {
	a.Printf("%s@%s is %s: %s", j.Name, j.Version, j.State, ui.Safe(j.Reason))
	if j.Module != "" {
		a.Printf("  module   %s", j.Module)
	}
	if j.Import != nil {
		a.Printf("  import   %s", j.Import.text())
	}
	rule := "no line of " + h.TrustPath() + " speaks of this name"
	if j.Scope != "" {
		rule = fmt.Sprintf("keys with the scope %s decide, and %s", j.Scope, needText(j.Threshold))
	}
	a.Printf("  rule     %s", rule)
	if j.Hold != "" {
		a.Printf("  held     %s", j.Hold)
	}
	for _, w := range j.Warnings {
		a.Printf("  warning  %s", ui.Safe(w))
	}
	for _, n := range j.Notices {
		a.Printf("  %-8s %s, says %s", n.Kind, ui.Safe(n.Text), n.Author)
	}
	for _, h := range j.Take {
		a.Printf("           %s", h)
	}
	for _, c := range j.Claims {
		printClaim(a, c)
	}
	if j.MoreClaims > 0 {
		a.Printf("")
		a.Printf("  and %s by %s, which do not decide; --all shows them", ui.Plural(int64(j.MoreClaims), "claim"), ui.Plural(int64(j.MoreKeys), "other key"))
	}
	if len(j.Changes) == 0 {
		return
	}
	a.Printf("")
	a.Printf("  what would change that")
	for _, c := range j.Changes {
		to := c.State.String()
		if c.Module != "" {
			to += " as " + c.Module
		}
		a.Printf("    %-9s %s", to, c.Command)
	}
}

func printClaim(a cli.App, c whyClaimJSON) {
	says := "released as"
	if c.Endorse != "" {
		says = ui.Safe(c.Endorse) + ", endorsed as"
	}
	a.Printf("")
	a.Printf("  %s", cli.SignerText(c.Label, c.UID, 1))
	a.Printf("    key      %s: %s", c.Author, c.Effect)
	if !c.Importer.IsZero() {
		a.Printf("    import   by %s", c.Importer)
	}
	if c.Why != "" {
		a.Printf("    because  %s", ui.Safe(c.Why))
	}
	if len(c.Via) > 0 {
		a.Printf("    by       %s", strings.Join(c.Via, ", "))
	}
	a.Printf("    %s %s", says, c.Module)
	a.Printf("    dated %s, here since %s", c.Time.Format("2006-01-02 15:04"), c.FirstSeen.Format("2006-01-02 15:04"))
	if c.Invalid != "" {
		a.Printf("    invalid  %s", ui.Safe(c.Invalid))
	}
}

func needText(n int) string {
	if n == 1 {
		return "one is enough"
	}
	return fmt.Sprintf("%d must agree", n)
}

type proofJSON struct {
	Author records.Fingerprint `json:"author"`
	Files  []string            `json:"files"`
}

// writeProof writes both sides of an equivocation so that anybody can check them
// with gpg.
func writeProof(ctx context.Context, a cli.App, h *home.Home, name records.Name, v records.Version, dir string) error {
	proofs, err := h.Index().Equivocations(ctx)
	if err != nil {
		return err
	}
	out := []proofJSON{}
	for _, p := range proofs {
		if p.Name != name || p.Version != v {
			continue
		}
		at := filepath.Join(dir, p.Author.String())
		key, err := h.Index().Key(ctx, p.Author)
		if err != nil {
			return err
		}
		j := proofJSON{Author: p.Author}
		write := func(file string, b []byte) error {
			j.Files = append(j.Files, filepath.Join(at, file))
			return ui.WriteFile(filepath.Join(at, file), b)
		}
		if err := write("key.asc", key.Armor()); err != nil {
			return err
		}
		for i, s := range p.Records {
			opened, err := sign.Open(s.Envelope, sign.KeyRing{p.Author: key})
			if err != nil {
				return err
			}
			err = errors.Join(write(fmt.Sprintf("record%d.cbor", i+1), opened.RecordBytes()), write(fmt.Sprintf("record%d.sig", i+1), opened.Signature()))
			if err != nil {
				return err
			}
		}
		out = append(out, j)
	}
	if len(out) == 0 {
		return ui.Coded(ui.ExitNotFound, fmt.Errorf("no key is known to have signed two modules as %s@%s", name, v))
	}
	if a.JSON {
		return a.Emit(out)
	}
	for _, j := range out {
		for _, f := range j.Files {
			a.Printf("%s", f)
		}
		a.Note("key %s signed each of these records, which name different modules as %s@%s", j.Author, name, v)
		at := filepath.Join(dir, j.Author.String())
		a.Hint("gpg --import %s && gpg --verify %s %s", filepath.Join(at, "key.asc"), filepath.Join(at, "record1.sig"), filepath.Join(at, "record1.cbor"))
	}
	return nil
}
