// Package ci makes node_modules exactly what npm's package-lock.json says, from tarballs
// that this home unpacked (SPEC.md section 17). It resolves nothing, changes no lockfile
// and runs no script. Bytes are told by their SHA-512, so nobody's word counts but the
// lockfile's.
package ci

import (
	"crypto/sha512"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/packagelock"
	"github.com/everythingstays/es/records"
)

// Options say what of a lockfile is installed.
type Options struct {
	OmitDev, OmitOptional, OmitPeer bool
	// Runs reports whether a package is for this platform; optional ones that are not
	// are left out, with what only they need.
	Runs func(os, cpu, libc []string) bool
}

// A Plan is what a lockfile asks for on this machine.
type Plan struct {
	Packages []Placed // sorted by Path
	Links    []Link   // to workspaces
	Bundled  []Bundled
	Skipped  []string // paths of optional packages for other platforms
	Scripts  []string // paths of packages whose install scripts do not run
}

// Placed is a package and where it stands.
type Placed struct {
	Path    string // node_modules/a/node_modules/@b/c
	Name    string
	Version records.Version
	SHA512  [sha512.Size]byte
	URL     string // where the lockfile has it from; may be empty
	// Commands are those that the lockfile has of it: npm links no others, such as those
	// that only directories.bin names. nil in lockfileVersion 1, which has none.
	Commands map[string]string
}

// A Link stands for a directory of the project.
type Link struct {
	Path, Target string // both from the project's directory
}

// Bundled is a package within another one's tarball.
type Bundled struct {
	Path string
	Bin  map[string]string // as the lockfile has it
}

// A LockError says what of a lockfile cannot be installed.
type LockError struct {
	Problems []Problem // sorted by Path
}

// A Problem is about one package of a lockfile.
type Problem struct {
	Path   string
	Reason string
}

func (e *LockError) Error() string {
	p := e.Problems[0]
	s := fmt.Sprintf("package-lock.json: %q %s", p.Path, p.Reason)
	if n := len(e.Problems) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// NewPlan selects what is installed. The error is a *LockError.
func NewPlan(lock *packagelock.File, o Options) (*Plan, error) {
	s := &selection{lock: lock, options: o, byPath: make(map[string]*packagelock.Entry), chosen: make(map[string]bool)}
	for i := range lock.Entries {
		s.byPath[lock.Entries[i].Path] = &lock.Entries[i]
	}
	s.choose()
	plan := &Plan{Skipped: s.skipped}
	var problems []Problem
	for i := range lock.Entries {
		e := &lock.Entries[i]
		if !s.chosen[e.Path] {
			continue
		}
		if reason := plan.add(e, lock.Version); reason != "" {
			problems = append(problems, Problem{e.Path, reason})
		}
	}
	if len(problems) > 0 {
		return nil, &LockError{problems}
	}
	return plan, nil
}

// add takes an entry into the plan, or says why it cannot be.
func (p *Plan) add(e *packagelock.Entry, version int) string {
	switch e.Kind() {
	case packagelock.Bundled:
		p.Bundled = append(p.Bundled, Bundled{e.Path, e.Bin})
		return ""
	case packagelock.Workspace:
		p.Links = append(p.Links, Link{e.Path, e.Resolved})
		return ""
	case packagelock.Git:
		return "comes from a git repository, whose bytes npm makes itself: install it with npm ci"
	case packagelock.Local:
		return "comes from a file of the project: install it with npm ci"
	case packagelock.Remote:
		return fmt.Sprintf("comes from %q, which is no registry: install it with npm ci", e.Resolved)
	}
	if e.Integrity == "" {
		return "has no integrity: npm install --package-lock-only writes it"
	}
	hash, err := npm.ParseIntegrity(e.Integrity)
	if err != nil {
		return "has no SHA-512, and SHA-1 proves nothing: remove the lockfile and run npm install"
	}
	number, _, _ := strings.Cut(e.Version, "+")
	release, err := records.ParseVersion(number)
	if err != nil || !records.IsDependencyName(e.Name) {
		return fmt.Sprintf("is no release of a registry (%q@%q)", e.Name, e.Version)
	}
	if e.Scripts {
		p.Scripts = append(p.Scripts, e.Path)
	}
	placed := Placed{Path: e.Path, Name: e.Name, Version: release, SHA512: hash, URL: e.Resolved}
	if version > 1 {
		placed.Commands = e.Bin
		if placed.Commands == nil {
			placed.Commands = map[string]string{}
		}
	}
	p.Packages = append(p.Packages, placed)
	return ""
}

// A selection finds which entries are installed.
type selection struct {
	lock    *packagelock.File
	options Options
	byPath  map[string]*packagelock.Entry
	chosen  map[string]bool
	skipped []string
}

// choose takes what the flags of the lockfile leave, without optional packages for
// other platforms and what only those need.
func (s *selection) choose() {
	dropped := false
	for i := range s.lock.Entries {
		e := &s.lock.Entries[i]
		switch {
		case s.omitted(e):
		case (e.Optional || e.DevOptional) && s.options.Runs != nil && !s.options.Runs(e.OS, e.CPU, e.Libc):
			s.skipped = append(s.skipped, e.Path)
			dropped = true
		default:
			s.chosen[e.Path] = true
		}
	}
	if dropped {
		s.dropUnneeded()
	}
}

func (s *selection) omitted(e *packagelock.Entry) bool {
	o := &s.options
	switch {
	case e.DevOptional:
		return o.OmitDev && o.OmitOptional
	case e.Dev:
		return o.OmitDev
	case e.Optional:
		return o.OmitOptional
	case e.Peer:
		return o.OmitPeer
	}
	return false
}

// dropUnneeded drops optional entries that nothing leads to any more.
func (s *selection) dropUnneeded() {
	if s.lock.Roots == nil {
		return // lockfileVersion 1 does not say what the project asks for
	}
	reached := make(map[string]bool)
	var reach func(from string, names []string)
	reach = func(from string, names []string) {
		for _, name := range names {
			at := s.resolve(from, name)
			if at == "" || reached[at] {
				continue
			}
			reached[at] = true
			e := s.byPath[at]
			if e.Link {
				root := s.lock.Roots[e.Resolved]
				reach(e.Resolved, root.Requires())
				continue
			}
			reach(at, e.Requires)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(s.lock.Roots)) {
		root := s.lock.Roots[at]
		reach(at, root.Requires())
	}
	for at := range s.chosen {
		if e := s.byPath[at]; !reached[at] && (e.Optional || e.DevOptional) && !e.Bundled && !e.Link {
			delete(s.chosen, at)
		}
	}
}

// resolve finds a package as node does: in node_modules of the directory and of those
// above it. It returns "" if what it finds is not installed.
func (s *selection) resolve(from, name string) string {
	for dir := from; ; dir = above(dir) {
		at := path.Join(dir, "node_modules", name)
		if _, ok := s.byPath[at]; ok {
			if !s.chosen[at] {
				return ""
			}
			return at
		}
		if dir == "" {
			return ""
		}
	}
}

// above is the next directory whose node_modules node looks into.
func above(dir string) string {
	if i := strings.LastIndex(dir, "node_modules/"); i >= 0 {
		return strings.TrimSuffix(dir[:i], "/")
	}
	if parent := path.Dir(dir); parent != "." {
		return parent
	}
	return ""
}

// CheckRoot compares what package.json asks for with what the lockfile was made of. The
// error says what differs; npm ci refuses the same.
func CheckRoot(lock *packagelock.File, want packagelock.Root) error {
	if lock.Roots == nil {
		return nil // lockfileVersion 1 does not say
	}
	got := lock.Roots[""]
	for _, field := range []struct {
		name      string
		want, got map[string]string
	}{
		{"dependencies", want.Dependencies, got.Dependencies},
		{"devDependencies", want.Dev, got.Dev},
		{"optionalDependencies", want.Optional, got.Optional},
		{"peerDependencies", want.Peers, got.Peers},
	} {
		for _, name := range slices.Sorted(maps.Keys(field.want)) {
			// npm leaves out of dependencies what is optional too.
			if _, optional := want.Optional[name]; optional && field.name == "dependencies" {
				continue
			}
			spec, ok := field.got[name]
			if !ok {
				return fmt.Errorf("package-lock.json does not have %q of %s", name, field.name)
			}
			if spec != field.want[name] {
				return fmt.Errorf("package-lock.json has %q of %s as %q, package.json as %q", name, field.name, spec, field.want[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(field.got)) {
			if _, ok := field.want[name]; !ok {
				return fmt.Errorf("package.json does not have %q of %s, which package-lock.json has", name, field.name)
			}
		}
	}
	return nil
}
