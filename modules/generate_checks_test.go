package modules

import (
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/internal/vectors"
)

// packageCheckVectors each break one rule about a package.json.
func packageCheckVectors() []*vectors.Vector {
	with := func(fields string) string { return `{"name": "p", "version": "1.0.0", ` + fields + `}` }
	const directory = "bafybeigyd4tt2ufp62lootyj4ggjooz6ulh3nxa5o6y7fcqe4kp6fbzmrm"
	sha3, err := multihash.Encode(make([]byte, 32), multihash.SHA3_256)
	if err != nil {
		panic(err)
	}
	pins := func(count int) string {
		var entries []string
		for i := range count {
			entries = append(entries, fmt.Sprintf(`"d%d": %q`, i, directory))
		}
		return with(`"esDependencies": {` + strings.Join(entries, ", ") + `}`)
	}
	var tildes []vectorFile
	for _, name := range []string{"a~", "a~1.b.c", "a~1.text", "longer-name~1", "~1"} {
		tildes = append(tildes, vectorFile{Path: name, Text: "x"})
	}
	return []*vectors.Vector{
		packVector("name-not-short", "ok", "M10", "names with a tilde that Windows does not make up", tildes...),
		packageVector("cut", "refused", "M40", "an object that does not end", `{"name": "p", "version": "1.0.0"`),
		packageVector("key-twice-in-list", "refused", "M40", "a key twice, in an object in a list", with(`"x": [{"a": 1, "a": 2}]`)),
		packageVector("dependencies-text", "refused", "M46", "dependencies that are a text", with(`"dependencies": "a"`)),
		packageVector("dependencies-long", "refused", "M46", "a range of 1,025 bytes", with(`"dependencies": {"a": "`+strings.Repeat("1", 1025)+`"}`)),
		packageVector("optional-range", "refused", "M46", "an optional dependency whose range is no string", with(`"optionalDependencies": {"a": 1}`)),
		packageVector("peer-range", "refused", "M46", "a peer whose range is no string", with(`"peerDependencies": {"a": 1}`)),
		packageVector("es-range", "refused", "M46", "esDependencies with a range that is no string", with(`"esDependencies": {"a": 1}`)),
		packageVector("bin-device", "refused", "M47", "a program with a name that is a device on Windows", with(`"bin": {"x": "lib/nul.js"}`)),
		packageVector("bin-directory-out", "refused", "M47", "directories.bin outside of the module", with(`"directories": {"bin": "../bin"}`)),
		packageVector("pin-name", "refused", "M48", "a pin for a name that no release can have", with(fmt.Sprintf(`"esDependencies": {"JSONStream": %q}`, directory))),
		packageVector("pin-hash", "refused", "M48", "a pin by SHA3-256", with(fmt.Sprintf(`"esDependencies": {"a": %q}`, cid.NewCidV1(cid.DagProtobuf, sha3)))),
		packageVector("pins-more", "refused", "M48", "513 pins", pins(513)),

		importVector("old", "ok", "what npm passes over: a field twice, a name that leads out, a range that is no text", "p 1.0.0",
			`{"name": "q", "name": " p ", "version": " = v1.0.0+build ", "dependencies": {"../c": "1", "JSONStream": "1", "d": {"version": "1"}}, "peerDependencies": "none"}`),
		importVector("cut", "refused", "an object that does not end", "p 1.0.0", `{"name": "p", "version": "1.0.0"`),
		importVector("name", "refused", "the file of another package", "p 1.0.0", `{"name": "q", "version": "1.0.0"}`),
		importVector("name-case", "refused", "another case in the name", "p 1.0.0", `{"name": "P", "version": "1.0.0"}`),
		importVector("name-out", "refused", "a name that leads out of node_modules", "../p 1.0.0", `{"name": "../p", "version": "1.0.0"}`),
		importVector("version", "refused", "the file of another version", "p 1.0.0", `{"name": "p", "version": "1.0.1"}`),
		importVector("version-none", "refused", "no version", "p 1.0.0", `{"name": "p"}`),
	}
}

// importVector makes a vector of what a registry serves as NAME VERSION.
func importVector(name, expect, comment, served, data string) *vectors.Vector {
	spec := "M360"
	if name == "cut" {
		spec = "M40"
	}
	v := packageVector(name, expect, spec, comment, data)
	v.Name = "import-" + name
	v.Set("imported", served+"\n")
	return v
}
