package install

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/managers"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// A Project is a directory with a package.json. Any number of processes may
// work on one: those that change it wait for each other.
type Project struct {
	// NoteKey is this user's key for the note in node_modules ([I25]). A note that was
	// made with another key, or came with a checkout, says nothing. Open sets a random
	// one, with which no note from before counts.
	NoteKey []byte

	dir  string
	step func(op string) // called before every change on disk; for tests
}

// Open finds the project that dir belongs to, as npm does: dir or the nearest
// directory above it that has a package.json or a node_modules, and otherwise
// dir itself. It writes nothing; package.json is made when something is added.
func Open(dir string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("open project: %q is not a directory", dir)
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	for up := dir; ; up = filepath.Dir(up) {
		if isProject(up) {
			return &Project{NoteKey: key, dir: up}, nil
		}
		if up == filepath.Dir(up) {
			return &Project{NoteKey: key, dir: dir}, nil
		}
	}
}

// isProject reports whether dir has a package.json or a node_modules.
func isProject(dir string) bool {
	if info, err := os.Stat(filepath.Join(dir, packagejson.Name)); err == nil && info.Mode().IsRegular() {
		return true
	}
	info, err := os.Stat(filepath.Join(dir, lockfile.NodeModules))
	return err == nil && info.IsDir()
}

// Dir returns the project's directory.
func (p *Project) Dir() string { return p.dir }

// Dependencies returns esDependencies, sorted by name.
func (p *Project) Dependencies() ([]packagejson.Dependency, error) {
	f, _, err := packagejson.Read(p.dir)
	if err != nil {
		return nil, err
	}
	return f.Dependencies(), nil
}

// open opens the project's directory for reading.
func (p *Project) open() (*layout.Dir, error) { return layout.Open(p.dir, p.NoteKey, p.step) }

// OtherManagers says which other package managers work in a project.
type OtherManagers struct {
	Names []string // of npm, yarn, pnpm and bun
	Hook  bool     // package.json has npm run es after it has changed node_modules
}

// OtherManagers looks for other package managers in the project.
func (p *Project) OtherManagers() (OtherManagers, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return OtherManagers{}, fmt.Errorf("open project: %w", err)
	}
	defer root.Close()
	return OtherManagers{Names: managers.Find(root).Names(), Hook: managers.HasHook(root)}, nil
}

// Lockfile returns es-lock.json, or nil when there is none.
func (p *Project) Lockfile() (*lockfile.File, error) { return lockfile.Read(p.dir) }

// A Fetcher brings the whole tree want.CID into the Blocks beside it. It is
// called only for trees that are not complete there, from several goroutines.
// want.Record is the record that names the tree, where one does.
type Fetcher interface {
	Fetch(ctx context.Context, name records.Name, want records.Target) error
}

// Sources is where an installation gets everything from.
type Sources struct {
	Resolver Resolver      // not used by a frozen install
	Blocks   unixfs.Blocks // what is on this machine
	Fetcher  Fetcher       // nil: only what is in Blocks
	Records  Records       // nil: no record is known here
}
