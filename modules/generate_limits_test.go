package modules

import (
	"fmt"
	"strings"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
)

// packLimitVectors are about what is published, at its limits and beyond.
func packLimitVectors() []*vectors.Vector {
	padded := func(size int) vectorFile {
		return vectorFile{Path: npmjson.FileName, Before: treetest.MinimalPackage, Text: " ", Repeat: size - len(treetest.MinimalPackage)}
	}
	return []*vectors.Vector{
		packVector("package-largest", "ok", "M40", "a package.json of 1 MiB", padded(MaxPackageJSON)),
		packVector("package-large", "refused", "M40", "a package.json of 1 MiB and a byte", padded(MaxPackageJSON+1)),
		packVector("entries-most", "ok", "M25", "50,000 entries in one directory", vectorFile{Path: "%d", Text: "%d", Count: unixfs.MaxDirEntries - 1}),
		packVector("entries-more", "refused", "M25", "50,001 entries in one directory", vectorFile{Path: "%d", Text: "%d", Count: unixfs.MaxDirEntries}),
	}
}

// packageFormVectors are about what readers of package.json may read differently.
func packageFormVectors() []*vectors.Vector {
	with := func(fields string) string { return `{"name": "p", "version": "1.0.0", ` + fields + `}` }
	nested := func(levels int) string {
		return with(`"x": ` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1))
	}
	many := func(field string, count int, value string) string {
		var entries []string
		for i := range count {
			entries = append(entries, fmt.Sprintf("%q: %s", fmt.Sprintf("d%d", i), value))
		}
		return with(fmt.Sprintf("%q: {%s}", field, strings.Join(entries, ", ")))
	}
	inside := []string{"node_modules/a/x", "node_modules/b/x", "node_modules/c/x"}
	return []*vectors.Vector{
		packageVector("not-utf8", "ok", "M40", "bytes that are no UTF-8: one character for each, two for a character that is cut", with("\"description\": \"a\xff b\xe2\x82\"")),
		packageVector("surrogates", "ok", "M40", "escapes of surrogates, alone and in a pair", with(`"description": "\ud800 \udc00\ud83d \ud83d\ude00 \ud800\u0041"`)),
		packageVector("surrogate-key-twice", "refused", "M40", "two keys that are one when their surrogates are replaced", with(`"scripts": {"\ud800": "x", "\udfff": "x"}`)),
		packageVector("deepest", "ok", "M40", "32 levels", nested(32)),
		packageVector("platforms", "ok", "M43", "a string in os, cpu and libc is one word, commas and all", with(`"keywords": "a,b, ,a", "os": "darwin,linux", "cpu": ["x64,arm64"]`)),
		packageVector("types", "ok", "M42 M43 M44 M45 M46 M49", "values of other types are as if they were not there",
			with(`"description": 7, "homepage": ["x"], "repository": {"url": 7}, "keywords": {"a": "b"}, "engines": ["node"], "os": {"a": "b"}, "license": 7, "scripts": {"install": true}, "gypfile": "false", "dependencies": false, "optionalDependencies": [], "peerDependencies": "", "peerDependenciesMeta": {"a": {"optional": "yes"}}, "bundleDependencies": "a"`), "node_modules/a/x", "binding.gyp"),
		packageVector("dependencies-longest", "ok", "M46", "a range of 1,024 bytes", with(`"dependencies": {"a": "`+strings.Repeat("1", 1024)+`"}`)),
		packageVector("dependencies-most", "ok", "M46", "512 dependencies", many("dependencies", 512, `"1"`)),
		packageVector("dependencies-more", "refused", "M46", "513 dependencies", many("dependencies", 513, `"1"`)),
		packageVector("optional-peers-most", "ok", "M46", "256 optional peers", many("peerDependenciesMeta", 256, `{"optional": true}`)),
		packageVector("optional-peers-more", "refused", "M46", "257 optional peers", many("peerDependenciesMeta", 257, `{"optional": true}`)),
		packageVector("dependencies-optional", "ok", "M46 M48", "what stands in both is optional, and esDependencies stands instead of both",
			with(`"dependencies": {"a": "1", "b": "1", "c": "1"}, "optionalDependencies": {"a": "2", "b": "2"}, "esDependencies": {"b": "3", "c": "3"}`)),
		packageVector("bin-empty", "ok", "M47", "an empty bin is none, so directories.bin counts", with(`"bin": "", "directories": {"bin": "./b/"}`), "b/x", "b/.y", "b/d/z"),
		packageVector("bin-number", "ok", "M47", "a bin that is a number is one without commands, and directories.bin does not count", with(`"bin": 7, "directories": {"bin": "b"}`), "b/x"),
		packageVector("bin-directory-self", "ok", "M47", "directories.bin that is the module itself", with(`"directories": {"bin": "./"}`), "x"),
		packageVector("bundled-true", "ok", "M49", "true is all that dependencies has in the file, optional or not, and nothing of esDependencies",
			with(`"dependencies": {"a": "1", "b": "1"}, "optionalDependencies": {"b": "1"}, "esDependencies": {"c": "1"}, "bundleDependencies": true`), inside...),
		packageVector("bundled-null", "ok", "M49", "a bundleDependencies that is null is not absent", with(`"bundleDependencies": null, "bundledDependencies": ["a"]`), inside...),
		packageVector("bundled-object", "ok", "M49", "of an object the keys", with(`"bundleDependencies": {"a": false, "b": 7}, "bundledDependencies": ["c"]`), inside...),
	}
}

// bundleSetVectors are about what npm itself adds to the rules of npm-packlist.
func bundleSetVectors() []*vectors.Vector {
	inside := []string{"index.js", `node_modules/a/package.json={"name": "a"}`, "node_modules/a/x", `node_modules/b/package.json={"name": "b"}`, "node_modules/b/x", `node_modules/c/package.json={"name": "c"}`, "node_modules/c/x"}
	return []*vectors.Vector{
		fileSetVector("bundled-old", "the old name of the field, where it is alone", `"dependencies": {"a": "1"}, "bundledDependencies": ["a"]`, inside...),
		fileSetVector("bundled-both", "both names: the new one counts", `"dependencies": {"a": "1", "b": "1"}, "bundleDependencies": ["a"], "bundledDependencies": ["b"]`, inside...),
		fileSetVector("bundled-object", "of an object the keys", `"dependencies": {"a": "1", "b": "1"}, "bundleDependencies": {"b": false}`, inside...),
		fileSetVector("bundled-development", "what is listed and is a dependency, an optional one, one for development, or none", `"dependencies": {"a": "1"}, "optionalDependencies": {"b": "1"}, "devDependencies": {"a": "1", "c": "1"}, "bundleDependencies": ["a", "b", "c", "d"]`, inside...),
		fileSetVector("bin-directory-twice", "of two files with one name in directories.bin the deeper is the program, and the other is no part of the package", `"files": ["lib"], "directories": {"bin": "bin"}`, "index.js", "lib/a", "bin/x", "bin/d/x", "bin/.y", "bin/.z/w"),
	}
}
