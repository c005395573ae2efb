package trust_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A vector is the source of one file in testdata/trust. What it expects beyond
// the verdict is written by -update and reviewed in the diff.
type vector struct {
	file, expect, spec, comment string
	text                        string
	world                       *world
	edit                        string // one edit a line
}

var noon = time.Date(2027, 6, 15, 12, 0, 0, 0, time.UTC)

func about(name records.Name, claims ...claim) *world {
	return &world{Name: name, Version: "1.0.0", Now: noon, Claims: claims}
}

func (w *world) own(n int) *world        { w.Own = append(w.Own, testKey(n)); return w }
func (w *world) at(now time.Time) *world { w.Now = now; return w }

func invalid(c claim, why string) claim { c.Invalid = why; return c }

var (
	k1, k2, k3 = testKey(1).String(), testKey(2).String(), testKey(3).String()
	modX, modY = moduleCID("X").String(), moduleCID("Y").String()
)

func allVectors() []vector {
	return slices.Concat(fileVectors(), decisionVectors(), editVectors(), projectVectors(), successionVectors(), delegationVectors(), voiceVectors(), holdVectors(), limitVectors(), noticeVectors(), authorityVectors(), importVectors())
}

func fileVectors() []vector {
	bad := func(file, spec, comment, text string) vector {
		return vector{file: file, expect: "syntax-error", spec: spec, comment: comment, text: text}
	}
	ok := func(file, spec, comment, text string) vector {
		return vector{file: file, expect: "ok", spec: spec, comment: comment, text: text}
	}
	key := "key " + k1 + " "
	return []vector{
		ok("file-empty", "T1", "an empty file trusts nobody", ""),
		ok("file-whole", "T1 T2 T5 T10 T11 T12 T13", "every kind of line", "# who I trust\n\n"+
			"key "+k1+" left-pad left-* @acme/* * label=\"Jane Doe\" depth=1 until=2027-12-31 follow=yes  # met at the fair\n"+
			"deny "+k2+" label=mallory\n\tthreshold 2 @acme/*\npin left-pad 1.3.0 "+modX+"\nmin-age 3d\n"),
		ok("file-crlf", "T1", "lines may end in CRLF, and the last may have no end", "key "+k1+" *\r\ndeny "+k2),
		bad("file-carriage-return", "T1", "a carriage return inside a line could hide what follows it", "# fine\r"+key+"*\n"),
		bad("file-nul", "T1", "a NUL byte inside a line", "# fine\n# \x00\n"),
		bad("file-long-line", "T1", "4097 bytes on one line", "# "+strings.Repeat("x", 4095)+"\n"),
		ok("comment-after", "T2", "a # that starts a word starts a comment; one inside a word does not", key+"left-pad label=c#1 # @acme/*\n\t#"+key+"*\n"),
		ok("unknown-word", "T3", "a word of a later version is kept, and reported", "vouch "+k1+" \"unclosed\nkey "+k1+" *\n"),
		bad("unknown-capital", "T3", "a known word in capitals", "Key "+k1+" *\n"),
		ok("file-byte-order-mark", "I131", "a byte order mark at the start of the file says nothing", "\ufeffkey "+k1+" *\n"),
		bad("unknown-byte-order-mark", "T3 I131", "a byte order mark anywhere else would hide a line", "# fine\n\ufeffkey "+k1+" *\n"),
		bad("unknown-colon", "T3", "what cannot be a word of a later version", "key: "+k1+" *\n"),
		ok("quotes", "T4 T6", "quotes hold spaces together; a backslash makes a quote or a backslash literal", key+`* label="a \"b\" \\ c # d"`+"\n"),
		bad("quotes-open", "T4", "a quote that does not close", key+"* label=\"Jane\n"),
		bad("quotes-tail", "T4", "text after the closing quote", key+"* label=\"Jane\"Doe\n"),
		bad("quotes-escape", "T4", "a backslash before anything else", key+`* label="a\n"`+"\n"),
		bad("quotes-inside", "T4", "a quote inside a bare text", key+"* label=Ja\"ne\"\n"),
		bad("key-short-id", "T5", "a key id is not a fingerprint", "key 0123456789ABCDEF *\n"),
		bad("key-not-hex", "T5", "a fingerprint has hexadecimal digits only", "key 0x"+k1+" *\n"),
		bad("key-alone", "T5", "no scope", "key "+k1+"\n"),
		bad("key-no-scope", "T5", "options and no scope", key+"label=Jane\n"),
		bad("key-scope-short", "T5", "a prefix has three characters at least", key+"ab*\n"),
		bad("key-scope-across", "T5", "a prefix cannot span npm scopes", key+"@acme*\n"),
		bad("key-scope-upper", "T5", "names are lower-case", key+"Left-Pad\n"),
		ok("key-lower-case", "T5", "the digits of a fingerprint may be lower-case", "key "+strings.ToLower(k1)+" *\n"),
		ok("key-options-first", "T5", "options may stand anywhere after the fingerprint", key+"label=Jane left-pad until=2027-12-31 right-pad\n"),
		bad("label-empty", "T6", "an empty label", key+"* label=\n"),
		bad("label-long", "T6", "a label of 65 bytes", key+"* label="+strings.Repeat("x", 65)+"\n"),
		bad("label-backslash", "T6", "a backslash in a label without quotes", key+"* label=a\\b\n"),
		ok("label-not-ascii", "T6", "a label without quotes that is not ASCII", key+"* label=Jürgen\n"),
		bad("label-bidi", "T6", "a label that changes the direction of what follows", key+"* label=a\u202eb\n"),
		bad("until-no-day", "T7", "a day that does not exist", key+"* until=2027-02-29\n"),
		bad("until-time", "T7", "until takes a day", key+"* until=2027-02-01T00:00:00Z\n"),
		bad("depth-4", "T8", "depth is 0 to 3", key+"* depth=4\n"),
		bad("depth-sign", "T8", "one spelling of a number", key+"* depth=+1\n"),
		bad("follow-bare", "T8", "follow takes yes or no", key+"* follow=\n"),
		ok("follow-name", "T8", "without = it is the scope that holds the name", key+"follow\n"),
		bad("option-unknown", "T9", "an unknown option may narrow the line", key+"* only=reviewed\n"),
		bad("option-twice", "T9", "an option may stand once", key+"* depth=1 depth=2\n"),
		bad("deny-scope", "T10", "a key is denied for all names", "deny "+k1+" left-pad\n"),
		bad("deny-alone", "T10", "deny without a key", "deny\n"),
		bad("threshold-zero", "T11", "a threshold is 1 to 32", "threshold 0 *\n"),
		bad("threshold-33", "T11", "a threshold is 1 to 32", "threshold 33 *\n"),
		bad("threshold-scopes", "T11", "one scope per line", "threshold 2 left-pad right-pad\n"),
		bad("threshold-twice", "T11", "one threshold per scope", "threshold 2 left-pad\nkey "+k1+" *\nthreshold 3 left-pad\n"),
		bad("deny-two-labels", "T3", "a word after a denied key's label", "deny "+k1+" label=a label=b\n"),
		bad("deny-short-id", "T3", "a denied key by its key id", "deny "+k1[:16]+"\n"),
		bad("deny-label-long", "T6", "a denied key's label of 65 bytes", "deny "+k1+" label="+strings.Repeat("x", 65)+"\n"),
		bad("threshold-no-scope", "T11", "a threshold about nothing", "threshold 2\n"),
		bad("threshold-scope-bad", "T11", "a threshold about what is no scope", "threshold 2 le*\n"),
		bad("pin-no-module", "T12", "a pin without a module", "pin left-pad 1.0.0\n"),
		bad("pin-more", "T12", "a pin with a word too many", "pin left-pad 1.0.0 "+modX+" x\n"),
		bad("pin-scope", "T12", "a pin of a scope", "pin left-* 1.0.0 "+modX+"\n"),
		bad("pin-sha3", "T12", "a pin to a module by another hash of 32 bytes", "pin left-pad 1.0.0 "+hashedCID(multihash.SHA3_256, 32)+"\n"),
		bad("pin-sha2-512", "T12", "a pin to a module by a longer hash", "pin left-pad 1.0.0 "+hashedCID(multihash.SHA2_512, 64)+"\n"),
		bad("pin-sha2-short", "T12", "a pin to a module by a hash that is cut", "pin left-pad 1.0.0 "+hashedCID(multihash.SHA2_256, 20)+"\n"),
		bad("min-age-empty", "T13", "an age without a number", "min-age\n"),
		bad("min-age-word", "T13", "an age that is no number", "min-age xd\n"),
		bad("min-age-two", "T13", "two ages", "min-age 1d 2h\n"),
		bad("min-age-quoted", "T4", "an age in quotes that hold nothing", "min-age \"\"\n"),
		bad("key-odd-digits", "T3", "a fingerprint of 41 digits", "key "+k1+"0 *\n"),
		bad("pin-range", "T12", "a pin names a version", "pin left-pad ^1.0.0 "+modX+"\n"),
		bad("pin-not-cid", "T12", "a pin names a module", "pin left-pad 1.0.0 latest\n"),
		bad("pin-cid-v0", "T12", "one spelling of a module", "pin left-pad 1.0.0 QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG\n"),
		bad("pin-twice", "T12", "one pin per name and version", "pin left-pad 1.0.0 "+modX+"\npin left-pad 1.0.0 "+modY+"\n"),
		bad("min-age-unit", "T13", "a duration has a unit", "min-age 72\n"),
		bad("min-age-twice", "T13", "one min-age per file", "min-age 3d\nmin-age 1h\n"),
	}
}

func decisionVectors() []vector {
	v := func(file, expect, spec, comment, text string, w *world) vector {
		return vector{file: file, expect: expect, spec: spec, comment: comment, text: text, world: w}
	}
	acme := "key " + k1 + " *\nkey " + k2 + " @acme/*\n"
	return []vector{
		v("decide-nobody", "unknown", "T14", "nobody claims anything", "key "+k1+" *\n", about("left-pad")),
		v("decide-stranger", "untrusted", "T14", "nothing is trusted until the user says so", "", about("left-pad", says(1, "X"))),
		v("decide-scope", "trusted", "T15", "a key decides within its scope", "key "+k1+" left-*\n", about("left-pad", says(1, "X"), says(2, "Y"))),
		v("decide-outside", "untrusted", "T15", "and not outside of it", "key "+k1+" left-*\n", about("right-pad", says(1, "X"))),
		v("decide-prefix-scope", "untrusted", "T15", "a prefix without @ holds no scoped name", "key "+k1+" left-*\n", about("@left-pad/x", says(1, "X"))),
		v("decide-most-specific", "trusted", "T15", "the more specific scope decides alone", acme, about("@acme/x", says(1, "Y"), says(2, "X"))),
		v("decide-confusion", "untrusted", "T15", "and the broader one never fills its gaps: dependency confusion", acme, about("@acme/x", says(1, "Y"))),
		v("decide-name-over-prefix", "trusted", "T15", "a name is more specific than any prefix", "key "+k1+" left-pad*\nkey "+k2+" left-pad\n", about("left-pad", says(1, "Y"), says(2, "X"))),
		v("decide-own", "trusted", "T16", "own keys have the scope *", "", about("left-pad", says(1, "X")).own(1)),
		v("decide-own-overruled", "untrusted", "T16", "and a more specific line goes before them", "key "+k2+" left-pad\n", about("left-pad", says(1, "X")).own(1)),
		v("decide-own-denied", "denied", "T16 T18", "an own key can be denied", "deny "+k1+"\n", about("left-pad", says(1, "X")).own(1)),
		v("decide-until-last-day", "trusted", "T17", "the last day counts until its end in UTC", "key "+k1+" * until=2027-06-15\n",
			about("left-pad", says(1, "X")).at(time.Date(2027, 6, 15, 23, 59, 59, 0, time.UTC))),
		v("decide-until-over", "untrusted", "T17", "the day after does not", "key "+k1+" * until=2027-06-15\n",
			about("left-pad", says(1, "X")).at(time.Date(2027, 6, 16, 0, 0, 0, 0, time.UTC))),
		v("decide-until-terminates", "untrusted", "T17", "a line that is over still ends the search", "key "+k1+" *\nkey "+k2+" left-pad until=2027-01-01\n", about("left-pad", says(1, "X"))),
		v("decide-until-second-line", "trusted", "T17", "of two lines for one key and scope, one that is not over counts", "key "+k1+" * until=2027-01-01\nkey "+k1+" *\n", about("left-pad", says(1, "X"))),
		v("decide-denied", "denied", "T18", "deny decides over key", "deny "+k1+"\nkey "+k1+" left-pad\n", about("left-pad", says(1, "X"))),
		v("decide-denied-terminates", "untrusted", "T18", "the scope of a denied key still ends the search", "key "+k1+" *\nkey "+k2+" left-pad\ndeny "+k2+"\n", about("left-pad", says(1, "X"), says(2, "Y"))),
		v("decide-denied-one", "trusted", "T18", "denied keys take no part in a conflict", "key "+k1+" *\nkey "+k2+" *\ndeny "+k2+"\n", about("left-pad", says(1, "X"), says(2, "Y"))),
		v("decide-threshold", "trusted", "T19", "two of two agree", "key "+k1+" *\nkey "+k2+" *\nthreshold 2 left-*\n", about("left-pad", says(1, "X"), says(2, "X"))),
		v("decide-threshold-short", "untrusted", "T19", "one of two is not enough, however often it says so", "key "+k1+" *\nthreshold 2 *\n",
			about("left-pad", says(1, "X"), claim{Author: testKey(1), Module: modX, Record: recordCID("again").String()})),
		v("decide-threshold-stolen", "trusted", "T19", "a third key that says otherwise cannot stop two", "key "+k1+" *\nkey "+k2+" *\nkey "+k3+" *\nthreshold 2 *\n",
			about("left-pad", says(1, "X"), says(2, "X"), says(3, "Y"))),
		v("decide-threshold-specific", "trusted", "T19", "the most specific threshold counts", "key "+k1+" *\nthreshold 2 *\nthreshold 1 left-pad\n", about("left-pad", says(1, "X"))),
		v("decide-threshold-own", "trusted", "T19", "an own key counts towards a threshold", "key "+k1+" *\nthreshold 2 *\n", about("left-pad", says(1, "X"), says(2, "X")).own(2)),
		v("decide-agree", "trusted", "T20", "two keys that name the same module agree", "key "+k1+" *\nkey "+k2+" *\n", about("left-pad", says(1, "X"), says(2, "X"))),
		v("decide-conflict", "conflict", "T21", "two keys with the same scope name two modules", "key "+k1+" *\nkey "+k2+" *\n", about("left-pad", says(1, "X"), says(2, "Y"))),
		v("decide-conflict-threshold", "conflict", "T21", "both modules have enough keys", "key "+k1+" *\nkey "+k2+" *\nkey "+k3+" *\nkey "+testKey(4).String()+" *\nthreshold 2 *\n",
			about("left-pad", says(1, "X"), says(2, "X"), says(3, "Y"), says(4, "Y"))),
		v("decide-equivocation", "equivocation", "T22", "one key names two modules", "key "+k1+" *\n", about("left-pad", says(1, "X"), says(1, "Y"))),
		v("decide-equivocation-other", "equivocation", "T22", "though another key agrees with one of them", "key "+k1+" *\nkey "+k2+" *\n", about("left-pad", says(1, "X"), says(1, "Y"), says(2, "X"))),
		v("decide-equivocation-stranger", "trusted", "T22", "a key that does not decide freezes nothing", "key "+k1+" *\n", about("left-pad", says(1, "X"), says(2, "X"), says(2, "Y"))),
		v("decide-equivocation-denied", "trusted", "T22", "neither does a denied one", "key "+k1+" *\nkey "+k2+" *\ndeny "+k2+"\n", about("left-pad", says(1, "X"), says(2, "X"), says(2, "Y"))),
		v("decide-invalid", "unknown", "T23", "a signature that does not count takes no part", "key "+k1+" *\n", about("left-pad", invalid(says(1, "X"), "revoked"))),
		v("decide-invalid-equivocation", "trusted", "T23", "also not in an equivocation", "key "+k1+" *\n", about("left-pad", says(1, "X"), invalid(says(1, "Y"), "revoked"))),
		v("decide-invalid-terminates", "untrusted", "T23", "its key's scope still ends the search", "key "+k1+" *\nkey "+k2+" left-pad\n", about("left-pad", says(1, "X"), invalid(says(2, "X"), "revoked"))),
		v("decide-invalid-denied", "unknown", "T14 T23", "a denied key's signature that does not count is nothing at all", "deny "+k1+"\n", about("left-pad", invalid(says(1, "X"), "revoked"))),
		v("decide-pin-conflict", "trusted", "T24", "a pin settles a conflict", "key "+k1+" *\nkey "+k2+" *\npin left-pad 1.0.0 "+modY+"\n", about("left-pad", says(1, "X"), says(2, "Y"))),
		v("decide-pin-equivocation", "trusted", "T24", "and an equivocation", "key "+k1+" *\npin left-pad 1.0.0 "+modY+"\n", about("left-pad", says(1, "X"), says(1, "Y"))),
		v("decide-pin-stranger", "trusted", "T24", "a pin needs no trusted key", "pin left-pad 1.0.0 "+modX+"\n", about("left-pad", says(1, "X"))),
		v("decide-pin-denied", "denied", "T24", "but no denied one", "deny "+k1+"\npin left-pad 1.0.0 "+modX+"\n", about("left-pad", says(1, "X"))),
		v("decide-pin-invalid", "unknown", "T24", "and a signature that counts", "pin left-pad 1.0.0 "+modX+"\n", about("left-pad", invalid(says(1, "X"), "revoked"))),
		v("decide-pin-other", "untrusted", "T24", "trusted keys that name another module do not matter", "key "+k1+" *\npin left-pad 1.0.0 "+modY+"\n", about("left-pad", says(1, "X"))),
		v("decide-pin-version", "trusted", "T24", "a pin speaks of one version", "key "+k1+" *\npin left-pad 1.0.1 "+modY+"\n", about("left-pad", says(1, "X"))),
		v("decide-repeated", "trusted", "T25", "claims count once, in any order", "key "+k1+" *\nkey "+k2+" *\n", about("left-pad", says(2, "X"), says(1, "X"), says(2, "X"))),
	}
}

func editVectors() []vector {
	v := func(file, comment, text, edit string) vector {
		return vector{file: file, expect: "edited", spec: "T26", comment: comment, text: text, edit: edit}
	}
	odd := "# friends\r\n\n  key\t" + k1 + "  left-pad   right-pad # both\nwitness later \"version\n"
	return []vector{
		v("edit-add", "a new key comes last", odd, "add "+k2+" * label=\"Jane Doe\" until=2027-12-31"),
		v("edit-add-same-key", "a new line comes after the key's other lines", odd, "add "+k1+" @acme/*"),
		v("edit-add-known", "what is there already is not added", odd, "add "+k1+" right-pad left-pad"),
		v("edit-add-no-end", "a last line without an end gets one", "deny "+k2, "add "+k1+" *"),
		v("edit-add-crlf", "a new line ends as the first one does", "# x\r\n", "add "+k1+" *"),
		v("edit-remove-scope", "one scope is cut out of its line", odd, "remove "+k1+" left-pad"),
		v("edit-remove-last-scope", "a line without scopes goes", odd, "remove "+k1+" left-pad right-pad"),
		v("edit-remove-key", "all lines of the key go, and deny stays", "key "+k1+" *\nkey "+k2+" *\ndeny "+k1+"\nkey "+k1+" left-pad\n", "remove "+k1),
		v("edit-deny", "a denied key keeps its lines", "key "+k1+" *\n", "deny "+k1+"\ndeny "+k1),
		v("edit-threshold", "a threshold is changed in place", "threshold 2 * # careful\nkey "+k1+" *\n", "threshold 3 *\nthreshold 1 left-pad"),
		v("edit-min-age", "a min-age is changed in place", "min-age 3d # wait\nkey "+k1+" *\n", "min-age 36h"),
		v("edit-pin", "a pin is changed in place", "pin left-pad 1.0.0 "+modX+" # ours\npin left-pad 1.0.1 "+modX+"\n", "pin left-pad 1.0.0 "+modY),
	}
}

func writeVectors(t *testing.T) {
	dir := "../testdata/trust"
	old, err := filepath.Glob(dir + "/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range allVectors() {
		path := filepath.Join(dir, v.file+".txtar")
		if err := os.WriteFile(path, txtar.Format(archive(t, v)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func archive(t *testing.T, v vector) *txtar.Archive {
	quoted, err := json.Marshal(v.text)
	if err != nil {
		t.Fatal(err)
	}
	a := &txtar.Archive{Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", v.expect, v.spec, v.comment)}
	add := func(name, text string) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
	}
	add("trust", shownText(v.text))
	add("trust.json", string(quoted)+"\n")
	parse := trust.Parse
	if v.expect == "project-error" {
		parse = trust.ParseProject
	}
	p, err := parse([]byte(v.text))
	switch {
	case v.expect == "syntax-error" || v.expect == "project-error":
		se, ok := err.(*trust.SyntaxError)
		if !ok {
			t.Fatalf("%s: got %v, want a syntax error", v.file, err)
		}
		add("line", fmt.Sprintln(se.Line))
		add("message", err.Error()+"\n")
	case err != nil:
		t.Fatalf("%s: %v", v.file, err)
	case v.expect == "edited":
		add("edit", v.edit+"\n")
		for line := range strings.Lines(v.edit) {
			edit(t, p, line)
		}
		b, err := json.Marshal(string(p.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		add("after", shownText(string(p.Bytes())))
		add("after.json", string(b)+"\n")
	case v.expect == "ok":
		add("meaning", lineByLine(p))
	default:
		b, err := json.MarshalIndent(v.world, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		add("world.json", string(b)+"\n")
		add("decision", v.world.show(t, p))
	}
	return a
}

// TestVectorsAreGenerated fails when a vector was changed by hand, or its source
// without -update.
func TestVectorsAreGenerated(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	for _, v := range allVectors() {
		b, err := os.ReadFile(filepath.Join("../testdata/trust", v.file+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != string(txtar.Format(archive(t, v))) {
			t.Errorf("%s.txtar is not what its source makes; run go test ./trust -update", v.file)
		}
	}
}

// hashedCID is a module's CID by a hash of so many bytes.
func hashedCID(hash uint64, size int) string {
	h, err := multihash.Encode(make([]byte, size), hash)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, h).String()
}
