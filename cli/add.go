package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
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

NAME@CID takes any UnixFS directory, whoever made it, such as one from ipfs add -r.`,
		Args: arguments(1, -1, "at least one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			requests := make([]install.Request, len(args))
			for i, s := range args {
				r, err := install.ParseRequest(s)
				if err != nil {
					return usagef(cmd, "%v", err)
				}
				requests[i] = r
			}
			return a.inProject(cmd, o, func(ctx context.Context, w *work) (*install.Result, error) {
				if err := a.careful(w, requests); err != nil {
					return nil, err
				}
				return w.project.Add(ctx, w.sources, requests, w.options)
			})
		},
	}
	o.flags(cmd)
	return cmd
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
		Use:   "install",
		Short: "install what package.json and es-lock.json ask for",
		Long: `Makes node_modules agree with es-lock.json. With --frozen that is all: CIDs
decide, no key and no trust is asked, nothing is written but node_modules, and a
lockfile that does not fit package.json is an error.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
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
		Use:   "update [NAME...]",
		Short: "take the newest versions that package.json allows",
		Long: `Resolves the names again wherever they stand in node_modules, without names
everything, and installs the newest versions that package.json and the packages
that need them allow. es-lock.json keeps the rest, and package.json stays as it is.

A module that another key signs than before is not taken before you accept the key.`,
		Args: arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := parseNames(cmd, args)
			if err != nil {
				return err
			}
			return a.inProject(cmd, o, func(ctx context.Context, w *work) (*install.Result, error) {
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
		Aliases: []string{"rm"},
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
	home    *node.Home
	view    *trust.View
	project *install.Project
	news    *news // nil when nobody may be asked
	sources install.Sources
	options install.Options
}

func (a *app) inProject(cmd *cobra.Command, o installOptions, f func(context.Context, *work) (*install.Result, error)) error {
	accepted, err := parseFingerprints(cmd, o.acceptKeys)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	return a.withHome(ctx, func(h *node.Home) error {
		p, err := install.Open(".")
		if err != nil {
			return err
		}
		w := &work{home: h, project: p}
		if err := w.look(ctx); err != nil {
			return err
		}
		bar := a.newProgress()
		keys := &approval{work: w, ctx: ctx, app: a, accepted: accepted, yes: o.yes, bar: bar}
		w.options = install.Options{Force: o.force, Frozen: o.frozen, Progress: bar.event, Approve: keys.approve}
		w.sources = install.Sources{Resolver: &resolver{w}, Blocks: h.Blocks()}
		if !a.offline {
			network := &joined{app: a, home: h}
			defer network.close()
			w.news = &news{app: a, home: h, network: network}
			w.sources.Fetcher = &fetcher{network, bar}
		}
		result, err := f(ctx, w)
		bar.end()
		if err != nil {
			return installHint(w.witness(ctx).refused(err))
		}
		if err := a.warnFrozen(ctx, w); err != nil {
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

// look reads anew whom the user believes, and what those say of each other.
func (w *work) look(ctx context.Context) (err error) {
	w.view, err = w.home.ProjectView(ctx, filepath.Join(w.project.Dir(), trust.ProjectFile), time.Now())
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

// warnFrozen names the locked packages whose signer has signed another module as
// the same version: they install by their CIDs, and could not be added again.
func (a *app) warnFrozen(ctx context.Context, w *work) error {
	proofs, err := w.home.Index().Equivocations(ctx)
	if err != nil || len(proofs) == 0 {
		return err
	}
	lock, err := w.project.Lockfile()
	if err != nil || lock == nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[path]
		if slices.ContainsFunc(proofs, func(x index.Proof) bool {
			return x.Author == p.Signer && x.Name == p.Name && x.Version == p.Version
		}) {
			a.warn("%s: key %s has signed two modules as this version; yours is the one in es-lock.json", packageText(p), p.Signer)
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
	)
	switch {
	case errors.As(err, &missing):
		return coded(exitUnreachable, err, "leave out --offline to fetch it")
	case errors.As(err, &disagree):
		return hinted(err, "es install, without --frozen, brings the two together")
	case errors.As(err, &occupied):
		return hinted(err, "--force replaces it")
	case errors.As(err, &notFound):
		return coded(exitNotFound, err, "es list shows what is there")
	}
	return err
}

// resolver answers install's questions from the index, as this user trusts it.
type resolver struct{ *work }

// Resolve implements install.Resolver.
func (r *resolver) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	res, err := r.home.Index().Resolve(ctx, name, spec.Text, r.view)
	if r.news != nil && r.news.wanted(spec, err) {
		if err := r.news.get(ctx, errors.As(err, new(*index.NotFoundError))); err != nil {
			return nil, err
		}
		if err := r.look(ctx); err != nil {
			return nil, err
		}
		res, err = r.home.Index().Resolve(ctx, name, spec.Text, r.view)
	}
	if err != nil {
		return nil, err
	}
	found := resolution(res.Release)
	for _, c := range res.Decision.Claims {
		if c.Effect == trust.Counts && c.Endorse == "" && c.Module == found.Module && c.Author != found.Signer {
			other, err := r.home.Index().Release(ctx, c.Record)
			if err != nil {
				return nil, err
			}
			found.Others = append(found.Others, resolution(other))
		}
	}
	return found, nil
}

func resolution(r index.Release) *install.Resolution {
	b := r.Body
	return &install.Resolution{
		Name: b.Name, Version: b.Version, Module: b.Module, Record: r.ID, Signer: r.Author,
		Size: b.Size, Files: b.Files, Manifest: b.Manifest, Pins: b.Pins, Origin: b.Origin,
	}
}

// How long a command without a daemon relies on what its home was told last, and
// how long it waits for peers to tell it more.
const (
	newsFresh   = 10 * time.Minute
	newsWait    = 2 * time.Second
	missingWait = 10 * time.Second // when it cannot go on without
)

// news asks peers for records, once for a command, when what the home knows may
// be out of date.
type news struct {
	app     *app
	home    *node.Home
	network *joined

	mu    sync.Mutex
	asked bool // with as much patience as there is
	tried bool
	peers int // that answered
}

// wanted reports whether peers may know better than the index: they cannot when
// it has exactly the version that is asked for, nor whom the user believes about a
// name.
func (n *news) wanted(spec install.Spec, err error) bool {
	if err == nil {
		_, err := records.ParseVersion(spec.Text)
		return err != nil
	}
	var untrusted *index.UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted.Decision.Rule.Scope != ""
	}
	return errors.As(err, new(*index.NotFoundError))
}

// get asks for news unless that happened lately. That nobody answers is no error.
func (n *news) get(ctx context.Context, missing bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked || n.tried && !missing {
		return nil
	}
	n.tried, n.asked = true, n.asked || missing
	last, err := n.home.Synced()
	if err != nil {
		return err
	}
	if !missing && time.Since(last) < newsFresh {
		return nil
	}
	network, err := n.network.join(ctx)
	if err != nil {
		return err
	}
	if _, daemon := network.(*node.Client); daemon && !missing {
		return nil // it asks by itself
	}
	wait := newsWait
	if missing {
		wait = missingWait
	}
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s, err := network.Sync(asking, node.SyncOptions{}, nil)
	n.peers = s.Peers
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && asking.Err() == nil:
		return err
	case s.Records > 0:
		n.app.note("%s from %s", newRecords(s), plural(int64(s.Peers), "peer"))
	case s.Peers == 0 && !last.IsZero():
		n.app.note("nobody could be asked for news; the last were of %s", last.Format("2006-01-02 15:04"))
	}
	return nil
}

// joined is the network, which a command joins when it first needs it: what is at
// hand needs none.
type joined struct {
	app  *app
	home *node.Home

	once    sync.Once
	network node.Network
	err     error
}

func (j *joined) join(ctx context.Context) (node.Network, error) {
	j.once.Do(func() { j.network, j.err = j.app.join(ctx, j.home) })
	if j.err != nil {
		return nil, fmt.Errorf("join the network: %w", j.err)
	}
	return j.network, nil
}

func (j *joined) close() {
	if j.network != nil {
		j.network.Close()
	}
}

// fetcher gets modules from other peers.
type fetcher struct {
	*joined
	bar *progress
}

// Fetch implements install.Fetcher.
func (f *fetcher) Fetch(ctx context.Context, name records.Name, want modules.Bounds) error {
	network, err := f.join(ctx)
	if err != nil {
		return err
	}
	err = network.Fetch(ctx, node.Want{Root: want.CID, Size: want.Size, Files: want.Files}, func(p node.Progress) { f.bar.fetched(name, p) })
	var unreachable *node.UnreachableError
	if errors.As(err, &unreachable) {
		return hinted(err, "es peers shows who is connected; es connect ADDR meets somebody who has it")
	}
	return err
}

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
		a.note("nothing to do: %s in place", plural(int64(r.Unchanged), "package"))
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
