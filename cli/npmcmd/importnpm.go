package npmcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/ci"
	"github.com/everythingstays/es/npm/closure"
	"github.com/everythingstays/es/npm/importer"
	"github.com/everythingstays/es/npm/packagelock"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

type importOptions struct {
	lockfile    string
	deps        bool
	dev         bool
	allVersions bool
	dryRun      bool
	registry    string
	publish     bool
	key         string
}

func importNPMCommand(a cli.App, sign SignImports) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "npm [NAME[@RANGE]...]",
		Short: "take packages from an npm registry, with what they depend on",
		Long: `Fetches packages from the registry that npm is configured for, checks their
SHA-512, keeps the tarballs and makes modules of them: exactly the files that
npm leaves in node_modules. It is a fact of this home: nothing is signed and
nothing published, unless with --publish, which signs releases with where they
came from and announces them. What is here already is not asked for.

With --lockfile it takes what a package-lock.json names.`,
		Example: `  es import npm left-pad
  es import npm express@4 --deps=false
  es import npm --lockfile package-lock.json`,
		Args: cli.Arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.lockfile == "" && len(args) == 0:
				return cli.Usagef(cmd, "name packages, or --lockfile package-lock.json")
			case o.lockfile != "" && len(args) > 0:
				return cli.Usagef(cmd, "--lockfile takes what the lockfile names, and no other names")
			case o.publish && (o.lockfile != "" || o.dryRun):
				return cli.Usagef(cmd, "--publish is for packages that are named, whose signatures the registry is asked for")
			case a.Offline:
				return cli.Usagef(cmd, "--offline asks no registry")
			}
			return runImport(cmd.Context(), a, o, args, sign)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.lockfile, "lockfile", "", "take the packages of this package-lock.json")
	f.BoolVar(&o.deps, "deps", true, "take what the packages depend on, too")
	f.BoolVar(&o.dev, "dev", true, "with --lockfile: take what is for development, too")
	f.BoolVar(&o.allVersions, "all-versions", false, "take all versions of the packages that are named")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be fetched, and fetch nothing")
	f.StringVar(&o.registry, "registry", "", "ask this registry")
	f.BoolVar(&o.publish, "publish", false, "sign releases of what was imported, and announce them")
	f.StringVar(&o.key, "key", "", "fingerprint of the own key that signs (default: es key use)")
	f.BoolVar(&a.First, "first", false, "the key has signed nothing that is not here, also where no peer can be asked")
	return cmd
}

// importResult is what import prints as JSON.
type importResult struct {
	Imported []importedDoc `json:"imported"`
	Known    int           `json:"known"`
	Failed   []failedDoc   `json:"failed"`
	DryRun   bool          `json:"dryRun,omitempty"`
	Signed   int           `json:"signed,omitempty"`

	trees []*unpacked.Package
}

type importedDoc struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Module  string `json:"module,omitempty"`
	SHA512  string `json:"integrity,omitempty"`
	Links   int    `json:"linksLeftOut,omitempty"`
}

type failedDoc struct {
	Package string `json:"package"`
	Error   string `json:"error"`

	mayPass bool
}

func failureOf(name string, err error) failedDoc {
	return failedDoc{Package: name, Error: ui.Message(err), mayPass: registry.MayPass(err)}
}

func runImport(ctx context.Context, a cli.App, o importOptions, args []string, sign SignImports) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	from, err := openRegistries(a, dir, o.registry)
	if err != nil {
		return err
	}
	defer from.client.Close()
	from.full = o.publish
	bar := a.NewProgress()
	defer bar.End()
	bar.Stage("asking the registry", "")
	start := time.Now()
	var packages []importer.Package
	var failed []failedDoc
	if o.lockfile != "" {
		packages, err = lockedPackages(ctx, from, o.lockfile, o)
	} else {
		packages, failed, err = neededPackages(ctx, from, args, o)
	}
	if err != nil {
		return err
	}
	result := importResult{Imported: []importedDoc{}, Failed: append([]failedDoc{}, failed...), DryRun: o.dryRun}
	var bytes int64
	if o.dryRun {
		for i := range packages {
			result.Imported = append(result.Imported, importedDoc{Name: packages[i].Name, Version: string(packages[i].Version)})
		}
	} else if bytes, err = importPackages(ctx, a, from, packages, bar, &result); err != nil {
		return err
	}
	bar.End()
	if o.publish {
		if err := publishImports(ctx, a, o, &result, sign); err != nil {
			return err
		}
	}
	return printImport(a, &result, bytes, time.Since(start), from.hosts(ctx, namesOf(packages)))
}

// neededPackages finds what the names on the command line need.
func neededPackages(ctx context.Context, from *registries, args []string, o importOptions) ([]importer.Package, []failedDoc, error) {
	var requests []closure.Request
	for _, arg := range args {
		r := closure.Request{Name: arg}
		if i := strings.LastIndexByte(arg, '@'); i > 0 {
			r = closure.Request{Name: arg[:i], Spec: arg[i+1:]}
		}
		requests = append(requests, r)
	}
	runs := install.Platform{}.OrThis().Runs
	releases, failures, err := closure.Find(ctx, from, requests, closure.Options{Alone: !o.deps, AllVersions: o.allVersions, Runs: runs})
	if err != nil {
		return nil, nil, err
	}
	var failed []failedDoc
	for i := range failures {
		f := &failures[i]
		if f.By == "" && len(args) == 1 {
			if registry.Missing(f.Err) {
				return nil, nil, ui.Coded(ui.ExitNotFound, f)
			}
			return nil, nil, f
		}
		if !f.Optional {
			d := failureOf(f.Request.String(), f.Err)
			d.Error = ui.Message(f)
			failed = append(failed, d)
		}
	}
	var packages []importer.Package
	for i := range releases {
		p, err := packageOf(ctx, from, &releases[i])
		if err != nil {
			failed = append(failed, failureOf(releases[i].String(), err))
			continue
		}
		packages = append(packages, p)
	}
	return packages, failed, nil
}

// packageOf reads from a packument where a release's tarball is.
func packageOf(ctx context.Context, from *registries, r *closure.Release) (importer.Package, error) {
	base, err := from.base(ctx, r.Name)
	if err != nil {
		return importer.Package{}, err
	}
	dist, err := r.Info.Dist()
	if err != nil {
		return importer.Package{}, err
	}
	p := importer.Package{Name: r.Name, Version: r.Version, SHA1: dist.SHA1, Taken: &unpacked.Taken{Registry: base, Signatures: dist.Signatures}}
	if r.Published.Unix() > 0 {
		p.Taken.Published = r.Published.Unix()
	}
	if p.URL, err = tarballURL(base, r.Name, r.Info.Version, dist.Tarball); err != nil {
		return importer.Package{}, err
	}
	if dist.Integrity != "" {
		if hash, err := npm.ParseIntegrity(dist.Integrity); err == nil {
			p.Integrity = &hash
		}
	}
	return p, nil
}

func tarballURL(base, name, version, resolved string) (string, error) {
	url, ok := registry.TarballURL(base, name, version, resolved)
	if !ok {
		return "", fmt.Errorf("%s@%s: its tarball is at %q, and not at the registry that is configured, %q", name, version, resolved, base)
	}
	return url, nil
}

// lockedPackages reads the packages of a package-lock.json.
func lockedPackages(ctx context.Context, from *registries, file string, o importOptions) ([]importer.Package, error) {
	lock, err := readLock(file)
	if err != nil {
		return nil, err
	}
	plan, err := ci.NewPlan(lock, ci.Options{OmitDev: !o.dev, Runs: install.Platform{}.OrThis().Runs})
	if err != nil {
		return nil, err
	}
	packages, err := plannedPackages(ctx, from, plan.Packages)
	return packages, err
}

// plannedPackages says where the tarballs of a lockfile are, each once.
func plannedPackages(ctx context.Context, from *registries, placed []ci.Placed) ([]importer.Package, error) {
	var packages []importer.Package
	seen := make(map[string]bool)
	for i := range placed {
		p := &placed[i]
		key := p.Name + "@" + string(p.Version)
		if seen[key] {
			continue
		}
		seen[key] = true
		base, err := from.base(ctx, p.Name)
		if err != nil {
			return nil, err
		}
		url, err := tarballURL(base, p.Name, string(p.Version), p.URL)
		if err != nil {
			return nil, err
		}
		packages = append(packages, importer.Package{Name: p.Name, Version: p.Version, URL: url, Integrity: &p.SHA512})
	}
	return packages, nil
}

func readLock(file string) (*packagelock.File, error) {
	b, err := regularfile.Read(file, packagelock.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("read package-lock.json: %w", err)
	}
	_, text := regularfile.CutBOM(b)
	return packagelock.Parse(text)
}

// importPackages fetches and unpacks, and returns the bytes of the tarballs that came.
func importPackages(ctx context.Context, a cli.App, from *registries, packages []importer.Package, bar *ui.Progress, result *importResult) (int64, error) {
	var bytes int64
	err := a.WithStorage(func(h *home.Storage) error {
		done := 0
		results, err := importer.Import(ctx, importer.Config{
			Tarballs: from.client, Batch: h.Blocks().FileBatch(), Blocks: h.Blocks(), Trees: h.Trees(),
			Done: func(importer.Result) {
				done++
				bar.Stage("importing", fmt.Sprintf("%d of %d", done, len(packages)))
			},
		}, packages)
		for i := range results {
			bytes += result.add(&results[i])
		}
		return err
	})
	return bytes, err
}

// publishImports signs releases of what was imported.
func publishImports(ctx context.Context, a cli.App, o importOptions, result *importResult, sign SignImports) error {
	var releases []*records.Release
	for _, p := range result.trees {
		r, err := releaseOf(p)
		if err != nil {
			result.Failed = append(result.Failed, failureOf(p.Name+"@"+string(p.Version), err))
			continue
		}
		releases = append(releases, r)
	}
	if len(releases) == 0 {
		return nil
	}
	return a.WithHome(ctx, func(h *home.Home) (err error) {
		result.Signed, err = sign(ctx, a, h, o.key, releases)
		if err == nil && !a.JSON {
			a.Note("signed %s of imports", ui.Plural(int64(result.Signed), "release"))
		}
		return err
	})
}

// releaseOf is what a tree that was just taken from a registry is released as.
func releaseOf(p *unpacked.Package) (*records.Release, error) {
	name, err := records.ParseName(p.Name)
	if err != nil {
		return nil, err
	}
	from := p.Taken[len(p.Taken)-1]
	return &records.Release{
		Name: name, Version: p.Version, Module: p.Module, Size: p.Size, Files: p.Files, Manifest: p.Manifest,
		Origin: &records.Origin{Registry: from.Registry, Tarball: p.Tarball, SHA512: p.SHA512[:], Published: from.Published, Signatures: from.Signatures},
	}, nil
}

// add takes one result, and returns how many bytes came for it.
func (d *importResult) add(r *importer.Result) int64 {
	if r.Err == nil && r.Tree != nil && len(r.Tree.Taken) > 0 {
		d.trees = append(d.trees, r.Tree)
	}
	switch {
	case r.Err != nil:
		d.Failed = append(d.Failed, failureOf(r.Package.String(), r.Err))
	case r.Tree == nil: // it was not begun
	case r.Known:
		d.Known++
	default:
		d.Imported = append(d.Imported, importedDoc{r.Tree.Name, string(r.Tree.Version), r.Tree.Module.String(), npm.FormatIntegrity(r.Tree.SHA512), r.Links})
		return r.Tree.Length
	}
	return 0
}

var errNotAll = errors.New("not everything was imported")

func printImport(a cli.App, d *importResult, bytes int64, took time.Duration, hosts string) error {
	failed := func() error {
		switch {
		case len(d.Failed) == 0:
			return nil
		case slices.ContainsFunc(d.Failed, func(f failedDoc) bool { return f.mayPass }):
			return ui.Hinted(errNotAll, "the same command again asks for what is missing")
		}
		return errNotAll
	}
	if a.JSON {
		if err := a.Emit(d); err != nil {
			return err
		}
		return failed()
	}
	for _, f := range d.Failed {
		a.Warn("%s", strings.TrimPrefix(strings.TrimPrefix(f.Error, "import "), "find "))
	}
	switch {
	case d.DryRun:
		for _, p := range d.Imported {
			a.Printf("%s@%s", p.Name, p.Version)
		}
		a.Note("%s would be fetched from %s", ui.Plural(int64(len(d.Imported)), "package"), hosts)
		return failed()
	case len(d.Imported) == 0 && len(d.Failed) == 0 && d.Known == 0:
		a.Printf("there is nothing to import")
		return nil
	case len(d.Imported) == 0 && len(d.Failed) == 0:
		here := "the package was here already"
		if d.Known > 1 {
			here = fmt.Sprintf("all %d packages were here already", d.Known)
		}
		a.Printf("%s", here)
		return nil
	case len(d.Imported) == 0:
		return failed()
	}
	here := ""
	if d.Known > 0 {
		here = fmt.Sprintf("; %d more were here already", d.Known)
	}
	a.Printf("imported %s from %s: %s in %.1f s%s", ui.Plural(int64(len(d.Imported)), "package"), hosts, ui.BytesText(bytes), took.Seconds(), here)
	links := 0
	for _, p := range d.Imported {
		links += p.Links
	}
	if links > 0 {
		a.Note("%s of tarballs were left out, as npm leaves them out", ui.Plural(int64(links), "link"))
	}
	return failed()
}

func namesOf(packages []importer.Package) []string {
	var names []string
	for i := range packages {
		names = append(names, packages[i].Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
