package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// npm runs npm as the user has it configured: the registry is the one that npm
// itself would ask.
func npm(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "npm", args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// fetch returns the tarball of a package, from the user's cache directory if
// an earlier run put it there.
func fetch(t testing.TB, name, version string) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	cache := filepath.Join(base, "es-interop")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	tarball := filepath.Join(cache, strings.NewReplacer("@", "", "/", "-").Replace(name)+"-"+version+".tgz")
	if _, err := os.Stat(tarball); err == nil {
		return tarball
	}
	dir := t.TempDir()
	npm(t, dir, "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, name+"@"+version)
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		t.Fatalf("npm pack %s@%s made %q: %v", name, version, found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	partial, err := os.CreateTemp(cache, "partial-*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := partial.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := partial.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(partial.Name(), tarball); err != nil {
		t.Fatal(err)
	}
	return tarball
}

// realPackages are real packages in the order to publish them: those that
// others depend on come first.
var realPackages = []struct {
	name    string
	version string
	dropped []string // in the tarball, but today's npm would not pack them
	require string   // an expression that is true once the package works
}{
	{name: "ms", version: "2.1.3", require: `require("ms")("2 days") === 172800000`},
	{name: "left-pad", version: "1.3.0", require: `require("left-pad")("7", 3, "0") === "007"`},
	{name: "minimist", version: "1.2.8", require: `require("minimist")(["--a=1"]).a === 1`},
	{name: "mkdirp", version: "1.0.4", dropped: []string{"CHANGELOG.md"}, require: `typeof require("mkdirp").sync === "function"`},
	{name: "acorn", version: "8.11.3", require: `require("acorn").parse("1", {ecmaVersion: 5}).type === "Program"`},
	{name: "semver", version: "7.7.2", require: `require("semver").satisfies("1.2.3", "^1.0.0")`},
	{name: "@sindresorhus/is", version: "4.6.0", require: `require("@sindresorhus/is").default("") === "string"`},
	{name: "@types/estree", version: "1.0.5"},
	{name: "lodash", version: "4.17.21", require: `require("lodash").chunk([1, 2, 3], 2).length === 2`},
	{name: "typescript", version: "5.4.5", require: `require("typescript").version === "5.4.5"`},
	{name: "hanzi-writer-data", version: "2.0.1", dropped: []string{"yarn.lock"}, require: `require("hanzi-writer-data/一").strokes.length === 1`},
	{name: "function-bind", version: "1.1.2", require: `typeof require("function-bind") === "function"`},
	{name: "path-parse", version: "1.0.7", require: `require("path-parse")("/a/b.js").base === "b.js"`},
	{name: "hasown", version: "2.0.2", require: `require("hasown")({a: 1}, "a")`},
	{name: "is-core-module", version: "2.13.1", require: `require("is-core-module")("fs")`},
	{name: "supports-preserve-symlinks-flag", version: "1.0.0", require: `require("supports-preserve-symlinks-flag") === true`},
	{name: "resolve", version: "1.22.8", require: `require("resolve").sync("hasown", {basedir: process.cwd()}).endsWith("index.js")`},
}

// TestRealPackages publishes real packages from one home and adds them to
// projects of another, with a node each and the loopback interface between.
func TestRealPackages(t *testing.T) {
	author, fingerprint := newAuthor(t, "author")
	reader := newUser(t)
	there := author.node()
	reader.node("--bootstrap", there.addrs[0])
	reader.waitForPeer()

	trust := []string{"trust", "add", fingerprint}
	for _, p := range realPackages {
		trust = append(trust, p.name)
	}
	reader.es("", append(trust, "--yes")...)

	var seen properties
	for _, p := range realPackages {
		t.Run(p.name, func(t *testing.T) {
			source := t.TempDir()
			unpack(t, fetch(t, p.name, p.version), source)
			m := readManifest(t, source)
			original := readTree(t, source)
			for _, name := range p.dropped {
				if _, ok := original[name]; !ok {
					t.Errorf("%q is not in the tarball", name)
				}
			}
			want := original.without(p.dropped...).normalised(m.bins())
			seen.note(p.name, m, want)

			author, reader := author.in(t), reader.in(t)
			release := author.publish(source)
			if release.Name != p.name || release.Version != p.version || release.Files != len(want) {
				t.Errorf("published %+v, want %s %s with %d files", release, p.name, p.version, len(want))
			}
			project := reader.project()
			reader.es(project, "add", p.name+"@"+p.version, "--yes")
			installed := filepath.Join(project, "node_modules", filepath.FromSlash(p.name))
			if diff := differences(readTree(t, installed).without("node_modules/"), want); diff != "" {
				t.Error(diff)
			}
			checkBins(t, project, m)
			if p.require != "" {
				script := fmt.Sprintf("if (!(%s)) throw new Error('wrong result')", p.require)
				must(t, project, nil, "node", "-e", script)
			}
		})
	}
	seen.check(t)
}

// in returns the same user, whose failures are those of t.
func (u *user) in(t testing.TB) *user {
	return &user{t: t, program: u.program, home: u.home}
}

func checkBins(t *testing.T, project string, m manifest) {
	t.Helper()
	for command, name := range m.bins() {
		link := filepath.Join(project, "node_modules", ".bin", command)
		got, err := filepath.EvalSymlinks(link)
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := filepath.EvalSymlinks(filepath.Join(project, "node_modules", m.Name, name))
		if err != nil || got != want {
			t.Errorf("%s leads to %s, want %s (%v)", command, got, want, err)
		}
		info, err := os.Stat(link)
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: mode %v, want 0755 (%v)", command, info.Mode(), err)
		}
	}
}

// properties are what the real packages have to show between them, so that a
// change of the list cannot lose one.
type properties struct {
	packages, scoped, bins, dotfiles, empty, foreign, chunked, sharded, deep int
}

func (p *properties) note(name string, m manifest, files tree) {
	p.packages++
	p.scoped += boolean(strings.HasPrefix(name, "@"))
	p.bins += boolean(len(m.bins()) > 0)
	var dotfiles, empty, foreign, chunked, deep bool
	for name, f := range files {
		dotfiles = dotfiles || strings.HasPrefix(path.Base(name), ".")
		empty = empty || f.size == 0
		foreign = foreign || strings.IndexFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) >= 0
		chunked = chunked || f.size > 1<<20
		deep = deep || strings.Count(name, "/") >= 4
	}
	p.dotfiles += boolean(dotfiles)
	p.empty += boolean(empty)
	p.foreign += boolean(foreign)
	p.chunked += boolean(chunked)
	p.deep += boolean(deep)
	p.sharded += boolean(len(files) > 5000)
}

func (p *properties) check(t *testing.T) {
	t.Logf("%+v", *p)
	if p.packages < 10 {
		t.Errorf("%d packages, want at least 10", p.packages)
	}
	if min(p.scoped, p.bins, p.dotfiles, p.empty, p.foreign, p.chunked, p.sharded, p.deep) == 0 {
		t.Errorf("the packages miss a property: %+v", *p)
	}
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
