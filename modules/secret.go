package modules

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/everythingstays/es/modules/packlist"
	"github.com/everythingstays/es/modules/unixfs"
)

// A Secret is a file that is kept out of modules ([M90], [M91]).
type Secret struct {
	Path string
	Kind string // such as "an OpenSSH private key"
	// OfES is whether it is es's own: a file of a home, or of a program of es that was
	// at work. Nothing lets such a file in.
	OfES bool
}

// A SecretError says that files must not be published, and which.
type SecretError struct{ Secrets []Secret } // keys first, then sorted by path; at least one

func (e *SecretError) Error() string {
	s := e.Secrets[0]
	more := ""
	if n := len(e.Secrets) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more files must not be published either", n)
	}
	return fmt.Sprintf("%q is %s and must not be published%s", s.Path, s.Kind, more)
}

// maxSecrets is how many a SecretError lists.
const maxSecrets = 100

// A guard keeps secrets out of the module of a FileSet.
type guard struct {
	allowed map[string]bool // paths that may hold a secret, es's own excepted

	mu    sync.Mutex
	found []Secret
}

// RefuseSecrets has Pack refuse files that must not be published, with a *SecretError
// ([M91]). Of secrets that are not es's own, those at allowed paths pass; that there is
// no such file is an error. Scan does so by itself; ScanFS does not, since others have
// published what it is for.
func (f *FileSet) RefuseSecrets(allowed ...string) error {
	g := &guard{allowed: map[string]bool{}}
	for _, p := range allowed {
		cleaned := path.Clean(filepath.ToSlash(p))
		if !slices.ContainsFunc(f.Files, func(file File) bool { return file.Path == cleaned }) {
			return fmt.Errorf("%q is not a file of the module", p)
		}
		g.allowed[cleaned] = true
	}
	f.guard = g
	paths := make([]string, len(f.Files))
	for i, file := range f.Files {
		paths[i] = file.Path
	}
	return refuseOwnFiles(f.fsys, paths, nil)
}

func (g *guard) add(s Secret) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.found) < maxSecrets {
		g.found = append(g.found, s)
	}
}

// begin forgets what the last Pack found.
func (g *guard) begin() {
	if g != nil {
		g.found = nil
	}
}

// err is what Pack returns when all files were looked at.
func (g *guard) err() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return secretError(g.found)
}

func secretError(found []Secret) error {
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b Secret) int {
		switch ka, kb := isKeyPath(a.Path), isKeyPath(b.Path); {
		case ka && !kb:
			return -1
		case kb && !ka:
			return 1
		}
		return unixfs.ComparePaths(a.Path, b.Path)
	})
	return &SecretError{found}
}

// isKeyPath reports whether a path leads through a directory of keys, which come first
// in what is reported.
func isKeyPath(p string) bool { return strings.Contains("/"+p, "/keys/") }

// homeEntries are what an es home holds, for a home that is the package's directory
// itself; all that is in a home below it is the home's.
var homeEntries = regexp.MustCompile(`^(keys|blocks|damaged|trees|version|default|identity|index\.db.*|network|note\.key|projects\.json(\.lock)?|node\.(lock|sock|addr)|peers\.json(\.lock)?|swarm\.key|synced|sign\.lock|trust(\.lock)?|\.(new|trust)-.*)$`)

// refuseOwnFiles finds the files of es's own among paths ([M90]): those in a home, whether it
// is one of homes or looks like one, and what a program of es has not finished.
func refuseOwnFiles(fsys fs.FS, paths, homes []string) error {
	o := homeFinder{fsys: fsys, dirs: map[string]bool{}}
	for _, home := range homes {
		o.addHome(home)
	}
	var found []Secret
	for _, p := range paths {
		if what := o.describe(p); what != "" && len(found) < maxSecrets {
			found = append(found, Secret{p, what, true})
		}
	}
	return secretError(found)
}

// A homeFinder tells es's own files from others, wherever links and mounts put them.
type homeFinder struct {
	fsys      fs.FS
	homes     []fs.FileInfo
	homeFiles []fs.FileInfo   // directories and files of homes, which may lie elsewhere
	dirs      map[string]bool // whether a directory of the package is, or is in, a home
}

// addHome notes the home at a path of the operating system, if there is one.
func (o *homeFinder) addHome(home string) {
	info, err := os.Stat(home)
	if err != nil {
		return
	}
	o.homes = append(o.homes, info)
	entries, _ := os.ReadDir(home) // what cannot be read is not packed either
	for _, e := range entries {
		// The files of blocks are those of modules, and may be linked from anywhere.
		if info, err := os.Stat(filepath.Join(home, e.Name())); err == nil && homeEntries.MatchString(e.Name()) {
			o.homeFiles = append(o.homeFiles, info)
		}
	}
}

// describe says what of es the file is, or "".
func (o *homeFinder) describe(p string) string {
	for _, e := range strings.Split(p, "/") {
		if strings.HasPrefix(e, ".es-tmp-") {
			return "a temporary file of es"
		}
	}
	if o.inHome(path.Dir(p)) {
		return "in a home of es, which holds keys"
	}
	if first, _, _ := strings.Cut(p, "/"); homeEntries.MatchString(first) && o.isHome(".") {
		return "in a home of es, which holds keys"
	}
	if info, err := fs.Stat(o.fsys, p); err == nil && slices.ContainsFunc(o.homeFiles, func(part fs.FileInfo) bool { return os.SameFile(part, info) }) {
		return "a file of a home of es"
	}
	return ""
}

// inHome reports whether a directory below the package's is a home or in one.
func (o *homeFinder) inHome(dir string) bool {
	if dir == "." {
		return false
	}
	in, known := o.dirs[dir]
	if !known {
		in = o.inHome(path.Dir(dir)) || o.isHome(dir)
		o.dirs[dir] = in
	}
	return in
}

// isHome reports whether a directory is a home of es, by what it is or by what is in it.
func (o *homeFinder) isHome(dir string) bool {
	info, err := fs.Stat(o.fsys, dir)
	if err != nil {
		return false
	}
	same := func(known fs.FileInfo) bool { return os.SameFile(known, info) }
	if slices.ContainsFunc(o.homes, same) || dir != "." && slices.ContainsFunc(o.homeFiles, same) {
		return true
	}
	is := func(name string, directory bool) bool {
		info, err := fs.Stat(o.fsys, path.Join(dir, name))
		return err == nil && info.IsDir() == directory
	}
	return is("version", false) && is("keys", true) && (is("blocks", true) || is("index.db", false))
}

// disclosureReason says why a file is warned of though it is packed, or "": its name is that of
// a file with passwords ([M91]).
func disclosureReason(p string) string {
	base := strings.ToLower(path.Base(p))
	switch base {
	case ".netrc", "_netrc", ".git-credentials", ".pypirc", ".htpasswd", ".pgpass", ".envrc", ".dockercfg":
		return "usually holds passwords, and will be published"
	}
	switch path.Join(strings.ToLower(path.Base(path.Dir(p))), base) {
	case ".docker/config.json", ".aws/credentials":
		return "usually holds passwords, and will be published"
	}
	rest, isEnv := strings.CutPrefix(base, ".env")
	if isEnv && (rest == "" || rest[0] == '.' || rest[0] == '-' || rest[0] == '_') || strings.HasSuffix(base, ".env") {
		for _, template := range []string{"example", "sample", "template", "dist", "defaults", "schema"} {
			if strings.Contains(base, template) {
				return ""
			}
		}
		return "usually holds the settings and passwords of one machine, and will be published"
	}
	return ""
}

// warnOfDisclosure warns of files that usually hold passwords.
func (f *FileSet) warnOfDisclosure(paths []string) {
	for _, p := range paths {
		if reason := disclosureReason(p); reason != "" {
			f.Warnings = append(f.Warnings, packlist.Warning{Path: p, Reason: reason})
		}
	}
}

// isRegistryConfig reports whether p is a file in which npm, yarn or bun keeps tokens.
func isRegistryConfig(p string) bool {
	base := strings.ToLower(path.Base(p))
	return strings.Contains(base, "npmrc") || strings.HasPrefix(base, ".yarnrc") || strings.Contains(base, "bunfig")
}

// registryToken finds a line that holds a token or password, alone, between braces, or in an
// address. One that names a variable holds none.
var registryToken = regexp.MustCompile(`(?im)^(?:[^#;\n]*[{,])?[ \t]*["']?(?:[^\s;#=]*[:/])?(?:_authToken|_auth|_password|npmAuthToken|npmAuthIdent|token|password)["']?[ \t]*[=: ][ \t]*["']?[^\s"'$=:]` +
	`|^[^#;\n]*://[^/\s:@"']+:[^/\s@"'$]+@`)

func hasRegistryToken(b []byte) bool {
	return registryToken.Match(bytes.ReplaceAll(b, []byte("\r"), nil))
}
