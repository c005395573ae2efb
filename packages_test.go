package es_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write doc.go")

// packageTable returns the rows of mayImport in the order of the source, each a package
// and the sentence in the comment above it.
func packageTable(t *testing.T) [][2]string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "imports_test.go", nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	line := func(p token.Pos) int { return set.Position(p).Line }
	above := map[int]string{} // the line below a comment: the comment
	for _, c := range file.Comments {
		above[line(c.End())+1] = strings.Join(strings.Fields(c.Text()), " ")
	}
	var rows [][2]string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "mayImport" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			key := e.(*ast.KeyValueExpr).Key.(*ast.BasicLit)
			name, err := strconv.Unquote(key.Value)
			if err != nil {
				t.Fatal(err)
			}
			if above[line(key.Pos())] == "" {
				t.Errorf("imports_test.go: no sentence stands above the row of %s", name)
			}
			rows = append(rows, [2]string{name, above[line(key.Pos())]})
		}
		return false
	})
	if len(rows) != len(mayImport) {
		t.Fatalf("found %d of %d rows of mayImport", len(rows), len(mayImport))
	}
	return rows
}

// TestPackageDoc holds that doc.go shows the table of packages: "go test . -run
// TestPackageDoc -update" writes it.
func TestPackageDoc(t *testing.T) {
	rows := packageTable(t)
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	var table strings.Builder
	for _, r := range rows {
		if r[0] != "." {
			fmt.Fprintf(&table, "//\t%-*s  %s\n", width, r[0], r[1])
		}
	}
	const begin, end = "// The packages, those first that others import:\n//\n", "package es\n"
	doc := readPage(t, "doc.go")
	head, _, ok := strings.Cut(doc, begin)
	if !ok {
		t.Fatalf("doc.go has no line %q", strings.TrimSpace(begin))
	}
	want := head + begin + table.String() + end
	if doc == want {
		return
	}
	if *update {
		if err := os.WriteFile("doc.go", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("doc.go does not show the table of imports_test.go: go test . -run TestPackageDoc -update")
}
