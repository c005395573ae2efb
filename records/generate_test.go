package records

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/rogpeppe/go-internal/txtar"
)

// block returns the CID of some block; which bytes it has does not matter.
func block(codec uint64, content string) cid.Cid {
	sum := sha256.Sum256([]byte(content))
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(codec, mh)
}

var (
	alice   = bytes.Repeat([]byte{0xa1}, 20)
	bob     = bytes.Repeat([]byte{0xb0}, 32)
	moduleA = block(cid.DagProtobuf, "module a")
	moduleB = block(cid.DagProtobuf, "module b")
	recordA = block(cid.DagCBOR, "record b")
	recordB = block(cid.DagCBOR, "record a")
	tarball = block(cid.Raw, "tarball")
)

func record(kind string, body any) fields {
	return fields{
		"es": 1, "author": alice, "seq": 0, "prev": list{}, "time": 1700000000,
		"body": fields{kind: body},
	}
}

func release() fields {
	return record("release", fields{
		"name": "left-pad", "version": "1.3.0", "module": moduleA, "size": 5230, "files": 4,
		"manifest": fields{"description": "String left pad", "license": "WTFPL"},
	})
}

// full is a release that uses every field.
func full() fields {
	r := release()
	set(r, "author", bob)
	set(r, "seq", 42)
	set(r, "prev", list{recordA, recordB})
	set(r, "body/release/manifest", fields{
		"description": "Everything a manifest can say: ünïcödé, 左 and all",
		"keywords":    list{"pad", "left", "pad"}, "license": "MIT OR Apache-2.0",
		"homepage": "https://example.org/left-pad", "repository": "git+https://example.org/left-pad.git",
		"bin":                  fields{"left-pad": "bin/left-pad.js", "LP.v2": "bin/lp.js"},
		"engines":              fields{"node": ">=18", "npm": ""},
		"os":                   list{"linux", "!win32"},
		"cpu":                  list{"x64", "arm64"},
		"libc":                 list{"glibc"},
		"dependencies":         fields{"@acme/pad": "^1.2.0", "JSONStream": "1.x", "repeat": "npm:repeat-string@^1 || ^2"},
		"optionalDependencies": fields{"fsevents": "*"},
		"peerDependencies":     fields{"react": ">=16"},
		"optionalPeers":        list{"react", "supports-color"},
		"bundled":              list{"repeat"},
		"scripts":              true,
		"shrinkwrap":           true,
	})
	set(r, "body/release/pins", fields{"@acme/pad": moduleB, "repeat": moduleA})
	return set(r, "body/release/origin", origin())
}

// mostMaps is full with all the registry signatures that there can be.
func mostMaps() fields {
	return set(full(), "body/release/origin/signatures", manySignatures(MaxOriginSigs))
}

func manySignatures(n int) list {
	var out list
	for range n {
		out = append(out, fields{"keyid": "k", "sig": []byte{1}})
	}
	return out
}

func origin() fields {
	return fields{
		"registry": "npm", "tarball": tarball, "sha512": bytes.Repeat([]byte{0x51}, 64),
		"signatures": list{fields{"keyid": "SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA", "sig": []byte{0x30, 0x45, 2, 0x21}}},
	}
}

func tag() fields {
	return record("tag", fields{"name": "left-pad", "tag": "latest", "version": "1.3.0"})
}

func notice() fields {
	return record("notice", fields{"name": "left-pad", "range": "<1.2.0", "kind": "deprecated", "text": "use String.prototype.padStart"})
}

func advisory() fields {
	return record("notice", fields{
		"name": "left-pad", "range": "<1.3.0", "kind": "advisory", "text": "pads to the right", "severity": "high",
		"fixed": ">=1.3.0", "refs": list{"CVE-2026-0001", "https://example.org/advisory"},
	})
}

func endorse() fields {
	return record("endorse", fields{"name": "left-pad", "version": "1.3.0", "module": moduleA, "claim": "reviewed", "text": "read every line"})
}

func delegate() fields {
	return record("delegate", fields{"to": bob, "scopes": list{"@acme/*", "left-*"}, "depth": 1, "until": 1800000000})
}

func successor() fields { return record("successor", fields{"to": bob}) }

func heartbeat() fields { return record("heartbeat", fields{"next": 1702592000}) }

func accept(name, spec, comment string, tree any) vector {
	b := appendTree(nil, tree)
	text, ok := readable(b)
	if !ok {
		panic(name + " is not DAG-CBOR")
	}
	return vector{name, "ok", spec, comment, []txtar.File{
		{Name: "record.json", Data: text}, section("record.cbor.hex", b), line("record.cid", block(cid.DagCBOR, string(b)).String()),
	}}
}

// refuse makes a vector that breaks one rule. What cannot be read as DAG-CBOR,
// or is far too long to read, has no readable form.
func refuse(name, spec, comment string, tree any) vector {
	b := appendTree(nil, tree)
	v := vector{name, "refused", spec, comment, nil}
	if text, ok := readable(b); ok && len(text) < 4<<10 {
		v.files = append(v.files, txtar.File{Name: "record.json", Data: text})
	}
	v.files = append(v.files, section("record.cbor.hex", b))
	return v
}

func recordVectors() []vector {
	var all []vector
	for _, make := range []func() []vector{
		acceptVectors, headVectors, encodingVectors, schemaVectors, limitVectors,
		releaseVectors, manifestVectors, bodyVectors, envelopeVectors, frameVectors,
	} {
		all = append(all, make()...)
	}
	return all
}

func acceptVectors() []vector {
	return []vector{
		accept("release", "R14 R35", "a release as small as they come", release()),
		accept("release-full", "R14 R20 R21 R22 R23 R24 R25 R26", "a release with every field, by a v6 key", full()),
		accept("release-empty-manifest", "R15", "nothing optional is there", set(release(), "body/release/manifest", fields{})),
		accept("release-greatest", "R21", "as many files and bytes as a release may have",
			set(set(release(), "body/release/files", MaxFiles), "body/release/size", MaxModuleSize)),
		accept("release-empty-file", "R21", "one file without content", set(set(release(), "body/release/files", 1), "body/release/size", 0)),
		accept("release-name-of-node-module", "R1", "names of modules that node itself has are real packages",
			set(release(), "body/release/name", "events")),
		accept("origin-published", "R26", "an import with the time at which its registry says that it was published", set(full(), "body/release/origin/published", 1613835737)),
		accept("tag", "R14 R27", "latest is 1.3.0", tag()),
		accept("release-most-maps", "R14 R26", "27 maps and lists, as many as a record can have", mostMaps()),
		accept("tag-near-range", "R27", "a tag with a number, which is not a range", set(tag(), "body/tag/tag", "v17-lts")),
		accept("tag-removed", "R27", "a tag without a version takes the word away", unset(tag(), "body/tag/version")),
		accept("notice-deprecated", "R28 R29", "a range is deprecated", notice()),
		accept("notice-yanked", "R28 R29", "one record is taken back",
			record("notice", fields{"name": "left-pad", "record": recordA, "kind": "yanked", "text": ""})),
		accept("notice-range-odd", "R28", "a range that is none: a record all the same, about no version", record("notice", fields{"name": "left-pad", "range": "2.x.7", "kind": "yanked", "text": "x"})),
		accept("notice-advisory", "R28 R29", "an advisory with all its fields", advisory()),
		accept("endorse", "R30", "somebody read the code", endorse()),
		accept("delegate", "R31", "bob speaks for alice on some names", delegate()),
		accept("delegate-taken-back", "R31", "no scopes: the delegation ends",
			record("delegate", fields{"to": bob, "scopes": list{}, "depth": 0, "until": 0})),
		accept("successor-to", "R32", "the old key names the new one", successor()),
		accept("successor-from", "R32", "the new key names the old one", set(record("successor", fields{"from": alice}), "author", bob)),
		accept("heartbeat", "R33", "another record will exist within 30 days", heartbeat()),
		accept("prev-four", "R16 R17", "four heads merged, and the greatest sequence number",
			set(set(release(), "prev", sortedLinks(4)), "seq", 1<<53-1)),
		accept("time-zero", "R18", "the first second", set(release(), "time", 0)),
		accept("time-last", "R18", "the last second", set(release(), "time", MaxTime)),
		accept("record-greatest", "R11", "a record of exactly 16384 bytes", ofSize(MaxRecord)),
		accept("map-greatest", "R12", "a map of 512 entries", set(release(), "body/release/manifest/dependencies", manyEntries(512))),
		accept("list-greatest", "R12", "a list of 256 items", set(release(), "body/release/manifest/keywords", manyItems(256))),
	}
}

func sortedLinks(n int) list {
	var out list
	for i := 0; len(out) < n; i++ {
		c := block(cid.DagCBOR, fmt.Sprint("link ", i))
		if len(out) == 0 || bytes.Compare(out[len(out)-1].(cid.Cid).Bytes(), c.Bytes()) < 0 {
			out = append(out, c)
		}
	}
	return out
}

func manyEntries(n int) fields {
	out := fields{}
	for i := range n {
		out[fmt.Sprintf("d%d", i)] = "1"
	}
	return out
}

func manyItems(n int) list {
	var out list
	for i := range n {
		out = append(out, fmt.Sprintf("k%d", i))
	}
	return out
}

// ofSize is a release of n bytes, which is about MaxRecord.
func ofSize(n int) fields {
	deps := fields{}
	for i := range 15 {
		deps[fmt.Sprintf("d%02d", i)] = strings.Repeat("1", 1020)
	}
	deps["rest"] = strings.Repeat("1", 500)
	r := set(release(), "body/release/manifest/dependencies", deps)
	deps["rest"] = strings.Repeat("1", 500+n-len(appendTree(nil, r)))
	return r
}

func headVectors() []vector {
	return []vector{
		refuse("author-short", "R7", "a fingerprint of 19 bytes", set(release(), "author", alice[:19])),
		refuse("author-long", "R7", "a fingerprint of 33 bytes", set(release(), "author", append([]byte{1}, bob...))),
		refuse("author-empty", "R7", "no fingerprint", set(release(), "author", []byte{})),
		refuse("es-2", "R13", "another format", set(release(), "es", 2)),
		refuse("es-0", "R13", "no format", set(release(), "es", 0)),
		refuse("seq-negative", "R16", "a sequence number below 0", set(set(release(), "prev", list{recordA}), "seq", -1)),
		refuse("seq-above-2-53", "R16", "a sequence number that JavaScript cannot hold", set(set(release(), "prev", list{recordA}), "seq", 1<<53)),
		refuse("seq-without-prev", "R16", "1 follows nothing", set(release(), "seq", 1)),
		refuse("seq-zero-with-prev", "R16", "0 follows something", set(release(), "prev", list{recordA})),
		refuse("prev-five", "R17", "five links", set(set(release(), "prev", sortedLinks(5)), "seq", 1)),
		refuse("prev-unsorted", "R17", "links out of order", set(set(release(), "prev", list{recordB, recordA}), "seq", 1)),
		refuse("prev-twice", "R17", "one link twice", set(set(release(), "prev", list{recordA, recordA}), "seq", 1)),
		refuse("prev-raw", "R17", "a link to a raw block", set(set(release(), "prev", list{block(cid.Raw, "x")}), "seq", 1)),
		refuse("prev-sha1", "R17", "a link by another hash", set(set(release(), "prev", list{otherHash(cid.DagCBOR)}), "seq", 1)),
		refuse("time-negative", "R18", "before 1970", set(release(), "time", -1)),
		refuse("time-above-9999", "R18", "after 9999", set(release(), "time", MaxTime+1)),
		refuse("body-empty", "R19", "no kind", set(release(), "body", fields{})),
		refuse("body-two-kinds", "R19", "two kinds", set(tag(), "body/heartbeat", fields{"next": 1702592000})),
		refuse("body-unknown-kind", "R19", "a kind that format 1 has not", record("rumour", fields{"text": "hello"})),
	}
}

func otherHash(codec uint64) cid.Cid {
	mh, err := multihash.Encode(make([]byte, 20), multihash.SHA1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(codec, mh)
}
