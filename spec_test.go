package es_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/ipld/go-ipld-prime/node/bindnode"
	"github.com/ipld/go-ipld-prime/schema"
	schemadmt "github.com/ipld/go-ipld-prime/schema/dmt"
	schemadsl "github.com/ipld/go-ipld-prime/schema/dsl"
	"github.com/rogpeppe/go-internal/txtar"
)

var (
	ruleTag   = regexp.MustCompile(`(?m)^- \[([A-Z][0-9]+)\]`)
	specTag   = regexp.MustCompile(`\[([A-Z][0-9]+)\]`)
	wholeTag  = regexp.MustCompile(`^[A-Z][0-9]+$`)
	testedTag = regexp.MustCompile(`SPEC ([A-Z][0-9]+(?:(?:, | and )[A-Z][0-9]+)*)`)
	eachTag   = regexp.MustCompile(`[A-Z][0-9]+`)
)

// TestSpecTags ties the rules of SPEC.md and docs/program.md to tests: each is there
// once, has a vector or a test that names it, and no vector names a rule that is not
// there.
func TestSpecTags(t *testing.T) {
	rules := map[string]bool{}
	pages := readPage(t, "SPEC.md") + readPage(t, "docs/program.md")
	for _, m := range ruleTag.FindAllStringSubmatch(pages, -1) {
		if rules[m[1]] {
			t.Errorf("the rule [%s] is there twice", m[1])
		}
		rules[m[1]] = true
	}
	for _, m := range specTag.FindAllStringSubmatch(pages, -1) {
		if !rules[m[1]] {
			t.Errorf("[%s] is mentioned and is no rule", m[1])
		}
	}
	vectors := vectorTags(t, "testdata")
	tests := testTags(t, ".")
	if len(rules) == 0 {
		t.Fatal("SPEC.md has no rules")
	}
	for _, tag := range slices.Sorted(maps.Keys(rules)) {
		if vectors[tag] == "" && tests[tag] == "" {
			t.Errorf("[%s] has no vector, and no test that says SPEC %s", tag, tag)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(vectors)) {
		if !rules[tag] {
			t.Errorf("%s names %s, which SPEC.md lacks", vectors[tag], tag)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(tests)) {
		if !rules[tag] {
			t.Errorf("%s names %s, which SPEC.md lacks", tests[tag], tag)
		}
	}
}

func readSpec(t *testing.T) string {
	t.Helper()
	return readPage(t, "SPEC.md")
}

func readPage(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// vectorTags reads the header of every vector below root and returns, by tag, a
// file that shows it. A directory of vectors that has none is an error.
func vectorTags(t *testing.T, root string) map[string]string {
	t.Helper()
	tags := map[string]string{}
	perDir := map[string]int{"testdata/records": 0, "testdata/names": 0, "testdata/versions": 0}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".txtar" {
			return err
		}
		v, err := vectors.ReadFile(file)
		if err != nil {
			return err
		}
		perDir[filepath.ToSlash(filepath.Dir(file))]++
		found, err := headerTags(v.Spec)
		if err != nil {
			return fmt.Errorf("%s: %v", file, err)
		}
		for _, tag := range found {
			tags[tag] = file
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, n := range perDir {
		if n == 0 {
			t.Errorf("%s has no vectors", dir)
		}
	}
	return tags
}

// headerTags splits what the header of a vector says of rules.
func headerTags(spec string) ([]string, error) {
	tags := strings.FieldsFunc(spec, func(r rune) bool { return r == ' ' || r == ',' })
	for _, tag := range tags {
		if !wholeTag.MatchString(tag) {
			return nil, fmt.Errorf("%q is not a tag", tag)
		}
	}
	return tags, nil
}

// testTags returns, by tag, a test file that says "SPEC X9".
func testTags(t *testing.T, root string) map[string]string {
	t.Helper()
	tags := map[string]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") || file == "spec_test.go" {
			return err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range testedTag.FindAllSubmatch(b, -1) {
			for _, tag := range eachTag.FindAllString(string(m[1]), -1) {
				tags[tag] = file
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

// block returns the content of the first fenced block of a kind in SPEC.md.
func block(t *testing.T, kind string) string {
	t.Helper()
	_, after, found := strings.Cut(readSpec(t), "```"+kind+"\n")
	inside, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("SPEC.md has no block of %s", kind)
	}
	return inside
}

// TestSpecSchema holds every accepted record, envelope and frame against the
// schema in SPEC.md, and shows that the schema is not one that accepts anything.
func TestSpecSchema(t *testing.T) {
	parsed, err := schemadsl.ParseBytes([]byte(block(t, "ipldsch")))
	if err != nil {
		t.Fatal(err)
	}
	types := new(schema.TypeSystem)
	types.Init()
	if err := schemadmt.Compile(types, parsed); err != nil {
		t.Fatal(err)
	}
	for section, name := range map[string]string{"record.cbor.hex": "Record", "envelope.cbor.hex": "Envelope", "frame.cbor.hex": "Frame"} {
		prototype := bindnode.Prototype(nil, types.TypeByName(name)).Representation()
		conforms := func(b []byte) error {
			return dagcbor.DecodeOptions{AllowLinks: true}.Decode(prototype.NewBuilder(), bytes.NewReader(b))
		}
		accepted, outside := 0, 0
		for file, v := range readVectors(t, "testdata/records") {
			b, ok := v.hex(t, section)
			if !ok {
				continue
			}
			err := conforms(b)
			if v.expect == "ok" {
				accepted++
				if err != nil {
					t.Errorf("%s does not conform to %s: %v", file, name, err)
				}
			} else if err != nil {
				outside++
			}
		}
		if accepted == 0 || outside == 0 {
			t.Errorf("%s: %d accepted vectors, %d outside the schema", name, accepted, outside)
		}
	}
}

// TestSpecSchemaHasNoMore shows that every field of the schema is used by some
// accepted vector: what the code does not write, the schema does not have.
func TestSpecSchemaHasNoMore(t *testing.T) {
	var all strings.Builder
	for _, v := range readVectors(t, "testdata/records") {
		for _, f := range v.files {
			if v.expect == "ok" && strings.HasSuffix(f.Name, ".json") {
				all.Write(f.Data)
			}
		}
	}
	field := regexp.MustCompile(`(?m)^  ([a-zA-Z0-9]+) +[A-Z\[{&o]`)
	found := field.FindAllStringSubmatch(block(t, "ipldsch"), -1)
	if len(found) < 50 {
		t.Fatalf("found only %d fields", len(found))
	}
	for _, m := range found {
		if !strings.Contains(all.String(), `"`+m[1]+`":`) {
			t.Errorf("no accepted vector has the field %s", m[1])
		}
	}
}

// TestSpecExample holds the example in SPEC.md against the vector it shows.
func TestSpecExample(t *testing.T) {
	v := readVectors(t, "testdata/records")["testdata/records/release.txtar"]
	want, _ := v.hex(t, "record.cbor.hex")
	if got, err := hex.DecodeString(strings.Join(strings.Fields(block(t, "hex")), "")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the bytes are %x, %v; want %x", got, err, want)
	}
	nb := basicnode.Prototype.Any.NewBuilder()
	if err := dagjson.Decode(nb, strings.NewReader(block(t, "json"))); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := dagcbor.Encode(nb.Build(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the DAG-JSON is %x, %v; want %x", got.Bytes(), err, want)
	}
	for _, f := range v.files {
		if f.Name == "record.cid" && !strings.Contains(readSpec(t), "    "+strings.TrimSpace(string(f.Data))+"\n") {
			t.Errorf("the id is not %s", f.Data)
		}
	}
}

type vector struct {
	expect string
	files  []txtar.File
}

func (v vector) hex(t *testing.T, section string) ([]byte, bool) {
	t.Helper()
	for _, f := range v.files {
		if f.Name == section {
			b, err := hex.DecodeString(strings.Join(strings.Fields(string(f.Data)), ""))
			if err != nil {
				t.Fatal(err)
			}
			return b, true
		}
	}
	return nil, false
}

func readVectors(t *testing.T, dir string) map[string]vector {
	t.Helper()
	all := map[string]vector{}
	for _, v := range vectors.Read(t, dir+"/*.txtar") {
		all[dir+"/"+v.Name+".txtar"] = vector{v.Expect, v.Files}
	}
	return all
}

// TestLines holds that a line of what people read has at most 120 characters, but for
// rows of tables and what a terminal shows.
func TestLines(t *testing.T) {
	for _, page := range []string{"SPEC.md", "README.md", "CONTRIBUTING.md", "docs/program.md", "docs/refusals.md", "docs/limits.md", "testdata/README.md"} {
		for i, line := range strings.Split(readPage(t, page), "\n") {
			if n := utf8.RuneCountInString(line); n > 120 && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "    es:") {
				t.Errorf("%s:%d has %d characters", page, i+1, n)
			}
		}
	}
}
