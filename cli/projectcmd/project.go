package projectcmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// session is one change of the project in the current directory.
type session struct {
	home      *home.Home
	evaluator *trust.Evaluator // of nobody while distrust is set
	project   *install.Project
	news      *cli.News // nil when nobody may be asked
	sources   install.Sources
	options   install.Options

	tarballs tarballChecker
	// distrust is why the trust files cannot be read: what needs no trust is done all the
	// same, and nothing else.
	distrust error
}

// inProject opens the project of the current directory, has f change it, and shows what came of
// that.
func inProject(a cli.App, cmd *cobra.Command, o installOptions, f func(context.Context, *session) (*install.Result, error)) error {
	accepted, err := parseFingerprints(cmd, o.acceptKeys)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	open := home.Open
	if o.frozen {
		open = openFrozen
	}
	return a.WithHomeOpened(ctx, open, func(h *home.Home) error {
		p, err := openProject(h)
		if err != nil {
			return err
		}
		if key, err := h.MakeNoteKey(); err == nil { // or this note counts for nobody
			p.NoteKey = key
		}
		w := &session{home: h, project: p, tarballs: tarballChecker{home: h}}
		if err := w.look(); err != nil {
			return err
		}
		if w.distrust != nil && o.audit {
			return w.distrust
		}
		bar := a.NewProgress()
		keys := &approval{session: w, app: a, accepted: accepted, yes: o.yes, bar: bar}
		var before []records.Fingerprint
		if !o.frozen { // which asks nobody
			if before, err = h.GrantedKeys(p.Dir()); err != nil {
				return err
			}
		}
		w.options = install.Options{Force: o.force, Frozen: o.frozen, Progress: stages(bar), Accepted: before, Approve: func(s install.Signers) error { return keys.approve(ctx, s) }, FindNode: nodeVersion}
		w.sources = here(h)
		w.sources.Resolver = &resolver{w}
		if !a.Offline && !h.ReadOnly() {
			network := &cli.Joined{App: a, Home: h}
			defer network.Close()
			w.news = &cli.News{App: a, Home: h, Network: network}
			w.tarballs.fetch = &fetcher{network.Join, bar}
			w.sources.Fetcher = w.tarballs.fetch
		}
		result, err := f(ctx, w)
		bar.End()
		if err != nil {
			if err = w.explainer().Refused(ctx, err); h.ReadOnly() && errors.As(err, new(*install.MissingError)) {
				return ui.Coded(ui.ExitUnreachable, err, "nothing can be fetched into a home that cannot be written")
			}
			return installHint(err)
		}
		return report(ctx, a, w, o, result)
	})
}

// report shows what was done, and what there is to know about it.
func report(ctx context.Context, a cli.App, w *session, o installOptions, result *install.Result) error {
	rememberAccepted(ctx, a, w, result.Signers)
	if w.distrust != nil {
		a.Warn("%s", ui.Message(w.distrust))
	}
	if err := warnLocked(ctx, a, w); err != nil {
		return err
	}
	annotations, err := w.annotations(ctx, touched(result), o.audit)
	if err != nil {
		return err
	}
	if err := printResult(ctx, a, w, result, annotations); err != nil {
		return err
	}
	for _, r := range annotations {
		showAnnotation(a, r, !o.audit)
	}
	if o.audit {
		return audit(annotations)
	}
	return nil
}

// stages shows how far an installation is.
func stages(bar *ui.Progress) func(install.Event) {
	return func(e install.Event) {
		of := fmt.Sprintf("%d/%d", e.Done, e.Total)
		switch e.Stage {
		case install.Waiting:
			bar.Stage("waiting for another es in this project", "")
		case install.Resolving:
			bar.Stage("resolving", fmt.Sprintf("%d", e.Done))
		case install.Fetching:
			bar.Stage(ui.Fetching, of)
		case install.Writing:
			bar.Stage("installing", of)
		}
	}
}

// openProject opens the project of the current directory for this user.
func openProject(h *home.Home) (*install.Project, error) {
	p, err := install.Open(".")
	if key := h.NoteKey(); err == nil && key != nil {
		p.NoteKey = key
	}
	return p, err
}

// here is what the home has for an installation, without asking anybody.
func here(h *home.Home) install.Sources {
	return install.Sources{Blocks: h.Blocks(), Records: verifiedRecords{h}}
}

// verifiedRecords tells install what the index has verified.
type verifiedRecords struct{ home *home.Home }

// Release implements install.Records.
func (v verifiedRecords) Release(ctx context.Context, record cid.Cid) (*install.Resolution, bool, error) {
	s, err := v.home.Index().Statement(ctx, record)
	if errors.As(err, new(*index.NotFoundError)) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	body, ok := s.Record.Body.(*records.Release)
	if !ok {
		return nil, true, nil
	}
	r := resolution(index.Release{Meta: s.Meta, Body: body})
	if body.Origin != nil {
		r.Registries = v.registries(body)
	}
	return r, true, nil
}

// registries are the keys of the trust file that vouch for an import, whatever their scopes:
// whether they decide is another question than what they signed.
func (v verifiedRecords) registries(r *records.Release) []records.Fingerprint {
	file, err := v.home.Trust()
	if err != nil {
		return nil // as if it had no lines: what needs it says so
	}
	var keys []records.Fingerprint
	for _, t := range file.Authorities() {
		keys = append(keys, t.Vouchers(r, v.home.Unpacked)...)
	}
	return keys
}

// rememberAccepted keeps the user's answers for the project. Where that fails the user is
// asked again the next time.
func rememberAccepted(ctx context.Context, a cli.App, w *session, s install.Signers) {
	var keys []records.Fingerprint
	for _, c := range s.Changed {
		keys = append(keys, c.After.Signer)
	}
	for _, p := range s.First {
		keys = append(keys, p.Signer)
	}
	if w.options.Frozen || len(keys) == 0 {
		return
	}
	if err := w.home.RememberGrants(ctx, w.project.Dir(), keys); err != nil {
		a.Warn("%v", err)
	}
}

// openFrozen opens a home that need not be written, as long as what is wanted is in it.
func openFrozen(ctx context.Context, dir string) (*home.Home, error) {
	h, err := home.Open(ctx, dir)
	if errors.Is(err, home.ErrReadOnly) || errors.Is(err, home.ErrForeign) {
		return home.OpenForReading(ctx, dir)
	}
	return h, err
}

// look reads anew whom the user believes, and what those say of each other.
func (w *session) look() (err error) {
	w.evaluator, err = w.home.ProjectEvaluator(filepath.Join(w.project.Dir(), trust.ProjectFile), time.Now())
	if errors.As(err, new(*trust.SyntaxError)) {
		w.distrust, w.evaluator = err, trust.NewEvaluator(nil, nil, time.Now())
		return nil
	}
	return err
}

func (w *session) explainer() cli.Explainer {
	return cli.NewExplainer(w.home, w.evaluator)
}

// touched returns what an installation has put in place.
func touched(r *install.Result) map[string]bool {
	all := map[string]bool{}
	for _, p := range r.Added {
		all[packageText(p)] = true
	}
	for _, c := range r.Changed {
		all[packageText(c.After)] = true
	}
	return all
}

// warnLocked names the locked packages that install by their CIDs, and could not be added
// again: their signer has signed another module as the same version, or the user denies it.
func warnLocked(ctx context.Context, a cli.App, w *session) error {
	proofs, err := w.home.Index().Equivocations(ctx)
	if err != nil {
		return err
	}
	lock, err := w.project.Lockfile()
	if err != nil || lock == nil {
		return err
	}
	told := map[string]bool{} // one that stands at several paths is told of once
	for _, path := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[path]
		key := packageText(p) + " " + p.Signer.String()
		if told[key] {
			continue
		}
		told[key] = true
		if slices.ContainsFunc(proofs, func(x index.Proof) bool {
			return x.Author == p.Signer && x.Name == p.Name && x.Version == p.Version
		}) {
			a.Warn("%s: key %s has signed two modules as this version; yours is the one in es-lock.json", packageText(p), p.Signer)
		}
		if p.Record.Defined() && w.evaluator.Denied(p.Signer) {
			signature, err := w.signature(ctx, p)
			if err != nil {
				return err
			}
			a.Warn("%s is %s; you deny this key, and es-lock.json alone has the module installed", packageText(p), signature)
		}
	}
	return nil
}

func parseFingerprints(cmd *cobra.Command, args []string) ([]records.Fingerprint, error) {
	var keys []records.Fingerprint
	for _, s := range args {
		f, err := records.ParseFingerprint(s)
		if err != nil {
			return nil, cli.Usagef(cmd, "%v", err)
		}
		keys = append(keys, f)
	}
	return keys, nil
}
