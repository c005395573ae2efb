package es_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/everythingstays/es"

// mayImport is the architecture: which of our packages each may import. It
// reads the source, not "go list", whose cache once let a bad import pass.
var mayImport = map[string][]string{
	".":       {},
	"records": {},
	// One reading of ranges for all who are asked about them: it knows versions alone.
	"records/npmrange": {"records"},
	"sign":             {"records", "internal/regularfile"},
	"trust":            {"internal/regularfile", "records", "records/npmrange", "sign"},
	"index":            {"records", "records/npmrange", "sign", "trust"},
	"modules":          {"internal/regularfile", "records"},
	"gossip":           {"records"},
	"reconcile":        {"records"},
	"transfer":         {"records", "modules"},
	"install":          {"internal/regularfile", "records", "records/npmrange", "trust", "index", "modules"},
	"npm":              {"records", "sign", "trust", "index", "modules"},
	"node":             {"internal/regularfile", "records", "sign", "trust", "index", "modules", "gossip", "reconcile", "transfer", "install", "npm"},
	"cli":              {"records", "records/npmrange", "sign", "trust", "index", "modules", "gossip", "reconcile", "transfer", "install", "npm", "node", "testdata/samples"},
	"cli/es":           {"cli"},

	// Files of others are read in one way, with a limit, wherever they are read.
	"internal/regularfile": {},

	// For tests alone.
	"simulation":       {},
	"testdata/samples": {},
}

// badImports walks the non-test source below root and says what the table
// forbids, and how many files it saw.
func badImports(root fs.FS) (bad []string, files int, err error) {
	err = fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := fs.Stat(root, path.Join(file, "go.mod"))
			otherModule := file != "." && err == nil
			if otherModule || strings.HasPrefix(d.Name(), ".") && file != "." || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		files++
		source, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := path.Dir(file)
		allowed, known := mayImport[from]
		if !known {
			bad = append(bad, file+": package "+from+" is not in the table")
			return nil
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			ours, ok := strings.CutPrefix(imported, module+"/")
			if imported == module {
				ours, ok = ".", true
			}
			if ok && !slices.Contains(allowed, ours) {
				bad = append(bad, file+": "+from+" may not import "+ours)
			}
		}
		return nil
	})
	return bad, files, err
}

func TestImports(t *testing.T) {
	bad, files, err := badImports(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
	if files < len(mayImport)/2 {
		t.Errorf("saw only %d files", files)
	}
	for name := range mayImport {
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil && name != "npm" { // npm is still to come
			t.Errorf("the table has package %s: %v", name, err)
		}
	}
}

// TestImportsSees gives badImports trees with one fault each.
func TestImportsSees(t *testing.T) {
	for source, fault := range map[string]string{
		"records/a.go: " + module + "/sign":         "records may not import sign",
		"gossip/a.go: " + module + "/trust":         "gossip may not import trust",
		"index/a.go: " + module:                     "index may not import .",
		"index/a.go: " + module + "/index/internal": "index may not import index/internal",
		"utils/a.go: fmt":                           "package utils is not in the table",
		"sign/deep/a.go: fmt":                       "package sign/deep is not in the table",
		"cli/es/a.go: " + module + "/node":          "cli/es may not import node",
	} {
		file, imported, _ := strings.Cut(source, ": ")
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte("package a\nimport _ "+strconv.Quote(imported)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		bad, _, err := badImports(os.DirFS(root))
		if err != nil || len(bad) != 1 || bad[0] != file+": "+fault {
			t.Errorf("%s gives %q, %v; want %q", source, bad, err, fault)
		}
	}
}
