package es_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// keptContexts returns the fields of structs in the non-test source below root that are
// contexts, by their places, and how many files it saw.
func keptContexts(root fs.FS) (kept []string, files int, err error) {
	err = ourImports(root, func(file, _, imported string) {
		if imported == "" {
			files++
			kept = append(kept, contextFields(root, file)...)
		}
	})
	return kept, files, err
}

func contextFields(root fs.FS, file string) (kept []string) {
	source, err := fs.ReadFile(root, file)
	if err != nil {
		return []string{err.Error()}
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			if t, ok := f.Type.(*ast.SelectorExpr); ok && t.Sel.Name == "Context" {
				if p, ok := t.X.(*ast.Ident); ok && p.Name == "context" {
					kept = append(kept, set.Position(f.Pos()).String())
				}
			}
		}
		return true
	})
	return kept
}

// TestNoContextIsKept holds that contexts are given to calls, and kept in no struct: they
// end with the call.
func TestNoContextIsKept(t *testing.T) {
	kept, files, err := keptContexts(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range kept {
		t.Errorf("%s: a context is kept in a struct", at)
	}
	if files < len(mayImport)/2 {
		t.Errorf("saw only %d files", files)
	}
	for _, text := range []string{"type a struct { ctx context.Context }", "type a struct { b struct { context.Context } }", "var a struct { c, d context.Context }"} {
		root := fstest.MapFS{path.Join("a", "a.go"): {Data: []byte("package a\nimport \"context\"\n" + text + "\n")}}
		if kept, _, err := keptContexts(root); err != nil || len(kept) != 1 || !strings.HasPrefix(kept[0], "a/a.go:3:") {
			t.Errorf("of %s it sees %q, %v", text, kept, err)
		}
	}
}
