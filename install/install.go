package install

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/modules/extract"
	"github.com/everythingstays/es/records"
)

// Options of an installation; the zero value is the default.
type Options struct {
	// Frozen installs what es-lock.json says, by CIDs alone: without a resolver,
	// without a trust decision, and without writing package.json or es-lock.json.
	// It fails with a *DisagreeError when the two do not agree. Only Install
	// takes it.
	Frozen bool
	// Force writes every package again, even where something stands that es
	// did not install.
	Force bool
	// Platform decides about os, cpu, libc and engines; zero fields stand for
	// this machine, and an unknown Node version is not checked.
	Platform Platform
	// FindNode, if set, is asked for Platform.Node when that is "" and a package
	// that is written states which node it is for (SPEC.md [I122]).
	FindNode func(context.Context) string
	// Accepted are the keys that the user has let into this project before ([N130]).
	Accepted []records.Fingerprint
	// Approve, if set, is called before anything is written when es-lock.json gets
	// something signed by another key than before, or by one that is not among Accepted
	// (SPEC.md [I28], [I29]). Its error stops everything and is returned.
	Approve func(Signers) error
	// Workers is how many modules are fetched or written at once; 0 means 8.
	Workers int
	// Extract is passed on when a module is written.
	Extract extract.Options
	// Progress, if set, is called as the work goes on, by one goroutine at a
	// time.
	Progress func(Event)
}

// Stage is what an Event tells of.
type Stage int

const (
	Waiting   Stage = iota // another process works on this project
	Resolving              // Name was resolved; Done packages are known
	Fetching               // Done of Total modules are here
	Writing                // Done of Total packages are in node_modules
)

// An Event is one step of an installation.
type Event struct {
	Stage       Stage
	Name        records.Name // may be ""
	Done, Total int
}

// A Result says what an operation changed in the project.
type Result struct {
	Saved     []Saved    // what was written into package.json, in order of name
	Added     []*Package // by path
	Changed   []Change   // by path
	Signers   Signers
	Removed   []*Package
	Restored  []*Package // by path: written again, since they were damaged or gone, or by force
	Kept      []*Package // by path: what another program had put there is the very module
	Linked    bool       // commands were linked anew or removed
	Unchanged int        // packages that were installed already
	Scripts   []*Package // added or changed, with scripts that did not run
	Skipped   []Skipped
	Warnings  []Warning
}

// Saved is a dependency as package.json now has it.
type Saved struct {
	Name    records.Name
	Spec    string
	Package *Package
}

// A Change is a path where another module stands now. Before is nil when it is
// no longer known what stood there.
type Change struct {
	Before, After *Package
}

// Signers are the signers that an operation brings into es-lock.json.
type Signers struct {
	// Changed has one change for each name and signer, where other keys signed
	// all that the lockfile had of the name.
	Changed []Change
	// First are the other packages that are new to the lockfile, by path, by keys
	// that the user has not let in.
	First []*Package
}

// Add resolves requests, writes them into package.json and installs. When it
// fails before it writes, everything is as it was.
func (p *Project) Add(ctx context.Context, s Sources, requests []Request, o Options) (*Result, error) {
	for i, r := range requests {
		for _, other := range requests[:i] {
			if r.Name == other.Name && r.Spec.Text != other.Spec.Text {
				return nil, fmt.Errorf("add %s: it is asked for as %q and as %q", r.Name, records.Clip(other.Spec.Text), records.Clip(r.Spec.Text))
			}
		}
	}
	return p.change(ctx, s, o, func(op *operation) error {
		for _, r := range requests {
			op.request(r)
		}
		if err := op.plan(ctx); err != nil {
			return err
		}
		return op.save(requests)
	})
}

// Install makes node_modules agree with es-lock.json, and before that
// es-lock.json with package.json: what is locked stays, what is missing is
// resolved, what nothing needs any more goes.
func (p *Project) Install(ctx context.Context, s Sources, o Options) (*Result, error) {
	return p.change(ctx, s, o, func(op *operation) error {
		if op.locked == nil {
			if o.Frozen {
				return &DisagreeError{}
			}
			return op.plan(ctx)
		}
		root, reasons := tree.FromLockfile(op.locked, op.edges)
		if len(reasons) == 0 {
			op.tree = root
			return nil
		}
		if o.Frozen {
			return &DisagreeError{reasons}
		}
		return op.plan(ctx)
	})
}

// Remove takes names out of package.json, and out of node_modules whatever
// nothing else needs. A name that is not in esDependencies is a *NotFoundError.
func (p *Project) Remove(ctx context.Context, s Sources, names []records.Name, o Options) (*Result, error) {
	return p.change(ctx, s, o, func(op *operation) error {
		for _, name := range names {
			found, err := op.file.Remove(name)
			if err != nil {
				return err
			}
			if !found {
				return &NotFoundError{Name: name}
			}
			op.edits = append(op.edits, edit{name: name, remove: true})
			op.edges = slices.DeleteFunc(op.edges, func(e tree.Edge) bool { return e.Name == name })
		}
		return op.plan(ctx)
	})
}

// Update resolves names anew wherever they stand in the tree, as far as
// package.json and the packages that need them allow, and everything when no
// name is given; what else is locked stays. A name that is not in the lockfile is
// a *NotFoundError. package.json stays as it is.
func (p *Project) Update(ctx context.Context, s Sources, names []records.Name, o Options) (*Result, error) {
	return p.change(ctx, s, o, func(op *operation) error {
		for _, name := range names {
			if !op.has(name) {
				return &NotFoundError{Name: name, File: lockfile.Name}
			}
		}
		op.update = func(e *tree.Edge) bool {
			return len(names) == 0 || slices.Contains(names, e.Name) || slices.Contains(names, e.Real())
		}
		return op.plan(ctx)
	})
}

// change opens the project for one operation, which decides in prepare what the
// tree shall be.
func (p *Project) change(ctx context.Context, s Sources, o Options, prepare func(*operation) error) (_ *Result, err error) {
	// What cannot be read is reported before anything is made, such as a
	// node_modules for the lock.
	if _, _, err := packagejson.Read(p.dir); err != nil {
		return nil, err
	}
	if _, err := lockfile.Read(p.dir); err != nil {
		return nil, err
	}
	d, err := p.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Lock(ctx, func() { o.event(Event{Stage: Waiting}) }); err != nil {
		return nil, err
	}
	o.Platform = o.Platform.OrThis()
	op := &operation{project: p, dir: d, options: &o, modules: newModuleCache(s), resolver: s.Resolver, result: &Result{}}
	if err := op.load(); err != nil {
		return nil, err
	}
	if err := prepare(op); err != nil {
		return nil, err
	}
	if err := op.apply(ctx); err != nil {
		return nil, err
	}
	return op.result, nil
}

// A NotFoundError is returned for a name that the project does not have.
type NotFoundError struct {
	Name records.Name
	File string // es-lock.json, or "" for package.json
}

func (e *NotFoundError) Error() string {
	if e.File != "" {
		return e.File + " has no " + string(e.Name)
	}
	return "package.json has no " + string(e.Name) + " among its esDependencies"
}

func (o *Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return 8
}

// event reports progress; it is called by one goroutine at a time.
func (o *Options) event(e Event) {
	if o.Progress != nil {
		o.Progress(e)
	}
}
