// Package managers finds the other package managers that work in a project, npm, yarn,
// pnpm and bun, and says which packages are theirs. es never touches those unasked.
//
// It implements SPEC.md [I134], as far as the files of these programs say it; their
// formats are read for names and paths alone, whatever their version.
package managers

import (
	"encoding/json"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/internal/regularfile"
)

// hiddenNPMLock is npm's note of what it has put into node_modules.
const hiddenNPMLock = lockfile.NodeModules + "/.package-lock.json"

// npmFields are the fields of package.json whose packages npm and its like install.
var npmFields = []string{"dependencies", "devDependencies", "optionalDependencies", "peerDependencies"}

// Found is what other package managers install in a project.
type Found struct {
	clients []string          // npm, yarn, pnpm, bun: those that have a lockfile here
	paths   map[string]string // a path of npm's -> the file that names it
	named   map[string]string // a name in package.json -> the field
	texts   map[string]string // lockfiles of which only the names are read -> contents
}

// Find reads the lockfiles of other package managers in a project, and what its
// package.json asks them for. A file that cannot be understood names nothing.
func Find(project *os.Root) *Found {
	o := &Found{paths: map[string]string{}, named: map[string]string{}, texts: map[string]string{}}
	for _, name := range []string{"package-lock.json", "npm-shrinkwrap.json", hiddenNPMLock} {
		if b, err := read(project, name); err == nil {
			o.add("npm")
			o.readNPM(name, b)
		}
	}
	for _, l := range []struct{ file, client string }{
		{"yarn.lock", "yarn"}, {"pnpm-lock.yaml", "pnpm"}, {lockfile.NodeModules + "/.modules.yaml", "pnpm"}, {"bun.lock", "bun"}, {"bun.lockb", "bun"},
	} {
		if b, err := read(project, l.file); err == nil {
			o.add(l.client)
			o.texts[l.file] = string(b)
		}
	}
	if b, err := read(project, packagejson.Name); err == nil {
		_, text := regularfile.CutBOM(b)
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(text, &fields)
		for _, field := range npmFields {
			var names map[string]json.RawMessage
			_ = json.Unmarshal(fields[field], &names)
			for name := range names {
				o.named[name] = field
			}
		}
	}
	return o
}

// Any reports whether the lockfile of any package manager is in the project.
func (o *Found) Any() bool { return len(o.clients) > 0 }

// Has reports whether the lockfile of a package manager is in the project.
func (o *Found) Has(client string) bool { return slices.Contains(o.clients, client) }

func read(project *os.Root, name string) ([]byte, error) {
	return regularfile.ReadIn(project, filepath.FromSlash(name), lockfile.MaxSize)
}

func (o *Found) add(name string) {
	if !slices.Contains(o.clients, name) {
		o.clients = append(o.clients, name)
	}
}

// npmLock is what is read of a package-lock.json of any version.
type npmLock struct {
	Packages     map[string]json.RawMessage `json:"packages"` // by path, since version 2
	Dependencies map[string]npmDependency   `json:"dependencies"`
}

type npmDependency struct {
	Dependencies map[string]npmDependency `json:"dependencies"`
}

func (o *Found) readNPM(file string, b []byte) {
	var lock npmLock
	if json.Unmarshal(b, &lock) != nil {
		return
	}
	for at := range lock.Packages {
		o.paths[at] = file
	}
	if lock.Packages == nil {
		o.readNested(file, "", lock.Dependencies)
	}
}

func (o *Found) readNested(file, above string, deps map[string]npmDependency) {
	for name, d := range deps {
		at := path.Join(above, lockfile.NodeModules, name)
		o.paths[at] = file
		o.readNested(file, at, d.Dependencies)
	}
}

// Names returns npm, yarn, pnpm and bun, as far as they have a lockfile here or
// package.json has dependencies for npm.
func (o *Found) Names() []string {
	if len(o.clients) == 0 && len(o.named) > 0 {
		return []string{"npm"}
	}
	return o.clients
}

// Claim returns the file or field that says that another package manager installs the
// package at the path, or "".
func (o *Found) Claim(at string) string {
	if file := o.Lock(at); file != "" {
		return file
	}
	if field := o.named[string(lockfile.NameAt(at))]; field != "" && lockfile.Parent(at) == "" {
		return field + " of " + packagejson.Name
	}
	return ""
}

// Lock is Claim for lockfiles alone.
func (o *Found) Lock(at string) string {
	if file := o.paths[at]; file != "" || lockfile.Parent(at) != "" {
		return file
	}
	for _, file := range slices.Sorted(maps.Keys(o.texts)) {
		if hasName(o.texts[file], string(lockfile.NameAt(at))) {
			return file
		}
	}
	return ""
}

// hasName reports whether a package's name stands in the text by itself.
func hasName(text, name string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		if !partOfName(text, start, name[0] == '@') && (end == len(text) || !inName(text[end]) && text[end] != '/') {
			return true
		}
		from = end
	}
}

// partOfName reports whether what begins at start goes on with a name before it.
func partOfName(text string, start int, scoped bool) bool {
	if start == 0 {
		return false
	}
	if text[start-1] == '/' {
		return scoped || scopedAt(text, start-1)
	}
	return inName(text[start-1])
}

// scopedAt reports whether the slash at i ends a scope.
func scopedAt(text string, i int) bool {
	for i--; i >= 0 && inName(text[i]); i-- {
	}
	return i >= 0 && text[i] == '@'
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}

// Hook is the script of package.json by which npm, from version 7 on, puts back what it
// has removed of es's.
const Hook = `"scripts": {"dependencies": "es install --frozen"}`

// HasHook reports whether package.json's script for npm starts es.
func HasHook(project *os.Root) bool {
	b, err := read(project, packagejson.Name)
	if err != nil {
		return false
	}
	_, b = regularfile.CutBOM(b)
	var file struct {
		Scripts map[string]any `json:"scripts"`
	}
	_ = json.Unmarshal(b, &file)
	script, _ := file.Scripts["dependencies"].(string)
	return strings.Contains(script, "es install")
}
