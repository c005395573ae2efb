// Package packlist lists the files that npm would publish of a package on disk (SPEC.md
// [M9], [I130]): a port of npm-packlist 10.0.4 and ignore-walk 8.0.0, with what npm adds of
// bundled dependencies. It writes nothing and runs no script.
package packlist

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/minimatch"
	"github.com/everythingstays/es/modules/unixfs"
)

// Which files npm publishes: a port of npm-packlist 10.0.4 and ignore-walk
// 8.0.0, bundled with npm 11.19.1, and as odd as they are. The names are theirs
// where there is one, so that the two can be read side by side.

// Two rule sets that come from no file.
const (
	defaultRules = "\x00default"
	strictRules  = "\x00strict"
)

var packDefaults = []string{
	".npmignore",
	".gitignore",
	"**/.git",
	"**/.svn",
	"**/.hg",
	"**/CVS",
	"**/.git/**",
	"**/.svn/**",
	"**/.hg/**",
	"**/CVS/**",
	"/.lock-wscript",
	"/.wafpickle-*",
	"/build/config.gypi",
	"npm-debug.log",
	"**/.npmrc",
	".*.swp",
	".DS_Store",
	"**/.DS_Store/**",
	"._*",
	"**/._*/**",
	"*.orig",
	"/archived-packages/**",
}

var packStrict = []string{
	"!/package.json",
	"!/readme{,.*[^~$]}",
	"!/copying{,.*[^~$]}",
	"!/license{,.*[^~$]}",
	"!/licence{,.*[^~$]}",
	"/.git",
	"/node_modules",
	".npmrc",
	"/package-lock.json",
	"/yarn.lock",
	"/pnpm-lock.yaml",
	"/bun.lockb",
}

// A Warning is about something in the directory that will not be in the module.
type Warning struct {
	Path   string
	Reason string
}

// What the patterns of a package may cost ([M9]).
const (
	maxSteps      = 1 << 26 // for the package
	stepsPerEntry = 1 << 14 // more, for each entry of a directory
)

// A collector collects the files of one package and of what it bundles.
type collector struct {
	root     string          // path of the package's directory
	files    map[string]bool // paths relative to root
	warnings []Warning
	gathered map[string]bool // packages whose bundles are gathered
	compiled map[string]*minimatch.Rule
	budget   minimatch.Budget
}

// A packWalker looks at one directory, as ignore-walk's Walker does.
type packWalker struct {
	collector   *collector
	node        *packNode
	path        string
	base        string // where the paths of this package begin
	name        string // the directory's own
	parent      *packWalker
	exact       bool
	isPackage   bool
	ignoreFiles []string
	rules       map[string][]*minimatch.Rule
	required    []string
}

// List returns the paths of the files that npm would publish of the
// package in dir.
func List(dir string) ([]string, []Warning, error) {
	list := &collector{root: dir, files: make(map[string]bool), gathered: make(map[string]bool), compiled: make(map[string]*minimatch.Rule), budget: minimatch.Budget{Left: maxSteps}}
	node := &packNode{path: dir, realPath: dir, isRoot: true}
	w := &packWalker{collector: list, node: node, path: dir, base: dir, isPackage: true, ignoreFiles: []string{
		defaultRules, npmjson.FileName, ".npmignore", ".gitignore", strictRules,
	}}
	if err := w.start(); err != nil {
		return nil, nil, err
	}
	if list.budget.Exceeded {
		return nil, nil, errMatchBudget("")
	}
	paths := make([]string, 0, len(list.files))
	for p := range list.files {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, unixfs.ComparePaths)
	return paths, list.warnings, nil
}

func errMatchBudget(path string) error {
	return ruleErrorf("M9", path, "the patterns in package.json and ignore files take too long to match: use fewer or simpler ones")
}

func (w *packWalker) start() error {
	w.rules = make(map[string][]*minimatch.Rule)
	w.inject(defaultRules, packDefaults)
	if !w.isPackage {
		rules := []string{"/.git"}
		for _, file := range w.required {
			rules = append(rules, "!"+file)
		}
		w.inject(strictRules, rules)
	}
	entries, err := os.ReadDir(w.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(w.ignoreFiles, e.Name()) {
			continue
		}
		if err := w.addIgnoreFile(e.Name()); err != nil {
			return err
		}
	}
	if err := w.filterEntries(entries); err != nil {
		return err
	}
	if !w.isPackage {
		return nil
	}
	return w.gatherBundles()
}

func (w *packWalker) inject(name string, rules []string) {
	list := make([]*minimatch.Rule, len(rules))
	for i, r := range rules {
		list[i] = w.collector.rule(trimJS(r))
	}
	w.rules[name] = list
}

// rule compiles a pattern, once: every directory has the same defaults.
func (l *collector) rule(pattern string) *minimatch.Rule {
	r, ok := l.compiled[pattern]
	if !ok {
		r = minimatch.Compile(pattern, &l.budget)
		l.compiled[pattern] = r
	}
	return r
}

// maxIgnoreFile is how many bytes an ignore file may have ([I130]).
const maxIgnoreFile = 1 << 20

func (w *packWalker) addIgnoreFile(name string) error {
	if name == npmjson.FileName && w.isPackage {
		return w.processPackage()
	}
	data, err := regularfile.Read(w.path+"/"+name, maxIgnoreFile)
	if err != nil {
		return err
	}
	var rules []string
	for _, line := range strings.Split(string(data), "\n") {
		line = trimJS(line)
		if line != "" && line[0] != '#' {
			rules = append(rules, line)
		}
	}
	w.inject(name, rules)
	return nil
}

// trimJS is JavaScript's trim, which also takes the byte order mark.
func trimJS(s string) string {
	return strings.Trim(s, "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff")
}

// processPackage makes rules of package.json.
func (w *packWalker) processPackage() error {
	pkg, err := w.node.packageJSON()
	if err != nil {
		return err
	}
	var required, ignores []string
	files, listed, err := npmjson.Files(pkg)
	if err != nil {
		return ruleErrorf("M9", w.node.within+npmjson.FileName, "%v", err)
	}
	for _, file := range files {
		if strings.HasPrefix(file, "./") {
			file = file[1:]
		}
		if strings.HasSuffix(file, "/*") {
			file += "*"
		}
		info, err := os.Lstat(joinJS(w.path, strings.TrimLeft(file, "!")))
		switch {
		case err != nil:
			ignores = append(ignores, "!"+file)
		case info.Mode().IsRegular():
			required = append([]string{"!" + file}, required...)
			w.required = append(w.required, strings.TrimPrefix(file, "/"))
		case info.IsDir():
			ignores = append(ignores, "!"+file, "!"+file+"/**")
		}
	}
	if listed {
		w.inject(npmjson.FileName, append([]string{"*"}, ignores...))
	}
	strict := append(append(required, "/.git"), packStrict...)
	for _, field := range []string{"browser", "main"} {
		if v := npmjson.ToString(pkg.Get(field)); v != "" {
			strict = append(strict, "!/"+v)
		}
	}
	for _, program := range npmBins(pkg, w.path) {
		strict = append(strict, "!/"+program)
	}
	w.inject(strictRules, strict)
	return nil
}

// joinJS is path.join, which keeps a slash at the end: lstat then wants a
// directory, and follows a link to one.
func joinJS(dir, file string) string {
	joined := path.Join(dir, file)
	if strings.HasSuffix(file, "/") {
		joined += "/"
	}
	return joined
}

func (w *packWalker) filterEntries(entries []os.DirEntry) error {
	switch {
	case w.rules[npmjson.FileName] != nil:
		delete(w.rules, ".npmignore")
		delete(w.rules, ".gitignore")
	case w.rules[".npmignore"] != nil:
		delete(w.rules, ".gitignore")
	}
	for _, e := range entries {
		w.collector.budget.Left += stepsPerEntry
		file, dir := w.filterEntry(e.Name(), false, ""), w.filterEntry(e.Name(), true, "")
		if w.collector.budget.Exceeded {
			return errMatchBudget(w.collector.relative(w.path + "/" + e.Name()))
		}
		if !file && !dir {
			continue
		}
		if err := w.entry(e, file, dir); err != nil {
			return err
		}
	}
	return nil
}

func (w *packWalker) entry(e os.DirEntry, file, dir bool) error {
	abs := w.path + "/" + e.Name()
	rel := w.collector.relative(abs)
	switch {
	case strings.Contains(e.Name(), "*"):
		w.collector.warn(rel, "has a '*' in its name and is left out, as npm does")
	case e.Type()&os.ModeSymlink != 0:
		w.collector.warn(rel, "is a symbolic link and is left out")
	case e.IsDir():
		if !dir {
			return nil
		}
		exact := file || w.filterEntry(e.Name()+"/", false, "")
		return w.child(e.Name(), exact).start()
	case !e.Type().IsRegular():
		w.collector.warn(rel, "is not a regular file and is left out")
	case file:
		w.collector.files[rel] = true
	}
	return nil
}

func (w *packWalker) child(name string, exact bool) *packWalker {
	c := &packWalker{
		collector: w.collector, node: w.node, path: w.path + "/" + name, base: w.base, name: name, parent: w, exact: exact,
		ignoreFiles: []string{defaultRules, ".npmignore", ".gitignore", strictRules},
	}
	if w.node.hasWorkspaces() {
		// npm then reads the package.json of every directory as if it were an
		// ignore file, line by line.
		c.ignoreFiles = []string{defaultRules, npmjson.FileName, ".npmignore", ".gitignore", strictRules}
	}
	for _, file := range w.required {
		if rest, ok := strings.CutPrefix(path.Clean(file), name+"/"); ok && !strings.Contains(rest, "/") {
			c.required = append(c.required, rest)
		}
	}
	return c
}

// filterEntry reports whether entry, a path relative to w, is to be published.
// With partial it may be a directory that something is under.
func (w *packWalker) filterEntry(entry string, partial bool, base string) bool {
	included := true
	if w.parent != nil {
		parentBase := base
		if parentBase == "" {
			parentBase = entry
		}
		included = w.parent.filterEntry(w.name+"/"+entry, partial, parentBase)
		if !included && !w.exact {
			return false
		}
	}
	for _, name := range w.ignoreFiles {
		for _, rule := range w.rules[name] {
			if rule.Negate != included && rule.MatchEntry(entry, partial, base) {
				included = rule.Negate
			}
		}
	}
	return included
}

func (l *collector) relative(abs string) string {
	return strings.TrimPrefix(abs, l.root+"/")
}

func (l *collector) warn(path, reason string) {
	l.warnings = append(l.warnings, Warning{path, reason})
}

func ruleErrorf(rule, path, format string, args ...any) error {
	return &unixfs.RuleError{Rule: rule, Path: path, Reason: fmt.Sprintf(format, args...)}
}
