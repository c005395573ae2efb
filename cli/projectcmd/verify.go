package projectcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

type verifyOptions struct {
	installed bool
	stored    bool
	repair    bool
}

func verifyCommand(a cli.App) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [NAME@VERSION]",
		Short: "check that what is here is what was signed, without the network",
		Long: `Without an argument, reads every file that es installed in this project, builds
its tree again and compares the CID with es-lock.json; then opens every record
and key in your index again as if it came from a stranger, and hashes every
block. --installed and --stored do one of the two. With NAME@VERSION, checks the
signatures of its records in your index again, and every block of its module.

--repair moves what is damaged in the index and the blocks to the directory
damaged in your home. A block comes again when it is next needed, a record with
the next es sync.`,
		Args: cli.Arguments(0, 1, "at most one NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if o.repair && o.installed && !o.stored {
					return cli.Usagef(cmd, "--repair is for what is stored; es install --frozen --force repairs what is installed")
				}
				with := a.ReadingHome
				if o.repair {
					with = a.WithHome
				}
				return with(cmd.Context(), func(h *home.Home) error { return runVerify(cmd.Context(), a, h, o) })
			}
			if o != (verifyOptions{}) {
				return cli.Usagef(cmd, "the flags are for everything, not for one NAME@VERSION")
			}
			name, v, err := cli.ParseExact(cmd, args[0])
			if err != nil {
				return err
			}
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runVerifyStored(cmd.Context(), a, h, name, v) })
		},
	}
	cmd.Flags().BoolVar(&o.installed, "installed", false, "only what is installed in this project")
	cmd.Flags().BoolVar(&o.stored, "stored", false, "only what is stored in your home")
	cmd.Flags().BoolVar(&o.repair, "repair", false, "move what is damaged in your home out of the way")
	return cmd
}

type verifyJSON struct {
	Project *verifiedProjectJSON `json:"project,omitempty"` // none when there is no project here
	Stored  *verifiedStoredJSON  `json:"stored,omitempty"`

	wanted bool // without es-lock.json: package.json has something to install
}

type verifiedProjectJSON struct {
	Packages int          `json:"packages"`
	Damage   []damageJSON `json:"damage"`
	Signed   int          `json:"signed"`            // whose records are here and say what es-lock.json says
	Unknown  []string     `json:"unknown,omitempty"` // whose records are not here
	Invalid  []string     `json:"invalid,omitempty"` // whose signatures do not count any more
	Others   int          `json:"others"`            // of another package manager, not looked at
}

type damageJSON struct {
	Path   string `json:"path"`
	File   string `json:"file,omitempty"`
	Reason string `json:"reason"`

	stranger bool // in no lockfile
}

type verifiedStoredJSON struct {
	Keys       int64              `json:"keys"`
	Records    int64              `json:"records"`
	Blocks     int64              `json:"blocks"`
	Bytes      int64              `json:"bytes"`
	Modules    int64              `json:"modules"`
	Incomplete int64              `json:"incomplete"`
	Damage     []storedDamageJSON `json:"damage"`
	Repaired   bool               `json:"repaired"`       // by --repair, and then
	Moved      int                `json:"moved"`          // out of the way
	Left       []storedDamageJSON `json:"left,omitempty"` // found after that

	found []home.Damage // by now
}

type storedDamageJSON struct {
	Kind   home.DamageKind `json:"kind"`
	ID     string          `json:"id,omitempty"`
	Author string          `json:"author,omitempty"`
	Reason string          `json:"reason"`
}

func runVerify(ctx context.Context, a cli.App, h *home.Home, o verifyOptions) error {
	both := o.installed == o.stored
	var j verifyJSON
	var err error
	if both || o.installed {
		if j.Project, j.wanted, err = verifyProject(ctx, h, o.installed); err != nil {
			return err
		}
	}
	if both || o.stored {
		if j.Stored, err = verifyStored(ctx, a, h, o.repair); err != nil {
			return err
		}
	}
	if a.JSON {
		if err := a.Emit(j); err != nil {
			return err
		}
	} else {
		printDamage(a, j)
	}
	noteVerified(a, h, j, both)
	return j.damaged()
}

// verifyProject checks what is installed here. Where there is no es-lock.json it returns
// nil, unless the user asked for it, and whether package.json wants something installed.
func verifyProject(ctx context.Context, h *home.Home, asked bool) (_ *verifiedProjectJSON, wanted bool, err error) {
	p, err := openProject(h)
	if err != nil {
		return nil, false, err
	}
	if lock, err := p.Lockfile(); err == nil && lock == nil && !asked {
		all, err := p.Dependencies()
		return nil, err == nil && len(all) > 0, nil // whether it can be read is not asked here
	}
	v, err := p.Verify(ctx, here(h))
	if err != nil {
		return nil, false, err
	}
	j := &verifiedProjectJSON{Packages: v.Packages, Damage: []damageJSON{}, Signed: v.Signed, Others: v.Managed}
	for _, p := range v.Unknown {
		j.Unknown = append(j.Unknown, packageText(p))
	}
	for _, p := range v.Invalid {
		j.Invalid = append(j.Invalid, packageText(p))
	}
	for _, d := range v.Damage {
		j.Damage = append(j.Damage, damageJSON{Path: d.Package.Path, File: d.File, Reason: d.Reason})
	}
	for _, at := range v.Extraneous {
		j.Damage = append(j.Damage, damageJSON{Path: at, Reason: "is in no lockfile: es did not put it there", stranger: true})
	}
	return j, true, nil
}

func verifyStored(ctx context.Context, a cli.App, h *home.Home, repair bool) (*verifiedStoredJSON, error) {
	bar := a.NewProgress()
	defer bar.End()
	s, found, err := findDamage(ctx, h, bar)
	if err != nil {
		return nil, err
	}
	j := &verifiedStoredJSON{
		Keys: s.Keys, Records: s.Records, Blocks: s.Blocks, Bytes: s.Bytes, Modules: s.Modules, Incomplete: s.Incomplete,
		Damage: describeDamage(found), found: found,
	}
	if !repair || !slices.ContainsFunc(found, home.Damage.Repairable) || slices.ContainsFunc(found, unmendable) {
		return j, nil
	}
	j.Repaired = true
	if j.Moved, err = h.Quarantine(ctx, found); err != nil {
		return nil, err
	}
	_, j.found, err = findDamage(ctx, h, bar)
	j.Left = describeDamage(j.found)
	return j, err
}

func findDamage(ctx context.Context, h *home.Home, bar *ui.Progress) (s home.VerifyStats, found []home.Damage, err error) {
	progress := func(kind home.DamageKind, done, total int64) {
		counts := fmt.Sprintf("%d", done)
		if total > 0 {
			counts += fmt.Sprintf("/%d", total)
		}
		bar.Stage("verifying "+string(kind)+"s", counts)
	}
	s, err = home.Verify(ctx, h, progress, func(d home.Damage) { found = append(found, d) })
	slices.SortStableFunc(found, func(a, b home.Damage) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return s, found, err
}

// unmendable is the index when its file is damaged as a whole.
func unmendable(d home.Damage) bool { return d.Kind == home.DamagedIndex && !d.Repairable() }

func describeDamage(found []home.Damage) []storedDamageJSON {
	list := []storedDamageJSON{}
	for _, d := range found {
		author := ""
		if !d.Author.IsZero() {
			author = d.Author.String()
		}
		list = append(list, storedDamageJSON{d.Kind, d.ID, author, d.Reason})
	}
	return list
}

// shownDamage is how many lines of damage are printed of each part.
const shownDamage = 50

func printDamage(a cli.App, j verifyJSON) {
	if p := j.Project; p != nil {
		printSome(a, p.Damage, func(d damageJSON) string {
			if d.File != "" {
				return ui.Safe(d.Path+"/"+d.File) + ": " + ui.Safe(d.Reason)
			}
			return ui.Safe(d.Path) + ": " + ui.Safe(d.Reason)
		})
	}
	if s := j.Stored; s != nil {
		printSome(a, s.Damage, storedDamageJSON.line)
		printSome(a, s.Left, func(d storedDamageJSON) string { return "still: " + d.line() })
	}
}

func printSome[D any](a cli.App, damage []D, line func(D) string) {
	for i, d := range damage {
		if i == shownDamage {
			a.Printf("and %d more; --json has them all", len(damage)-i)
			return
		}
		a.Printf("%s", line(d))
	}
}

func (d storedDamageJSON) line() string {
	what := string(d.Kind)
	if d.ID != "" {
		what += " " + d.ID
	}
	if d.Author != "" {
		what += " by " + d.Author
	}
	return ui.Safe(what) + ": " + ui.Safe(d.Reason)
}

func noteVerified(a cli.App, h *home.Home, j verifyJSON, both bool) {
	if p := j.Project; p != nil {
		a.Note("%s verified", ui.Plural(int64(p.Packages), "package"))
		noteSignatures(a, p)
	} else if both {
		a.Note("no es-lock.json in this directory: packages were not looked at")
		if j.wanted {
			a.Hint("es install makes it anew from package.json")
		}
	}
	s := j.Stored
	if s == nil {
		return
	}
	a.Note("%s, %s and %s (%s) checked; %s complete", ui.Plural(s.Keys, "key"), ui.Plural(s.Records, "record"), ui.Plural(s.Blocks, "block"), ui.BytesText(s.Bytes), ui.Plural(s.Modules, "module"))
	if s.Incomplete > 0 {
		a.Note("%s begun and not complete: fetching goes on where it stopped", ui.Plural(s.Incomplete, "module"))
	}
	if s.Repaired {
		a.Note("moved %s to %s", ui.Plural(int64(s.Moved), "damaged thing"), h.QuarantineDir())
		a.Hint("es sync brings records again; blocks come when they are needed")
	}
}

// noteSignatures says what of es-lock.json's signatures could be checked, and what was not
// looked at.
func noteSignatures(a cli.App, p *verifiedProjectJSON) {
	if n := len(p.Unknown); n > 0 {
		a.Note("the signatures of %s are not known here, only what es-lock.json says of them: %s", ui.Plural(int64(n), "package"), someOf(p.Unknown))
		a.Hint("es sync brings records")
	}
	if n := len(p.Invalid); n > 0 {
		a.Warn("the signatures of %s do not count any more: %s", ui.Plural(int64(n), "package"), someOf(p.Invalid))
	}
	if p.Others > 0 {
		a.Note("%s by another package manager not looked at", ui.Plural(int64(p.Others), "package"))
	}
}

// someOf lists the first names of a list.
func someOf(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// damaged is the error that says what is left to do.
func (j verifyJSON) damaged() error {
	n := 0
	var hints []string
	if s := j.Stored; s != nil {
		n = len(s.found)
		if slices.ContainsFunc(s.found, home.Damage.Repairable) {
			hints = append(hints, "es verify --repair moves it out of the way; then blocks come when they are needed, and records with es sync")
		}
		if slices.ContainsFunc(s.found, unmendable) {
			hints = append(hints, "move index.db out of your home while no es runs; es sync brings the records of others again")
		}
		if slices.ContainsFunc(s.found, func(d home.Damage) bool { return d.Kind == home.DamagedModule }) {
			hints = append(hints, "es publish DIR, where DIR has the same files, makes a module of yours whole again")
		}
	}
	if p := j.Project; p != nil && len(p.Damage) > 0 {
		n += len(p.Damage)
		if slices.ContainsFunc(p.Damage, func(d damageJSON) bool { return !d.stranger }) {
			hints = append(hints, "es install --frozen --force writes the packages again")
		}
		if slices.ContainsFunc(p.Damage, func(d damageJSON) bool { return d.stranger }) {
			hints = append(hints, "remove what is in no lockfile, or all of node_modules, and then: es install --frozen")
		}
	}
	if n == 0 {
		return nil
	}
	return ui.Coded(ui.ExitIntegrity, fmt.Errorf("%s not what was signed", differences(n)), hints...)
}

func differences(n int) string {
	if n == 1 {
		return "1 thing is"
	}
	return fmt.Sprintf("%d things are", n)
}

type VerifiedClaimJSON struct {
	Author    records.Fingerprint `json:"author"`
	Record    string              `json:"record"`
	Module    string              `json:"module"`
	Signature string              `json:"signature"` // good, or what is wrong
	Stored    bool                `json:"stored"`    // every block of the module is here
	Damage    string              `json:"damage,omitempty"`
}

func runVerifyStored(ctx context.Context, a cli.App, h *home.Home, name records.Name, v records.Version) error {
	releases, err := h.Index().ReleasesOf(ctx, name, v)
	if err != nil {
		return err
	}
	list := []VerifiedClaimJSON{}
	bad := false
	for _, r := range releases {
		c := VerifiedClaimJSON{Author: r.Author, Record: r.ID.String(), Module: r.Body.Module.String(), Signature: "good"}
		if err := reopen(ctx, h, r); err != nil {
			c.Signature, bad = err.Error(), true
		}
		c.Stored, err = moduleStored(ctx, h, r.Body)
		if err != nil {
			c.Damage, bad = err.Error(), true
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return &resolve.NotFoundError{Name: name, Constraint: string(v)}
	}
	if a.JSON {
		if err := a.Emit(list); err != nil {
			return err
		}
	} else {
		for _, c := range list {
			a.Printf("record %s by %s: signature %s", c.Record, c.Author, ui.Safe(c.Signature))
			switch {
			case c.Damage != "":
				a.Printf("module %s: %s", c.Module, ui.Safe(c.Damage))
			case c.Stored:
				a.Printf("module %s: every block is here and right", c.Module)
			default:
				a.Printf("module %s: not stored here", c.Module)
			}
		}
	}
	if bad {
		return ui.Coded(ui.ExitIntegrity, fmt.Errorf("%s@%s is not what was signed, or its signature does not count", name, v), "es info "+string(name)+" shows who claims what")
	}
	return nil
}

// reopen verifies a stored record as if it had come from a stranger.
func reopen(ctx context.Context, h *home.Home, r index.Release) error {
	envelope, block, err := h.Index().Envelope(ctx, r.ID)
	if err != nil {
		return err
	}
	key, err := sign.ParseKey(block)
	if err != nil {
		return err
	}
	opened, err := sign.Open(envelope, sign.KeyRing{key.Fingerprint(): key})
	if err != nil {
		return err
	}
	if opened.ID() != r.ID {
		return fmt.Errorf("the index has the record %s in its place", opened.ID())
	}
	return nil
}

// moduleStored checks the module against its release, when all of it is here.
func moduleStored(ctx context.Context, h *home.Home, r *records.Release) (bool, error) {
	tree, err := unixfs.Inspect(ctx, verifiedBlocks{h.Blocks()}, r.Target(cid.Undef))
	if notHere(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, modules.Check(ctx, h.Blocks(), tree, r)
}

// verifiedBlocks reads every block in full, where the store alone would only
// look at sizes.
type verifiedBlocks struct{ store *blocks.Store }

// Get implements unixfs.Blocks.
func (b verifiedBlocks) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	return b.store.Get(ctx, c)
}

// notHere reports whether err says that a block is missing, not that it is wrong.
func notHere(err error) bool {
	var corrupt *unixfs.CorruptError
	return errors.Is(err, fs.ErrNotExist) && !errors.As(err, &corrupt)
}
