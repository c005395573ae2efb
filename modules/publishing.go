package modules

import (
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// PublishConfig is what package.json says about publishing it. All texts are the
// author's own, unchecked; empty ones say nothing.
type PublishConfig struct {
	Tag       string
	Access    string   // "public" or "restricted"
	Directory string   // what pnpm publishes in place of the package's directory
	Registry  []string // those that the package is meant for
	Fields    []string // of package.json, which pnpm and yarn replace by what stands here
	Invalid   []string // what it says in a form that has no meaning, such as a tag that is a number
}

// PublishConfig reads publishConfig.
func (p *PackageJSON) PublishConfig() PublishConfig {
	o := p.json.Object("publishConfig")
	c := PublishConfig{Tag: o.Text("tag"), Access: o.Text("access"), Directory: o.Text("directory")}
	if v := p.json.Get("publishConfig"); o == nil && v != nil {
		c.Invalid = append(c.Invalid, "it is no object")
	}
	for _, key := range o.Keys() {
		_, text := o.Get(key).(string)
		meant := slices.Contains([]string{"tag", "access", "directory", "registry"}, key) || strings.HasSuffix(key, ":registry")
		if meant && !text && o.Get(key) != nil {
			c.Invalid = append(c.Invalid, key+" is no text")
		}
		if r := o.Text(key); r != "" && (key == "registry" || strings.HasSuffix(key, ":registry")) {
			c.Registry = append(c.Registry, r)
		}
		if slices.Contains(replacedFields, key) && !reflect.DeepEqual(o.Get(key), p.json.Get(key)) {
			c.Fields = append(c.Fields, key)
		}
	}
	return c
}

// replacedFields are those of package.json that pnpm, and yarn, take from publishConfig.
var replacedFields = []string{"bin", "browser", "cpu", "es2015", "esnext", "exports", "imports", "libc", "main", "module", "os", "type", "types", "typesVersions", "typings", "umd:main", "unpkg"}

// BuildScripts returns which of the scripts the package has that npm runs before it
// publishes, in npm's order.
func (p *PackageJSON) BuildScripts() []string {
	var names []string
	for _, name := range []string{"prepublishOnly", "prepack", "prepare"} {
		if p.json.Object("scripts").Text(name) != "" {
			names = append(names, name)
		}
	}
	return names
}

// ListsFiles reports whether "files" says what is packed.
func (p *PackageJSON) ListsFiles() bool {
	_, listed, err := npmjson.Files(p.json)
	return listed && err == nil
}

// A MissingTarget is a field of package.json that names what is not in the module.
type MissingTarget struct {
	Field string // such as "main" or "exports"
	Value string // as it stands there
}

// MissingTargets returns what the module lacks, by field: most often it was not built. Of
// "files" that is nothing when some of its entries are there.
func (f *FileSet) MissingTargets() []MissingTarget {
	p := f.Package
	in := contents{}
	for _, file := range f.Files {
		in = append(in, file.Path)
	}
	var missing []MissingTarget
	add := func(field, value string, endings ...string) {
		if value != "" && !in.resolves(value, endings) {
			missing = append(missing, MissingTarget{field, value})
		}
	}
	code := []string{"", ".js", ".json", ".node", "/index.js", "/index.json", "/index.node"}
	types := []string{"", ".d.ts", ".ts", ".d.mts", ".d.cts", "/index.d.ts"}
	add("main", p.json.Text("main"), code...)
	add("module", p.json.Text("module"), code...)
	add("browser", p.json.Text("browser"), code...)
	add("types", p.json.Text("types"), types...)
	add("typings", p.json.Text("typings"), types...)
	missing = in.exports(missing, p.json.Get("exports"))
	if programs, _, err := p.declaredBins(in); err == nil { // newFileSet returned the error
		for _, b := range programs {
			if !records.IsReservedCommand(b.command, p.Name) {
				add("bin", b.program, "")
			}
		}
	}
	unmatched, some := in.files(p.json)
	if !some {
		missing = append(missing, unmatched...)
	}
	return missing
}

// UnmatchedFiles returns the entries of "files" that name nothing in the module, when
// others do.
func (f *FileSet) UnmatchedFiles() []string {
	in := contents{}
	for _, file := range f.Files {
		in = append(in, file.Path)
	}
	missing, some := in.files(f.Package.json)
	var entries []string
	for _, m := range missing {
		if some {
			entries = append(entries, m.Value)
		}
	}
	return entries
}

// contents are the paths of a module's files, sorted.
type contents []string

// resolves reports whether a path of package.json names a file, with one of the
// endings behind it.
func (c contents) resolves(value string, endings []string) bool {
	cleaned := strings.TrimPrefix(path.Clean("/"+value), "/")
	for _, e := range endings {
		if slices.Contains(c, strings.TrimPrefix(cleaned+e, "/")) {
			return true
		}
	}
	return false
}

func (c contents) hasBelow(dir string) bool {
	return slices.ContainsFunc(c, func(p string) bool { return strings.HasPrefix(p, dir) })
}

// exports adds the targets of "exports" that are not there. Of alternatives in a list
// one is enough.
func (c contents) exports(missing []MissingTarget, v any) []MissingTarget {
	switch v := v.(type) {
	case string:
		if rest, inside := strings.CutPrefix(v, "./"); inside && !c.target(rest) {
			return append(missing, MissingTarget{"exports", v})
		}
	case *npmjson.Object:
		for _, key := range v.Keys() {
			missing = c.exports(missing, v.Get(key))
		}
	case []any:
		var none []MissingTarget
		for _, item := range v {
			before := len(none)
			if none = c.exports(none, item); len(none) == before {
				return missing
			}
		}
		return append(missing, none...)
	}
	return missing
}

// target reports whether a target of "exports" leads to a file; it may have one '*',
// or end with a slash.
func (c contents) target(t string) bool {
	before, after, pattern := strings.Cut(t, "*")
	switch {
	case pattern:
		return slices.ContainsFunc(c, func(p string) bool {
			return len(p) >= len(before)+len(after) && strings.HasPrefix(p, before) && strings.HasSuffix(p, after)
		})
	case strings.HasSuffix(t, "/"):
		return c.hasBelow(t)
	}
	return slices.Contains(c, path.Clean(t))
}

// files returns the entries of "files" that name nothing in the module, and whether
// others do. Of a pattern the directory counts that it is about.
func (c contents) files(pkg *npmjson.Object) (missing []MissingTarget, some bool) {
	list, _ := pkg.Get("files").([]any)
	for _, entry := range npmjson.Strings(list) {
		dir, _, pattern := cutPattern(strings.TrimLeft(strings.TrimPrefix(entry, "."), "/"))
		if pattern {
			dir = dir[:strings.LastIndex(dir, "/")+1]
		}
		literal := strings.TrimSuffix(dir, "/")
		switch {
		case strings.HasPrefix(entry, "!"):
		case literal == "":
			some = true // a pattern for everywhere, or everything
		case slices.Contains(c, literal) || c.hasBelow(literal+"/"):
			some = true
		default:
			missing = append(missing, MissingTarget{"files", entry})
		}
	}
	return missing, some
}

// cutPattern cuts a glob before its first special character.
func cutPattern(glob string) (literal, rest string, pattern bool) {
	if i := strings.IndexAny(glob, `*?[{(\`); i >= 0 {
		return glob[:i], glob[i:], true
	}
	return glob, "", false
}

// An UnsupportedDependency is a dependency that es can never install: it is nothing that anybody
// could release under a name.
type UnsupportedDependency struct {
	Field string // such as "dependencies"
	Name  string
	Spec  string
	Kind  string // such as "a git repository"
}

// UnsupportedDependencies returns such dependencies, in the order of package.json. What the module
// bundles needs no installing.
func (f *FileSet) UnsupportedDependencies() []UnsupportedDependency {
	var all []UnsupportedDependency
	for _, field := range []string{"dependencies", "optionalDependencies", "peerDependencies", "esDependencies"} {
		o := f.Package.json.Object(field)
		for _, name := range o.Keys() {
			spec := o.Text(name)
			if _, pinned := parsePin(spec); pinned || slices.Contains(f.manifest.Bundled, name) {
				continue
			}
			if what := unsupportedSpec(strings.TrimSpace(spec)); what != "" {
				all = append(all, UnsupportedDependency{field, name, spec, what})
			}
		}
	}
	return all
}

// Dependencies returns what the module needs installed beside it, by name, optional
// ones left out: what its release will say.
func (f *FileSet) Dependencies() map[string]string { return f.manifest.Dependencies }

var (
	protocol  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`)
	localPath = regexp.MustCompile(`^(?:\.{1,2}(?:[/\\]|$)|~?/|[A-Za-z]:[/\\]|\\\\)`)
	tarball   = regexp.MustCompile(`(?i)\.(?:tgz|tar\.gz|tar)$`)
	shorthand = regexp.MustCompile(`^[^@\s/:]+/[^@\s/:]+$`) // user/repository
	scpLike   = regexp.MustCompile(`^[^@\s/]+@[^\s/]+:`)
)

// unsupportedSpec says what a dependency is that is neither a version, a range, a tag nor
// an alias, as npm reads it; otherwise "".
func unsupportedSpec(spec string) string {
	if localPath.MatchString(spec) {
		return "a path on your machine"
	}
	if m := protocol.FindStringSubmatch(spec); m != nil {
		switch p := strings.ToLower(m[1]); p {
		case "npm":
			if at := strings.LastIndex(spec, "@"); at > len("npm:") { // not that of a scope
				return unreadableRange(spec[at+1:])
			}
			return ""
		case "file", "link", "portal":
			return "a path on your machine"
		case "workspace", "catalog", "patch":
			return "replaced by another package manager when it publishes, and not by es"
		case "http", "https":
			if strings.Contains(spec, ".git") && !tarball.MatchString(spec) {
				return "a git repository"
			}
			return "an address"
		case "git", "ssh", "github", "gitlab", "bitbucket", "gist", "sourcehut":
			return "a git repository"
		default:
			if strings.HasPrefix(p, "git+") {
				return "a git repository"
			}
			return "of a kind that es does not know"
		}
	}
	before, _, _ := strings.Cut(spec, "#")
	switch {
	case shorthand.MatchString(before), scpLike.MatchString(spec):
		return "a git repository"
	case tarball.MatchString(spec):
		return "a path on your machine"
	}
	return unreadableRange(spec)
}

// unreadableRange says so of what is neither a version, a range nor a tag.
func unreadableRange(spec string) string {
	if _, err := npmrange.ParseConstraint(spec); err != nil {
		return "neither a version, a range nor a tag"
	}
	return ""
}
