package modules

import (
	"fmt"
	"strings"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
)

func packageVector(name, expect, spec, comment, data string, paths ...string) *vectors.Vector {
	v := &vectors.Vector{Name: "package-" + name, Expect: expect, Spec: spec, Comment: comment}
	v.Set("package.json", strings.TrimSpace(data)+"\n")
	v.Set("paths", strings.Join(append(paths, npmjson.FileName), "\n")+"\n")
	return v
}

func packageVectors() []*vectors.Vector {
	v0 := "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
	with := func(fields string) string {
		return fmt.Sprintf("{\n  \"name\": \"@s/p\",\n  \"version\": \"1.0.0\",\n  %s\n}", fields)
	}
	return []*vectors.Vector{
		packageVector("minimal", "ok", "M40 M41", "no more than a name and a version", treetest.MinimalPackage),
		packageVector("bom", "ok", "M40", "a byte order mark, which npm takes", "\uFEFF"+treetest.MinimalPackage),
		packageVector("not-json", "refused", "M40", "a comment", "// x\n"+treetest.MinimalPackage),
		packageVector("key-twice", "refused", "M40", "a key twice", `{"name":"p","version":"1.0.0","scripts":{"a":"1","a":"2"}}`),
		packageVector("escaped-key-twice", "refused", "M40", "a key twice, once with an escape", `{"name":"p","version":"1.0.0","nam\u0065":"q"}`),
		packageVector("trailing", "refused", "M40", "something after the object", treetest.MinimalPackage+"{}"),
		packageVector("deep", "refused", "M40", "33 levels", `{"name":"p","version":"1.0.0","x":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+`}`),
		packageVector("array", "refused", "M40", "an array", "[]"),
		packageVector("no-version", "refused", "M41", "no version", `{"name":"p"}`),
		packageVector("name-case", "refused", "M41", "a name in another case", `{"Name":"p","name":"P","version":"1.0.0"}`),
		packageVector("version-v", "refused", "M41", "a version that npm would clean", `{"name":"p","version":"v1.0.0"}`),
		packageVector("texts", "ok", "M42", "free texts are cleaned; a URL that is too long is left out",
			with(`"description": " two\n  spaces \u202e and a bell \u0007", "homepage": "https://example.org/`+strings.Repeat("x", 250)+`", "repository": {"type": "git", "url": "git+https://example.org/p.git"}`)),
		packageVector("lists", "ok", "M43", "keywords, engines and platforms",
			with(`"keywords": ["b", "a", " b ", 7, ""], "engines": {"node": ">=18", "npm": 8}, "os": ["!win32"], "cpu": "x64", "libc": ["glibc", "musl"]`)),
		packageVector("license-old", "ok", "M44", "the two old forms of a license", with(`"licenses": [{"type": "MIT", "url": "x"}, {"type": "ISC"}]`)),
		packageVector("license-list", "ok", "M44", "of a list of licenses what is empty or there already is dropped; licenses does not count then", with(`"license": ["MIT", " ", {"name": "ISC"}, " MIT", {"type": "", "name": "0BSD"}, 7], "licenses": "X"`)),
		packageVector("scripts", "ok", "M45", "an install script", with(`"scripts": {"postinstall": "node x.js"}`)),
		packageVector("gyp", "ok", "M45", "a binding.gyp, which npm builds", with(`"scripts": {"test": "x"}`), "binding.gyp"),
		packageVector("gyp-off", "ok", "M45", "a binding.gyp that npm does not build; a shrinkwrap", with(`"gypfile": false`), "binding.gyp", "npm-shrinkwrap.json"),
		packageVector("dependencies", "ok", "M46", "optional dependencies take those of the same name out of dependencies",
			with(`"dependencies": {"a": "^1.0.0", "b": "1", "JSONStream": " >=1  <2 "}, "optionalDependencies": {"b": "2"}, "peerDependencies": {"c": "*"}, "peerDependenciesMeta": {"c": {"optional": true}, "d": {"optional": true}}`)),
		packageVector("dependencies-none", "ok", "M46", "ways to write that there are none", with(`"dependencies": [], "optionalDependencies": false, "peerDependencies": ""`)),
		packageVector("dependencies-range", "refused", "M46", "a range that is no string", with(`"dependencies": {"a": 1}`)),
		packageVector("dependencies-name", "refused", "M46", "a name that leads out of node_modules", with(`"dependencies": {"../a": "1"}`)),
		packageVector("bin-string", "ok", "M47", "a program without a command has the name of the module", with(`"bin": "./cli.js"`), "cli.js"),
		packageVector("bin-map", "ok", "M47", "commands and programs as npm cleans them; one whose program is not in the module is left out",
			with(`"bin": {"@s/one": "/bin/one.js", "two": "bin\\two.js", "gone": "gone.js", "npm": "bin/one.js"}`), "bin/one.js", "bin/two.js"),
		packageVector("bin-directory", "ok", "M47", "every visible file of directories.bin", with(`"directories": {"bin": "./bin"}`), "bin/a", "bin/sub/b", "bin/.c", "other"),
		packageVector("bin-nothing", "ok", "M47", "programs and commands that are nothing once npm has cleaned them",
			with(`"bin": {"z": "./", "y": "a/..", "..": "bin/one.js", "x": "bin/one.js"}`), "bin/one.js"),
		packageVector("bin-reserved", "ok", "M47", "commands that everything is run with, in any case, though the name begins so",
			strings.Replace(with(`"bin": {"Node": "x.js", "NPM": "x.js", "Npx": "x.js", "ES": "x.js", "node": "x.js", "nodes": "x.js", "Node.EXE": "x.js", "npx.cmd": "x.js"}`), "@s/p", "node-x", 1), "x.js"),
		packageVector("bin-own", "ok", "M47", "npm's own commands",
			strings.Replace(with(`"bin": {"npm": "x.js", "npx": "x.js", "node": "x.js"}`), "@s/p", "npm", 1), "x.js"),
		packageVector("bin-scoped", "ok", "M47", "a scope does not make a module the program", strings.Replace(with(`"bin": "x.js"`), "@s/p", "@s/npm", 1), "x.js"),
		packageVector("bin-out", "refused", "M47", "a program outside the module", with(`"bin": {"x": "../x.js"}`), "x.js"),
		packageVector("bin-command", "refused", "M47", "a command that is a device on Windows", with(`"bin": {"nul": "x.js"}`), "x.js"),
		packageVector("pins", "ok", "M48", "CIDs among esDependencies are pins, of version 1; the rest are dependencies",
			with(`"dependencies": {"a": "^1.0.0"}, "esDependencies": {"a": "`+v0+`", "b": "/ipfs/`+v0+`", "c": "^2.0.0"}`)),
		packageVector("pin-raw", "refused", "M48", "a pin that is no directory", with(`"esDependencies": {"a": "`+unixfs.EmptyRaw.String()+`"}`)),
		packageVector("bundled", "ok", "M49", "bundled are those that are listed and inside",
			with(`"dependencies": {"a": "1", "b": "1", "c": "1"}, "bundledDependencies": true`), "node_modules/a/package.json", "node_modules/c/x", "node_modules/d/x"),
	}
}

// fileSetVector makes a vector of a directory. Its expected list is that of npm:
// interop compares every one of these with `npm pack`.
func fileSetVector(name, comment, pkg string, files ...string) *vectors.Vector {
	v := &vectors.Vector{Name: "fileset-" + name, Expect: "ok", Spec: "M9", Comment: comment}
	fields := `"name": "p", "version": "1.0.0"`
	if pkg != "" {
		fields += ", " + pkg
	}
	v.Set("in/"+npmjson.FileName, "{"+fields+"}\n")
	var links strings.Builder
	for _, f := range files {
		path, contents, hasContents := strings.Cut(f, "=")
		if link, target, ok := strings.Cut(f, " -> "); ok {
			fmt.Fprintf(&links, "%s -> %s\n", link, target)
			continue
		}
		if hasContents {
			contents += "\n"
		}
		v.Set("in/"+path, contents)
	}
	if links.Len() > 0 {
		v.Set("links", links.String())
	}
	v.Set("files", "")
	return v
}

func fileSetVectors() []*vectors.Vector {
	some := []string{"index.js", "lib/a.js", "lib/b.js", "lib/deep/c.js", "test/t.js", "README.md", "x.ts"}
	and := func(more ...string) []string { return append(append([]string(nil), some...), more...) }
	return []*vectors.Vector{
		fileSetVector("everything", "without files and ignore files everything is in, dotfiles too", "", and(".env", ".x/.y", "a/b/c/d")...),
		fileSetVector("never", "what is never in", "", and(".git/config", ".npmrc", "a/.npmrc", "node_modules/x/index.js", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bun.lockb",
			".DS_Store", "a/.DS_Store", "._x", "x.orig", ".a.swp", ".svn/x", ".hg/x", "CVS/x", "a/CVS/x", "npm-debug.log", ".lock-wscript", ".wafpickle-7", "build/config.gypi", "archived-packages/x")...),
		fileSetVector("lockfiles", "lock files that are in, and those of subdirectories", "", and("npm-shrinkwrap.json", "bun.lock", "lib/package-lock.json", "lib/yarn.lock")...),
		fileSetVector("always", "what is in whatever files says", `"files": [], "main": "lib/a.js", "bin": {"x": "test/t.js"}`,
			and("LICENSE", "licence.txt", "COPYING", "readme", "README.old", "README.md~", "CHANGELOG.md", "lib/README.md")...),
		fileSetVector("files", "names, directories and patterns", `"files": ["lib", "*.ts"]`, and("lib/x.ts", "src/y.ts")...),
		fileSetVector("files-negated", "a pattern of files that takes back", `"files": ["*.js", "lib", "!lib/b.js"]`, some...),
		fileSetVector("files-star", "a star at the end of a path takes what is below, too", `"files": ["lib/*"]`, some...),
		fileSetVector("files-deep", "patterns with two stars", `"files": ["**/*.js", "!test/**"]`, some...),
		fileSetVector("files-braces", "braces and extended globs", `"files": ["{lib,test}/!(b).js", "+(x|y).ts"]`, some...),
		fileSetVector("files-classes", "brackets and classes", `"files": ["lib/[a-b].js", "[[:alpha:]].ts"]`, some...),
		fileSetVector("files-case", "case does not count", `"files": ["LIB/A.JS"]`, some...),
		fileSetVector("files-required", "an entry of files that is a file beats a nested ignore file", `"files": ["lib", "lib/b.js"]`, and("lib/.npmignore=*.js")...),
		fileSetVector("files-ignored", "a nested ignore file beats a directory in files", `"files": ["lib"]`, and("lib/.npmignore=b.js")...),
		fileSetVector("files-root-ignore", "files beats the ignore file beside it", `"files": ["lib"]`, and(".npmignore=lib")...),
		fileSetVector("files-never", "what files can bring back, and what it cannot", `"files": [".npmrc", ".env", "package-lock.json", "x.orig", "node_modules"]`, and(".npmrc", ".env", "package-lock.json", "x.orig", "node_modules/x/i.js")...),
		fileSetVector("files-links", "an entry of files that is a link", `"files": ["lib", "link", "l.js"]`, and("link -> lib", "l.js -> index.js")...),
		fileSetVector("npmignore", "an ignore file, with comments and negation", "", and(".npmignore=# comment\n\n*.js\n!lib/a.js\n/x.ts\ntest/")...),
		fileSetVector("gitignore", "git's counts when there is no other", "", and(".gitignore=lib\n*.ts")...),
		fileSetVector("both-ignore", "npm's hides git's", "", and(".npmignore=test", ".gitignore=lib")...),
		fileSetVector("nested-ignore", "ignore files in subdirectories speak of what is below", "", and("lib/.npmignore=/a.js\ndeep/", "test/.gitignore=*")...),
		fileSetVector("nested-negation", "a nested file cannot bring back what is above it", "", and(".npmignore=lib", "lib/.npmignore=!a.js")...),
		fileSetVector("ignore-readme", "what an ignore file cannot take out", `"main": "lib/a.js"`, and(".npmignore=*", "LICENSE")...),
		fileSetVector("ignore-crlf", "lines that end with CR LF", "", and(".npmignore=lib\r\n*.ts\r")...),
		fileSetVector("ignore-bar", "an escaped bar is one of JavaScript's alternatives, and only the first of them is anchored at the start, the last at the end", "", and(".npmignore=x\\|y?", "zyq", "zyqq", "yq", "xz", "zx", "q")...),
		fileSetVector("symlinks", "symbolic links are out, whatever they point to", "", and("link -> lib", "l.js -> index.js", "gone -> nowhere", "out -> /")...),
		fileSetVector("star-name", "a name with a star is out", "", and("a*b.js")...),
		fileSetVector("main-dot", "main with a leading dot does not bring a file back", `"files": ["lib"], "main": "./index.js"`, some...),
		fileSetVector("browser-object", "an object in browser is the pattern that JavaScript makes of it", `"files": ["lib"], "browser": {"./a": "./b"}`, and("b", "t", "z")...),
		fileSetVector("bin-directory", "the programs of directories.bin are in", `"files": ["lib"], "directories": {"bin": "test"}`, some...),
		fileSetVector("non-ascii", "names of other scripts", `"files": ["grüße*", "日本/**"]`, and("grüße.txt", "日本/語.js", "e\u0301.js")...),
		fileSetVector("bundled", "bundled modules come with what they need", `"dependencies": {"a": "1", "b": "1"}, "bundleDependencies": ["a"]`,
			and(`node_modules/a/package.json={"name": "a", "version": "1.0.0", "dependencies": {"c": "1"}, "files": ["i.js"]}`, "node_modules/a/i.js", "node_modules/a/j.js", "node_modules/a/sub/.gitignore=x",
				`node_modules/b/package.json={"name": "b", "version": "1.0.0"}`, `node_modules/c/package.json={"name": "c", "version": "1.0.0"}`, "node_modules/c/i.js", "node_modules/c/node_modules/d/i.js")...),
		fileSetVector("bundled-all", "all dependencies, but none that is for development", `"dependencies": {"a": "1", "@s/b": "1"}, "devDependencies": {"a": "1"}, "bundleDependencies": true`,
			and(`node_modules/a/package.json={"name": "a"}`, `node_modules/@s/b/package.json={"name": "@s/b"}`, "node_modules/@s/b/.npmignore=*")...),
		fileSetVector("workspaces", "with workspaces npm reads every package.json as an ignore file", `"workspaces": ["packages/*"]`,
			and(`packages/w/package.json={"name": "w", "version": "1.0.0", "files": ["x"]}`, "packages/w/x", "packages/w/y", "packages/w/name")...),
	}
}
