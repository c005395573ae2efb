package projectcmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/records"
)

// approval decides whether keys may sign what they did not sign in es-lock.json.
type approval struct {
	*session
	app      cli.App
	accepted []records.Fingerprint // by --accept-key
	yes      bool                  // to keys that sign something here for the first time
	bar      *ui.Progress
}

// approve implements install.Options.Approve. A signer that changes stops the
// installation whoever is there to ask: a question in the middle of an update is
// answered too easily.
func (p *approval) approve(ctx context.Context, s install.Signers) error {
	p.bar.Clear()
	if p.distrust != nil && len(s.Changed)+len(s.First) > 0 {
		return p.distrust
	}
	if err := p.changed(ctx, s.Changed); err != nil {
		return err
	}
	return p.first(ctx, s.First)
}

func (p *approval) changed(ctx context.Context, changes []install.Change) error {
	r := &ui.Refusal{Kind: cli.SignerChanged, Code: ui.ExitTrust, Meaning: cli.Meanings[cli.SignerChanged] + "\nNothing was installed."}
	var names []string
	var accept []records.Fingerprint
	for _, c := range changes {
		said, followed, err := p.succeeds(ctx, c)
		switch {
		case err != nil:
			return err
		case slices.Contains(p.accepted, c.After.Signer):
		case followed && p.evaluator.Registry(c.After.Signer) != "":
			p.app.Note("%s: %s signed it by another key, %s, which your trust file has too", c.After.Name, p.evaluator.Registry(c.After.Signer), c.After.Signer)
		case followed:
			p.app.Note("%s: %s succeeds %s, as both keys say and your trust file follows", c.After.Name, c.After.Signer, c.Before.Signer)
		default:
			names = append(names, fmt.Sprintf("%s, since %s", packageText(c.After), c.Before.Version))
			before, err := p.signature(ctx, c.Before)
			if err != nil {
				return err
			}
			r.Add("before", "%s, %s", packageText(c.Before), before)
			r.Add("now", "%s, signed by %s", packageText(c.After), p.explainer().Who(ctx, c.After.Signer))
			if said {
				r.Add("but", "both keys say that the new one succeeds the old one")
			}
			accept = append(accept, c.After.Signer)
		}
	}
	if len(names) == 0 {
		return nil
	}
	r.About = strings.Join(names, "; ")
	r.Err = errors.New("another key than before signs " + r.About)
	r.Next = []string{p.app.Again(acceptKeys(accept)...) + "   (accepts the change)"}
	return r
}

// signature says who signed a package, as far as that was verified here; what es-lock.json
// says alone is told as that.
func (w *session) signature(ctx context.Context, p *install.Package) (string, error) {
	s, err := install.SignatureOf(ctx, p, w.sources.Records)
	if err != nil {
		return "", err
	}
	who := w.explainer().Who(ctx, p.Signer)
	switch s.Standing {
	case install.Signed:
		return "signed by " + who, nil
	case install.Invalid:
		return fmt.Sprintf("by %s, whose signature does not count: %s", who, s.Why), nil
	case install.Unknown:
		return fmt.Sprintf("by %s as es-lock.json says: its record is not here", who), nil
	case install.Contradicted:
		return fmt.Sprintf("by %s as es-lock.json says, while the record %s", who, s.Why), nil
	}
	return "by CID, signed by nobody", nil
}

// succeeds reports whether both keys say that the new signer succeeds the old one,
// and whether the new one decides for that reason.
func (p *approval) succeeds(ctx context.Context, c install.Change) (said, followed bool, err error) {
	ruling, err := p.evaluator.Ruling(ctx, c.After.Name)
	if err != nil {
		return false, false, err
	}
	said, followed = ruling.Succeeds(c.After.Signer, c.Before.Signer)
	return said, followed, nil
}

// first shows keys that sign something in this project for the first time, and
// asks.
func (p *approval) first(ctx context.Context, packages []*install.Package) error {
	own, err := p.home.Keys(ctx)
	if err != nil {
		return err
	}
	known := slices.Clone(p.accepted)
	for _, k := range own {
		known = append(known, k.Fingerprint())
	}
	r := &ui.Refusal{Kind: cli.FirstUse, Code: ui.ExitTrust, Meaning: cli.Meanings[cli.FirstUse] + "\nNothing was installed."}
	keys := map[records.Fingerprint][]*install.Package{}
	var order []records.Fingerprint
	for _, q := range packages {
		if slices.Contains(known, q.Signer) {
			continue
		}
		if keys[q.Signer] == nil {
			order = append(order, q.Signer)
		}
		keys[q.Signer] = append(keys[q.Signer], q)
	}
	if len(order) == 0 || p.yes {
		return nil
	}
	for _, key := range order {
		if err := p.describeSigner(ctx, r, key, keys[key]); err != nil {
			return err
		}
	}
	r.About = ui.Plural(int64(len(order)), "key") + " in this project"
	r.Err = fmt.Errorf("%s that you have not let into this project", ui.Plural(int64(len(order)), "key"))
	r.Next = []string{p.app.Again(acceptKeys(order)...)}
	if !p.app.Asks {
		return r
	}
	r.Meaning = cli.Meanings[cli.FirstUse]
	p.app.Errf("es: %s", ui.Lines(r.Block(p.app.ErrColumns)))
	question := "Let it in?"
	if len(order) > 1 {
		question = "Let them in?"
	}
	ok, err := p.app.Ask(ctx, question, false, "")
	if err != nil || ok {
		return err
	}
	return ui.Coded(ui.ExitTrust, errors.New("nothing was installed"))
}

// describeSigner shows a key that is new here, with what it signs and how it comes to
// decide.
func (p *approval) describeSigner(ctx context.Context, r *ui.Refusal, key records.Fingerprint, packages []*install.Package) error {
	r.Add("key", "%s", p.explainer().Who(ctx, key))
	for i, q := range packages {
		if i == cli.MaxClaims {
			r.Add("and", "%d more", len(packages)-i)
			break
		}
		r.Add("signs", "%s", packageText(q))
	}
	ruling, err := p.evaluator.Ruling(ctx, packages[0].Name)
	if err != nil {
		return err
	}
	if way := ruling.Path(key); way != nil {
		r.Add("let in by", "%s", strings.Join(cli.ViaText(way), ", "))
	}
	return nil
}

// acceptKeys are the arguments that accept the keys, each once.
func acceptKeys(keys []records.Fingerprint) []string {
	var args []string
	for i, k := range keys {
		if !slices.Contains(keys[:i], k) {
			args = append(args, "--accept-key", k.String())
		}
	}
	return args
}
