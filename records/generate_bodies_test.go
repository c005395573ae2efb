package records

import (
	"bytes"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/rogpeppe/go-internal/txtar"
)

func releaseVectors() []vector {
	field := func(path string, v any) fields { return set(full(), "body/release/"+path, v) }
	return []vector{
		refuse("release-name", "R1", "a name in upper case", field("name", "Left-Pad")),
		refuse("release-name-long", "R2", "a name of 129 bytes", field("name", strings.Repeat("a", 129))),
		refuse("release-name-reserved", "R3", "a reserved name", field("name", "node_modules")),
		refuse("release-version", "R4", "not a version", field("version", "1.3")),
		refuse("release-version-build", "R5", "build metadata", field("version", "1.3.0+1")),
		refuse("release-version-long", "R6", "a version of 129 bytes", field("version", "1.3.0-"+strings.Repeat("a", 123))),
		refuse("release-module-cidv0", "R20", "a module by CIDv0", field("module", cid.NewCidV0(moduleA.Hash()))),
		refuse("release-module-raw", "R20", "a module that is a raw block", field("module", tarball)),
		refuse("release-module-identity", "R20", "a module inside its own CID", field("module", identityCID("module"))),
		refuse("release-module-sha1", "R20", "a module by another hash", field("module", otherHash(cid.DagProtobuf))),
		refuse("release-module-sha2-short", "R20", "a module by a cut hash", field("module", shortHash())),
		refuse("release-files-none", "R21", "no files: a package.json is always there", field("files", 0)),
		refuse("release-files-many", "R21", "150001 files", field("files", MaxFiles+1)),
		refuse("release-size-negative", "R21", "fewer than no bytes", field("size", -1)),
		refuse("release-size-great", "R21", "a byte above 2 GiB", field("size", MaxModuleSize+1)),
		refuse("pins-name", "R25", "a pin for something that cannot be a module", field("pins", fields{"JSONStream": moduleA})),
		refuse("pins-module", "R25", "a pin to a raw block", field("pins", fields{"repeat": tarball})),
		refuse("pins-cidv0", "R25", "a pin by CIDv0", field("pins", fields{"repeat": cid.NewCidV0(moduleA.Hash())})),
		refuse("origin-registry-empty", "R26", "no registry", field("origin/registry", "")),
		refuse("origin-registry-text", "R9", "a registry over two lines", field("origin/registry", "npm\nnpm")),
		refuse("origin-tarball", "R26", "a tarball that is a record", field("origin/tarball", recordA)),
		refuse("origin-sha512", "R26", "63 bytes of sha512", field("origin/sha512", make([]byte, 63))),
		refuse("origin-signatures-many", "R26", "nine registry signatures", field("origin/signatures", manySignatures(9))),
		refuse("origin-keyid-empty", "R26", "a signature by nobody", field("origin/signatures", list{fields{"keyid": "", "sig": []byte{1}}})),
		refuse("origin-signature-empty", "R26", "an empty signature", field("origin/signatures", list{fields{"keyid": "k", "sig": []byte{}}})),
		refuse("origin-signature-long", "R26", "a signature of 1025 bytes", field("origin/signatures", list{fields{"keyid": "k", "sig": make([]byte, 1025)}})),
		refuse("origin-published-none", "R26", "published at 0, which says nothing", field("origin/published", 0)),
		refuse("origin-published-late", "R26", "published after 9999", field("origin/published", MaxTime+1)),
		refuse("origin-published-text", "R14", "published at a text", field("origin/published", "2021-02-20")),
		refuse("origin-keyid-text", "R9", "a key id with an escape sequence", field("origin/signatures", list{fields{"keyid": "k\x1b[2J", "sig": []byte{1}}})),
	}
}

// shortHash is a CID whose sha2-256 was cut to 20 bytes.
func shortHash() cid.Cid {
	mh, err := multihash.Encode(moduleA.Hash()[2:22], multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, mh)
}

func manifestVectors() []vector {
	field := func(name string, v any) fields { return set(full(), "body/release/manifest/"+name, v) }
	return []vector{
		refuse("manifest-description-long", "R9", "a description of 257 bytes", field("description", strings.Repeat("d", 257))),
		refuse("manifest-description-newline", "R9", "a description over two lines", field("description", "one\ntwo")),
		refuse("manifest-license-escape", "R9", "a terminal escape sequence", field("license", "MIT\x1b[31m")),
		refuse("manifest-homepage-bidi", "R9", "text that turns around", field("homepage", "https://example.org/\u202egpj.exe")),
		refuse("manifest-repository-zero-width", "R9", "a character without width", field("repository", "exam\u200bple")),
		refuse("manifest-keyword-c1", "R9", "a C1 control character", field("keywords", list{"a\u009bb"})),
		refuse("manifest-keyword-empty", "R22", "an empty keyword", field("keywords", list{"a", ""})),
		refuse("manifest-os-empty", "R22", "an empty system", field("os", list{""})),
		refuse("manifest-engine-empty", "R22", "an engine without a name", field("engines", fields{"": "1"})),
		refuse("manifest-engine-long", "R9", "257 bytes about an engine", field("engines", fields{"node": strings.Repeat("1", 257)})),
		refuse("manifest-range-long", "R9", "a range of 1025 bytes", field("dependencies", fields{"a": strings.Repeat("1", 1025)})),
		refuse("manifest-range-tab", "R9", "a tab in a range", field("dependencies", fields{"a": ">1\t<2"})),
		refuse("manifest-optional-peers-unsorted", "R22", "a set of names out of order", field("optionalPeers", list{"supports-color", "react"})),
		refuse("manifest-optional-peers-twice", "R22", "a set of names with one twice", field("optionalPeers", list{"react", "react"})),
		refuse("manifest-optional-peers-name", "R24", "not a name", field("optionalPeers", list{"../react"})),
		refuse("manifest-bundled-unsorted", "R22", "bundled names out of order", field("bundled", list{"b", "a"})),
		refuse("manifest-bundled-name", "R24", "not a name", field("bundled", list{"a b"})),
		refuse("manifest-bin-parent", "R23", "a command outside the module", field("bin", fields{"x": "../x.js"})),
		refuse("manifest-bin-parent-inside", "R23", "a way out and in again", field("bin", fields{"x": "a/../x.js"})),
		refuse("manifest-bin-absolute", "R23", "an absolute path", field("bin", fields{"x": "/bin/sh"})),
		refuse("manifest-bin-dot", "R23", "a path that is not in its simplest form", field("bin", fields{"x": "./x.js"})),
		refuse("manifest-bin-backslash", "R23", "a path as Windows writes it", field("bin", fields{"x": `bin\x.js`})),
		refuse("manifest-bin-drive", "R23", "a drive", field("bin", fields{"x": "c:x.js"})),
		refuse("manifest-bin-device", "R23", "a device on Windows", field("bin", fields{"x": "bin/nul.js"})),
		refuse("manifest-bin-device-superscript", "R23", "a device on Windows, whose number is a superscript", field("bin", fields{"x": "bin/com¹.js"})),
		refuse("manifest-bin-device-space", "R23", "a device on Windows, which drops the space", field("bin", fields{"x": "bin/nul .js"})),
		refuse("manifest-bin-empty", "R23", "no path", field("bin", fields{"x": ""})),
		refuse("manifest-bin-nul", "R23", "a NUL in the path", field("bin", fields{"x": "a\x00b"})),
		refuse("manifest-command-slash", "R23", "a command with a directory", field("bin", fields{"../x": "x.js"})),
		refuse("manifest-command-empty", "R23", "a command without a name", field("bin", fields{"": "x.js"})),
		refuse("manifest-command-dots", "R23", "a command that is a directory", field("bin", fields{"..": "x.js"})),
		refuse("manifest-command-hidden", "R23", "a hidden command", field("bin", fields{".x": "x.js"})),
		refuse("manifest-command-flag", "R23", "a command that looks like a flag", field("bin", fields{"-x": "x.js"})),
		refuse("manifest-command-device", "R23", "a device on Windows", field("bin", fields{"con": "x.js"})),
		refuse("manifest-command-device-case", "R23", "a device on Windows, in capitals", field("bin", fields{"NUL.js": "x.js"})),
		refuse("manifest-bin-device-case", "R23", "a device on Windows, in other letters", field("bin", fields{"x": "bin/Con"})),
		refuse("manifest-command-last-dot", "R23", "a command that ends in a dot", field("bin", fields{"x.": "x.js"})),
		refuse("manifest-bin-long", "R23", "a path of 257 bytes", field("bin", fields{"x": strings.Repeat("p", 257)})),
		refuse("manifest-dependency-hidden-scope", "R24", "a scope that begins with a dot", field("dependencies", fields{"@.acme/a": "1"})),
		refuse("manifest-command-long", "R23", "a command of 129 bytes", field("bin", fields{strings.Repeat("c", 129): "x.js"})),
		refuse("manifest-command-unicode", "R23", "a command in other letters", field("bin", fields{"lеft": "x.js"})),
		refuse("manifest-dependency-path", "R24", "a dependency that leads out", field("dependencies", fields{"../x": "1"})),
		refuse("manifest-dependency-dot", "R24", "a hidden dependency", field("dependencies", fields{".bin": "1"})),
		refuse("manifest-dependency-node-modules", "R24", "a reserved directory", field("optionalDependencies", fields{"node_modules": "1"})),
		refuse("manifest-dependency-scope", "R24", "a scope without a name", field("peerDependencies", fields{"@acme": "1"})),
		refuse("manifest-dependency-two-slashes", "R24", "a path below a scope", field("dependencies", fields{"@acme/a/b": "1"})),
		refuse("manifest-dependency-long", "R24", "a name of 215 bytes", field("dependencies", fields{strings.Repeat("d", 215): "1"})),
		refuse("manifest-dependency-empty", "R22", "a dependency without a name", field("dependencies", fields{"": "1"})),
	}
}

func bodyVectors() []vector {
	with := func(r fields, kind, name string, v any) fields { return set(r, "body/"+kind+"/"+name, v) }
	return []vector{
		refuse("tag-empty", "R27", "no word", with(tag(), "tag", "tag", "")),
		refuse("tag-long", "R27", "65 bytes", with(tag(), "tag", "tag", strings.Repeat("t", 65))),
		refuse("tag-version", "R27", "a version is no tag", with(tag(), "tag", "tag", "1.3.0")),
		refuse("tag-v1", "R27", "v1 is a range", with(tag(), "tag", "tag", "v1")),
		refuse("tag-v1-prerelease", "R27", "a version with a v", with(tag(), "tag", "tag", "v1.0.0-rc.1")),
		refuse("tag-x", "R27", "x is a range", with(tag(), "tag", "tag", "x")),
		refuse("tag-digit", "R27", "begins with a digit", with(tag(), "tag", "tag", "1st")),
		refuse("tag-underscore", "R27", "begins with an underscore", with(tag(), "tag", "tag", "_next")),
		refuse("tag-space", "R27", "a space", with(tag(), "tag", "tag", "la test")),
		refuse("tag-name", "R1", "not a name", with(tag(), "tag", "name", "left pad")),
		refuse("tag-bad-version", "R4", "not a version", with(tag(), "tag", "version", "latest")),
		refuse("notice-range-and-record", "R28", "both a range and a record", with(notice(), "notice", "record", recordA)),
		refuse("notice-about-nothing", "R28", "neither a range nor a record", unset(notice(), "body/notice/range")),
		refuse("notice-record-module", "R28", "a module is no record", set(unset(notice(), "body/notice/range"), "body/notice/record", moduleA)),
		refuse("notice-name", "R1", "not a name", with(notice(), "notice", "name", "*")),
		refuse("notice-kind", "R29", "an unknown kind", with(notice(), "notice", "kind", "retracted")),
		refuse("notice-severity", "R29", "an unknown severity", with(advisory(), "notice", "severity", "catastrophic")),
		refuse("notice-severity-deprecated", "R29", "a deprecation has no severity", with(notice(), "notice", "severity", "low")),
		refuse("notice-fixed-deprecated", "R29", "a deprecation is not fixed", with(notice(), "notice", "fixed", ">=2")),
		refuse("notice-refs-deprecated", "R29", "a deprecation has no references", with(notice(), "notice", "refs", list{"CVE-2026-0001"})),
		refuse("notice-refs-many", "R29", "17 references", with(advisory(), "notice", "refs", manyItems(17))),
		refuse("notice-ref-empty", "R22", "an empty reference", with(advisory(), "notice", "refs", list{""})),
		refuse("notice-text-long", "R9", "1025 bytes", with(notice(), "notice", "text", strings.Repeat("x", 1025))),
		refuse("notice-text-escape", "R9", "a terminal escape sequence", with(notice(), "notice", "text", "\x1b[2J")),
		refuse("notice-range-long", "R9", "a range of 1025 bytes", with(notice(), "notice", "range", strings.Repeat("1", 1025))),
		refuse("endorse-claim", "R30", "an unknown claim", with(endorse(), "endorse", "claim", "liked")),
		refuse("endorse-name", "R1", "not a name", with(endorse(), "endorse", "name", "*")),
		refuse("endorse-version", "R4", "not a version", with(endorse(), "endorse", "version", "latest")),
		refuse("endorse-module", "R20", "a raw block", with(endorse(), "endorse", "module", tarball)),
		refuse("endorse-text-long", "R9", "1025 bytes", with(endorse(), "endorse", "text", strings.Repeat("x", 1025))),
		refuse("delegate-to-short", "R7", "a fingerprint of 8 bytes", with(delegate(), "delegate", "to", alice[:8])),
		refuse("delegate-to-self", "R31", "to itself", with(delegate(), "delegate", "to", alice)),
		refuse("delegate-scope", "R8", "not a scope", with(delegate(), "delegate", "scopes", list{"le*"})),
		refuse("delegate-scopes-unsorted", "R31", "scopes out of order", with(delegate(), "delegate", "scopes", list{"left-*", "@acme/*"})),
		refuse("delegate-scopes-twice", "R31", "one scope twice", with(delegate(), "delegate", "scopes", list{"*", "*"})),
		refuse("delegate-scopes-many", "R31", "33 scopes", with(delegate(), "delegate", "scopes", manyScopes(33))),
		refuse("delegate-depth-negative", "R31", "a depth below 0", with(delegate(), "delegate", "depth", -1)),
		refuse("delegate-depth", "R31", "a depth above 3", with(delegate(), "delegate", "depth", 4)),
		refuse("delegate-until-past", "R31", "over before it begins", with(delegate(), "delegate", "until", 1700000000)),
		refuse("delegate-until", "R31", "after 9999", with(delegate(), "delegate", "until", MaxTime+1)),
		refuse("delegate-taken-back-until", "R31", "taken back until some day", with(with(delegate(), "delegate", "scopes", list{}), "delegate", "depth", 0)),
		refuse("delegate-taken-back-depth", "R31", "taken back, and its key may delegate", with(with(delegate(), "delegate", "scopes", list{}), "delegate", "until", 0)),
		refuse("successor-both", "R32", "which is the old key?", set(successor(), "body/successor/from", bytes.Repeat([]byte{3}, 20))),
		refuse("successor-none", "R32", "neither key", record("successor", fields{})),
		refuse("successor-from-self", "R32", "succeeds itself", record("successor", fields{"from": alice})),
		refuse("successor-self", "R32", "its own successor", record("successor", fields{"to": alice})),
		refuse("successor-empty", "R7", "an empty fingerprint", record("successor", fields{"to": []byte{}})),
		refuse("heartbeat-now", "R33", "a promise for now", record("heartbeat", fields{"next": 1700000000})),
		refuse("heartbeat-late", "R33", "a promise for after 9999", record("heartbeat", fields{"next": MaxTime + 1})),
	}
}

func manyScopes(n int) list {
	var out list
	for i := range n {
		out = append(out, "abc"+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	return out
}

func envelopeTree(record any, signature []byte) fields {
	return fields{"record": record, "signature": signature}
}

// signature has the length of a real one; verifying is not this format's matter.
var signature = bytes.Repeat([]byte{0x5c}, 180)

func envelopeVectors() []vector {
	ok := func(name, comment string, record fields, signature []byte) vector {
		b := appendTree(nil, envelopeTree(record, signature))
		text, _ := readable(b)
		return vector{name, "ok", "R36 R37", comment, []txtar.File{
			{Name: "envelope.json", Data: text}, line("record.cid", block(cid.DagCBOR, string(appendTree(nil, record))).String()),
			section("envelope.cbor.hex", b), line("envelope.cid", block(cid.DagCBOR, string(b)).String()),
		}}
	}
	no := func(name, spec, comment string, tree any) vector {
		return vector{name, "refused", spec, comment, []txtar.File{section("envelope.cbor.hex", appendTree(nil, tree))}}
	}
	good := appendTree(nil, envelopeTree(release(), signature))
	return []vector{
		ok("envelope", "a record and its signature; the signature's bytes are made up", release(), signature),
		ok("envelope-signature-1", "a signature of one byte", heartbeat(), []byte{1}),
		ok("envelope-signature-1024", "a signature of 1024 bytes", full(), make([]byte, 1024)),
		no("envelope-signature-empty", "R37", "no signature", envelopeTree(release(), []byte{})),
		no("envelope-signature-1025", "R37", "a signature of 1025 bytes", envelopeTree(release(), make([]byte, 1025))),
		no("envelope-signature-string", "R14", "a signature in words", fields{"record": release(), "signature": "x"}),
		no("envelope-signature-missing", "R14", "a record alone", fields{"record": release()}),
		no("envelope-record-missing", "R14", "a signature alone", fields{"signature": signature}),
		no("envelope-record-link", "R14", "a record by its id", envelopeTree(recordA, signature)),
		no("envelope-record-bytes", "R14", "a record as a byte string", envelopeTree(appendTree(nil, release()), signature)),
		no("envelope-record-bad", "R21", "a record that breaks a rule", envelopeTree(set(release(), "body/release/files", 0), signature)),
		no("envelope-field-unknown", "R14", "a third field", fields{"record": release(), "signature": signature, "key": []byte{1}}),
		no("envelope-keys-unsorted", "R10", "the signature first", entries{"signature", signature, "record", release()}),
		no("envelope-signature-long-head", "R10", "the signature's length in three bytes",
			entries{"record", release(), "signature", raw("\x59\x00\xb4" + string(signature))}),
		no("envelope-map-long-head", "R10", "the map's length in two bytes", raw("\xb8\x02"+string(good[1:]))),
		no("envelope-record-not-canonical", "R10", "a record that is not canonical", envelopeTree(set(release(), "es", raw("\x18\x01")), signature)),
		no("envelope-trailing-byte", "R10", "a byte after the end", raw(string(good)+"\x00")),
		no("envelope-key-twice", "R10", "two signatures", entries{"record", release(), "signature", signature, "signature", signature}),
		no("envelope-long", "R36", "18433 bytes", raw(make([]byte, MaxEnvelope+1))),
		no("envelope-record-long", "R11", "a record of 16385 bytes", envelopeTree(ofSize(MaxRecord+1), signature)),
	}
}

func frameVectors() []vector {
	key := bytes.Repeat([]byte{0xe1}, 250)
	envelope := envelopeTree(release(), signature)
	no := func(name, spec, comment string, tree any) vector {
		return vector{name, "refused", spec, comment, []txtar.File{section("frame.cbor.hex", appendTree(nil, tree))}}
	}
	ok := func(name, comment string, tree any) vector {
		b := appendTree(nil, tree)
		text, _ := readable(b)
		return vector{name, "ok", "R38", comment, []txtar.File{{Name: "frame.json", Data: text}, section("frame.cbor.hex", b)}}
	}
	return []vector{
		ok("frame", "a key block and an envelope; the key block's bytes are made up", fields{"key": key, "envelope": envelope}),
		ok("frame-key-14336", "the greatest key block", fields{"key": make([]byte, MaxKeyBlock), "envelope": envelope}),
		no("frame-key-14337", "R38", "a key block of 14337 bytes", fields{"key": make([]byte, MaxKeyBlock+1), "envelope": envelope}),
		no("frame-key-empty", "R38", "no key block", fields{"key": []byte{}, "envelope": envelope}),
		no("frame-key-missing", "R38", "an envelope alone", fields{"envelope": envelope}),
		no("frame-key-string", "R38", "a key block in words", fields{"key": "key", "envelope": envelope}),
		no("frame-key-long-head", "R38", "the key's length in three bytes", entries{"key", raw("\x59\x00\xfa" + string(key)), "envelope", envelope}),
		no("frame-envelope-missing", "R38", "a key block alone", fields{"key": key}),
		no("frame-envelope-empty", "R38", "an envelope without bytes", raw("\xa2\x63key\x41k\x68envelope")),
		no("frame-envelope-long", "R38", "an envelope of 18433 bytes", raw("\xa2\x63key\x41k\x68envelope"+strings.Repeat("e", MaxEnvelope+1))),
		no("frame-keys-unsorted", "R38", "the envelope first", entries{"envelope", envelope, "key", key}),
		no("frame-trailing-byte", "R10", "a byte after the end", raw(string(appendTree(nil, fields{"key": key, "envelope": envelope}))+"\x00")),
		no("frame-envelope-bytes", "R14", "an envelope as a byte string", fields{"key": key, "envelope": appendTree(nil, envelope)}),
		no("frame-empty", "R38", "no bytes", raw("")),
		no("frame-long", "R38", "32769 bytes", raw(make([]byte, MaxFrame+1))),
		no("frame-key-beyond-end", "R38", "a key block that ends after the frame", raw("\xa2\x63key\x59\x20\x00")),
	}
}
