package records

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKinds is that no body is left out of kinds: every type of this package whose
// pointer has a method Kind is there, under its kind.
func TestKinds(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Kind" {
				continue
			}
			if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
				types = append(types, strings.ToLower(star.X.(*ast.Ident).Name))
			}
		}
	}
	slices.Sort(types)
	var have []string
	for _, b := range Bodies() {
		have = append(have, b.Kind())
	}
	if len(types) == 0 || !slices.Equal(types, have) {
		t.Errorf("kinds has %v, and there are the types %v", have, types)
	}
}
