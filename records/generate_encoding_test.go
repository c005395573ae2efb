package records

import (
	"bytes"
	"math"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// encodingVectors break DAG-CBOR itself: each says what a record says, or would,
// in another form.
func encodingVectors() []vector {
	order := []string{"es", "seq", "body", "prev", "time", "author"}
	whole := appendTree(nil, release())
	swapped := inOrder(release(), "seq", "es", "body", "prev", "time", "author")
	byBytes := inOrder(release(), "author", "body", "es", "prev", "seq", "time")
	twice := append(inOrder(release(), order...), "author", alice)
	shadow := append(entries{"es", 1}, inOrder(release(), order...)...)
	return []vector{
		refuse("encoding-empty", "R10", "no bytes", raw("")),
		refuse("encoding-head-cut", "R10", "a length in two bytes of which one is there", raw("\x59\x01")),
		refuse("encoding-cut", "R10", "the last byte is missing", raw(whole[:len(whole)-1])),
		refuse("encoding-trailing-byte", "R10", "a byte after the end", raw(string(whole)+"\x00")),
		refuse("encoding-two-records", "R10", "a record after the end", raw(string(whole)+string(whole))),
		refuse("encoding-keys-unsorted", "R10", "two keys are swapped", swapped),
		refuse("encoding-keys-bytewise", "R10", "keys sorted by bytes, not by length first", byBytes),
		refuse("encoding-key-twice", "R10", "the same key and value twice", twice),
		refuse("encoding-key-twice-first", "R10", "the same key twice, at the beginning", shadow),
		refuse("encoding-int-long", "R10", "1 in two bytes", set(release(), "es", raw("\x18\x01"))),
		refuse("encoding-int-very-long", "R10", "the time in nine bytes", set(release(), "time", raw("\x1b\x00\x00\x00\x00\x65\x53\xf1\x00"))),
		refuse("encoding-string-long", "R10", "a string's length in two bytes", set(release(), "body/release/version", raw("\x78\x051.3.0"))),
		refuse("encoding-list-long", "R10", "a list's length in two bytes", set(release(), "prev", raw("\x98\x00"))),
		refuse("encoding-map-indefinite", "R10", "a map of indefinite length", set(heartbeat(), "body", raw("\xbf\x69heartbeat\xa1\x64next\x1a\x65\x7b\x7f\x00\xff"))),
		refuse("encoding-list-indefinite", "R10", "a list of indefinite length", set(release(), "prev", raw("\x9f\xff"))),
		refuse("encoding-string-indefinite", "R10", "a string in pieces", set(release(), "body/release/version", raw("\x7f\x631.3\x62.0\xff"))),
		refuse("encoding-bytes-indefinite", "R10", "bytes in pieces", set(release(), "author", raw("\x5f\x54"+string(alice)+"\xff"))),
		refuse("encoding-nan", "R10", "not a number", set(release(), "time", math.NaN())),
		refuse("encoding-infinity", "R10", "infinity", set(release(), "time", math.Inf(1))),
		refuse("encoding-undefined", "R14", "undefined for a time", set(release(), "time", raw("\xf7"))),
		refuse("encoding-undefined-optional", "R14", "undefined for an optional field", set(release(), "body/release/manifest/license", raw("\xf7"))),
		refuse("encoding-float16", "R14", "a time of 1.0 in two bytes", set(release(), "time", raw("\xf9\x3c\x00"))),
		refuse("encoding-float32", "R14", "a time of 1.0 in four bytes", set(release(), "time", raw("\xfa\x3f\x80\x00\x00"))),
		refuse("encoding-float64", "R14", "a time of 1.0", set(release(), "time", 1.0)),
		refuse("encoding-int-below-64-bits", "R10", "-2^64", set(release(), "time", raw("\x3b\xff\xff\xff\xff\xff\xff\xff\xff"))),
		refuse("encoding-int-above-64-bits", "R14", "2^64-1", set(release(), "time", raw("\x1b\xff\xff\xff\xff\xff\xff\xff\xff"))),
		refuse("encoding-tag-0", "R10", "a date string, tagged", set(release(), "body/release/version", raw("\xc0\x651.3.0"))),
		refuse("encoding-tag-2", "R10", "a big number, tagged", set(release(), "time", raw("\xc2\x44\x65\x53\xf1\x00"))),
		refuse("encoding-tag-42-on-string", "R14", "a link that is a string", set(release(), "body/release/module", raw("\xd8\x2a\x61x"))),
		refuse("encoding-tag-42-twice", "R10", "a link in a link", set(release(), "body/release/module", raw("\xd8\x2a"+string(appendTree(nil, moduleA))))),
		refuse("encoding-tag-42-long", "R10", "the link's tag in three bytes", set(release(), "body/release/module", raw("\xd9\x00\x2a"+string(appendTree(nil, moduleA)[2:])))),
		refuse("encoding-link-without-zero", "R10", "a link without its multibase byte",
			set(release(), "body/release/module", raw("\xd8\x2a"+string(appendTree(nil, moduleA.Bytes()))))),
		refuse("encoding-link-cut", "R10", "a CID that ends early",
			set(release(), "body/release/module", raw("\xd8\x2a"+string(appendTree(nil, append([]byte{0}, moduleA.Bytes()[:30]...)))))),
		refuse("encoding-link-trailing", "R10", "a CID with a byte after it",
			set(release(), "body/release/module", raw("\xd8\x2a"+string(appendTree(nil, append(append([]byte{0}, moduleA.Bytes()...), 0)))))),
		refuse("encoding-simple-value", "R10", "simple value 16", set(release(), "time", raw("\xf0"))),
		refuse("encoding-break", "R10", "a break without a beginning", set(release(), "time", raw("\xff"))),
		refuse("encoding-reserved-length", "R10", "additional information 28", set(release(), "time", raw("\x1c"))),
		refuse("encoding-key-bytes", "R10", "a key of bytes", raw("\xa1\x42es\x01")),
		refuse("encoding-key-int", "R10", "a key that is a number", raw("\xa1\x01\x01")),
		refuse("encoding-utf8-value", "R9", "a text that is not UTF-8", set(release(), "body/release/manifest/license", "MIT\xff")),
		refuse("encoding-utf8-overlong", "R9", "an overlong slash", set(release(), "body/release/manifest/license", "MIT\xc0\xaf")),
		refuse("encoding-utf8-surrogate", "R9", "half a surrogate pair", set(release(), "body/release/manifest/license", "\xed\xa0\x80")),
		refuse("encoding-utf8-map-key", "R9", "a map key that is not UTF-8", set(release(), "body/release/manifest/engines", fields{"node\xff": "1"})),
		refuse("encoding-utf8-field", "R14", "a field name that is not UTF-8", set(release(), "es\xff", 1)),
		refuse("encoding-length-beyond-end", "R10", "a string of 2^63 bytes", raw("\xa1\x62es\x7b\x80\x00\x00\x00\x00\x00\x00\x00")),
		refuse("encoding-tags-only", "R10", "nothing but tags", raw(bytes.Repeat([]byte{0xd8, 0x2a}, 8000))),
	}
}

// schemaVectors are DAG-CBOR, but not records.
func schemaVectors() []vector {
	return []vector{
		refuse("schema-list", "R14", "a list", list{1}),
		refuse("schema-int", "R14", "a number", 1),
		refuse("schema-empty-map", "R14", "an empty map", fields{}),
		refuse("schema-field-missing", "R14", "no author", unset(release(), "author")),
		refuse("schema-prev-missing", "R14", "no list of earlier records", unset(release(), "prev")),
		refuse("schema-body-missing", "R14", "no body", unset(release(), "body")),
		refuse("schema-field-unknown", "R14", "a field that nobody knows", set(release(), "nonce", 7)),
		refuse("schema-field-unknown-in-body", "R14", "a field that nobody knows, in the body", set(release(), "body/release/nonce", 7)),
		refuse("schema-field-unknown-in-manifest", "R14", "a field that nobody knows, in the manifest", set(release(), "body/release/manifest/main", "index.js")),
		refuse("schema-field-case", "R14", "field names are exact", set(unset(release(), "body/release/files"), "body/release/Files", 4)),
		refuse("schema-null-required", "R14", "null for a required field", set(release(), "time", nil)),
		refuse("schema-null-optional", "R14", "null for an optional field", set(release(), "body/release/manifest/license", nil)),
		refuse("schema-null-record", "R14", "null for an optional link", set(notice(), "body/notice/record", nil)),
		refuse("schema-string-for-int", "R14", "a number in words", set(release(), "time", "1700000000")),
		refuse("schema-string-for-bytes", "R14", "a fingerprint in hexadecimal", set(release(), "author", strings.Repeat("A1", 20))),
		refuse("schema-bytes-for-string", "R14", "a name in bytes", set(release(), "body/release/name", []byte("left-pad"))),
		refuse("schema-string-for-link", "R14", "a CID in words", set(release(), "body/release/module", moduleA.String())),
		refuse("schema-map-for-list", "R14", "a map where a list is due", set(release(), "prev", fields{})),
		refuse("schema-list-for-body", "R14", "a list where a map is due", set(release(), "body", list{})),
		refuse("schema-int-for-item", "R14", "a keyword that is a number", set(release(), "body/release/manifest/keywords", list{1})),
		refuse("schema-link-for-text", "R14", "a range that is a link", set(release(), "body/release/manifest/dependencies", fields{"a": moduleA})),
		refuse("schema-item-for-link", "R14", "an earlier record that is a string", set(set(release(), "prev", list{"x"}), "seq", 1)),
		refuse("schema-scope-int", "R14", "a scope that is a number", set(delegate(), "body/delegate/scopes", list{1})),
		refuse("schema-flag-int", "R14", "1 for true", set(release(), "body/release/manifest/scripts", 1)),
		refuse("optional-empty-string", "R15", "an empty license", set(release(), "body/release/manifest/license", "")),
		refuse("optional-empty-list", "R15", "no keywords", set(release(), "body/release/manifest/keywords", list{})),
		refuse("optional-empty-map", "R15", "no dependencies", set(release(), "body/release/manifest/dependencies", fields{})),
		refuse("optional-empty-pins", "R15", "no pins", set(release(), "body/release/pins", fields{})),
		refuse("optional-empty-signatures", "R15", "no registry signatures", set(set(release(), "body/release/origin", origin()), "body/release/origin/signatures", list{})),
		refuse("optional-false", "R15", "no scripts", set(release(), "body/release/manifest/scripts", false)),
		refuse("optional-empty-version", "R15", "a tag removed with an empty version", set(tag(), "body/tag/version", "")),
		refuse("optional-empty-range", "R15", "an empty range beside a record",
			record("notice", fields{"name": "left-pad", "record": recordA, "range": "", "kind": "yanked", "text": ""})),
	}
}

func limitVectors() []vector {
	nest := func(n int) raw { return raw(strings.Repeat("\x81", n) + "\x00") }
	return []vector{
		refuse("limit-record", "R11", "16385 bytes", ofSize(MaxRecord+1)),
		refuse("limit-depth", "R12", "nine levels", raw(nest(9))),
		refuse("limit-depth-bomb", "R12", "16383 levels", raw(nest(16383))),
		refuse("limit-depth-in-record", "R12", "nine levels below a field", set(release(), "body/release/manifest/license", nest(5))),
		refuse("limit-map", "R12", "a map of 513 entries", set(release(), "body/release/manifest/dependencies", manyEntries(513))),
		refuse("limit-list", "R12", "a list of 257 items", set(release(), "body/release/manifest/keywords", manyItems(257))),
		refuse("limit-map-claimed", "R12", "a map that claims 2^63 entries", raw("\xbb\x80\x00\x00\x00\x00\x00\x00\x00")),
		refuse("limit-list-claimed", "R12", "a list that claims 2^32 items", raw("\x9b\x00\x00\x00\x01\x00\x00\x00\x00")),
		refuse("limit-many-maps", "R14", "a list of 256 empty maps", raw("\x99\x01\x00"+strings.Repeat("\xa0", 256))),
		refuse("limit-many-lists", "R14", "lists of lists of lists, 16 KiB of them", raw("\x98\xff"+strings.Repeat("\x98\x3f"+strings.Repeat("\x80", 0x3f), 250)+strings.Repeat("\x80", 5))),
	}
}

func identityCID(content string) cid.Cid {
	mh, err := multihash.Sum([]byte(content), multihash.IDENTITY, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, mh)
}
