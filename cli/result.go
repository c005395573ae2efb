package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

type resultJSON struct {
	Added     []packageJSON `json:"added"`
	Changed   []changeJSON  `json:"changed"`
	Removed   []packageJSON `json:"removed"`
	Unchanged int           `json:"unchanged"`
	Saved     []savedJSON   `json:"saved,omitempty"`
	Skipped   []string      `json:"skipped,omitempty"`
	Scripts   []string      `json:"scripts,omitempty"`
	Warnings  []string      `json:"warnings,omitempty"`
	Notices   []aboutJSON   `json:"notices,omitempty"` // that authors and others whom you believe gave
}

type packageJSON struct {
	Path    string          `json:"path"`
	Name    records.Name    `json:"name"`
	Version records.Version `json:"version,omitempty"`
	Module  string          `json:"module"`
	Record  string          `json:"record,omitempty"`
	Signer  string          `json:"signer,omitempty"`
	Size    int64           `json:"size"`
	Files   int64           `json:"files"`
}

type changeJSON struct {
	Before *packageJSON `json:"before"` // null when it is not known what stood there
	After  packageJSON  `json:"after"`
}

type savedJSON struct {
	Name records.Name `json:"name"`
	Spec string       `json:"spec"`
}

func describePackage(p *install.Package) packageJSON {
	j := packageJSON{Path: p.Path, Name: p.Name, Version: p.Version, Module: p.Module.String(), Size: p.Size, Files: p.Files}
	if p.Record.Defined() {
		j.Record, j.Signer = p.Record.String(), p.Signer.String()
	}
	return j
}

func describeResult(r *install.Result) resultJSON {
	j := resultJSON{Added: []packageJSON{}, Changed: []changeJSON{}, Removed: []packageJSON{}, Unchanged: r.Unchanged}
	for _, p := range r.Added {
		j.Added = append(j.Added, describePackage(p))
	}
	for _, c := range r.Changed {
		change := changeJSON{After: describePackage(c.After)}
		if c.Before != nil {
			before := describePackage(c.Before)
			change.Before = &before
		}
		j.Changed = append(j.Changed, change)
	}
	for _, p := range r.Removed {
		j.Removed = append(j.Removed, describePackage(p))
	}
	for _, s := range r.Saved {
		j.Saved = append(j.Saved, savedJSON{s.Name, s.Spec})
	}
	for _, s := range r.Skipped {
		j.Skipped = append(j.Skipped, fmt.Sprintf("%s: %v", s.Name, s.Err))
	}
	for _, p := range r.Scripts {
		j.Scripts = append(j.Scripts, packageText(p))
	}
	for _, w := range r.Warnings {
		text := w.Text
		if w.Path != "" {
			text = w.Path + ": " + text
		}
		j.Warnings = append(j.Warnings, safe(text))
	}
	return j
}

func (a *app) printResult(ctx context.Context, w *work, r *install.Result, remarks []remark) error {
	j := describeResult(r)
	for _, x := range remarks {
		j.Notices = append(j.Notices, x.describe()...)
	}
	if a.json {
		return a.emit(j)
	}
	rows := [][]string{}
	for _, p := range r.Added {
		rows = append(rows, a.resultRow(ctx, w.home, w.view, "+", p))
	}
	for _, c := range r.Changed {
		row := a.resultRow(ctx, w.home, w.view, "~", c.After)
		if c.Before != nil {
			row = append(row, "was "+packageText(c.Before))
		}
		rows = append(rows, row)
	}
	for _, p := range r.Removed {
		rows = append(rows, []string{"-", packageText(p)})
	}
	a.table(rows)
	for _, s := range j.Skipped {
		a.note("skipped the optional %s", safe(s))
	}
	for _, t := range j.Warnings {
		a.warn("%s", t)
	}
	for _, s := range j.Scripts {
		a.note("%s has install scripts, which were not run", s)
	}
	if len(rows) == 0 {
		asked, err := w.news.doneText(w.home)
		if err != nil {
			return err
		}
		a.note("nothing to do: %s in place%s", plural(int64(r.Unchanged), "package"), asked)
	}
	return nil
}

// resultRow shows one installed package with its signer.
func (a *app) resultRow(ctx context.Context, h *node.Home, view *trust.View, sign string, p *install.Package) []string {
	who := "by CID, signed by nobody"
	if !p.Signer.IsZero() {
		uid, err := userID(ctx, h, p.Signer)
		if err != nil {
			uid = ""
		}
		who = fmt.Sprintf("signed by %s (%s)", signerText(view.Label(p.Signer), uid, 1), p.Signer)
	}
	return []string{sign, packageText(p), plural(p.Files, "file") + ", " + bytesText(p.Size), who}
}

func packageText(p *install.Package) string {
	if p.Version == "" {
		return string(p.Name) + "@" + p.Module.String()
	}
	return fmt.Sprintf("%s@%s", p.Name, p.Version)
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
