package sign

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/rogpeppe/go-internal/txtar"
)

// go test ./sign -run Vectors -update writes testdata/sign and testdata/keys
// anew, but for those that gpg made: with -gpg it makes these too.
var (
	update  = flag.Bool("update", false, "write the vectors anew")
	withGPG = flag.Bool("gpg", false, "with -update: also those that gpg makes")
)

// For bench/mutants.sh: the committed vectors alone, and perhaps whatever rule an error
// names.
var (
	committedOnly = os.Getenv("ES_VECTORS") != ""
	outcomeOnly   = os.Getenv("ES_VECTORS") == "outcome"
)

// vector is one case of testdata/sign or testdata/keys.
type vector struct {
	name, expect, spec, comment string
	sections                    map[string][]byte
}

var sectionOrder = []string{
	"record.json", "record.cbor.hex", "record.cid", "envelope.cbor.hex", "key.hex", "newer.hex",
	"export.hex", "other.hex", "certificate.hex", "merged.hex",
}

func (v vector) archive() []byte {
	a := &txtar.Archive{Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", v.expect, v.spec, v.comment)}
	for _, name := range sectionOrder {
		b, ok := v.sections[name]
		if !ok {
			continue
		}
		if strings.HasSuffix(name, ".hex") {
			b = hexLines(b)
		}
		a.Files = append(a.Files, txtar.File{Name: name, Data: b})
	}
	return txtar.Format(a)
}

func hexLines(b []byte) []byte {
	var out bytes.Buffer
	for len(b) > 0 {
		n := min(len(b), 40)
		fmt.Fprintf(&out, "%x\n", b[:n])
		b = b[n:]
	}
	return out.Bytes()
}

func readVector(fsys fs.FS, file string) (vector, error) {
	b, err := fs.ReadFile(fsys, file)
	if err != nil {
		return vector{}, err
	}
	parsed, err := vectors.Parse(strings.TrimSuffix(path.Base(file), ".txtar"), b)
	if err != nil || len(parsed.More) > 0 {
		return vector{}, fmt.Errorf("%s: %v, and more in the header: %q", file, err, parsed.More)
	}
	v := vector{parsed.Name, parsed.Expect, parsed.Spec, parsed.Comment, map[string][]byte{}}
	for _, f := range parsed.Files {
		data := f.Data
		if strings.HasSuffix(f.Name, ".hex") {
			if data, err = hex.DecodeString(strings.ReplaceAll(string(f.Data), "\n", "")); err != nil {
				return vector{}, fmt.Errorf("%s: %s: %v", file, f.Name, err)
			}
		}
		v.sections[f.Name] = data
	}
	return v, nil
}

// readVectorFiles reads all vectors of a kind; there must be some.
func readVectorFiles(kind string) ([]vector, error) {
	fsys := os.DirFS(filepath.Join("..", "testdata", kind))
	files, err := fs.Glob(fsys, "*.txtar")
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no vectors in testdata/%s", kind)
	}
	var list []vector
	for _, file := range files {
		v, verr := readVector(fsys, file)
		err = errors.Join(err, verr)
		list = append(list, v)
	}
	return list, err
}

// verdict is how a vector spells what an error says, and the rule it names.
func verdict(err error) (expect, rule string) {
	var se *SignatureError
	var ke *KeyError
	var ue *UnknownKeyError
	var be *KeyBlockError
	switch {
	case err == nil:
		return "ok", ""
	case errors.As(err, &se):
		return "signature-error", se.Rule
	case errors.As(err, &ke):
		return "key-error", ke.Rule
	case errors.As(err, &ue):
		return "unknown-key", "S20"
	case errors.As(err, &be):
		return "key-block-error", be.Rule
	}
	return err.Error(), ""
}

var knownVerdicts = []string{"ok", "signature-error", "key-error", "unknown-key", "key-block-error"}

func checkVector(t *testing.T, v vector, err error) {
	t.Helper()
	if !strings.Contains(strings.Join(knownVerdicts, " ")+" ", v.expect+" ") {
		t.Fatalf("unknown expect %q", v.expect)
	}
	expect, rule := verdict(err)
	if expect != v.expect || rule != "" && rule != v.spec && !outcomeOnly {
		t.Errorf("%s: got %s %s (%v), want %s %s", v.comment, expect, rule, err, v.expect, v.spec)
	}
}

func runSignVector(t *testing.T, v vector) {
	keys := KeyRing{}
	if b, ok := v.sections["key.hex"]; ok {
		k := mustParse(t, b)
		keys[k.Fingerprint()] = k
	}
	opened, err := Open(v.sections["envelope.cbor.hex"], keys)
	if b, ok := v.sections["newer.hex"]; ok {
		if err != nil {
			t.Fatalf("before the newer key block: %v", err)
		}
		err = opened.Check(mustParse(t, b))
	}
	checkVector(t, v, err)
	if err == nil {
		if got := hex.EncodeToString(opened.RecordBytes()); got != hex.EncodeToString(v.sections["record.cbor.hex"]) {
			t.Errorf("record is %s", got)
		}
		if got := opened.ID().String(); got != strings.TrimSpace(string(v.sections["record.cid"])) {
			t.Errorf("record id is %s", got)
		}
	}
}

func runKeyVector(t *testing.T, v vector) {
	read, section := ParseKey, "key.hex"
	if v.sections["export.hex"] != nil {
		read, section = ReadKey, "export.hex"
	}
	k, err := read(v.sections[section])
	if err == nil && v.sections["other.hex"] != nil {
		k, err = k.Merge(mustParse(t, v.sections["other.hex"]))
	}
	if err == nil && v.sections["certificate.hex"] != nil {
		k, err = k.WithRevocation(v.sections["certificate.hex"])
	}
	checkVector(t, v, err)
	if want := v.sections["merged.hex"]; err == nil && want != nil && !bytes.Equal(k.Block(), want) {
		t.Errorf("%s: result is %x", v.comment, k.Block())
	}
	if err == nil {
		if again := mustParse(t, k.Block()); !bytes.Equal(again.Block(), k.Block()) {
			t.Error("result does not parse as itself")
		}
	}
}

func TestVectors(t *testing.T) {
	testVectors(t, "sign", signVectors, gpgVectors, runSignVector)
}

func TestKeyVectors(t *testing.T) {
	testVectors(t, "keys", keyVectors, gpgKeyVectors, runKeyVector)
}

// testVectors runs the committed vectors and those that this very program makes,
// which must have the same names.
func testVectors(t *testing.T, kind string, generate, gpg func(*testing.T) []vector, run func(*testing.T, vector)) {
	dir := filepath.Join("..", "testdata", kind)
	var made []vector
	if !committedOnly {
		made = generate(t)
	}
	if *update {
		if *withGPG {
			made = append(made, gpg(t)...)
		}
		writeVectors(t, dir, made)
	}
	files, err := readVectorFiles(kind)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, v := range files {
		have[v.name] = true
		t.Run(v.name, func(t *testing.T) { run(t, v) })
	}
	for _, v := range made {
		t.Run("made/"+v.name, func(t *testing.T) { run(t, v) })
		if !have[v.name] {
			t.Errorf("%s is not in %s: run with -update", v.name, dir)
		}
	}
}

func writeVectors(t *testing.T, dir string, vectors []vector) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if err := os.WriteFile(filepath.Join(dir, v.name+".txtar"), v.archive(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// describe adds the readable parts of a sign vector, if its envelope has any.
func describe(t *testing.T, v vector) vector {
	t.Helper()
	e, err := records.DecodeEnvelope(v.sections["envelope.cbor.hex"])
	if err != nil {
		return v
	}
	n, err := ipld.Decode(e.RecordBytes, dagcbor.Decode)
	if err != nil {
		t.Fatal(err)
	}
	j, err := ipld.Encode(n, dagjson.Encode)
	if err != nil {
		t.Fatal(err)
	}
	v.sections["record.json"] = append(j, '\n')
	v.sections["record.cbor.hex"] = e.RecordBytes
	v.sections["record.cid"] = []byte(records.ID(e.RecordBytes).String() + "\n")
	return v
}

// Every rule of the specification has a vector that names it.
func TestEveryRuleHasVector(t *testing.T) {
	have := map[string]bool{}
	for _, kind := range []string{"sign", "keys"} {
		vectors, err := readVectorFiles(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range vectors {
			have[v.spec] = true
		}
	}
	spec, err := os.ReadFile(filepath.Join("..", "SPEC.md"))
	if err != nil {
		t.Fatal(err)
	}
	rules := regexp.MustCompile(`\[(S[0-9]+)\]`).FindAllSubmatch(spec, -1)
	if len(rules) == 0 {
		t.Error("found no rules in the specification")
	}
	for _, r := range rules {
		if !have[string(r[1])] {
			t.Errorf("no vector for rule %s", r[1])
		}
	}
}
