package modules

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
)

// packVector makes a vector of the files of a module.
func packVector(name, expect, spec, comment string, files ...vectorFile) *vectors.Vector {
	if len(files) == 0 || files[0].Path != npmjson.FileName {
		files = append([]vectorFile{{Path: npmjson.FileName, Text: treetest.MinimalPackage}}, files...)
	}
	b, err := json.MarshalIndent(files, "", "  ")
	if err != nil {
		panic(err)
	}
	v := &vectors.Vector{Name: "pack-" + name, Expect: expect, Spec: spec, Comment: comment}
	v.Set("files.json", asciiJSON(b)+"\n")
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

func packVectors() []*vectors.Vector {
	withBin := `{"name":"p","version":"1.0.0","bin":{"a":"a.js"}}`
	shebang := "#!/usr/bin/env node\r\nlet x\r\n"
	return []*vectors.Vector{
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
			vectorFile{Path: npmjson.FileName, Text: withBin}, vectorFile{Path: "a.js", Text: "#!/usr/bin/env node\n"}),
		packVector("bin-crlf", "ok", "M8", "the CR at the end of a program's shebang line is left out, other CRs stay",
			vectorFile{Path: npmjson.FileName, Text: withBin}, vectorFile{Path: "a.js", Text: shebang}, vectorFile{Path: "b.js", Text: shebang}),
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
