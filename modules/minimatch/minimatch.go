// Package minimatch matches paths against the patterns of ignore files and of "files" in
// package.json, as npm does: a port of minimatch 10.2.5, with what it needs of
// brace-expansion 5.0.9 and of JavaScript's regular expressions, and as odd as they are.
// What a pattern may cost is counted (SPEC.md [M9]), since npm's matching takes
// exponential time.
package minimatch

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Rule is one line of an ignore file, or one entry of "files", as
// minimatch 10.2.5 reads it with the options that npm gives: case does not
// count, '*' takes dots, a pattern without '/' matches a base name, and a '!'
// makes the rule include what it matches.
type Rule struct {
	Negate bool // the pattern began with an odd number of '!'

	budget *Budget
	parts  [][]string // alternatives, each a list of elements
	set    [][]globElement
}

// A globElement matches one element of a path, or is "**".
type globElement struct {
	globstar bool
	literal  string
	test     func(string, *Budget) bool // nil for a literal
}

// A Budget bounds what the patterns of a package may cost, since npm's matching
// takes exponential time: it counts steps, each the comparison of an element or
// a character, or 16 characters of an expansion of braces. Being counted and not
// timed, the bound is the same on every machine.
type Budget struct {
	Left     int  // steps
	Exceeded bool // some were needed and not left
}

const (
	regexpStep     = 1       // what a step of an expression costs: random patterns of the comparison with npm need up to 10 million
	expansionStep  = 4       // and what making an expansion does, beside an eighth for each byte
	compileStep    = 128     // and what compiling a pattern does, beside 8 for each byte
	maxGlobNodes   = 1 << 14 // in the syntax tree of an element
	maxGlobPattern = 1 << 12 // bytes; minimatch takes 65,536
)

// spend reports whether n steps were left. Once they were not, there are none.
func (w *Budget) spend(n int) bool {
	if w.Left -= n; w.Left < 0 {
		w.Exceeded = true
	}
	return !w.Exceeded
}

// splitPath splits at slashes, of which any number counts as one.
func splitPath(p string) []string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return strings.Split(p, "/")
}

// Compile reads a pattern. One that costs more than the budget has makes it Exceeded, and
// matches nothing.
func Compile(pattern string, budget *Budget) *Rule {
	r := &Rule{budget: budget}
	// Reading a pattern may take time that grows with the square of its length.
	if len(pattern) > maxGlobPattern || !budget.spend(len(pattern)*len(pattern)/16) {
		budget.Exceeded = true
		return r
	}
	if strings.HasPrefix(pattern, "#") {
		return r
	}
	for strings.HasPrefix(pattern, "!") {
		r.Negate = !r.Negate
		pattern = pattern[1:]
	}
	seen := make(map[string]bool)
	for _, p := range expandBraces(pattern, budget) {
		if seen[p] || !budget.spend(compileStep+8*len(p)) {
			continue
		}
		seen[p] = true
		parts := resolveDots(splitPath(p))
		r.parts = append(r.parts, parts)
		if set, ok := compileElements(parts, budget); ok {
			r.set = append(r.set, set)
		}
	}
	return r
}

// resolveDots takes out "**/**" and "x/..".
func resolveDots(parts []string) []string {
	var out []string
	for _, part := range parts {
		prev, ok := "", len(out) > 0
		if ok {
			prev = out[len(out)-1]
		}
		if part == "**" && ok && prev == "**" {
			continue
		}
		if part == ".." && prev != "" && prev != ".." && prev != "." && prev != "**" {
			out = out[:len(out)-1]
			continue
		}
		out = append(out, part)
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

func compileElements(parts []string, budget *Budget) ([]globElement, bool) {
	elements := make([]globElement, len(parts))
	for i, part := range parts {
		e, err := compileElement(part, budget)
		if err != nil {
			return nil, false
		}
		elements[i] = e
	}
	return elements, true
}

// The commonest patterns have tests of their own in minimatch, which differ
// from the general ones in corners.
var (
	starsOnly   = regexp.MustCompile(`^\*+$`)
	starsAndExt = regexp.MustCompile(`^\*+([^+@!?*[(]*)$`)
	questions   = regexp.MustCompile(`^\?+([^+@!?*[(]*)?$`)
	starDotStar = regexp.MustCompile(`^\*+\.\*+$`)
	dotStar     = regexp.MustCompile(`^\.\*+$`)
)

func compileElement(pattern string, budget *Budget) (globElement, error) {
	switch pattern {
	case "**":
		return globElement{globstar: true}, nil
	case "":
		return globElement{}, nil
	}
	if test := fastTest(pattern); test != nil {
		return globElement{test: test}, nil
	}
	if !strings.ContainsAny(pattern, `?*[]()+@!\`) {
		return globElement{test: wordTest(pattern)}, nil
	}
	ast := parseGlobAST(pattern)
	text := ast.String()
	re, literal := ast.source()
	if ast.nodes > maxGlobNodes {
		budget.Exceeded = true
		return globElement{}, fmt.Errorf("compile glob %q: it stands for more than %d parts", pattern, maxGlobNodes)
	}
	if !ast.magic && strings.ToUpper(text) == strings.ToLower(text) {
		return globElement{literal: literal}, nil
	}
	compiled, err := compileJS("^"+re+"$", ast.unicode)
	if err != nil {
		return globElement{}, err
	}
	return globElement{test: compiled.test}, nil
}

// wordTest compares without regard to case. No character beyond ASCII has one of
// ASCII as its other case ([upper]).
func wordTest(pattern string) func(string, *Budget) bool {
	word, ascii := strings.Map(upper, pattern), onlyASCII(pattern)
	return func(f string, _ *Budget) bool {
		if ascii && len(f) != len(word) || onlyASCII(f) != ascii {
			return false
		}
		return strings.Map(upper, f) == word
	}
}

func onlyASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func isDots(f string) bool { return f == "." || f == ".." }

func fastTest(pattern string) func(string, *Budget) bool {
	if starsOnly.MatchString(pattern) {
		return func(f string, _ *Budget) bool { return f != "" && !isDots(f) }
	}
	if m := starsAndExt.FindStringSubmatch(pattern); m != nil {
		ext := strings.ToLower(m[1])
		return func(f string, _ *Budget) bool { return strings.HasSuffix(strings.ToLower(f), ext) }
	}
	if m := questions.FindStringSubmatch(pattern); m != nil {
		ext, length := strings.ToLower(m[1]), len(units(pattern))
		return func(f string, _ *Budget) bool {
			return len(units(f)) == length && !isDots(f) && strings.HasSuffix(strings.ToLower(f), ext)
		}
	}
	if starDotStar.MatchString(pattern) {
		return func(f string, _ *Budget) bool { return !isDots(f) && strings.Contains(f, ".") }
	}
	if dotStar.MatchString(pattern) {
		return func(f string, _ *Budget) bool { return !isDots(f) && strings.HasPrefix(f, ".") }
	}
	return nil
}

// match reports whether the rule's pattern matches f, whatever its negation.
// With partial, f may also be the beginning of something that matches.
func (r *Rule) match(f string, partial bool) bool {
	if f == "/" && partial {
		return true
	}
	file := splitPath(f)
	base := ""
	for i := len(file) - 1; i >= 0 && base == ""; i-- {
		base = file[i]
	}
	for _, pattern := range r.set {
		ff := file
		if len(pattern) == 1 {
			ff = []string{base}
		}
		if r.matchGlob(ff, pattern, partial) {
			return true
		}
	}
	return false
}

func (r *Rule) matchGlob(file []string, pattern []globElement, partial bool) bool {
	isStar := func(e globElement) bool { return e.globstar }
	first := slices.IndexFunc(pattern, isStar)
	if first < 0 {
		return r.budget.matchElements(file, pattern, partial)
	}
	last := len(pattern) - 1
	for !pattern[last].globstar {
		last--
	}
	head, tail := pattern[:first], pattern[last+1:]
	var body []globElement
	if partial {
		body, tail = pattern[first+1:], nil
	} else if last > first {
		body = pattern[first+1 : last]
	}
	if len(head) > 0 {
		if !r.budget.matchElements(file[:min(len(file), len(head))], head, partial) {
			return false
		}
	}
	at := len(head)
	tailLength := 0
	if len(tail) > 0 {
		if len(tail)+at > len(file) {
			return false
		}
		start := len(file) - len(tail)
		switch {
		case r.budget.matchElements(file[start:], tail, partial):
			tailLength = len(tail)
		case file[len(file)-1] != "" || at+len(tail) == len(file):
			return false
		case !r.budget.matchElements(file[start-1:], tail, partial):
			return false
		default:
			tailLength = len(tail) + 1
		}
	}
	if len(body) == 0 {
		sawSome := tailLength > 0
		for i := at; i < len(file)-tailLength; i++ {
			sawSome = true
			if isDots(file[i]) {
				return false
			}
		}
		return partial || sawSome
	}
	b := globBody{budget: r.budget, partial: partial}
	b.split(body, len(file)-tailLength)
	return b.match(file, at, 0, 0, tailLength > 0) == globYes
}

// A globBody is what stands between two "**": sections of plain elements, each
// with the last place where it can be.
type globBody struct {
	budget   *Budget
	sections [][]globElement
	last     []int
	partial  bool
}

func (b *globBody) split(body []globElement, length int) {
	b.sections = [][]globElement{nil}
	sums := []int{0}
	n := 0
	for _, e := range body {
		if e.globstar {
			sums = append(sums, n)
			b.sections = append(b.sections, nil)
			continue
		}
		i := len(b.sections) - 1
		b.sections[i] = append(b.sections[i], e)
		n++
	}
	for i, s := range b.sections {
		b.last = append(b.last, length-(sums[len(sums)-1-i]+len(s)))
	}
}

type globResult int

const (
	globNo globResult = iota
	globYes
	globNever // no, and no other place can help
)

const maxGlobstars = 200

func (b *globBody) match(file []string, at, section, depth int, sawTail bool) globResult {
	if section == len(b.sections) {
		for ; at < len(file); at++ {
			sawTail = true
			if isDots(file[at]) {
				return globNo
			}
		}
		if sawTail {
			return globYes
		}
		return globNo
	}
	s := b.sections[section]
	for at <= b.last[section] {
		end := min(len(file), at+len(s))
		if b.budget.matchElements(file[min(at, end):end], s, b.partial) && depth < maxGlobstars {
			if r := b.match(file, at+len(s), section+1, depth+1, sawTail); r != globNo {
				return r
			}
		}
		if at < len(file) && isDots(file[at]) {
			return globNo
		}
		at++
	}
	if b.partial {
		return globYes
	}
	return globNever
}

// matchElements compares element by element. Past the end of the pattern only
// the empty element of a trailing slash is left out; past the end of the file
// only a partial match is one.
func (w *Budget) matchElements(file []string, pattern []globElement, partial bool) bool {
	n := min(len(file), len(pattern))
	for i := range n {
		e := &pattern[i]
		if !w.spend(1) || e.globstar || e.test == nil && e.literal != file[i] || e.test != nil && !e.test(file[i], w) {
			return false
		}
	}
	switch {
	case len(file) == len(pattern):
		return true
	case n == len(file):
		return partial
	}
	return n == len(file)-1 && file[n] == ""
}
