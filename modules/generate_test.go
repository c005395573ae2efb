package modules

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/ipfs/go-cid"
)

// packVector makes a vector of the files of a module.
func packVector(name, expect, spec, comment string, files ...vectorFile) *vector {
	if len(files) == 0 || files[0].Path != packageJSON {
		files = append([]vectorFile{{Path: packageJSON, Text: minimalPackage}}, files...)
	}
	b, err := json.MarshalIndent(files, "", "  ")
	if err != nil {
		panic(err)
	}
	v := &vector{name: "pack-" + name, expect: expect, spec: spec, comment: comment}
	v.set("files.json", asciiJSON(b)+"\n")
	return v
}

// asciiJSON escapes what an editor might show as something else.
func asciiJSON(b []byte) string {
	var out strings.Builder
	for _, r := range string(b) {
		if r < 0x7F {
			out.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, u)
		}
	}
	return out.String()
}

func packVectors() []*vector {
	withBin := `{"name":"p","version":"1.0.0","bin":{"a":"a.js"}}`
	shebang := "#!/usr/bin/env node\r\nlet x\r\n"
	return []*vector{
		packVector("smallest", "ok", "M1 M2 M5", "a module of its package.json alone: one raw block and the root"),
		packVector("directories", "ok", "M5", "nested directories, links sorted by the bytes of their names",
			vectorFile{Path: "b", Text: "b"}, vectorFile{Path: "a-b", Text: "x"}, vectorFile{Path: "a/c", Text: "c"}, vectorFile{Path: "a/b/c/d", Text: "d"},
			vectorFile{Path: "Z", Text: "Z"}, vectorFile{Path: "é", Text: "e"}, vectorFile{Path: "\U0001F600", Text: "s"}, vectorFile{Path: "\uFB03", Text: "f"}),
		packVector("empty-file", "ok", "M4", "an empty file is a dag-pb UnixFS file, never the empty raw block", vectorFile{Path: "empty"}),
		packVector("executable", "ok", "M3", "an executable file is a dag-pb UnixFS file with the mode 0755 over its chunks", vectorFile{Path: "x", Text: "#!/bin/sh\n", Exec: true}),
		packVector("executable-empty", "ok", "M3 M4", "an empty executable file", vectorFile{Path: "x", Exec: true}),
		packVector("executable-two-chunks", "ok", "M2 M3", "an executable file of two chunks", vectorFile{Path: "x", Text: "0123456789abcdef", Repeat: 1<<16 + 1, Exec: true}),
		packVector("one-chunk", "ok", "M2", "exactly 1 MiB is one raw block", vectorFile{Path: "x", Text: "0123456789abcdef", Repeat: 1 << 16}),
		packVector("two-chunks", "ok", "M2", "1 MiB and 16 bytes are two chunks under a dag-pb node", vectorFile{Path: "x", Text: "0123456789abcdef", Repeat: 1<<16 + 1}),
		packVector("same-file-twice", "ok", "M5", "one block under two names: the sizes in links count it twice", vectorFile{Path: "a", Text: "x"}, vectorFile{Path: "b", Text: "x"}),
		packVector("bin", "ok", "M3", "a program that package.json names is executable whatever its mode on disk",
			vectorFile{Path: packageJSON, Text: withBin}, vectorFile{Path: "a.js", Text: "#!/usr/bin/env node\n"}),
		packVector("bin-crlf", "ok", "M8", "the CR at the end of a program's shebang line is left out, other CRs stay",
			vectorFile{Path: packageJSON, Text: withBin}, vectorFile{Path: "a.js", Text: shebang}, vectorFile{Path: "b.js", Text: shebang}),
		packVector("hamt-below", "ok", "M6", "a directory whose one block has 262,110 bytes is no HAMT", vectorFile{Path: "f%05d", Text: "%d", Count: hamtFiles}),
		packVector("hamt-above", "ok", "M6", "one more entry makes it a HAMT", vectorFile{Path: "f%05d", Text: "%d", Count: hamtFiles + 1}),
		packVector("hamt-deep", "ok", "M6", "a HAMT of three levels", vectorFile{Path: "file-%d", Text: "%d", Count: 9000}),
		packVector("node-modules", "ok", "M7", "dotfiles and bundled modules are in", vectorFile{Path: "node_modules/x/package.json", Text: "{}"}, vectorFile{Path: ".x/.y", Text: "y"}),

		packVector("name-colon", "refused", "M10", "a name with a colon, which names a stream on Windows", vectorFile{Path: "x:y", Text: "x"}),
		packVector("name-device", "refused", "M10", "the name of a device on Windows", vectorFile{Path: "lib/aux.js", Text: "x"}),
		packVector("name-dot", "refused", "M10", "a name that ends with a dot", vectorFile{Path: "x.", Text: "x"}),
		packVector("name-bidi", "refused", "M10", "a name with a right-to-left override", vectorFile{Path: "x\u202egpj.exe", Text: "x"}),
		packVector("name-control", "refused", "M10", "a name with a control character", vectorFile{Path: "x\u009b", Text: "x"}),
		packVector("name-backslash", "refused", "M10", "a name with a backslash", vectorFile{Path: `x\y`, Text: "x"}),
		packVector("name-short", "refused", "M10", "a name that Windows could have made up for another", vectorFile{Path: "readme~1.md", Text: "x"}),
		packVector("name-git", "refused", "M10", "a git repository", vectorFile{Path: "lib/.Git/config", Text: "x"}),
		packVector("name-joiner", "ok", "M10", "names of other scripts, with joiners and decomposed", vectorFile{Path: "👩\u200d💻.js", Text: "x"}, vectorFile{Path: "e\u0301", Text: "x"}),
		packVector("collision-case", "refused", "M11", "names that differ in case alone", vectorFile{Path: "lib/Readme", Text: "x"}, vectorFile{Path: "lib/README", Text: "x"}),
		packVector("collision-form", "refused", "M11", "a name composed and decomposed", vectorFile{Path: "é", Text: "x"}, vectorFile{Path: "e\u0301", Text: "x"}),
		packVector("collision-sharp-s", "refused", "M11", "a sharp s and what it folds to", vectorFile{Path: "straße", Text: "x"}, vectorFile{Path: "STRASSE", Text: "x"}),
		packVector("collision-cherokee", "refused", "M11", "a Cherokee letter of both cases: the small one folds to the capital one, and not back", vectorFile{Path: "\u13a0", Text: "x"}, vectorFile{Path: "\uab70", Text: "x"}),
		packVector("collision-iota", "refused", "M11", "an iota below, which folds to a letter, before and after an accent, and a joiner between", vectorFile{Path: "\u03b1\u0345\u200d\u0301", Text: "x"}, vectorFile{Path: "\u0391\u0301\u0399", Text: "x"}),
		packVector("collision-none", "ok", "M11", "a dotless i folds to itself: the foldings for Turkic do not count", vectorFile{Path: "\u0131", Text: "x"}, vectorFile{Path: "i", Text: "x"}, vectorFile{Path: "I\u0307", Text: "x"}),
		packVector("name-unassigned", "refused", "M10", "a character that came with Unicode 16.0", vectorFile{Path: "\U0001fae9", Text: "x"}),
		packVector("name-private", "ok", "M10", "a character for private use", vectorFile{Path: "\ue000", Text: "x"}),
		packVector("collision-directory", "refused", "M11", "a file and a directory whose names differ in case alone", vectorFile{Path: "a/x", Text: "x"}, vectorFile{Path: "A", Text: "x"}),
		packVector("path-deep", "refused", "M24", "a path of 65 elements", vectorFile{Path: strings.Repeat("d/", 64) + "x", Text: "x"}),
		packVector("path-long", "refused", "M24", "a path of 1,025 bytes", vectorFile{Path: strings.Repeat(strings.Repeat("d", 204)+"/", 5), Text: "x"}.in("x")),
		packVector("expansion", "refused", "M27", "40 files of 1 MiB that are one block", vectorFile{Path: "f%d", Text: "0123456789abcdef", Repeat: 1 << 16, Count: 40}),
	}
}

// hamtFiles and package.json just fit into one directory block.
const hamtFiles = 5241

// in puts a file whose path ends in '/' into that directory.
func (f vectorFile) in(name string) vectorFile {
	f.Path = strings.TrimSuffix(f.Path, "/") + name
	return f
}

// treeVector makes a vector of the blocks of m.
func treeVector(name, expect, spec, comment string, build func(m *memory) pbLink) *vector {
	m := newMemory()
	root := build(m)
	v := &vector{name: "tree-" + name, expect: expect, spec: spec, comment: comment}
	v.set("want", fmt.Sprintf("root %s\n", root.cid))
	v.set("blocks", blockLines(m))
	return v
}

// bounded adds what a release says of a tree.
func (v *vector) bounded(size, files int) *vector {
	v.files[0].Data = fmt.Appendf(v.files[0].Data, "size %d\nfiles %d\n", size, files)
	return v
}

func treeVectors() []*vector {
	one := func(m *memory) pbLink { return m.dir(named("x", m.raw([]byte("x")))) }
	hamt := func(fanout uint64, bitmap []byte, links ...pbLink) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			for i := range links {
				l := m.raw([]byte("x"))
				l.name = links[i].name
				links[i] = l
			}
			return m.node(&fsNode{kind: typeHAMT, data: bitmap, hasData: true, hashType: hashMurmur3, fanout: fanout}, links...)
		}
	}
	file := func(f fsNode, leaves ...string) func(m *memory) pbLink {
		return func(m *memory) pbLink {
			var links []pbLink
			for _, l := range leaves {
				links = append(links, m.raw([]byte(l)))
			}
			return m.dir(named("x", m.node(&f, links...)))
		}
	}
	other := func(s string) func(m *memory) pbLink {
		return func(m *memory) pbLink { return m.dir(named("x", pbLink{cid: cid.MustParse(s)})) }
	}
	return []*vector{
		treeVector("v0", "ok", "M20 M23", "a tree as `ipfs add -r` made it for years: CIDv0, contents in dag-pb", func(m *memory) pbLink {
			v0 := func(l pbLink) pbLink {
				c := cid.NewCidV0(l.cid.Hash())
				m.blocks[c] = m.blocks[l.cid]
				delete(m.blocks, l.cid)
				l.cid = c
				return l
			}
			small := v0(m.node(&fsNode{kind: typeFile, data: []byte("small\n"), hasData: true, fileSize: 6, hasSize: true}))
			leaf := v0(m.node(&fsNode{kind: typeRaw, data: []byte("12345"), hasData: true, fileSize: 5, hasSize: true}))
			return v0(m.dir(named("big", v0(m.file([]uint64{5, 5}, leaf, leaf))), named("d", v0(m.dir(named("small", small))))))
		}),
		treeVector("data-first", "ok", "M23", "a block with its data before its links", func(m *memory) pbLink {
			l := named("x", m.raw([]byte("x")))
			links := (&pbNode{links: []pbLink{l}}).encode()
			b := append(appendBytes(nil, keyNodeData, "\x08\x01"), links[:len(links)-2]...)
			return m.block(cid.DagProtobuf, b)
		}),
		treeVector("modes", "ok", "M31", "whoever may execute decides; other bits do not", func(m *memory) pbLink {
			f := func(name string, mode uint64) pbLink {
				return named(name, m.node(&fsNode{kind: typeFile, hasSize: true, mode: mode}))
			}
			return m.dir(f("0000", 0), f("0011", 0o011), f("0100", 0o100), f("0644", 0o644), f("0755", 0o755), f("4755", 0o4755), f("6644", 0o6644))
		}),
		treeVector("empty-raw", "ok", "M30", "the empty raw block is present though nobody can send it", func(m *memory) pbLink {
			return m.dir(named("a", pbLink{cid: EmptyRaw}))
		}),
		treeVector("empty-directory", "ok", "M7", "a directory without files is not made", func(m *memory) pbLink {
			return m.dir(named("a", m.dir()), named("b", m.raw([]byte("b"))))
		}),
		treeVector("hamt", "ok", "M29", "a HAMT of two entries", func(m *memory) pbLink {
			return hamtOf(m, named("a", m.raw([]byte("a"))), named("b", m.raw([]byte("b"))))
		}),
		treeVector("bounds", "ok", "M26", "the size and number of files that its release states", one).bounded(1, 1),
		treeVector("size-above", "refused", "M26", "a byte more than its release states", one).bounded(0, 1),
		treeVector("size-below", "refused", "M26", "a byte less than its release states", one).bounded(2, 1),
		treeVector("files-above", "refused", "M26", "a file more than its release states", one).bounded(1, 0),
		treeVector("files-below", "refused", "M26", "a file less than its release states", one).bounded(1, 2),
		treeVector("codec", "refused", "M20", "a link to a dag-cbor block", other("bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")),
		treeVector("identity", "refused", "M20", "a link by the identity hash", other("bafkqabdlobzgs")),
		treeVector("chain", "refused", "M22", "a file of 40 blocks below one another", func(m *memory) pbLink {
			f := m.raw([]byte("x"))
			for range 40 {
				f = m.file([]uint64{1}, f)
			}
			return m.dir(named("x", f))
		}),
		treeVector("symlink", "refused", "M12", "a symbolic link", func(m *memory) pbLink {
			return m.dir(named("x", m.node(&fsNode{kind: typeSymlink, data: []byte("/etc/passwd"), hasData: true})))
		}),
		treeVector("name-parent", "refused", "M10", "an entry named ..", func(m *memory) pbLink { return m.dir(named("..", m.raw([]byte("x")))) }),
		treeVector("name-slash", "refused", "M10", "an entry with a slash in its name", func(m *memory) pbLink { return m.dir(named("a/../../x", m.raw([]byte("x")))) }),
		treeVector("name-empty", "refused", "M10", "an entry without a name", func(m *memory) pbLink { return m.dir(named("", m.raw([]byte("x")))) }),
		treeVector("name-twice", "refused", "M11", "one name twice", func(m *memory) pbLink {
			return m.dir(named("x", m.raw([]byte("x"))), named("x", m.raw([]byte("y"))))
		}),
		treeVector("collision", "refused", "M11", "names that differ in case alone", func(m *memory) pbLink {
			return m.dir(named("X", m.raw([]byte("x"))), named("x", m.raw([]byte("y"))))
		}),
		treeVector("root-file", "refused", "M23", "a root that is a file", func(m *memory) pbLink { return m.file([]uint64{1}, m.raw([]byte("x"))) }),
		treeVector("root-raw", "refused", "M23", "a root that is a raw block", func(m *memory) pbLink { return m.raw([]byte("x")) }),
		treeVector("metadata", "refused", "M23", "an entry of the UnixFS type metadata", file(fsNode{kind: typeMetadata})),
		treeVector("sizes-missing", "refused", "M23", "a file with more links than sizes", file(fsNode{kind: typeFile, blockSizes: []uint64{1}}, "x", "y")),
		treeVector("sizes-wrong", "refused", "M23", "a file whose size is not the sum of its parts", file(fsNode{kind: typeFile, blockSizes: []uint64{1}, hasSize: true, fileSize: 2}, "x")),
		treeVector("not-protobuf", "refused", "M23", "a dag-pb block that is none", func(m *memory) pbLink {
			return m.dir(named("x", m.block(cid.DagProtobuf, []byte{0x0a, 0x05, 0x08})))
		}),
		treeVector("chunks", "refused", "M28", "a file of 20 chunks of a byte", func(m *memory) pbLink {
			links, sizes := make([]pbLink, 20), make([]uint64, 20)
			for i := range links {
				links[i], sizes[i] = m.raw([]byte("x")), 1
			}
			return m.dir(named("x", m.file(sizes, links...)))
		}),
		treeVector("hamt-place", "refused", "M29", "a HAMT entry that does not stand where its hash puts it", hamt(256, []byte{1}, named("00a", pbLink{}))),
		treeVector("hamt-bitmap", "refused", "M29", "a HAMT whose bitmap announces more than it has", hamt(256, []byte{3}, named("00a", pbLink{}))),
		treeVector("hamt-width", "refused", "M29", "a HAMT that is 512 wide", hamt(512, nil)),
		treeVector("hamt-empty-node", "refused", "M29", "a HAMT with an empty node below its root", func(m *memory) pbLink {
			empty := m.node(&fsNode{kind: typeHAMT, hashType: hashMurmur3, fanout: 256})
			return m.node(&fsNode{kind: typeHAMT, data: []byte{1}, hasData: true, hashType: hashMurmur3, fanout: 256}, named("00", empty))
		}),
	}
}
