package es_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// threatRow is a row of a table in section 16 of SPEC.md.
var threatRow = regexp.MustCompile(`(?m)^\| ([0-9]+) \| [^|]+ \| [^|]+ \|$`)

// threatRows returns the numbers of the rows in section 16 of SPEC.md, in order.
func threatRows(spec string) []int {
	_, section, _ := strings.Cut(spec, "\n## 16. ")
	section, _, _ = strings.Cut(section, "\n## 17. ")
	var rows []int
	for _, m := range threatRow.FindAllStringSubmatch(section, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			panic(err) // digits
		}
		rows = append(rows, n)
	}
	return rows
}

var threatTest = regexp.MustCompile(`^TestThreat([0-9]+)([A-Z]|$)`)

// threatTests returns the tests below root whose names say a threat, by its number,
// and what is wrong with the names of others.
func threatTests(root fs.FS) (tests map[int][]string, bad []string, err error) {
	tests = map[int][]string{}
	err = fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && file != "." || d.Name() == "node_modules" || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "TestThreat") {
				continue
			}
			name := path.Dir(file) + "." + f.Name.Name
			m := threatTest.FindStringSubmatch(f.Name.Name)
			if m == nil {
				bad = append(bad, name+" names no threat")
				continue
			}
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return err
			}
			tests[n] = append(tests[n], name)
		}
		return nil
	})
	return tests, bad, err
}

// TestTableOfThreats holds that every row of SPEC.md's section 16 has a test with its
// number (TestThreat7Withholding is about row 7), and that no test has a number that
// the table lacks.
func TestTableOfThreats(t *testing.T) {
	rows := threatRows(readSpec(t))
	for i, n := range rows {
		if n != i+1 {
			t.Fatalf("row %d of section 16 has the number %d", i+1, n)
		}
	}
	if len(rows) < 68 {
		t.Fatalf("section 16 has %d rows", len(rows))
	}
	tests, bad, err := threatTests(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
	for _, n := range rows {
		if len(tests[n]) == 0 {
			t.Errorf("threat %d has no test", n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(tests)) {
		if !slices.Contains(rows, n) {
			t.Errorf("%q name threat %d, which section 16 lacks", tests[n], n)
		}
	}
}

// TestTableOfThreatsSees gives threatTests trees with one thing to see.
func TestTableOfThreatsSees(t *testing.T) {
	for name, want := range map[string]string{
		"TestThreat7Freeze":   "7",
		"TestThreat45":        "45",
		"TestThreat7freeze":   "bad",
		"TestThreatFreeze":    "bad",
		"TestThreats":         "bad",
		"BenchmarkThreat7One": "",
		"TestFreeze":          "",
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "a_test.go"), []byte("package a\n\n// func TestThreat8Comment\nfunc "+name+"() {}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		tests, bad, err := threatTests(os.DirFS(root))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for n := range tests {
			got += strconv.Itoa(n)
		}
		if len(bad) > 0 {
			got += "bad"
		}
		if got != want {
			t.Errorf("%s is seen as %q, want %q", name, got, want)
		}
	}
}
