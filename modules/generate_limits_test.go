package modules

import (
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
)

// packLimitVectors are about what is published, at its limits and beyond.
func packLimitVectors() []*vector {
	padded := func(size int) vectorFile {
		return vectorFile{Path: packageJSON, Before: minimalPackage, Text: " ", Repeat: size - len(minimalPackage)}
	}
	return []*vector{
		packVector("package-largest", "ok", "M40", "a package.json of 1 MiB", padded(MaxPackageJSON)),
		packVector("package-large", "refused", "M40", "a package.json of 1 MiB and a byte", padded(MaxPackageJSON+1)),
		packVector("entries-most", "ok", "M25", "50,000 entries in one directory", vectorFile{Path: "%d", Text: "%d", Count: MaxDirEntries - 1}),
		packVector("entries-more", "refused", "M25", "50,001 entries in one directory", vectorFile{Path: "%d", Text: "%d", Count: MaxDirEntries}),
	}
}

// treeFormVectors are about the forms that blocks of a tree may have.
func treeFormVectors() []*vector {
	link := func(l pbLink) string { return string((&pbNode{links: []pbLink{l}}).encode()) }
	// without cuts the empty data that encode ends with.
	without := func(l pbLink) string { return strings.TrimSuffix(link(l), "\x0a\x00") }
	root := func(build func(m *memory, x pbLink) string) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			return m.block(cid.DagProtobuf, []byte(build(m, named("x", m.raw([]byte("x"))))))
		}
	}
	directory := "\x0a\x02\x08\x01"
	file := func(data string, leaves ...string) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			n := &pbNode{data: []byte(data), hasData: true}
			for _, l := range leaves {
				n.links = append(n.links, m.raw([]byte(l)))
			}
			return m.dir(named("x", m.block(cid.DagProtobuf, n.encode())))
		}
	}
	chain := func(links int) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			f := m.raw([]byte("x"))
			for range links {
				f = m.file([]uint64{1}, f)
			}
			return m.dir(named("x", f))
		}
	}
	chunks := func(count int, inline string) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			f := &fsNode{kind: typeFile, data: []byte(inline), hasData: inline != ""}
			var links []pbLink
			for range count {
				links, f.blockSizes = append(links, m.raw([]byte("x"))), append(f.blockSizes, 1)
			}
			return m.dir(named("x", m.node(f, links...)))
		}
	}
	large := func(size int) func(m *memory) pbLink {
		return func(m *memory) pbLink { return m.dir(named("x", m.raw(make([]byte, size)))) }
	}
	// directories makes 200 directories with 249 in each, and some more.
	directories := func(more int) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			times := func(prefix string, count int, l pbLink) []pbLink {
				links := make([]pbLink, count)
				for i := range links {
					links[i] = named(fmt.Sprintf("%s%03d", prefix, i), l)
				}
				return links
			}
			empty := m.dir()
			all := append(times("a", 200, m.dir(times("", 249, empty)...)), times("b", more, empty)...)
			return m.dir(append(all, named("x", m.raw([]byte("x"))))...)
		}
	}
	return []*vector{
		treeVector("block-largest", "ok", "M21", "a block of 2 MiB", large(MaxBlock)),
		treeVector("block-large", "refused", "M21", "a block of 2 MiB and a byte", large(MaxBlock+1)),
		treeVector("chain-32", "ok", "M22", "32 links from a file's root to its leaf", chain(32)),
		treeVector("chain-33", "refused", "M22", "33 links from a file's root to its leaf", chain(33)),
		treeVector("chunks-most", "ok", "M28", "a file of 16 chunks of a byte", chunks(16, "")),
		treeVector("chunks-more", "refused", "M28", "a file of 17 chunks of a byte", chunks(17, "")),
		treeVector("chunks-inline", "refused", "M28", "a file of 16 chunks of a byte and inline data, which is a chunk too", chunks(16, "x")),

		treeVector("directories-most", "ok", "M25", "50,000 directories below the root, most of them linked often", directories(0)),
		treeVector("directories-more", "refused", "M25", "50,001 directories below the root", directories(1)),

		treeVector("data-none", "refused", "M23", "an entry whose block has no data, so no type", func(m *memory) pbLink {
			return m.dir(named("d", m.block(cid.DagProtobuf, nil)))
		}),
		treeVector("data-twice", "refused", "M23", "a block with two data fields", root(func(m *memory, x pbLink) string { return without(x) + directory + directory })),
		treeVector("links-apart", "refused", "M23", "links on both sides of the data", root(func(m *memory, x pbLink) string {
			return without(x) + directory + without(named("y", m.raw([]byte("y"))))
		})),
		treeVector("node-field", "refused", "M23", "a block with a field 3", root(func(m *memory, x pbLink) string { return without(x) + directory + "\x18\x01" })),
		treeVector("link-order", "refused", "M23", "a link with its name before its hash", root(func(m *memory, x pbLink) string {
			hash := appendBytes(nil, keyLinkHash, x.cid.KeyString())
			return string(appendBytes(nil, keyNodeLinks, string(appendBytes(nil, keyLinkName, "x"))+string(hash))) + directory
		})),
		treeVector("link-field-twice", "refused", "M23", "a link with two names", root(func(m *memory, x pbLink) string {
			l := appendBytes(nil, keyLinkHash, x.cid.KeyString())
			return string(appendBytes(nil, keyNodeLinks, string(appendBytes(appendBytes(l, keyLinkName, "x"), keyLinkName, "y")))) + directory
		})),
		treeVector("tsize-wrong", "ok", "M23", "links with a Tsize that is wrong, or none", root(func(m *memory, x pbLink) string {
			y := appendBytes(appendBytes(nil, keyLinkHash, x.cid.KeyString()), keyLinkName, "y")
			x.tsize = 7
			return without(x) + string(appendBytes(nil, keyNodeLinks, string(y))) + directory
		})),
		treeVector("unixfs-field", "ok", "M23", "UnixFS fields that are not known are passed over", file("\x08\x02\x48\x01\x20\x01", "x")),
		treeVector("unixfs-twice", "refused", "M23", "a UnixFS field twice", file("\x08\x02\x18\x01\x18\x01\x20\x01", "x")),
		treeVector("unixfs-type-none", "refused", "M23", "UnixFS data without a type", file("\x18\x01\x20\x01", "x")),
		treeVector("unixfs-type-unknown", "refused", "M23", "the UnixFS type 6", file("\x08\x06\x18\x01\x20\x01", "x")),
		treeVector("sizes-packed", "ok", "M23", "blocksizes that are packed, and no filesize", file("\x08\x02\x22\x02\x01\x02", "x", "yz")),
		treeVector("sizes-inline", "ok", "M23", "inline data before that of a link", file("\x08\x02\x12\x02ab\x18\x03\x20\x01", "x")),
		treeVector("sizes-of-node", "refused", "M23", "a node that is linked with a byte more than it has", func(m *memory) pbLink {
			return m.dir(named("x", m.file([]uint64{2}, m.file([]uint64{1}, m.raw([]byte("x"))))))
		}),
	}
}

// checkVectors are trees that are held against a release.
func checkVectors() []*vector {
	build := func(m *memory) pbLink {
		return m.dir(named("a.js", m.raw([]byte("x"))), named("package.json", m.raw([]byte(`{"name":"p","version":"1.0.0","bin":"a.js","dependencies":{"d":"^1"}}`))))
	}
	check := func(name, expect, comment, manifest string) *vector {
		v := treeVector("release-"+name, expect, "M50", comment, build)
		v.set("release.json", "name \"p\"\nversion \"1.0.0\"\nmanifest "+manifest+"\n")
		return v.bounded(70, 2)
	}
	return []*vector{
		check("same", "ok", "a module and the manifest that follows from it", `{"bin":{"p":"a.js"},"dependencies":{"d":"^1"}}`),
		check("more", "refused", "a manifest with a dependency that the module does not have", `{"bin":{"p":"a.js"},"dependencies":{"d":"^1","e":"^1"}}`),
		check("less", "refused", "a manifest without a command that the module has", `{"dependencies":{"d":"^1"}}`),
		check("other", "refused", "a manifest with another range", `{"bin":{"p":"a.js"},"dependencies":{"d":"^2"}}`),
	}
}

// packageFormVectors are about what readers of package.json may read differently.
func packageFormVectors() []*vector {
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
	return []*vector{
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
func bundleSetVectors() []*vector {
	inside := []string{"index.js", `node_modules/a/package.json={"name": "a"}`, "node_modules/a/x", `node_modules/b/package.json={"name": "b"}`, "node_modules/b/x", `node_modules/c/package.json={"name": "c"}`, "node_modules/c/x"}
	return []*vector{
		fileSetVector("bundled-old", "the old name of the field, where it is alone", `"dependencies": {"a": "1"}, "bundledDependencies": ["a"]`, inside...),
		fileSetVector("bundled-both", "both names: the new one counts", `"dependencies": {"a": "1", "b": "1"}, "bundleDependencies": ["a"], "bundledDependencies": ["b"]`, inside...),
		fileSetVector("bundled-object", "of an object the keys", `"dependencies": {"a": "1", "b": "1"}, "bundleDependencies": {"b": false}`, inside...),
		fileSetVector("bundled-development", "what is listed and is a dependency, an optional one, one for development, or none", `"dependencies": {"a": "1"}, "optionalDependencies": {"b": "1"}, "devDependencies": {"a": "1", "c": "1"}, "bundleDependencies": ["a", "b", "c", "d"]`, inside...),
		fileSetVector("bin-directory-twice", "of two files with one name in directories.bin the deeper is the program, and the other is no part of the package", `"files": ["lib"], "directories": {"bin": "bin"}`, "index.js", "lib/a", "bin/x", "bin/d/x", "bin/.y", "bin/.z/w"),
	}
}
