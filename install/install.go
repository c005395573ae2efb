package install

import (
	"context"
	"errors"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
)

// Options of an installation; the zero value is the default.
type Options struct {
	// Frozen installs what es-lock.json says, by CIDs alone: without a resolver,
	// without a trust decision, and without writing package.json or es-lock.json.
	// It fails with a *DisagreeError when the two do not agree. Only Install
	// takes it.
	Frozen bool
	// Force replaces what es did not install.
	Force bool
	// Platform decides about os, cpu, libc and engines; zero fields stand for
	// this machine, and an unknown Node version is not checked.
	Platform Platform
	// Workers is how many modules are fetched or written at once; 0 means 8.
	Workers int
	// Extract is passed on when a module is written.
	Extract modules.Options
	// Progress, if set, is called as the work goes on, by one goroutine at a
	// time.
	Progress func(Event)
}

// Platform names a machine as node does.
type Platform struct {
	OS   string // process.platform: linux, darwin, win32, ...
	CPU  string // process.arch: x64, arm64, ...
	Libc string // glibc or musl, on linux
	Node string // node's version without the v
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
	Added     []*Package // by path, as everything below
	Changed   []Change
	Removed   []*Package
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

// A Change is a path where another module stands now. The signers may differ.
type Change struct {
	Before, After *Package
}

// Skipped is an optional dependency that was not installed.
type Skipped struct {
	Name records.Name
	By   string // the path of the package that wants it, "" for the project
	Err  error
}

// A Warning is about something that did not stop the installation.
type Warning struct {
	Path string // of the package it is about, "" for the project
	Text string // untrusted: it may quote what a package says
}

// Add resolves requests, writes them into package.json and installs. When it
// fails, package.json and es-lock.json are as they were.
func (p *Project) Add(ctx context.Context, s Sources, requests []Request, o Options) (*Result, error) {
	return nil, errors.New("add: not built yet")
}

// Install makes node_modules agree with es-lock.json, and before that
// es-lock.json with package.json: what is locked stays, what is missing is
// resolved, what nothing needs any more goes.
func (p *Project) Install(ctx context.Context, s Sources, o Options) (*Result, error) {
	return nil, errors.New("install: not built yet")
}

// Remove takes names out of package.json, and out of node_modules whatever
// nothing else needs. A name that is not in esDependencies is a *NotFoundError.
func (p *Project) Remove(ctx context.Context, s Sources, names []records.Name, o Options) (*Result, error) {
	return nil, errors.New("remove: not built yet")
}

// NotFoundError is returned for a name that package.json does not have.
type NotFoundError struct {
	Name records.Name
}

func (e *NotFoundError) Error() string {
	return "package.json has no " + string(e.Name) + " among its esDependencies"
}
