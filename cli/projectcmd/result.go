package projectcmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/records"
)

type resultJSON struct {
	Added     []packageJSON `json:"added"`
	Changed   []changeJSON  `json:"changed"`
	Removed   []packageJSON `json:"removed"`
	Restored  []packageJSON `json:"restored,omitempty"` // written again: damaged, gone, or by force
	Taken     []packageJSON `json:"taken,omitempty"`    // as another program had put it there
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
	Signer  string          `json:"signer,omitempty"` // verified here
	// Signature is what is known here of what es-lock.json says: "verified", "unknown",
	// "invalid" or "contradicted"; absent for a module by its CID.
	Signature string `json:"signature,omitempty"`
	Claimed   string `json:"claimedSigner,omitempty"` // es-lock.json's, when not verified
	Size      int64  `json:"size"`
	Files     int64  `json:"files"`
}

type changeJSON struct {
	Before *packageJSON `json:"before"` // null when it is not known what stood there
	After  packageJSON  `json:"after"`
}

type savedJSON struct {
	Name records.Name `json:"name"`
	Spec string       `json:"spec"`
}

func (s signatures) describe(p *install.Package) packageJSON {
	j := packageJSON{Path: p.Path, Name: p.Name, Version: p.Version, Module: p.Module.String(), Size: p.Size, Files: p.Files}
	if p.Record.Defined() {
		j.Record = p.Record.String()
		j.Signer, j.Claimed, j.Signature = describeSignature(p, s[p])
	}
	return j
}

// describeSignature gives a signer only where the signature was verified.
func describeSignature(p *install.Package, s install.Signature) (signer, claimed, state string) {
	switch s.Standing {
	case install.Unsigned:
		return "", "", ""
	case install.Signed:
		return p.Signer.String(), "", "verified"
	case install.Invalid:
		state = "invalid"
	case install.Contradicted:
		state = "contradicted"
	case install.Unknown:
		state = "unknown"
	}
	return "", p.Signer.String(), state
}

// signatures are what is known here of the signatures of packages.
type signatures map[*install.Package]install.Signature

func (w *session) signatures(ctx context.Context, r *install.Result) (signatures, error) {
	all := slices.Concat(r.Added, r.Removed, r.Restored, r.Kept)
	for _, c := range r.Changed {
		all = append(all, c.After)
		if c.Before != nil {
			all = append(all, c.Before)
		}
	}
	found := signatures{}
	for _, p := range all {
		s, err := install.SignatureOf(ctx, p, w.sources.Records)
		if err != nil {
			return nil, err
		}
		found[p] = s
	}
	return found, nil
}

func describeResult(r *install.Result, s signatures) resultJSON {
	j := resultJSON{Added: []packageJSON{}, Changed: []changeJSON{}, Removed: []packageJSON{}, Unchanged: r.Unchanged}
	for _, p := range r.Added {
		j.Added = append(j.Added, s.describe(p))
	}
	for _, c := range r.Changed {
		change := changeJSON{After: s.describe(c.After)}
		if c.Before != nil {
			before := s.describe(c.Before)
			change.Before = &before
		}
		j.Changed = append(j.Changed, change)
	}
	for _, p := range r.Removed {
		j.Removed = append(j.Removed, s.describe(p))
	}
	for _, p := range r.Restored {
		j.Restored = append(j.Restored, s.describe(p))
	}
	for _, p := range r.Kept {
		j.Taken = append(j.Taken, s.describe(p))
	}
	for _, d := range r.Saved {
		j.Saved = append(j.Saved, savedJSON{d.Name, d.Spec})
	}
	for _, d := range r.Skipped {
		j.Skipped = append(j.Skipped, fmt.Sprintf("%s: %v", d.Name, d.Err))
	}
	for _, p := range r.Scripts {
		j.Scripts = append(j.Scripts, packageText(p))
	}
	for _, w := range r.Warnings {
		text := w.Text
		if w.Path != "" {
			text = w.Path + ": " + text
		}
		j.Warnings = append(j.Warnings, ui.Safe(text))
	}
	return j
}

func printResult(ctx context.Context, a cli.App, w *session, r *install.Result, annotations []annotation) error {
	signed, err := w.signatures(ctx, r)
	if err != nil {
		return err
	}
	j := describeResult(r, signed)
	for _, x := range annotations {
		j.Notices = append(j.Notices, x.describe()...)
	}
	if a.JSON {
		return a.Emit(j)
	}
	rows := [][]string{}
	for _, p := range r.Added {
		rows = append(rows, resultRow(ctx, a, w, "+", p, signed[p]))
	}
	for _, c := range r.Changed {
		row := resultRow(ctx, a, w, "~", c.After, signed[c.After])
		if c.Before != nil {
			row = append(row, "was "+packageText(c.Before))
		}
		rows = append(rows, row)
	}
	for _, p := range r.Restored {
		rows = append(rows, append(resultRow(ctx, a, w, "=", p, signed[p]), "written again"))
	}
	for _, p := range r.Removed {
		rows = append(rows, []string{"-", packageText(p)})
	}
	a.ColumnsOf(rows, 2, nil)
	for _, s := range j.Skipped {
		a.Note("skipped the optional %s", ui.Safe(s))
	}
	for _, t := range j.Warnings {
		a.Warn("%s", t)
	}
	for _, s := range j.Scripts {
		a.Note("%s has install scripts, which were not run", s)
	}
	for _, p := range r.Kept {
		a.Note("%s was there already, and is the very module: taken as it is", packageText(p))
	}
	if len(rows) > 0 {
		return nil
	}
	return noteInPlace(a, w, r)
}

// noteInPlace says that no package had to be written.
func noteInPlace(a cli.App, w *session, r *install.Result) error {
	switch in := ui.Plural(int64(r.Unchanged+len(r.Kept)), "package"); {
	case r.Linked:
		a.Note("%s in place; their commands were linked again", in)
	case len(r.Kept) > 0:
		a.Note("%s in place", in)
	default:
		wanted, err := w.project.Dependencies()
		if err != nil {
			return err
		}
		if len(wanted) == 0 {
			a.Note("nothing to do: no esDependencies in package.json")
			a.Hint("es add NAME; npm installs what other lists there name")
			return nil
		}
		asked, err := w.news.DoneText(w.home)
		if err != nil {
			return err
		}
		a.Note("nothing to do: %s in place%s", in, asked)
	}
	return nil
}

// resultRow shows one installed package with its signer, as far as that was verified here.
func resultRow(ctx context.Context, a cli.App, w *session, sign string, p *install.Package, s install.Signature) []string {
	who := "by CID, signed by nobody"
	switch s.Standing {
	case install.Signed, install.Invalid:
		uid, err := cli.UserID(ctx, w.home, p.Signer)
		if err != nil {
			uid = ""
		}
		if registry := w.evaluator.Registry(p.Signer); registry != "" {
			uid = "the registry " + registry
		}
		who = fmt.Sprintf("signed by %s (%s)", cli.SignerText(w.evaluator.Label(p.Signer), uid, 1), p.Signer)
		if s.Standing == install.Invalid {
			who += ", which does not count any more: " + ui.Safe(s.Why)
		}
	case install.Unknown:
		who = fmt.Sprintf("signer not known here; es-lock.json says %s", p.Signer)
	case install.Contradicted:
		who = fmt.Sprintf("not what its record says; es-lock.json says %s", p.Signer)
	}
	return []string{sign, packageText(p), ui.Plural(p.Files, "file") + ", " + ui.BytesText(p.Size), who}
}

func packageText(p *install.Package) string {
	if p.Version == "" {
		return string(p.Name) + "@" + p.Module.String()
	}
	return fmt.Sprintf("%s@%s", p.Name, p.Version)
}
