package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
)

// A packageDir is a package directory to be: contents by path. A path that
// ends in '/' is an empty directory, contents that begin with "-> " make a
// symbolic link.
type packageDir map[string]string

func (p packageDir) write(t testing.TB, dir string) {
	t.Helper()
	for path, contents := range p {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if strings.HasSuffix(path, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(contents, "-> "); ok {
			err = os.Symlink(target, full)
		} else {
			err = os.WriteFile(full, []byte(contents), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hasFolded reports whether path, or something under it, is in p when case does
// not count.
func (p packageDir) hasFolded(path string) bool {
	path = strings.ToLower(path)
	for other := range p {
		other = strings.ToLower(other)
		if other == path || strings.HasPrefix(other, path+"/") {
			return true
		}
	}
	return false
}

func (p packageDir) distinctNames(prefix string) bool {
	seen := make(map[string]bool)
	for path := range p {
		rest, inside := strings.CutPrefix(path, prefix)
		if !inside {
			continue
		}
		for _, e := range strings.Split(filepath.Dir(rest), "/") {
			seen[e+"/"] = true
		}
		base := filepath.Base(rest)
		if seen[base] || seen[base+"/"] {
			return false
		}
		seen[base] = true
	}
	return true
}

// packedByNpm returns what `npm pack` would put into the tarballs of dirs.
func packedByNpm(t testing.TB, dirs []string) [][]string {
	t.Helper()
	out := npm(t, filepath.Dir(dirs[0]), append([]string{"pack", "--offline", "--dry-run", "--json", "--ignore-scripts"}, dirs...)...)
	var packed []struct {
		Files []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(out), &packed); err != nil {
		t.Fatalf("npm pack printed %q: %v", out, err)
	}
	if len(packed) != len(dirs) {
		t.Fatalf("npm packed %d of %d directories", len(packed), len(dirs))
	}
	lists := make([][]string, len(packed))
	for i, p := range packed {
		for _, f := range p.Files {
			lists[i] = append(lists[i], f.Path)
		}
		slices.Sort(lists[i])
	}
	return lists
}

// TestFileSetIsThatOfNpm compares Scan with the npm that is installed, whose
// npm-packlist must be a 10.x, on random directories. ES_FULL=1 makes it 1,500
// of them instead of 100; ES_SEED=N begins elsewhere.
func TestFileSetIsThatOfNpm(t *testing.T) {
	rounds, batch := 4, 25
	if os.Getenv("ES_FULL") != "" {
		rounds = 60
	}
	seed := uint64(1)
	if s := os.Getenv("ES_SEED"); s != "" {
		fmt.Sscan(s, &seed)
	}
	differences := 0
	for round := range rounds {
		root := t.TempDir()
		var dirs []string
		for i := range batch {
			r := rand.New(rand.NewPCG(seed, uint64(round*batch+i)))
			dir := filepath.Join(root, fmt.Sprintf("p%02d", i))
			randomPackage(r).write(t, dir)
			dirs = append(dirs, "./"+filepath.Base(dir))
		}
		for i := range dirs {
			dirs[i] = filepath.Join(root, filepath.Base(dirs[i]))
		}
		for i, want := range packedByNpm(t, dirs) {
			set, err := modules.Scan(dirs[i])
			var rule *unixfs.RuleError
			if errors.As(err, &rule) && rule.Rule == "M10" && strings.Contains(strings.Join(want, "/"), ".git/") {
				continue // es refuses to publish a git repository
			}
			if err != nil {
				t.Errorf("round %d, package %d: %v", round, i, err)
				continue
			}
			var got []string
			for _, f := range set.Files {
				got = append(got, f.Path)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				differences++
				pkg, _ := os.ReadFile(filepath.Join(dirs[i], "package.json"))
				t.Errorf("round %d, package %d:\nonly es:  %q\nonly npm: %q\n%s\nignore files: %s", round, i,
					without(got, want), without(want, got), pkg, ignoreFiles(dirs[i]))
			}
		}
		if differences > 5 {
			t.Fatal("too many differences")
		}
	}
}

func without(list, other []string) []string {
	var only []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			only = append(only, s)
		}
	}
	return only
}

func ignoreFiles(dir string) string {
	var b strings.Builder
	filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if strings.HasSuffix(p, "ignore") {
			data, _ := os.ReadFile(p)
			fmt.Fprintf(&b, "\n%s: %q", strings.TrimPrefix(p, dir), data)
		}
		return nil
	})
	return b.String()
}

var (
	someNames = []string{
		"a.js", "b.js", "c.test.js", "index.js", "index.d.ts", "x.ts", "README", "readme.md", "README.txt", "readme.md~", "LICENSE",
		"license-mit.txt", "LICENCE.md", "COPYING", "CHANGELOG.md", "package-lock.json", "yarn.lock", "npm-shrinkwrap.json",
		".npmrc", ".env", ".eslintrc", ".DS_Store", "._x", ".a.swp", "x.orig", "npm-debug.log", ".lock-wscript", ".wafpickle-1",
		"config.gypi", "binding.gyp", "grüße.txt", "日本.js", "a b.js", "[x].js", "{a,b}.js", "a+b.js", "a!b.js", "(a).js", "#a.js",
		"pnpm-lock.yaml", "bun.lockb", "bun.lock", "A.js", "Index.js", "package.json", "1", "22.js", "-x.js", "@at.js", "e\u0301.js",
	}
	someDirs = []string{
		"lib", "src", "dist", "test", "bin", "docs", "build", ".git", ".svn", "CVS", "archived-packages", ".github", "Lib", "a", "b",
		"node_modules", "packages", "package", "x.js", "[d]", "deep",
	}
	somePatterns = []string{
		"*.js", "lib", "lib/", "lib/*", "/lib", "./lib", "lib/**", "!lib/b.js", "dist/**/*.js", "**/*.ts", "!**/*.test.js", "*.md",
		"src/*.{js,ts}", "{lib,dist}", "bin/", "index.js", "./index.js", "/index.js", "*", "**", "!*", ".*", "test", "!test", "**/test/**",
		"!(test)", "lib/!(*.test).js", "+(a|b).js", "@(lib|src)/**", "?(a).js", "*(x).js", "[ab].js", "[!a].js", "[[:alpha:]]*.js",
		"a*.js", "?.js", "??.js", ".npmrc", ".git", ".env", "package-lock.json", "/package-lock.json", "docs/../lib", "lib//a.js", "README",
		"readme.md", "!readme.md", "LICENSE", "node_modules", "node_modules/**", "deep/**/a.js", "**/deep", "deep/*", "*/a.js", "a/", "!a/",
		"\\[x\\].js", "[[]x].js", "*.J*", "LIB", "A.JS", "grüße.txt", "*.orig", "!.DS_Store", "x.js", "x.js/", "lib/deep/a.js",
		"!(a|b)*(.test).js", "{1..22}.js", "src/", "!src/a.js", "/*.js", "!/a.js", "lib/*.js", "!lib", "lib/**/deep/**", "**/lib", "..", ".", "",
		"{a,b}.js", "*.{js", "a+b.js", "(a).js", "!!a.js", " a b.js ", "#a.js", "\\#a.js", "**/*", "**/.*", "./*", "./", "/", "*/", "*/*",
		"日*", "?本.js", "[日a]*", "e?.js", "!(*.md)", "!(a)*", "*!(a).js", "@(a|+(b|c)).js", "!(!(a)).js", "+(!(a)|b).js",
		"**/{a,b}.js", "lib/{deep,a}/**", "*.{d.ts,js}", "dist/*.js", "@at.js", "-x.js",
	}
)

// randomPackage makes a package directory with everything that the rules of npm
// speak of.
func randomPackage(r *rand.Rand) packageDir {
	p := packageDir{}
	var fill func(prefix string, depth int)
	fill = func(prefix string, depth int) {
		for range 1 + r.IntN(6) {
			if name := pick(r, someNames); name != "package.json" && !p.hasFolded(prefix+name) {
				p[prefix+name] = "x"
			}
		}
		if r.IntN(5) == 0 {
			p[prefix+pick(r, []string{".npmignore", ".gitignore"})] = randomRules(r)
		}
		if r.IntN(12) == 0 {
			p[prefix+"link"] = "-> " + pick(r, []string{"index.js", "lib", "nowhere", "/"})
		}
		if depth < 3 {
			for range r.IntN(4) {
				if dir := prefix + pick(r, someDirs); !p.hasFolded(dir) {
					if !strings.HasSuffix(dir, "node_modules") || r.IntN(3) == 0 {
						fill(dir+"/", depth+1)
					}
				}
			}
		}
	}
	fill("", 0)
	pkg := map[string]any{"name": "p", "version": "1.0.0"}
	if r.IntN(3) > 0 {
		files := []string{}
		for range r.IntN(5) {
			files = append(files, pick(r, somePatterns))
		}
		pkg["files"] = files
	}
	paths := make([]string, 0, len(p))
	for path := range p {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	if r.IntN(3) == 0 {
		pkg["main"] = pick(r, append([]string{"./index.js", "lib", "nowhere.js"}, paths...))
	}
	if r.IntN(8) == 0 {
		pkg["browser"] = map[string]string{"./a.js": "./b.js"}
	}
	switch r.IntN(6) {
	case 0:
		pkg["bin"] = pick(r, paths)
	case 1:
		pkg["bin"] = map[string]string{"x": "./" + pick(r, paths), "y": "lib/../" + pick(r, paths)}
	case 2:
		// Which of two programs of one name wins is up to the file system.
		if dir := pick(r, someDirs); dir != "node_modules" && p.distinctNames(dir+"/") {
			pkg["directories"] = map[string]string{"bin": dir}
		}
	}
	if r.IntN(4) == 0 {
		addBundles(r, p, pkg)
	}
	data, _ := json.Marshal(pkg)
	p["package.json"] = string(data)
	return p
}

func addBundles(r *rand.Rand, p packageDir, pkg map[string]any) {
	deps := map[string]string{"left": "*", "@s/right": "*", "gone": "*"}
	pkg["dependencies"] = deps
	pkg["bundleDependencies"] = pick(r, []any{true, []string{"left"}, []string{"@s/right", "left", "other"}, false})
	if r.IntN(4) == 0 {
		pkg["devDependencies"] = map[string]string{"left": "*"}
	}
	for _, name := range []string{"left", "@s/right", "inner", "other"} {
		prefix := "node_modules/" + name + "/"
		dep := map[string]any{"name": name, "version": "1.0.0"}
		if name == "left" {
			dep["dependencies"] = map[string]string{"inner": "*"}
		}
		if r.IntN(3) == 0 {
			dep["files"] = []string{pick(r, somePatterns), pick(r, somePatterns)}
		}
		data, _ := json.Marshal(dep)
		for range 4 {
			for _, path := range []string{pick(r, someNames), pick(r, someDirs[:6]) + "/" + pick(r, someNames)} {
				if !p.hasFolded(prefix + path) {
					p[prefix+path] = "x"
				}
			}
		}
		p[prefix+"package.json"] = string(data)
		if r.IntN(4) == 0 {
			p[prefix+".npmignore"] = randomRules(r)
		}
	}
}

func randomRules(r *rand.Rand) string {
	var lines []string
	for range 1 + r.IntN(4) {
		lines = append(lines, pick(r, somePatterns))
	}
	return strings.Join(lines, pick(r, []string{"\n", "\r\n"})) + "\n"
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// TestFileSetVectorsAreThoseOfNpm asks npm for the list of every vector of SPEC
// M9.
func TestFileSetVectorsAreThoseOfNpm(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "modules", "fileset-*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors: %v", err)
	}
	root := t.TempDir()
	var dirs []string
	var want [][]string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := packageDir{}
		var list []string
		for name, contents := range sections(string(data)) {
			if path, ok := strings.CutPrefix(name, "in/"); ok {
				p[path] = contents
				continue
			}
			for line := range strings.Lines(contents) {
				line = strings.TrimSpace(line)
				if name == "links" {
					name, target, _ := strings.Cut(line, " -> ")
					p[name] = "-> " + target
				} else {
					list = append(list, line)
				}
			}
		}
		slices.Sort(list)
		dir := filepath.Join(root, strings.TrimSuffix(filepath.Base(file), ".txtar"))
		p.write(t, dir)
		dirs, want = append(dirs, dir), append(want, list)
	}
	for i, got := range packedByNpm(t, dirs) {
		if !slices.Equal(got, want[i]) {
			t.Errorf("%s:\nonly in the vector: %q\nonly npm:           %q", filepath.Base(dirs[i]), without(want[i], got), without(got, want[i]))
		}
	}
}

// sections splits a txtar file.
func sections(data string) map[string]string {
	all := map[string]string{}
	name := ""
	for line := range strings.Lines(data) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(s, " --") {
			name = strings.TrimSuffix(s, " --")
			all[name] = ""
		} else if name != "" {
			all[name] += line
		}
	}
	return all
}
