// Command mutants removes one check at a time from the code that verifies bytes, and
// counts how many removals the vectors in testdata notice. See bench/mutants.sh.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A verifier is code that reads bytes of others, and the tests that hold it against
// vectors.
type verifier struct {
	dir   string
	files []string // patterns; all when empty
	tests string   // package, the directory when empty
	run   string   // pattern of tests
}

var verifiers = []verifier{
	{dir: "records", files: []string{"check.go", "decode.go", "delegate.go", "endorse.go", "envelope.go", "heartbeat.go", "manifest.go", "name.go", "notice.go", "read.go", "release.go", "scan.go", "scope.go", "successor.go", "tag.go", "target.go", "text.go", "version.go"}, run: "^(TestRecordVectors|TestWordVectors)$"},
	{dir: "records/npmrange", run: "^(TestRangeVectors|TestConstraintVectors|TestAsNodeSemver)$"},
	{dir: "sign/internal/openpgp", tests: "sign", run: "^(TestVectors|TestKeyVectors)$"},
	{dir: "sign", files: []string{"open.go", "key.go", "policy.go", "readkey.go", "authorship.go", "statement.go", "ending.go", "keyrevocation.go", "misplaced.go"}, run: "^(TestVectors|TestKeyVectors)$"},
	{dir: "trust", files: []string{"parse.go", "file.go", "project.go", "decide.go", "hold.go", "keyfacts.go"}, run: "^TestVectors$"},
	{dir: "trust/internal/delegation", tests: "trust", run: "^TestVectors$"},
	{dir: "modules", files: []string{"manifest.go", "packagejson.go"}, run: "^TestVectors$/^(package|import)-"},
	{dir: "modules", files: []string{"check.go"}, tests: "modules/unixfs", run: "^TestTreeVectors$"},
	{dir: "modules/internal/npmjson", tests: "modules", run: "^TestVectors$/^(package|import|fileset)-"},
	{dir: "modules/internal/dagpb", tests: "modules/unixfs", run: "^TestTreeVectors$"},
	{dir: "modules/unixfs", files: []string{"block.go", "hamt.go", "inspect.go"}, run: "^TestTreeVectors$"},
	{dir: "modules/unixfs", files: []string{"names.go"}, tests: "modules", run: "^TestVectors$/^pack-(name|path|collision|directories|entries-more)"},
	{dir: "reconcile", files: []string{"wire.go"}, run: "^TestVectors$"},
	{dir: "transfer", files: []string{"wire.go"}, run: "^TestVectors$"},
	{dir: "install/lockfile", run: "^TestVectors$"},
	{dir: "gossip", files: []string{"validator.go"}, run: "^Test(Size|RPC)Vectors$"},
	{dir: "npm", files: []string{"attestation.go", "keys.go", "signature.go"}, run: "^TestVectors$"},
}

// A mutant is a check that is removed: a condition that becomes false, or a default clause
// that goes.
type mutant struct {
	file      string
	function  string
	line      int
	from, to  int // offsets
	condition string
	last      bool // nothing follows a default clause
	nth       int  // of those with this condition in the function, from 1 on
}

const defaultClause = "default"

// place names a check without its line, and without its file, since functions move.
func (m mutant) place() string {
	place := fmt.Sprintf("%s %s: %s", path.Dir(filepath.ToSlash(m.file)), m.function, m.condition)
	if m.nth > 1 {
		place += fmt.Sprintf(" (%d)", m.nth)
	}
	return place
}

//go:embed listed.txt
var listed string

// reasons returns why no vector can notice that a check is gone, by place: listed.txt has
// a line for each reason, and under it the places.
func reasons() map[string]string {
	m, reason := map[string]string{}, ""
	for line := range strings.Lines(listed) {
		line = strings.TrimRight(line, "\n")
		if place, ok := strings.CutPrefix(line, "\t"); ok {
			m[place] = reason
		} else {
			reason = line
		}
	}
	return m
}

func main() {
	list := flag.Bool("list", false, "list the checks and run nothing")
	limit := flag.Duration("timeout", time.Minute, "for the vectors without one check")
	outcome := flag.Bool("outcome", false, "a removal is noticed only when something is taken that was refused, or the other way round")
	flag.Parse()
	all, noticed := 0, 0
	for _, v := range verifiers {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), v.dir) {
			continue
		}
		n, seen, err := v.examine(*list, *outcome, *limit)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(1)
		}
		all, noticed = all+n, noticed+seen
	}
	if !*list && all > 0 {
		fmt.Printf("all: %d of %d (%.1f%%)\n", noticed, all, 100*float64(noticed)/float64(all))
	}
}

// examine removes one check of a verifier after the other and prints those of which no
// vector notices that.
func (v verifier) examine(list, outcome bool, limit time.Duration) (all, noticed int, err error) {
	mutants, err := v.mutants()
	if err != nil || len(mutants) == 0 {
		return 0, 0, err
	}
	if list {
		for _, m := range mutants {
			fmt.Printf("%s:%d  %s\n", filepath.ToSlash(m.file), m.line, m.place())
		}
		return 0, 0, nil
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	program, err := v.build(mutants, dir)
	if err != nil {
		return 0, 0, err
	}
	mode := "ES_VECTORS=committed"
	if outcome {
		mode = "ES_VECTORS=outcome"
	}
	if _, err := v.notices(program, 0, mode, limit); err != nil {
		return 0, 0, err
	}
	known, without := reasons(), 0
	for i, m := range mutants {
		seen, err := v.notices(program, i+1, mode, limit)
		if err != nil {
			return 0, 0, err
		}
		switch {
		case seen && known[m.place()] != "" && !outcome:
			fmt.Printf("listed, and noticed  %s\n", m.place())
			noticed++
		case seen:
			noticed++
		case known[m.place()] != "":
			without++
		default:
			fmt.Printf("not noticed  %s:%d  %s\n", filepath.ToSlash(m.file), m.line, m.place())
		}
	}
	there, err := placesIn(v.dir)
	if err != nil {
		return 0, 0, err
	}
	for place := range known {
		if dir, _, _ := strings.Cut(place, " "); dir == v.dir && !there[place] {
			fmt.Printf("listed, and gone  %s\n", place)
		}
	}
	all = len(mutants) - without
	fmt.Printf("%s: %d of %d removals are noticed (%.1f%%); %d more change nothing that a vector could see\n", v.dir, noticed, all, 100*float64(noticed)/float64(max(all, 1)), without)
	return all, noticed, nil
}

// placesIn returns the places of all checks in a directory, which several verifiers may
// share.
func placesIn(dir string) (map[string]bool, error) {
	there := map[string]bool{}
	for _, v := range verifiers {
		if v.dir != dir {
			continue
		}
		mutants, err := v.mutants()
		if err != nil {
			return nil, err
		}
		for _, m := range mutants {
			there[m.place()] = true
		}
	}
	return there, nil
}

// mutants lists the checks of a verifier, in the order of its files and lines.
func (v verifier) mutants() ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(v.dir), "*.go"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || !v.has(filepath.Base(file)) {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		f := finder{fset: fset, source: source, file: file}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				f.name = fn.Name.Name
				f.function(fn.Type, fn.Body)
			}
		}
		slices.SortFunc(f.found, func(a, b mutant) int { return a.from - b.from })
		nth := map[string]int{}
		for i := range f.found {
			m := &f.found[i]
			place := m.place()
			nth[place]++
			m.nth = nth[place]
		}
		all = append(all, f.found...)
	}
	return all, nil
}

func (v verifier) has(file string) bool {
	return len(v.files) == 0 || slices.ContainsFunc(v.files, func(p string) bool {
		ok, err := filepath.Match(p, file)
		return err == nil && ok
	})
}

// finder finds the checks of one file.
type finder struct {
	fset   *token.FileSet
	source []byte
	file   string
	name   string // of the function
	found  []mutant
}

// function looks at a function: what refuses in it, and in particular what has it fail
// when its last result is an error, a bool or an outcome.
func (f *finder) function(typ *ast.FuncType, body *ast.BlockStmt) {
	fails := failing(typ)
	var last ast.Stmt
	if n := len(body.List); n > 0 {
		last = body.List[n-1]
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			f.function(n.Type, n.Body)
			return false
		case *ast.IfStmt:
			if refuses(n.Body.List, fails) {
				f.conditions(n.Cond)
			}
		case *ast.SwitchStmt:
			for _, c := range n.Body.List {
				clause := c.(*ast.CaseClause)
				if !refuses(clause.Body, fails) {
					continue
				}
				switch {
				case len(clause.List) == 0:
					f.add(clause.Body[0].Pos(), clause.Body[len(clause.Body)-1].End(), defaultClause)
					f.found[len(f.found)-1].last = n == last
				case n.Tag == nil:
					for _, e := range clause.List {
						f.conditions(e)
					}
				}
			}
		}
		return true
	})
}

// failing returns what tells that a return says no, or nil for a function that cannot.
func failing(typ *ast.FuncType) func(ast.Expr) bool {
	if typ.Results == nil {
		return nil
	}
	last := typ.Results.List[len(typ.Results.List)-1]
	name, ok := last.Type.(*ast.Ident)
	switch {
	case ok && name.Name == "error":
		return func(e ast.Expr) bool { return !isName(e, "nil") }
	case ok && name.Name == "bool":
		return func(e ast.Expr) bool { return isName(e, "false") }
	case ok && name.Name == "Outcome": // of a message that gossip brings
		return func(e ast.Expr) bool { return isName(e, "Reject") }
	}
	return nil
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// refuses reports whether statements end with a return that says no, or say so
// themselves: by a reader's method fail, which keeps the first error, or a variable.
func refuses(list []ast.Stmt, fails func(ast.Expr) bool) bool {
	for i, s := range list {
		switch s := s.(type) {
		case *ast.ReturnStmt:
			if fails != nil && i == len(list)-1 && len(s.Results) > 0 && fails(s.Results[len(s.Results)-1]) {
				return true
			}
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && isMethod(call, "fail") {
				return true
			}
		case *ast.AssignStmt:
			if call, ok := s.Rhs[0].(*ast.CallExpr); ok && isName(s.Lhs[len(s.Lhs)-1], "err") && (isMethod(call, "Errorf") || isMethod(call, "New")) {
				return true
			}
		}
	}
	return false
}

func isMethod(call *ast.CallExpr, name string) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && f.Sel.Name == name
}

// conditions adds each alternative of a condition, also of one that stands in parentheses
// beside a condition that all of them need.
func (f *finder) conditions(e ast.Expr) {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == token.LOR {
		f.conditions(b.X)
		f.conditions(b.Y)
		return
	}
	inner := alternatives(e)
	for _, a := range inner {
		f.conditions(a)
	}
	if len(inner) == 0 {
		f.add(e.Pos(), e.End(), f.text(e.Pos(), e.End()))
	}
}

// alternatives returns those of the operands of && that are alternatives in parentheses.
func alternatives(e ast.Expr) []ast.Expr {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if e.Op == token.LAND {
			return append(alternatives(e.X), alternatives(e.Y)...)
		}
	case *ast.ParenExpr:
		if b, ok := e.X.(*ast.BinaryExpr); ok && b.Op == token.LOR {
			return []ast.Expr{b}
		}
	}
	return nil
}

func (f *finder) text(from, to token.Pos) string {
	return string(f.source[f.fset.Position(from).Offset:f.fset.Position(to).Offset])
}

func (f *finder) add(from, to token.Pos, condition string) {
	at := f.fset.Position(from)
	f.found = append(f.found, mutant{file: f.file, function: f.name, line: at.Line, from: at.Offset, to: f.fset.Position(to).Offset, condition: strings.Join(strings.Fields(condition), " ")})
}

// build compiles the tests of a verifier such that ES_MUTANT, a number from 1 on, says
// which of the mutants is in force. It returns the program.
func (v verifier) build(mutants []mutant, dir string) (string, error) {
	replace := map[string]string{}
	sources := map[string][]byte{}
	pkg := ""
	for i := len(mutants) - 1; i >= 0; i-- { // from the end, so that offsets stay
		m := mutants[i]
		if sources[m.file] == nil {
			b, err := os.ReadFile(m.file)
			if err != nil {
				return "", err
			}
			sources[m.file] = b
			_, after, _ := strings.Cut("\n"+string(b), "\npackage ")
			pkg, _, _ = strings.Cut(after, "\n")
		}
		b := sources[m.file]
		sources[m.file] = slices.Concat(b[:m.from], []byte(m.without(i+1, string(b[m.from:m.to]))), b[m.to:])
	}
	file := filepath.Join(filepath.FromSlash(v.dir), "mutant_switch.go")
	sources[file] = fmt.Appendf(nil, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutantInForce, _ = strconv.Atoi(os.Getenv(\"ES_MUTANT\"))\n", pkg)
	for file, b := range sources {
		original, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(replace[original], b, 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "vectors.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", list, "-o", program, "./"+v.testDir()).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %v\n%s", v.dir, err, out)
	}
	return program, nil
}

func (v verifier) testDir() string {
	if v.tests != "" {
		return v.tests
	}
	return v.dir
}

// without is the text of a check that is not made when the mutant is in force.
func (m mutant) without(n int, text string) string {
	if m.condition != defaultClause {
		return fmt.Sprintf("(mutantInForce != %d && (%s))", n, text)
	}
	end := ""
	if m.last {
		end = "\npanic(\"a removed check was reached\")"
	}
	return fmt.Sprintf("if mutantInForce != %d {\n%s\n}%s", n, text, end)
}

// notices reports whether the vectors fail with a mutant in force; 0 is none.
func (v verifier) notices(program string, n int, mode string, limit time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.failfast", "-test.run", v.run)
	cmd.Dir = filepath.FromSlash(v.testDir())
	cmd.Env = append(os.Environ(), mode, fmt.Sprint("ES_MUTANT=", n))
	out, err := cmd.CombinedOutput()
	if n == 0 && (err != nil || bytes.Contains(out, []byte("no tests to run"))) {
		return false, fmt.Errorf("%s: the vectors fail, or there are none by %s: %v\n%s", v.dir, v.run, err, out)
	}
	return err != nil, nil // also when they do not end in time
}
