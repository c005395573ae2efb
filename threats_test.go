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

// rows are the numbers of the threats, from the table that the design began with,
// that tests hold by name: TestThreat7Withholding is about threat 7. What each is,
// the comments of the tests say.
var rows = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 45}

const lastRow = 68

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

// TestTableOfThreats holds that every row has a test with its number, and that no test
// has a number beyond the table.
func TestTableOfThreats(t *testing.T) {
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
		if n < 1 || n > lastRow {
			t.Errorf("%q name threat %d, the last one is %d", tests[n], n, lastRow)
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
