// Package packagelock reads npm's package-lock.json and npm-shrinkwrap.json of
// lockfileVersion 1 to 3: which packages stand where in node_modules, and what
// their tarballs hash to (SPEC.md section 17). It resolves nothing and writes
// nothing; a lockfile is its author's word.
package packagelock

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/records"
)

// Limits of a lockfile.
const (
	MaxFile     = 64 << 20 // bytes
	MaxPackages = 100_000
	MaxPath     = 4_096 // bytes of an entry's path
	MaxDepth    = 64    // node_modules within node_modules

	// maxReads is how often all bytes of lockfileVersion 1 are read, which is as often as
	// packages are within each other.
	maxReads = 8
)

// An Entry is one package of a lockfile.
type Entry struct {
	Path      string // from the project: node_modules/a/node_modules/@b/c, with slashes
	Name      string // the package's own name; another than the path's last part for an alias
	Version   string
	Resolved  string // URL of the tarball; may be empty
	Integrity string // as Subresource Integrity has it; may be empty

	Dev, Optional, DevOptional, Peer bool
	Bundled                          bool // comes within the tarball of the package around it
	Link                             bool // a workspace: Resolved is a path of the project
	Scripts                          bool // npm says that it has install scripts

	OS, CPU, Libc []string
	Bin           map[string]string // commands, as npm wrote them
	Requires      []string          // names that it depends on in any way, sorted
}

// A File is a lockfile.
type File struct {
	Version int // lockfileVersion
	Entries []Entry
	// Roots are what the project and its workspaces ask for, by their directories, ""
	// for the project; only of lockfileVersion 2 and 3.
	Roots map[string]Root

	left int // bytes of packages within packages that may still be read
}

// Root is what a lockfile says of a package.json of the project.
type Root struct {
	Dependencies, Dev, Optional, Peers map[string]string
}

// Requires returns the names of all that it asks for, sorted.
func (r *Root) Requires() []string { return names(r.Dependencies, r.Dev, r.Optional, r.Peers) }

// Kind says where an entry's bytes come from.
type Kind uint8

const (
	Registry  Kind = iota // a registry's tarball
	Bundled               // the tarball around it
	Workspace             // a directory of the project
	Local                 // a file: of the project
	Git                   // a git repository: npm makes the bytes itself
	Remote                // a tarball at a URL that somebody wrote down
)

// Kind tells a registry's package from others by what the entry says.
func (e *Entry) Kind() Kind {
	switch {
	case e.Bundled:
		return Bundled
	case e.Link:
		return Workspace
	case strings.HasPrefix(e.Resolved, "file:"):
		return Local
	case strings.HasPrefix(e.Resolved, "git+"), strings.HasPrefix(e.Resolved, "git:"), strings.HasPrefix(e.Resolved, "github:"):
		return Git
	case e.Resolved == "" || e.isConventional():
		return Registry
	}
	return Remote
}

// isConventional reports whether the URL ends as registries name a tarball of this
// package and version.
func (e *Entry) isConventional() bool {
	base := e.Name[strings.IndexByte(e.Name, '/')+1:]
	resolved, _, _ := strings.Cut(e.Resolved, "#")
	resolved, _, _ = strings.Cut(resolved, "?")
	return strings.HasPrefix(resolved, "http") && (strings.HasSuffix(resolved, "/"+base+"-"+e.Version+".tgz") || strings.Contains(resolved, "/-/"))
}

type rawEntry struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	Resolved    jsontext.Value `json:"resolved"`
	Integrity   string         `json:"integrity"`
	Dev         bool           `json:"dev"`
	Optional    bool           `json:"optional"`
	DevOptional bool           `json:"devOptional"`
	Peer        bool           `json:"peer"`
	InBundle    bool           `json:"inBundle"`
	Bundled     bool           `json:"bundled"` // lockfileVersion 1
	Link        bool           `json:"link"`
	Scripts     bool           `json:"hasInstallScript"`
	OS          jsontext.Value `json:"os"`
	CPU         jsontext.Value `json:"cpu"`
	Libc        jsontext.Value `json:"libc"`

	Bin          jsontext.Value `json:"bin"`
	Dependencies jsontext.Value `json:"dependencies"`
	DevDeps      jsontext.Value `json:"devDependencies"`
	OptionalDeps jsontext.Value `json:"optionalDependencies"`
	PeerDeps     jsontext.Value `json:"peerDependencies"`
	Required     jsontext.Value `json:"requires"` // lockfileVersion 1
}

// Parse reads a lockfile. An entry outside node_modules that is no workspace, a
// path with "..", and a name that does not fit its path are errors: they lead npm's
// own readers out of the project or to another package than they show.
func Parse(b []byte) (*File, error) {
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("read package-lock.json: %w", err)
	}
	return f, nil
}

func parse(b []byte) (*File, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(b), MaxFile)
	}
	if i := conflict(b); i > 0 {
		return nil, fmt.Errorf("line %d: a conflict of a merge; npm install --package-lock-only resolves it", i)
	}
	var doc struct {
		Version      int            `json:"lockfileVersion"`
		Packages     jsontext.Value `json:"packages"`
		Dependencies jsontext.Value `json:"dependencies"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, jsonError(err)
	}
	if doc.Version < 1 || doc.Version > 3 {
		return nil, fmt.Errorf("lockfileVersion is %d, not 1 to 3", doc.Version)
	}
	f := &File{Version: doc.Version, left: maxReads * len(b)}
	var err error
	if len(doc.Packages) > 0 {
		err = f.addPackages(doc.Packages)
	} else {
		err = f.addTree(doc.Dependencies, "", 0)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(f.Entries, func(x, y Entry) int { return strings.Compare(x.Path, y.Path) })
	return f, f.checkLinks()
}

// checkLinks refuses packages below a link: they would stand in another directory than
// they show.
func (f *File) checkLinks() error {
	links := make(map[string]bool)
	for i := range f.Entries {
		if f.Entries[i].Link {
			links[f.Entries[i].Path] = true
		}
	}
	if len(links) == 0 {
		return nil
	}
	for i := range f.Entries {
		for p := path.Dir(f.Entries[i].Path); p != "."; p = path.Dir(p) {
			if links[p] {
				return fmt.Errorf("%q: stands within %q, which is a link", records.Clip(f.Entries[i].Path), records.Clip(p))
			}
		}
	}
	return nil
}

// jsonError leaves out which type of Go a value has not.
func jsonError(err error) error {
	var value *json.SemanticError
	if !errors.As(err, &value) {
		return fmt.Errorf("it is not JSON as npm writes it: %v", err)
	}
	if value.JSONPointer == "" {
		return errors.New("it is no JSON object")
	}
	return fmt.Errorf("%q has a value of another type of JSON", value.JSONPointer)
}

// ParseRoot reads what a package.json asks for. It is as lenient as npm: what is no map
// of texts asks for nothing.
func ParseRoot(b []byte) (Root, error) {
	var doc struct {
		Dependencies jsontext.Value `json:"dependencies"`
		DevDeps      jsontext.Value `json:"devDependencies"`
		OptionalDeps jsontext.Value `json:"optionalDependencies"`
		PeerDeps     jsontext.Value `json:"peerDependencies"`
	}
	if err := json.Unmarshal(b, &doc, jsontext.AllowDuplicateNames(true)); err != nil {
		return Root{}, fmt.Errorf("read package.json: %v", err)
	}
	return Root{texts(doc.Dependencies), texts(doc.DevDeps), texts(doc.OptionalDeps), texts(doc.PeerDeps)}, nil
}

// conflict returns the line of a conflict marker, or 0.
func conflict(b []byte) int {
	line := 1
	for text := range strings.Lines(string(b)) {
		if strings.HasPrefix(text, "<<<<<<< ") || strings.HasPrefix(text, ">>>>>>> ") {
			return line
		}
		line++
	}
	return 0
}

// addPackages reads "packages" of versions 2 and 3: a flat map from paths.
func (f *File) addPackages(value jsontext.Value) error {
	return fields(value, func(at string, value jsontext.Value) error {
		var raw rawEntry
		if err := json.Unmarshal(value, &raw); err != nil {
			return fmt.Errorf("%q: %w", records.Clip(at), jsonError(err))
		}
		inTree := strings.HasPrefix(at, "node_modules/") || strings.Contains(at, "/node_modules/")
		if inTree {
			return f.add(at, &raw)
		}
		if at != "" {
			if err := checkPath(at); err != nil {
				return err
			}
		}
		if f.Roots == nil {
			f.Roots = make(map[string]Root)
		}
		f.Roots[at] = Root{texts(raw.Dependencies), texts(raw.DevDeps), texts(raw.OptionalDeps), texts(raw.PeerDeps)}
		return nil
	})
}

// addTree reads "dependencies" of version 1: packages within packages.
func (f *File) addTree(value jsontext.Value, above string, depth int) error {
	if len(value) == 0 {
		return nil
	}
	if depth > MaxDepth {
		return fmt.Errorf("%q: more than %d packages within each other", records.Clip(above), MaxDepth)
	}
	if f.left -= len(value); f.left < 0 {
		return fmt.Errorf("%q: most of the file is in packages within each other, more than %d deep", records.Clip(above), maxReads)
	}
	return fields(value, func(name string, value jsontext.Value) error {
		var raw rawEntry
		if err := json.Unmarshal(value, &raw); err != nil {
			return fmt.Errorf("%q: %w", records.Clip(name), jsonError(err))
		}
		at := above + "node_modules/" + name
		raw.InBundle = raw.Bundled
		raw.Name = ""
		if alias, ok := strings.CutPrefix(raw.Version, "npm:"); ok {
			i := strings.LastIndexByte(alias, '@')
			if i <= 0 {
				return fmt.Errorf("%q: alias %q has no version", at, records.Clip(raw.Version))
			}
			raw.Name, raw.Version = alias[:i], alias[i+1:]
		}
		if directory, ok := strings.CutPrefix(raw.Version, "file:"); ok && len(raw.Resolved) == 0 {
			raw.Link, raw.Resolved = true, jsontext.Value(quote(directory))
		} else if strings.Contains(raw.Version, ":") && len(raw.Resolved) == 0 {
			raw.Resolved = jsontext.Value(quote(raw.Version))
		}
		if err := f.add(at, &raw); err != nil {
			return err
		}
		return f.addTree(raw.Dependencies, at+"/", depth+1)
	})
}

func quote(s string) string {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func (f *File) add(at string, raw *rawEntry) error {
	if len(f.Entries) == MaxPackages {
		return fmt.Errorf("more than %d packages", MaxPackages)
	}
	if err := checkPath(at); err != nil {
		return err
	}
	last := at[strings.LastIndex(at, "node_modules/")+len("node_modules/"):]
	if !isPackageDirectory(last) {
		return fmt.Errorf("%q: %q is not the directory of a package", records.Clip(at), records.Clip(last))
	}
	e := Entry{
		Path: at, Name: raw.Name, Version: raw.Version, Integrity: raw.Integrity,
		Dev: raw.Dev, Optional: raw.Optional, DevOptional: raw.DevOptional, Peer: raw.Peer,
		Bundled: raw.InBundle, Link: raw.Link, Scripts: raw.Scripts,
		OS: npm.Words(raw.OS), CPU: npm.Words(raw.CPU), Libc: npm.Words(raw.Libc), Bin: bins(raw.Bin, last),
		Requires: names(texts(raw.Dependencies), texts(raw.OptionalDeps), texts(raw.PeerDeps)),
	}
	if f.Version == 1 {
		e.Requires = names(texts(raw.Required))
	}
	if e.Name == "" {
		e.Name = last
	}
	if len(raw.Resolved) > 0 && raw.Resolved.Kind() == '"' {
		if err := json.Unmarshal(raw.Resolved, &e.Resolved); err != nil {
			return fmt.Errorf("%q: resolved: %v", records.Clip(at), err)
		}
	}
	if e.Link {
		if err := checkPath(e.Resolved); err != nil {
			return fmt.Errorf("%q: links out of the project: %w", records.Clip(at), err)
		}
	}
	f.Entries = append(f.Entries, e)
	return nil
}

// checkPath refuses what is no plain relative path.
func checkPath(p string) error {
	switch {
	case p == "" || len(p) > MaxPath:
		return fmt.Errorf("path %q: has %d bytes, not 1 to %d", records.Clip(p), len(p), MaxPath)
	case path.Clean(p) != p || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("path %q: not a plain path within the project", records.Clip(p))
	case strings.ContainsAny(p, "\\:\x00"):
		return fmt.Errorf("path %q: has a character that means another path on Windows", records.Clip(p))
	case !allElements(p, isPlainName):
		return fmt.Errorf("path %q: has a name with characters that are not shown, or of more than %d bytes", records.Clip(p), maxName)
	case strings.Count(p, "node_modules/") > MaxDepth:
		return fmt.Errorf("path %q: more than %d packages within each other", records.Clip(p), MaxDepth)
	}
	return nil
}

func allElements(p string, ok func(string) bool) bool {
	for e := range strings.SplitSeq(p, "/") {
		if !ok(e) {
			return false
		}
	}
	return true
}

// isPackageDirectory reports whether s is a or @a/b.
func isPackageDirectory(s string) bool {
	scope, base, scoped := strings.Cut(s, "/")
	if !scoped {
		base = scope
	} else if len(scope) < 2 || scope[0] != '@' || strings.Contains(base, "/") {
		return false
	}
	return base != "" && base != "node_modules" && base[0] != '.' && (scoped || base[0] != '@')
}

// maxName is how many bytes an element of a path may have on common file systems.
const maxName = 255

// isPlainName reports whether a terminal shows s as it is and a file can have it.
func isPlainName(s string) bool {
	return utf8.ValidString(s) && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// bins reads commands: a map, or one path for the package's own name.
func bins(v jsontext.Value, name string) map[string]string {
	var path string
	if len(v) > 0 && json.Unmarshal(v, &path) == nil {
		return map[string]string{name[strings.IndexByte(name, '/')+1:]: path}
	}
	return texts(v)
}

// texts returns the fields of an object whose values are texts; nothing of what is no
// object.
func texts(v jsontext.Value) map[string]string {
	var all map[string]jsontext.Value
	if len(v) == 0 || v.Kind() != '{' || json.Unmarshal(v, &all) != nil {
		return nil
	}
	fields := make(map[string]string, len(all))
	for name, value := range all {
		var text string
		if json.Unmarshal(value, &text) == nil {
			fields[name] = text
		}
	}
	return fields
}

func names(all ...map[string]string) []string {
	var list []string
	for _, m := range all {
		for name := range m {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// fields calls f for each field of an object, in its order.
func fields(value jsontext.Value, f func(name string, value jsontext.Value) error) error {
	if len(value) == 0 {
		return nil
	}
	if value.Kind() != '{' {
		return errors.New("the list of packages is not an object")
	}
	d := jsontext.NewDecoder(bytes.NewReader(value))
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		field, err := d.ReadValue()
		if err != nil {
			return err
		}
		if err := f(name, field); err != nil {
			return err
		}
	}
	return nil
}
