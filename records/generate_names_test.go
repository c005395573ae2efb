package records

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// ascii renders a list as JSON, one item a line, in ASCII alone.
func ascii(name string, rows ...any) txtar.File {
	var out strings.Builder
	out.WriteString("[\n")
	for i, r := range rows {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			panic(err)
		}
		for _, c := range strings.TrimSpace(b.String()) {
			switch {
			case c > 0xffff:
				c -= 0x10000
				fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
			case c >= 0x7f:
				fmt.Fprintf(&out, `\u%04x`, c)
			default:
				out.WriteRune(c)
			}
		}
		if i < len(rows)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]\n")
	return txtar.File{Name: name, Data: []byte(out.String())}
}

func wordVector(name, verdict, spec, comment, section string, inputs ...any) vector {
	return vector{name, verdict, spec, comment, []txtar.File{ascii(section, inputs...)}}
}

// rawWords lists inputs that JSON cannot hold.
func rawWords(name, spec, comment, section string, inputs ...string) vector {
	var out strings.Builder
	for _, s := range inputs {
		fmt.Fprintln(&out, hex.EncodeToString([]byte(s)))
	}
	return vector{name, "refused", spec, comment, []txtar.File{{Name: section, Data: []byte(out.String())}}}
}

func nameVectors() []vector {
	names := func(name, verdict, spec, comment string, inputs ...any) vector {
		return wordVector(name, verdict, spec, comment, "names.json", inputs...)
	}
	scopes := func(name, verdict, comment string, inputs ...any) vector {
		return wordVector(name, verdict, "R8", comment, "scopes.json", inputs...)
	}
	all := []vector{
		names("names", "ok", "R1", "names", "left-pad", "a", "0", "3d", "@acme/left-pad", "@a/b", "lodash.merge", "under_score", "a--b", "a-", "a_", "x.y"),
		names("names-longest", "ok", "R2", "128 bytes, scope included", strings.Repeat("a", 128), "@"+strings.Repeat("s", 62)+"/"+strings.Repeat("n", 64)),
		names("names-of-node", "ok", "R3", "modules that node itself has are real packages, on which much depends", "events", "buffer", "punycode", "process", "url", "util", "assert", "string_decoder"),
		names("names-near-reserved", "ok", "R3", "close to a reserved name", "con2", "console", "com10", "com", "lpt", "auxiliary", "node-modules", "nullish", "@acme/null"),
		names("name-empty", "refused", "R1", "nothing, or nothing in a part", "", "@", "@/", "@a/", "@/b", "@a"),
		names("name-upper-case", "refused", "R1", "upper-case letters", "Left-Pad", "JSONStream", "@Acme/pad", "@acme/Pad"),
		names("name-first", "refused", "R1", "starts with a mark", "-", "_a", ".a", "..", "-a", "@.a/b", "@a/.b", "@_a/b", "@-/b"),
		names("name-slash", "refused", "R1", "slashes elsewhere than after a scope", "a/b", "/a", "a/", "@a/b/c", "@a//b", "../a", "@a/../b", "./a"),
		names("name-odd", "refused", "R1", "bytes that no name has", "a b", " a", "a ", "a@1", "a~b", "a!", "a'b", "a(b)", "a*", "a%2fb", "a\\b", "a:b", "a+b", "a,b", "a\nb", "a\tb", "a\x00b", "a\x1bb", "@a@b/c", "$a"),
		names("name-unicode", "refused", "R1", "letters of other scripts, and characters that cannot be seen",
			"l\u0435ft-pad", "l\u00f6dash", "lodash\u200b", "\u202elodash", "lod\u00adash", "\uff4codash", "lodas\u0068\u0301", "\U0001d4b6bc"),
		rawWords("name-not-utf8", "R1", "not UTF-8", "names.hex", "a\xff", "\xc0\xafa", "a\x80"),
		names("name-long", "refused", "R2", "129 bytes", strings.Repeat("a", 129), "@"+strings.Repeat("s", 63)+"/"+strings.Repeat("n", 64)),
		names("name-reserved", "refused", "R3", "names that npm keeps for itself", "node_modules", "favicon.ico", "@acme/node_modules"),
		names("name-device", "refused", "R3", "names that open a device on Windows", "con", "nul", "aux", "prn", "com1", "lpt9", "con.js", "nul.tar.gz", "@acme/con", "@aux/pad", "com0"),
		names("name-last-dot", "refused", "R3", "a dot at the end, which Windows drops", "a.", "a..", "@acme/a.", "@acme./a"),

		{"fingerprints", "ok", "R7", "as people write them, and as es does", []txtar.File{ascii("fingerprints.json",
			[2]string{strings.Repeat("ab", 20), strings.Repeat("AB", 20)},
			[2]string{"0x" + strings.Repeat("AB", 20), strings.Repeat("AB", 20)},
			[2]string{"D1A9 36A0 1F30 A50E 72D4  17A5 C8B3 0EC4 9A5E 4D11", "D1A936A01F30A50E72D417A5C8B30EC49A5E4D11"},
			[2]string{strings.TrimSuffix(strings.Repeat("cb:", 32), ":"), strings.Repeat("CB", 32)},
		)}},
		{"fingerprint-bad", "refused", "R7", "key ids, other digits, other lengths", []txtar.File{ascii("fingerprints.json",
			[2]string{""}, [2]string{"C8B30EC49A5E4D11"}, [2]string{strings.Repeat("ab", 19)}, [2]string{strings.Repeat("ab", 21)},
			[2]string{strings.Repeat("ab", 33)}, [2]string{strings.Repeat("xy", 20)}, [2]string{strings.Repeat("a", 39)}, [2]string{strings.Repeat("ab", 20) + "\n"},
		)}},

		scopes("scopes", "ok", "scopes", "*", "left-pad", "@acme/pad", "@acme/*", "left-*", "lod*", "@acme/pad-*", "lodash.*"),
		scopes("scopes-longest", "ok", "128 bytes, the star included", strings.Repeat("a", 127)+"*", "@"+strings.Repeat("s", 125)+"/*", "@s/"+strings.Repeat("a", 124)+"*", strings.Repeat("a", 128)),
		scopes("scope-long", "refused", "129 bytes, the star included", strings.Repeat("a", 128)+"*", "@"+strings.Repeat("s", 126)+"/*", "@s/"+strings.Repeat("a", 125)+"*", strings.Repeat("a", 129)),
		scopes("scope-short", "refused", "a prefix that is too short to mean anything", "l*", "le*", "@acme/p*", "@acme/pa*"),
		scopes("scope-stars", "refused", "a star elsewhere", "**", "left-**", "*pad", "l*ft", "@*/pad", "@acme/*/x"),
		scopes("scope-many-scopes", "refused", "a prefix of scopes", "@*", "@ac*", "@acme*"),
		scopes("scope-not-a-name", "refused", "what no name begins with", "", "Left-*", "-le*", "left pad", "@acme", "@/*", "@Acme/*", "lef/*", "con.*"),
		wordVector("scope-contains", "ok", "R40", "which names a scope contains", "contains.json",
			contains{"*", list{"a", "left-pad", "@acme/pad"}, list{}},
			contains{"left-pad", list{"left-pad"}, list{"left-pad2", "left", "@acme/left-pad", "left-pad/x"}},
			contains{"left-*", list{"left-pad", "left-x", "left-"}, list{"left", "@acme/left-pad", "@left-/x"}},
			contains{"@acme/*", list{"@acme/pad", "@acme/x"}, list{"acme", "@acme2/pad", "pad"}},
			contains{"@acme/pad-*", list{"@acme/pad-left"}, list{"@acme/pad", "pad-left"}},
		),
		wordVector("scope-specificity", "ok", "R40", "from the least to the most specific", "specificity.json",
			"*", "lef*", "left*", "left-*", "left-p*", "@acme/left-p*", "@acme/left-pad"),
		wordVector("scope-specificity-exact", "ok", "R40", "a name is above the longest prefix", "specificity.json", strings.Repeat("a", 127)+"*", "a"),
	}
	return append(append(all, textVectors()...), alikeVectors()...)
}

type contains struct {
	Scope   string
	In, Out list
}

type cleaned struct {
	Max     int
	In, Out string
}

func textVectors() []vector {
	texts := func(name, verdict, comment string, inputs ...any) vector {
		return wordVector(name, verdict, "R9", comment, "texts.json", inputs...)
	}
	var controls, invisible []any
	for c := rune(0); c < 0xa0; c++ {
		if c < 0x20 || c > 0x7e {
			controls = append(controls, "a"+string(c))
		}
	}
	for _, r := range unsafeRunes.R16 {
		invisible = append(invisible, string(rune(r.Lo)), "a"+string(rune(r.Hi))+"b")
	}
	for _, r := range unsafeRunes.R32 {
		invisible = append(invisible, string(rune(r.Lo)), "a"+string(rune(r.Hi))+"b")
	}
	return []vector{
		texts("texts", "ok", "texts", "", "a", " a  b ", "caf\u00e9", "\u5de6\u6a6b", "\U0001f600", "\u05d0\u05d1", "e\u0301", "\u2764\ufe0f", "a\u00a0b", "\ufffd", "\ufffc", "<b>&\"'\\"),
		texts("texts-longest", "ok", "256 bytes", strings.Repeat("a", 256), strings.Repeat("\u00e9", 128)),
		texts("text-long", "refused", "257 bytes", strings.Repeat("a", 257), "a"+strings.Repeat("\u00e9", 128)),
		texts("text-control", "refused", "every C0 and C1 control character, and DEL", controls...),
		texts("text-invisible", "refused", "the first and the last of every range of characters that cannot be seen or turn the text around", invisible...),
		rawWords("text-not-utf8", "R9", "not UTF-8", "texts.hex", "\xff", "a\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"),
		wordVector("text-cleaned", "ok", "R34", "how a text of package.json becomes one of a manifest", "clean.json",
			cleaned{256, "", ""},
			cleaned{256, "plain", "plain"},
			cleaned{256, "  two\n\n words\t", "two words"},
			cleaned{256, "a\u00a0\u3000b\u2028c", "a b c"},
			cleaned{256, "a\u0085b", "a b"},
			cleaned{256, "red\x1b[31m text", "red[31m text"},
			cleaned{256, "a \u200b b", "a b"},
			cleaned{256, "a\u200bb", "ab"},
			cleaned{256, "\ufeffbom", "bom"},
			cleaned{256, "\u202efdp.exe", "fdp.exe"},
			cleaned{256, "tag\U000e0041\U000e007f", "tag"},
			cleaned{256, "a\ufffdb", "a\ufffdb"},
			cleaned{256, " \n ", ""},
			cleaned{3, "abcdef", "abc"},
			cleaned{3, "ab cd", "ab"},
			cleaned{4, "ab cd", "ab c"},
			cleaned{4, "caf\u00e9", "caf"},
			cleaned{5, "caf\u00e9", "caf\u00e9"},
			cleaned{2, "\u5de6a", ""},
			cleaned{0, "a", ""},
		),
	}
}

// nodeSemver is made by testdata/versions/node-semver.js, not here.
const nodeSemver = "order-node-semver.txtar"

func versionVectors() []vector {
	versions := func(name, verdict, spec, comment string, inputs ...any) vector {
		return wordVector(name, verdict, spec, comment, "versions.json", inputs...)
	}
	return []vector{
		versions("versions", "ok", "R4", "versions", "0.0.0", "1.2.3", "10.20.30", "1.0.0-rc.1", "1.0.0-0", "1.0.0--", "1.0.0-a-b.c-d", "1.0.0-0a", "1.0.0-x.7.z.92", "1.0.0-00a"),
		versions("versions-greatest", "ok", "R4", "the greatest numbers; those of a pre-release have no bound", "9007199254740991.9007199254740991.9007199254740991", "1.0.0-20240101120000000", "1.0.0-99999999999999999999999999"),
		versions("versions-longest", "ok", "R6", "128 bytes", "1.0.0-"+strings.Repeat("a", 122), "7.4.0-integration-engines-7-3-0-19-feat-minor-fixes-on-qc-parameterization-c32a571f4d5d8fe47265c7a4515fcd51d88c7309.1"),
		versions("version-form", "refused", "R4", "not MAJOR.MINOR.PATCH", "", "1", "1.2", "1.2.3.4", ".1.2", "1..2", "1.2.", "a.b.c", "latest", "^1.2.3", "1.x.0", "*", "1.2.-3", "-1.2.3", "0x1.0.0", "1e1.0.0"),
		versions("version-decorated", "refused", "R4", "what npm strips", "v1.2.3", "=1.2.3", " 1.2.3", "1.2.3 ", "1.2.3\n", "V1.2.3", "1. 2.3"),
		versions("version-zeros", "refused", "R4", "leading zeros", "01.2.3", "1.02.3", "1.2.03", "00.0.0", "1.2.3-01", "1.2.3-a.00"),
		versions("version-prerelease", "refused", "R4", "pre-release parts that are none", "1.2.3-", "1.2.3-a..b", "1.2.3-.a", "1.2.3-a.", "1.2.3-a_b", "1.2.3-a b", "1.2.3-\u00e9", "1.2.3-a/b", "1.2.3-a\x00", "1.2.3beta"),
		versions("version-numbers", "refused", "R4", "numbers above 2^53-1", "9007199254740992.0.0", "0.9007199254740992.0", "0.0.9007199254740992", "0.0.99999999999999999999999999"),
		versions("version-build", "refused", "R5", "build metadata: 1.0.0+a and 1.0.0+b would be one version in two spellings", "1.0.0+a", "1.0.0-rc.1+a", "1.0.0+", "+"),
		versions("version-long", "refused", "R6", "129 bytes", "1.0.0-"+strings.Repeat("a", 123)),
		rawWords("version-not-utf8", "R4", "not UTF-8", "versions.hex", "1.0.0-\xff", "\x80.0.0"),
		{"order-semver-org", "ok", "R39", "every pair of the example on semver.org, and what its rules say", []txtar.File{ascii("order.json", ordered(
			"1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0-99999999999999999999", "1.0.0-100000000000000000000", "1.0.0--", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
			"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-a", "1.0.1", "1.0.10", "1.1.0", "1.2.0", "1.10.0", "2.0.0", "2.1.0", "2.1.1", "10.0.0", "9007199254740991.0.0")...)}},
	}
}

// ordered pairs each version with itself and every later one.
func ordered(versions ...string) []any {
	var out []any
	for i, v := range versions {
		out = append(out, list{v, v, 0})
		for _, w := range versions[i+1:] {
			out = append(out, list{v, w, -1})
		}
	}
	return out
}
