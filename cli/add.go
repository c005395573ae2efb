package cli

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

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func (a *app) addCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "add NAME[@VERSION|@RANGE|@TAG|@CID]...",
		Short: "install modules and write them into package.json",
		Long: `Resolves each name among what the keys you trust have signed, fetches the module
by its CID from whoever has it, checks it, and puts it into node_modules with
what it depends on. package.json gets an entry in esDependencies; es-lock.json
holds the CIDs, records and signers. No script runs.

NAME@CID takes any UnixFS directory, whoever made it, such as one from ipfs add
-r.`,
		Args: arguments(1, -1, "at least one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runAdd(cmd, o, args)
		},
	}
	o.flags(cmd)
	return cmd
}

func (a *app) runAdd(cmd *cobra.Command, o installOptions, args []string) error {
	requests := make([]install.Request, len(args))
	for i, s := range args {
		r, err := install.ParseRequest(s)
		if err != nil {
			return usagef(cmd, "%v", err)
		}
		requests[i] = r
	}
	var project *install.Project
	err := a.inProject(cmd, o, func(ctx context.Context, w *work) (*install.Result, error) {
		if err := a.careful(w, requests); err != nil {
			return nil, err
		}
		project = w.project
		return w.project.Add(ctx, w.sources, requests, w.options)
	})
	if err != nil {
		return err
	}
	return a.warnBeside(project)
}

type installOptions struct {
	yes        bool
	force      bool
	frozen     bool
	audit      bool
	acceptKeys []string
}

func (o *installOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.audit, "audit", false, "look at all that is installed, and fail when a key that you believe warns of a vulnerability")
	cmd.Flags().BoolVar(&o.force, "force", false, "write every package again, even where something else put one")
	cmd.Flags().StringArrayVar(&o.acceptKeys, "accept-key", nil, "fingerprint that may sign here what it did not sign before; may be repeated")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "let in all keys that sign something here for the first time")
}

func (a *app) installCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:     "install [NAME...]",
		Aliases: []string{"i"},
		Short:   "install what package.json and es-lock.json ask for",
		Long: `Makes node_modules agree with es-lock.json. With --frozen that is all: CIDs
decide, no key and no trust is asked, nothing is written but node_modules, and a
lockfile that does not fit package.json is an error.

With names it does what es add does.`,
		Args: arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && o.frozen {
				return usagef(cmd, "--frozen takes no names: it installs what es-lock.json has, and adds nothing")
			}
			if len(args) > 0 {
				return a.runAdd(cmd, o, args)
			}
			return a.inProject(cmd, o, func(ctx context.Context, w *work) (*install.Result, error) {
				return w.project.Install(ctx, w.sources, w.options)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.frozen, "frozen", false, "install exactly es-lock.json, and change no file of the project")
	return cmd
}

func (a *app) updateCommand() *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:     "update [NAME...]",
		Aliases: []string{"up", "upgrade"},
		Short:   "take the newest versions that package.json allows",
		Long: `Resolves the names again wherever they stand in node_modules, without names
everything, and installs the newest versions that package.json and the packages
that need them allow. es-lock.json keeps the rest, and package.json stays as it
is.

A module that another key signs than before is not taken before you accept the
key.`,
		Args: arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := parseNames(cmd, args)
			if err != nil {
				return err
			}
			return a.inProject(cmd, o, func(ctx context.Context, w *work) (*install.Result, error) {
				if err := a.careful(w, nil); err != nil {
					return nil, err
				}
				return w.project.Update(ctx, w.sources, names, w.options)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func (a *app) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME...",
		Aliases: []string{"rm", "uninstall", "un", "r"},
		Short:   "remove modules from package.json and node_modules",
		Args:    arguments(1, -1, "at least one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := parseNames(cmd, args)
			if err != nil {
				return err
			}
			return a.inProject(cmd, installOptions{}, func(ctx context.Context, w *work) (*install.Result, error) {
				return w.project.Remove(ctx, w.sources, names, w.options)
			})
		},
	}
}

func parseNames(cmd *cobra.Command, args []string) ([]records.Name, error) {
	names := make([]records.Name, len(args))
	for i, s := range args {
		n, err := records.ParseName(s)
		if err != nil {
			return nil, usagef(cmd, "%v", err)
		}
		names[i] = n
	}
	return names, nil
}

// work is one change of the project in the current directory.
type work struct {
	home    *home.Home
	view    *trust.View // of nobody while distrust is set
	project *install.Project
	news    *news // nil when nobody may be asked
	sources install.Sources
	options install.Options

	// distrust is why the trust files cannot be read: what needs no trust is done all the
	// same, and nothing else.
	distrust error
}

func (a *app) inProject(cmd *cobra.Command, o installOptions, f func(context.Context, *work) (*install.Result, error)) error {
	accepted, err := parseFingerprints(cmd, o.acceptKeys)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	open := home.Open
	if o.frozen {
		open = openFrozen
	}
	return a.withHomeOpened(ctx, open, func(h *home.Home) error {
		p, err := openProject(h)
		if err != nil {
			return err
		}
		if key, err := h.MakeNoteKey(); err == nil { // or this note counts for nobody
			p.NoteKey = key
		}
		w := &work{home: h, project: p}
		if err := w.look(); err != nil {
			return err
		}
		if w.distrust != nil && o.audit {
			return w.distrust
		}
		bar := a.NewProgress()
		keys := &approval{work: w, ctx: ctx, app: a, accepted: accepted, yes: o.yes, bar: bar}
		var letIn []records.Fingerprint
		if !o.frozen { // which asks nobody
			if letIn, err = h.GrantedKeys(p.Dir()); err != nil {
				return err
			}
		}
		w.options = install.Options{Force: o.force, Frozen: o.frozen, Progress: stages(bar), LetIn: letIn, Approve: keys.approve, FindNode: nodeVersion}
		w.sources = here(h)
		w.sources.Resolver = &resolver{w}
		if !a.Offline && !h.ReadOnly() {
			network := &joined{app: a, home: h}
			defer network.close()
			w.news = &news{app: a, home: h, network: network}
			w.sources.Fetcher = &fetcher{network, bar}
		}
		result, err := f(ctx, w)
		bar.End()
		if err != nil {
			if err = w.witness(ctx).refused(err); h.ReadOnly() && errors.As(err, new(*install.MissingError)) {
				return ui.Coded(ui.ExitUnreachable, err, "nothing can be fetched into a home that cannot be written")
			}
			return installHint(err)
		}
		a.rememberLetIn(ctx, w, result.Signers)
		if w.distrust != nil {
			a.Warn("%s", ui.Message(w.distrust))
		}
		if err := a.warnLocked(ctx, w); err != nil {
			return err
		}
		remarks, err := w.remarks(ctx, touched(result), o.audit)
		if err != nil {
			return err
		}
		if err := a.printResult(ctx, w, result, remarks); err != nil {
			return err
		}
		for _, r := range remarks {
			a.remark(r, !o.audit)
		}
		if o.audit {
			return w.witness(ctx).audit(remarks)
		}
		return nil
	})
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
	return install.Sources{Blocks: h.Blocks(), Records: verifiedRecords{h.Index()}}
}

// verifiedRecords tells install what the index has verified.
type verifiedRecords struct{ index *index.Index }

// Release implements install.Records.
func (v verifiedRecords) Release(ctx context.Context, record cid.Cid) (*install.Resolution, bool, error) {
	s, err := v.index.Statement(ctx, record)
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
	return resolution(index.Release{Meta: s.Meta, Body: body}), true, nil
}

// warnBeside says what other package managers do to what es installs, and what helps.
func (a *app) warnBeside(p *install.Project) error {
	b, err := p.OtherManagers()
	if err != nil {
		return err
	}
	for _, client := range b.Names {
		switch {
		case client == "npm" && b.Hook:
		case client == "npm":
			a.Warn("npm removes what es puts into node_modules at its next install, ci or prune")
			a.Hint(`with %s in package.json, npm has es put it back`, install.Hook)
		default:
			a.Warn("%s may remove what es puts into node_modules at its next install", client)
			a.Hint("es install --frozen after it puts that back")
		}
	}
	return nil
}

// rememberLetIn keeps the user's answers for the project. Where that fails the user is
// asked again the next time.
func (a *app) rememberLetIn(ctx context.Context, w *work, s install.Signers) {
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
func (w *work) look() (err error) {
	w.view, err = w.home.ProjectView(filepath.Join(w.project.Dir(), trust.ProjectFile), time.Now())
	if errors.As(err, new(*trust.SyntaxError)) {
		w.distrust, w.view = err, trust.NewView(nil, nil, time.Now())
		return nil
	}
	return err
}

func (w *work) witness(ctx context.Context) witness { return witness{ctx, w.home, w.view} }

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
func (a *app) warnLocked(ctx context.Context, w *work) error {
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
		if p.Record.Defined() && w.view.Denied(p.Signer) {
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
			return nil, usagef(cmd, "%v", err)
		}
		keys = append(keys, f)
	}
	return keys, nil
}

// installHint adds what to type next to the errors of package install.
func installHint(err error) error {
	var (
		missing  *install.MissingError
		disagree *install.DisagreeError
		occupied *install.OccupiedError
		notFound *install.NotFoundError
		bound    *install.BoundError
	)
	switch {
	case errors.As(err, &missing):
		return ui.Coded(ui.ExitUnreachable, err, "leave out --offline to fetch it")
	case errors.As(err, &disagree):
		return ui.Hinted(err, "es install, without --frozen, brings the two together")
	case errors.As(err, &occupied) && occupied.By != "":
		return ui.Coded(ui.ExitFailed, err,
			"take it out of what the other package manager installs (npm uninstall NAME), and then this again",
			"--force replaces it until the other package manager puts its own back")
	case errors.As(err, &occupied):
		return ui.Hinted(err, "--force replaces it")
	case errors.As(err, &bound):
		return ui.Hinted(err, "add one package at a time to see which brings so many, and leave that one out")
	case errors.As(err, &notFound):
		return ui.Coded(ui.ExitNotFound, err, "es list shows what is there")
	}
	return err
}
