package searchcmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func infoCommand(a cli.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "info NAME[@VERSION|@RANGE|@TAG]",
		Aliases: []string{"view", "show", "v"},
		Short:   "show what is claimed of a module, and by whom",
		Long: `Shows the versions that the keys you trust have signed, the newest first, and
after them what others claim: a little of it, from the keys that have been known
here the longest, and how much more there is. --all shows everything.`,
		Args: cli.Arguments(1, 1, "a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, constraint, err := cli.ParseConstraint(cmd, args[0])
			if err != nil {
				return err
			}
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runInfo(cmd.Context(), a, h, name, constraint, all) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show all that anybody claims")
	return cmd
}

type infoJSON struct {
	Name     records.Name     `json:"name"`
	Versions []versionJSON    `json:"versions"`
	Tags     []tagJSON        `json:"tags,omitempty"`
	Notices  []cli.NoticeJSON `json:"notices,omitempty"`

	Endorsements []endorsementJSON   `json:"endorsements,omitempty"`
	LooksLike    []cli.LookalikeJSON `json:"looksLike,omitempty"`

	Keys    int         `json:"keys"` // that released one of the versions
	Omitted omittedJSON `json:"omitted"`
}

// omittedJSON counts what --all shows.
type omittedJSON struct {
	Versions int `json:"versions"` // that keys which decide have released
	Claims   int `json:"claims"`   // by keys that do not decide
	Keys     int `json:"keys"`     // that do not decide, and of which nothing is shown
	Other    int `json:"other"`    // tags, notices and endorsements by such keys
}

type versionJSON struct {
	Version records.Version `json:"version"`
	State   trust.State     `json:"state"`
	Reason  string          `json:"reason"`
	Claims  []claimJSON     `json:"claims"`
}

type claimJSON struct {
	Author      records.Fingerprint     `json:"author"`
	UID         string                  `json:"uid"`
	Label       string                  `json:"label,omitempty"`
	Effect      trust.Effect            `json:"effect"`
	Invalid     string                  `json:"invalid,omitempty"`
	Module      string                  `json:"module"`
	Record      string                  `json:"record"`
	Time        time.Time               `json:"time"`
	FirstSeen   time.Time               `json:"firstSeen"`
	Size        int64                   `json:"size"`
	Files       int64                   `json:"files"`
	Description string                  `json:"description,omitempty"`
	License     string                  `json:"license,omitempty"`
	Homepage    string                  `json:"homepage,omitempty"`
	Repository  string                  `json:"repository,omitempty"`
	Bin         map[string]string       `json:"bin,omitempty"`
	Depends     map[string]string       `json:"dependencies,omitempty"`
	Pins        map[records.Name]string `json:"pins,omitempty"`
	Scripts     bool                    `json:"scripts,omitempty"`
}

type tagJSON struct {
	Tag     string              `json:"tag"`
	Version records.Version     `json:"version"`
	Author  records.Fingerprint `json:"author"`
}

func runInfo(ctx context.Context, a cli.App, h *home.Home, name records.Name, constraint string, all bool) error {
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return err
	}
	info, err := resolve.New(h.Index()).Info(ctx, name, constraint, evaluator, all)
	if err != nil {
		return err
	}
	j := infoJSON{Name: name, Keys: info.Keys, Omitted: omittedJSON{info.Omitted.Decided, info.Omitted.Claims, info.Omitted.Keys, info.Omitted.Other}}
	for _, vi := range info.Versions {
		one, err := describeVersion(ctx, h, evaluator, vi)
		if err != nil {
			return err
		}
		j.Versions = append(j.Versions, one)
	}
	for _, t := range info.Tags {
		if t.Body.Version == "" {
			continue // taken away
		}
		j.Tags = append(j.Tags, tagJSON{t.Body.Tag, t.Body.Version, t.Author})
	}
	for _, n := range info.Notices {
		if n.Body.Text == "" {
			continue // taken back
		}
		nj := cli.NoticeJSON{Kind: n.Body.NoticeOf, Range: n.Body.Range, Text: n.Body.Text, Severity: n.Body.Severity, Fixed: n.Body.Fixed, Refs: n.Body.Refs, Author: n.Author}
		if n.Body.Record.Defined() {
			nj.Record = n.Body.Record.String()
		}
		j.Notices = append(j.Notices, nj)
	}
	for _, e := range info.Endorsements {
		j.Endorsements = append(j.Endorsements, endorsementJSON{e.Body.Version, e.Body.Claim, e.Body.Module.String(), e.Body.Text, e.Author})
	}
	known, err := cli.ReadKnownNames(h, evaluator)
	if err != nil {
		return err
	}
	if j.LooksLike, err = known.Lookalikes(ctx, name); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(j)
	}
	if err := a.NoteAge(h, time.Now()); err != nil {
		return err
	}
	printInfo(a, j)
	printOmitted(a, j.Omitted)
	return a.WarnLookalikes(ctx, known, name)
}

func describeVersion(ctx context.Context, h *home.Home, evaluator *trust.Evaluator, vi resolve.VersionInfo) (versionJSON, error) {
	out := versionJSON{Version: vi.Version, State: vi.Decision.State, Reason: vi.Decision.Reason}
	effects := map[string]trust.Verdict{}
	for _, c := range vi.Decision.Claims {
		effects[c.Record.KeyString()] = c
	}
	for _, r := range vi.Releases {
		uid, err := cli.UserID(ctx, h, r.Author)
		if err != nil {
			return out, err
		}
		m := r.Body.Manifest
		c := claimJSON{
			Author: r.Author, UID: uid, Label: evaluator.Label(r.Author), Effect: effects[r.ID.KeyString()].Effect, Invalid: r.Invalid,
			Module: r.Body.Module.String(), Record: r.ID.String(), Time: r.Time.UTC(), FirstSeen: r.FirstSeen.UTC(),
			Size: r.Body.Size, Files: r.Body.Files, Description: m.Description, License: m.License, Homepage: m.Homepage,
			Repository: m.Repository, Bin: m.Bin, Depends: m.Dependencies, Scripts: m.Scripts,
		}
		for n, p := range r.Body.Pins {
			if c.Pins == nil {
				c.Pins = map[records.Name]string{}
			}
			c.Pins[n] = p.String()
		}
		out.Claims = append(out.Claims, c)
	}
	return out, nil
}

func printInfo(a cli.App, j infoJSON) {
	for i, v := range j.Versions {
		if i > 0 {
			a.Printf("")
		}
		a.Printf("%s@%s  %s: %s", j.Name, v.Version, v.State, ui.Safe(v.Reason))
		for _, c := range v.Claims {
			if c.Description != "" {
				a.Printf("  %s", ui.Safe(c.Description))
			}
			a.Printf("  signed   %s by %s", c.Time.Format(time.DateOnly), cli.SignerText(c.Label, c.UID, 1))
			effect := fmt.Sprint(c.Effect)
			if c.Invalid != "" {
				effect = ui.Safe(c.Invalid)
			}
			a.Printf("  key      %s (%s)", c.Author, effect)
			a.Printf("  module   %s (%s, %s)", c.Module, ui.Plural(c.Files, "file"), ui.BytesText(c.Size))
			a.Printf("  record   %s", c.Record)
			if c.License != "" {
				a.Printf("  licence  %s", ui.Safe(c.License))
			}
			if len(c.Depends) > 0 {
				a.Printf("  needs    %s", ui.Safe(joinDependencies(c.Depends)))
			}
			if c.Scripts {
				a.Printf("  scripts  has install scripts, which es does not run")
			}
		}
	}
	for _, t := range j.Tags {
		a.Printf("tag %s is %s, says %s", ui.Safe(t.Tag), t.Version, t.Author)
	}
	for _, n := range j.Notices {
		a.Printf("%s %s%s: %s, says %s", n.Kind, ui.Safe(n.Range), n.Record, ui.Safe(n.Text), n.Author)
	}
	for _, e := range j.Endorsements {
		text := ""
		if e.Text != "" {
			text = ": " + ui.Safe(e.Text)
		}
		a.Printf("%s %s as %s%s, says %s", ui.Safe(e.Claim), e.Version, e.Module, text, e.Author)
	}
}

// printOmitted says how much more is claimed.
func printOmitted(a cli.App, o omittedJSON) {
	var more []string
	if o.Versions > 0 {
		more = append(more, ui.Plural(int64(o.Versions), "older version")+" that you trust")
	}
	switch {
	case o.Claims > 0 && o.Keys > 0:
		more = append(more, fmt.Sprintf("%s by these and %s", ui.Plural(int64(o.Claims), "claim"), ui.Plural(int64(o.Keys), "other key")))
	case o.Claims > 0:
		more = append(more, ui.Plural(int64(o.Claims), "claim")+" by these keys")
	}
	if o.Other > 0 {
		more = append(more, fmt.Sprintf("%d tags, notices and endorsements by others", o.Other))
	}
	if len(more) > 0 {
		a.Printf("")
		a.Printf("and %s; --all shows them", strings.Join(more, ", and "))
	}
}

type endorsementJSON struct {
	Version records.Version     `json:"version"`
	Claim   string              `json:"claim"`
	Module  string              `json:"module"`
	Text    string              `json:"text,omitempty"`
	Author  records.Fingerprint `json:"author"`
}

func joinDependencies(m map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"@"+m[name])
	}
	return strings.Join(out, ", ")
}
