package es_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	limitRow    = regexp.MustCompile("(?m)^\\| [^|]+ \\| `([^`]+)` \\| (\\S+\\.go) (\\w+(?:, \\w+)*) \\| ([^|]+) \\|$")
	defaultRow  = regexp.MustCompile(`(?m)^\|[^|]+\|[^|]+\|[^|]*\|[^|]*\| ([^|]+) \|$`)
	limitTest   = regexp.MustCompile(`^(net|sim|unit) ([\w/]+)\.(Test\w+)$`)
	limitModule = regexp.MustCompile("`(\\S+) (v[0-9][^`]*)`")
)

// untrue returns what docs/limits.md says that does not hold in the tree.
func untrue(text string, root fs.FS) (bad []string, rows int, err error) {
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, 0, err
	}
	for _, m := range limitModule.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(string(mod), m[1]+" "+m[2]+"\n") {
			bad = append(bad, fmt.Sprintf("go.mod does not have %s %s", m[1], m[2]))
		}
	}
	var tests []string
	for _, m := range limitRow.FindAllStringSubmatch(text, -1) {
		rows++
		tests = append(tests, m[4])
		source, err := fs.ReadFile(root, m[2])
		if err != nil {
			return nil, 0, err
		}
		is := regexp.MustCompile(`(?m)^(?:const|var|\t)?\s*` + regexp.QuoteMeta(m[3]) + `\s*=\s*` + regexp.QuoteMeta(m[1]) + `\s*(?://.*)?$`)
		if !is.Match(source) {
			bad = append(bad, fmt.Sprintf("%s does not say that %s is %s", m[2], m[3], m[1]))
		}
	}
	for _, m := range defaultRow.FindAllStringSubmatch(text, -1) {
		if m[1] != "test" && strings.Trim(m[1], "-") != "" {
			rows++
			tests = append(tests, m[1])
		}
	}
	for _, cell := range tests {
		for one := range strings.SplitSeq(cell, ", ") {
			m := limitTest.FindStringSubmatch(one)
			if m == nil {
				bad = append(bad, fmt.Sprintf("%q is no test", one))
			} else if there, err := hasTest(root, m[2], m[3]); err != nil {
				return nil, 0, err
			} else if !there {
				bad = append(bad, fmt.Sprintf("%s has no test %s", m[2], m[3]))
			}
		}
	}
	return bad, rows, nil
}

// hasTest reports whether the package in dir has the test.
func hasTest(root fs.FS, dir, name string) (bool, error) {
	files, err := fs.Glob(root, path.Join(dir, "*_test.go"))
	if err != nil {
		return false, err
	}
	for _, file := range files {
		source, err := fs.ReadFile(root, file)
		if err != nil {
			return false, err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			return false, err
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				return true, nil
			}
		}
	}
	return false, nil
}

// TestTableOfLimits holds that docs/limits.md says what is: the values of es's own limits,
// the versions whose defaults were read, and tests that exist.
func TestTableOfLimits(t *testing.T) {
	text, err := os.ReadFile("docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	bad, rows, err := untrue(string(text), os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bad {
		t.Error(b)
	}
	if all := strings.Count(string(text), "\n| "); rows != all-2 { // two headings
		t.Errorf("%d of %d rows are understood", rows, all-2)
	}
}

// TestTableOfLimitsSees gives untrue rows with one thing to see.
func TestTableOfLimitsSees(t *testing.T) {
	for row, want := range map[string]string{
		"| a | `128` | node/swarm/host.go connsLow | unit node/swarm.TestHostLimits |":     "",
		"| a | `12` | node/swarm/host.go connsLow | unit node/swarm.TestHostLimits |":      "node/swarm/host.go does not say that connsLow is 12",
		"| a | `128` | node/swarm/host.go connsMiddle | unit node/swarm.TestHostLimits |":  "node/swarm/host.go does not say that connsMiddle is 128",
		"| a | `128` | node/swarm/host.go connsLow | unit node.TestNone |":                 "node has no test TestNone",
		"| a | `128` | node/swarm/host.go connsLow | loopback |":                           `"loopback" is no test`,
		"| go-libp2p | a | 5 s | b | net interop.TestNone |":                               "interop has no test TestNone",
		"| go-libp2p | a | | b | net interop.TestOffice, unit node/swarm.TestHostLimits |": "",
		"`github.com/libp2p/go-libp2p v0.1.0`":                                             "go.mod does not have github.com/libp2p/go-libp2p v0.1.0",
	} {
		bad, _, err := untrue(row+"\n", os.DirFS("."))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(bad, "; "); got != want {
			t.Errorf("%s: %q, want %q", row, got, want)
		}
	}
}
