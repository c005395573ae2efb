package npmcmd

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/npm/ci"
	"github.com/everythingstays/es/npm/importer"
	"github.com/everythingstays/es/npm/packagelock"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

type ciOptions struct {
	omit      []string
	fetchOnly bool
	noPolicy  bool
	registry  string
}

func ciCommand(a cli.App) *cobra.Command {
	var o ciOptions
	cmd := &cobra.Command{
		Use:   "ci",
		Short: "install exactly what package-lock.json says",
		Long: `Removes node_modules and installs exactly what package-lock.json says, without
changing it. Files are linked from this home; what is not here is fetched from
the registry that npm is configured for, and every tarball must have the SHA-512
of the lockfile. No script runs, and nobody is trusted. Pins of the trust file
hold.

The old node_modules stays until the new one is complete.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, kind := range o.omit {
				if !slices.Contains([]string{"dev", "optional", "peer"}, kind) {
					return cli.Usagef(cmd, "--omit takes dev, optional and peer, not %q", kind)
				}
			}
			return runCI(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.omit, "omit", nil, "leave out dev, optional or peer; NODE_ENV=production leaves out dev")
	f.BoolVar(&o.fetchOnly, "fetch-only", false, "fetch what is missing into this home, and install nothing")
	f.BoolVar(&o.noPolicy, "no-policy", false, "do not look at the pins of the trust file")
	f.StringVar(&o.registry, "registry", "", "ask this registry for what is missing")
	return cmd
}

// ciResult is what ci prints as JSON.
type ciResult struct {
	Packages int      `json:"packages"`
	Files    int      `json:"files"`
	Fetched  int      `json:"fetched"`
	Copied   int      `json:"copied,omitempty"`
	Skipped  []string `json:"skipped,omitempty"`
	Scripts  []string `json:"scriptsNotRun,omitempty"`
}

func runCI(ctx context.Context, a cli.App, o ciOptions) error {
	start := time.Now()
	dir, plan, err := readProject(a, o)
	if err != nil {
		return err
	}
	bar := a.NewProgress()
	defer bar.End()
	result := ciResult{Packages: len(plan.Packages), Skipped: plan.Skipped, Scripts: plan.Scripts}
	err = a.WithStorage(func(h *home.Storage) error {
		if err := checkPolicy(h, o); err != nil {
			return err
		}
		unlock, err := lockInstalls(ctx, a, filepath.Join(h.Dir(), "ci.lock"))
		if err != nil {
			return err
		}
		defer unlock()
		trees, fetched, err := fetchMissing(ctx, a, h, plan, dir, o, bar)
		if err != nil {
			return err
		}
		result.Fetched = fetched
		if err := checkPins(h, plan, trees, o); err != nil || o.fetchOnly {
			return err
		}
		bar.Stage("linking", "")
		done, err := installPlan(ctx, a, h, plan, trees, dir, o)
		result.Files, result.Copied = done.Files, done.Copied
		return err
	})
	if err != nil {
		return err
	}
	bar.End()
	return printCI(a, &result, o, time.Since(start))
}

// quietWait is how long another installation is waited for without a word.
const quietWait = 2 * time.Second

// lockInstalls waits until no other es ci is at work with this home.
func lockInstalls(ctx context.Context, a cli.App, file string) (unlock func(), err error) {
	soon, cancel := context.WithTimeout(ctx, quietWait)
	defer cancel()
	unlock, err = filelock.Wait(soon, file, 0)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return unlock, err
	}
	a.Note("another es ci is at work with this home: waiting for it")
	return filelock.Wait(ctx, file, 0)
}

// readProject reads package.json and the lockfile of the directory, which must agree.
func readProject(a cli.App, o ciOptions) (dir string, plan *ci.Plan, err error) {
	if dir, err = os.Getwd(); err != nil {
		return "", nil, err
	}
	file := filepath.Join(dir, "npm-shrinkwrap.json")
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		file = filepath.Join(dir, "package-lock.json")
	}
	lock, err := readLock(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, ui.Coded(ui.ExitNotFound, errors.New("there is no package-lock.json here"),
			"npm install --package-lock-only makes one", "es install installs what es-lock.json says")
	}
	if err != nil {
		return "", nil, err
	}
	root, err := readRoot(filepath.Join(dir, "package.json"))
	if err != nil {
		return "", nil, err
	}
	if err := ci.CheckRoot(lock, root); err != nil {
		return "", nil, ui.Hinted(err, "npm install --package-lock-only brings the two together")
	}
	omit := func(kind string) bool { return slices.Contains(o.omit, kind) }
	plan, err = ci.NewPlan(lock, ci.Options{
		OmitDev: omit("dev") || a.Getenv("NODE_ENV") == "production", OmitOptional: omit("optional"), OmitPeer: omit("peer"),
		Runs: install.Platform{}.OrThis().Runs,
	})
	var problems *ci.LockError
	if errors.As(err, &problems) {
		for _, p := range problems.Problems[1:] {
			a.Warn("%q %s", p.Path, p.Reason)
		}
	}
	return dir, plan, err
}

// readRoot reads what package.json asks for.
func readRoot(file string) (packagelock.Root, error) {
	b, err := regularfile.Read(file, packagelock.MaxFile)
	if err != nil {
		return packagelock.Root{}, fmt.Errorf("read package.json: %w", err)
	}
	_, text := regularfile.CutBOM(b)
	return packagelock.ParseRoot(text)
}

// fetchMissing returns the trees of all packages by their paths, and how many tarballs
// had to be fetched.
func fetchMissing(ctx context.Context, a cli.App, h *home.Storage, plan *ci.Plan, dir string, o ciOptions, bar *ui.Progress) (map[string]*unpacked.Package, int, error) {
	trees := make(map[string]*unpacked.Package)
	var missing []ci.Placed
	for i := range plan.Packages {
		p := &plan.Packages[i]
		tree, err := h.Trees().Get(p.SHA512)
		switch {
		case err == nil && tree.Name == p.Name && tree.Version == p.Version:
			trees[p.Path] = tree
		case err == nil || errors.Is(err, fs.ErrNotExist):
			missing = append(missing, *p)
		default:
			return nil, 0, err
		}
	}
	if len(missing) == 0 {
		return trees, 0, nil
	}
	fetched, err := fetch(ctx, a, h, missing, dir, o, bar)
	if err != nil {
		return nil, 0, err
	}
	for i := range missing {
		tree, err := h.Trees().Get(missing[i].SHA512)
		if err != nil {
			return nil, 0, err
		}
		trees[missing[i].Path] = tree
	}
	return trees, fetched, nil
}

// fetch imports packages, all of them or none that counts.
func fetch(ctx context.Context, a cli.App, h *home.Storage, missing []ci.Placed, dir string, o ciOptions, bar *ui.Progress) (int, error) {
	if a.Offline {
		and := ""
		if more := len(missing) - 1; more > 0 {
			and = fmt.Sprintf(", nor are %d more", more)
		}
		return 0, ui.Coded(ui.ExitUnreachable, fmt.Errorf("%s@%s is not here%s", missing[0].Name, missing[0].Version, and),
			"leave out --offline to fetch what is missing")
	}
	from, err := openRegistries(a, dir, o.registry)
	if err != nil {
		return 0, err
	}
	defer from.client.Close()
	packages, err := plannedPackages(ctx, from, missing)
	if err != nil {
		return 0, err
	}
	done := 0
	results, err := importer.Import(ctx, importer.Config{
		Tarballs: from.client, Batch: h.Blocks().FileBatch(), Blocks: h.Blocks(), Trees: h.Trees(),
		Done: func(importer.Result) {
			done++
			bar.Stage("fetching", fmt.Sprintf("%d of %d", done, len(packages)))
		},
	}, packages)
	if err != nil {
		return 0, err
	}
	bar.Clear()
	var failed error
	for i := range results {
		if results[i].Err == nil {
			continue
		}
		if failed != nil {
			a.Warn("%v", results[i].Err)
			continue
		}
		failed = results[i].Err
	}
	return len(packages), failed
}

// checkPolicy refuses a trust file that cannot be read: it is not known what it pins.
func checkPolicy(h *home.Storage, o ciOptions) error {
	if o.noPolicy {
		return nil
	}
	_, err := h.Trust()
	if err != nil {
		return ui.Coded(ui.ExitTrust, err, "mend the trust file, or pass over its pins with --no-policy")
	}
	return nil
}

// checkPins compares modules with the pins of the trust file.
func checkPins(h *home.Storage, plan *ci.Plan, trees map[string]*unpacked.Package, o ciOptions) error {
	if o.noPolicy {
		return nil
	}
	policy, err := h.Trust()
	if err != nil {
		return err
	}
	type release struct {
		name    records.Name
		version records.Version
	}
	pins := make(map[release]string)
	for _, p := range policy.Pins() {
		pins[release{p.Name, p.Version}] = p.Module.String()
	}
	for i := range plan.Packages {
		p := &plan.Packages[i]
		pin, ok := pins[release{records.Name(p.Name), p.Version}]
		if module := trees[p.Path].Module.String(); ok && pin != module {
			return ui.Coded(ui.ExitTrust, fmt.Errorf("%s@%s is %s, and your trust file pins %s", p.Name, p.Version, module, pin),
				"if the lockfile is right: es trust pin "+p.Name+"@"+string(p.Version)+" --remove", "--no-policy passes over the pins")
		}
	}
	return nil
}

// installPlan links everything. A package whose files were changed in place is unpacked
// again from the kept tarball or the registry, once.
func installPlan(ctx context.Context, a cli.App, h *home.Storage, plan *ci.Plan, trees map[string]*unpacked.Package, dir string, o ciOptions) (ci.Result, error) {
	healed := make(map[[sha512.Size]byte]bool)
	for {
		result, err := ci.Install(ctx, dir, plan, trees, h.Blocks())
		var damage *ci.DamageError
		if !errors.As(err, &damage) || healed[damage.Package.SHA512] {
			return result, err
		}
		healed[damage.Package.SHA512] = true
		a.Warn("a program has changed files of %s@%s that this home keeps: they are made again", damage.Package.Name, damage.Package.Version)
		if err := heal(ctx, a, h, damage.Package, dir, o); err != nil {
			return result, err
		}
	}
}

// heal unpacks a package again into new files.
func heal(ctx context.Context, a cli.App, h *home.Storage, p ci.Placed, dir string, o ciOptions) error {
	tree, err := h.Trees().Get(p.SHA512)
	if err != nil {
		return err
	}
	kept, err := importer.Reunpack(ctx, h.Blocks(), h.Blocks().FileBatch(), tree)
	if err == nil && kept {
		return nil
	}
	if err := h.Trees().Remove(p.SHA512); err != nil {
		return err
	}
	_, err = fetch(ctx, a, h, []ci.Placed{p}, dir, o, a.NewProgress())
	return err
}

func printCI(a cli.App, d *ciResult, o ciOptions, took time.Duration) error {
	if a.JSON {
		return a.Emit(d)
	}
	what := fmt.Sprintf("installed %s, %s", ui.Plural(int64(d.Packages), "package"), ui.Plural(int64(d.Files), "file"))
	if o.fetchOnly {
		what = fmt.Sprintf("%s of package-lock.json here", ui.Plural(int64(d.Packages), "package"))
	}
	if d.Fetched > 0 {
		what += fmt.Sprintf(" (%d fetched)", d.Fetched)
	}
	a.Printf("%s in %.2f s", what, took.Seconds())
	if len(d.Skipped) > 0 {
		a.Note("left out, not for this platform: %s", listed(d.Skipped))
	}
	if len(d.Scripts) > 0 && !o.fetchOnly {
		a.Note("install scripts that did not run: %s", listed(d.Scripts))
	}
	if d.Copied > 0 {
		a.Note("%s could not be linked and were copied: keep ES_HOME on the project's file system", ui.Plural(int64(d.Copied), "file"))
	}
	return nil
}

// listed names a few packages of a list.
func listed(paths []string) string {
	const most = 8
	var names []string
	for _, p := range paths {
		names = append(names, p[strings.LastIndex(p, "node_modules/")+len("node_modules/"):])
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
