package records

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the vectors that the generators make")

// A vector is one file of testdata: an input of some kind and the verdict that
// the rule it names demands.
type vector struct {
	name    string // file name without ".txtar"
	expect  string // "ok" or "refused"
	spec    string // the rules it shows; a refused one breaks exactly one
	comment string
	files   []txtar.File
}

func (v *vector) file(name string) ([]byte, bool) {
	for _, f := range v.files {
		if f.Name == name {
			return f.Data, true
		}
	}
	return nil, false
}

func (v *vector) hex(t testing.TB, name string) []byte {
	t.Helper()
	text, ok := v.file(name)
	if !ok {
		t.Fatalf("has no section %s", name)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v *vector) bytes() []byte {
	return txtar.Format(&txtar.Archive{
		Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", v.expect, v.spec, v.comment),
		Files:   v.files,
	})
}

// readVectors reads every vector of testdata/dir; there must be some.
func readVectors(t testing.TB, dir string) []vector {
	t.Helper()
	var all []vector
	for _, v := range vectors.Read(t, "../testdata/"+dir+"/*.txtar") {
		if v.Expect != "ok" && v.Expect != "refused" || len(v.More) > 0 {
			t.Fatalf("%s: verdict %q, and %q", v.Name, v.Expect, v.More)
		}
		all = append(all, vector{v.Name, v.Expect, v.Spec, v.Comment, v.Files})
	}
	return all
}

// TestGenerated holds the committed vectors against their generators; with
// -update it writes them.
func TestGenerated(t *testing.T) {
	for dir, made := range map[string][]vector{
		"records":  recordVectors(),
		"names":    nameVectors(),
		"versions": versionVectors(),
	} {
		want := map[string][]byte{}
		for _, v := range made {
			file := filepath.Join("..", "testdata", dir, v.name+".txtar")
			if want[file] != nil {
				t.Errorf("%s is made twice", file)
			}
			want[file] = v.bytes()
			if *update {
				if err := os.WriteFile(file, want[file], 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%v; run this test with -update", err)
			} else if !bytes.Equal(got, want[file]) {
				t.Errorf("%s differs from what its generator makes", file)
			}
		}
		files, _ := filepath.Glob(filepath.Join("..", "testdata", dir, "*.txtar"))
		for _, f := range files {
			if want[f] == nil && filepath.Base(f) != nodeSemver {
				t.Errorf("%s has no generator", f)
			}
		}
	}
}

func TestRecordVectors(t *testing.T) {
	for _, v := range readVectors(t, "records") {
		t.Run(v.name, func(t *testing.T) {
			switch v.files[len(v.files)-1].Name {
			case "record.cid", "record.cbor.hex":
				testRecord(t, &v)
			case "envelope.cid", "envelope.cbor.hex":
				testEnvelope(t, &v)
			case "frame.cbor.hex":
				testFrame(t, &v)
			default:
				t.Fatalf("unknown last section %q", v.files[len(v.files)-1].Name)
			}
		})
	}
}

func testRecord(t *testing.T, v *vector) {
	b := v.hex(t, "record.cbor.hex")
	r, err := Decode(b)
	if v.expect == "refused" {
		wantRule(t, err, v.spec)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encode(r)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("encodes to %x, %v", again, err)
	}
	sameJSON(t, v, "record.json", b)
	if want, _ := v.file("record.cid"); ID(b).String() != strings.TrimSpace(string(want)) {
		t.Errorf("id is %s, want %s", ID(b), want)
	}
}

func testEnvelope(t *testing.T, v *vector) {
	b := v.hex(t, "envelope.cbor.hex")
	e, err := DecodeEnvelope(b)
	if v.expect == "refused" {
		wantRule(t, err, v.spec)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeEnvelope(e.RecordBytes, e.Signature)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("encodes to %x, %v", again, err)
	}
	if !bytes.Contains(b, e.RecordBytes) {
		t.Error("the record's bytes are no part of the envelope")
	}
	sameJSON(t, v, "envelope.json", b)
	if want, _ := v.file("envelope.cid"); EnvelopeID(b).String() != strings.TrimSpace(string(want)) {
		t.Errorf("id is %s, want %s", EnvelopeID(b), want)
	}
	if want, _ := v.file("record.cid"); ID(e.RecordBytes).String() != strings.TrimSpace(string(want)) {
		t.Errorf("record id is %s, want %s", ID(e.RecordBytes), want)
	}
}

func testFrame(t *testing.T, v *vector) {
	b := v.hex(t, "frame.cbor.hex")
	f, err := DecodeFrame(b)
	if v.expect == "refused" {
		if err == nil {
			_, err = DecodeEnvelope(f.Envelope)
		}
		wantRule(t, err, v.spec)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeFrame(f)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("encodes to %x, %v", again, err)
	}
	if _, err := DecodeEnvelope(f.Envelope); err != nil {
		t.Error(err)
	}
	sameJSON(t, v, "frame.json", b)
}

// outcomeOnly is for bench/mutants.sh: whatever rule an error names.
var outcomeOnly = os.Getenv("ES_VECTORS") == "outcome"

func wantRule(t *testing.T, err error, rule string) {
	t.Helper()
	var fe *FormatError
	if outcomeOnly && err != nil {
		return
	}
	if !errors.As(err, &fe) {
		t.Fatalf("error is %v (%T), want one that names %s", err, err, rule)
	}
	if fe.Rule != rule {
		t.Errorf("error is %q, want one that names %s", fe, rule)
	}
}

// sameJSON checks that the readable section says what b says.
func sameJSON(t *testing.T, v *vector, section string, b []byte) {
	t.Helper()
	text, ok := v.file(section)
	if !ok {
		t.Fatalf("has no section %s", section)
	}
	nb := basicnode.Prototype.Any.NewBuilder()
	if err := dagjson.Decode(nb, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := dagcbor.Encode(nb.Build(), &got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), b) {
		t.Errorf("%s is another object than the bytes beside it", section)
	}
}

// TestWordVectors runs the vectors of names, scopes, fingerprints, texts and
// versions. The last section says which.
func TestWordVectors(t *testing.T) {
	for _, dir := range []string{"names", "versions"} {
		for _, v := range readVectors(t, dir) {
			t.Run(v.name, func(t *testing.T) {
				section := v.files[len(v.files)-1].Name
				test, ok := wordTests[section]
				if !ok {
					t.Fatalf("unknown section %q", section)
				}
				text, _ := v.file(section)
				test(t, &v, text)
			})
		}
	}
}

var wordTests = map[string]func(*testing.T, *vector, []byte){
	"names.json":        words(func(s string) (string, error) { n, err := ParseName(s); return string(n), err }),
	"names.hex":         words(func(s string) (string, error) { n, err := ParseName(s); return string(n), err }),
	"versions.json":     words(func(s string) (string, error) { v, err := ParseVersion(s); return string(v), err }),
	"versions.hex":      words(func(s string) (string, error) { v, err := ParseVersion(s); return string(v), err }),
	"scopes.json":       words(func(s string) (string, error) { c, err := ParseScope(s); return string(c), err }),
	"texts.json":        words(func(s string) (string, error) { return s, CheckText(s, MaxText) }),
	"texts.hex":         words(func(s string) (string, error) { return s, CheckText(s, MaxText) }),
	"fingerprints.json": testFingerprints,
	"contains.json":     testContains,
	"specificity.json":  testSpecificity,
	"clean.json":        testClean,
	"alike.json":        testAlike,
	"order.json":        testOrder,
}

// words makes a test of a list of strings, in JSON or one a line in hex, all of
// which parse to themselves or are refused by the rule that the vector names.
func words(parse func(string) (string, error)) func(*testing.T, *vector, []byte) {
	return func(t *testing.T, v *vector, text []byte) {
		var inputs []string
		if json.Unmarshal(text, &inputs) != nil {
			for _, line := range strings.Fields(string(text)) {
				b, err := hex.DecodeString(line)
				if err != nil {
					t.Fatal(err)
				}
				inputs = append(inputs, string(b))
			}
		}
		if len(inputs) == 0 {
			t.Fatal("has no inputs")
		}
		for _, s := range inputs {
			got, err := parse(s)
			var re *ruleError
			switch {
			case v.expect == "ok" && (err != nil || got != s):
				t.Errorf("%q becomes %q, %v", s, got, err)
			case v.expect == "refused" && (!errors.As(err, &re) || re.rule != v.spec):
				t.Errorf("%q: error is %v, want one by %s", s, err, v.spec)
			}
		}
	}
}

func testFingerprints(t *testing.T, v *vector, text []byte) {
	var pairs [][2]string // as written, as es writes it
	decodeJSON(t, text, &pairs)
	for _, p := range pairs {
		f, err := ParseFingerprint(p[0])
		if v.expect == "refused" {
			if err == nil {
				t.Errorf("%q is accepted as %s", p[0], f)
			}
			continue
		}
		if err != nil || f.String() != p[1] {
			t.Errorf("%q becomes %q, %v; want %q", p[0], f, err, p[1])
		}
	}
}

func testContains(t *testing.T, _ *vector, text []byte) {
	var rows []struct {
		Scope Scope
		In    []Name
		Out   []Name
	}
	decodeJSON(t, text, &rows)
	for _, r := range rows {
		for _, n := range r.In {
			if !r.Scope.Contains(n) {
				t.Errorf("%s does not contain %s", r.Scope, n)
			}
		}
		for _, n := range r.Out {
			if r.Scope.Contains(n) {
				t.Errorf("%s contains %s", r.Scope, n)
			}
		}
	}
}

func testSpecificity(t *testing.T, _ *vector, text []byte) {
	var scopes []Scope // from the least specific to the most
	decodeJSON(t, text, &scopes)
	for i := 1; i < len(scopes); i++ {
		if scopes[i-1].Specificity() >= scopes[i].Specificity() {
			t.Errorf("%s is not less specific than %s", scopes[i-1], scopes[i])
		}
	}
}

func testClean(t *testing.T, _ *vector, text []byte) {
	var rows []struct {
		Max     int
		In, Out string
	}
	decodeJSON(t, text, &rows)
	for _, r := range rows {
		if got := CleanText(r.In, r.Max); got != r.Out {
			t.Errorf("%q to %d bytes becomes %q, want %q", r.In, r.Max, got, r.Out)
		}
		if err := CheckText(r.Out, r.Max); err != nil {
			t.Errorf("%q: %v", r.Out, err)
		}
	}
}

func testOrder(t *testing.T, _ *vector, text []byte) {
	var rows [][3]any // a, b, -1 | 0 | 1
	decodeJSON(t, text, &rows)
	for _, r := range rows {
		a, b, want := r[0].(string), r[1].(string), int(r[2].(float64))
		v, err := ParseVersion(a)
		if err != nil {
			t.Fatal(err)
		}
		w, err := ParseVersion(b)
		if err != nil {
			t.Fatal(err)
		}
		if v.Compare(w) != want || w.Compare(v) != -want {
			t.Errorf("%s against %s gives %d and %d, want %d", v, w, v.Compare(w), w.Compare(v), want)
		}
	}
}

func decodeJSON[T any](t *testing.T, text []byte, rows *[]T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(rows); err != nil {
		t.Fatal(err)
	}
	if len(*rows) == 0 {
		t.Fatal("has no rows")
	}
}
