package modules

import (
	"regexp"
	"slices"
	"strings"
)

// A globRule is one line of an ignore file, or one entry of "files", as
// minimatch 10.2.5 reads it with the options that npm gives: case does not
// count, '*' takes dots, a pattern without '/' matches a base name, and a '!'
// makes the rule include what it matches.
type globRule struct {
	negate bool
	parts  [][]string // alternatives, each a list of elements
	set    [][]globElement
}

// A globElement matches one element of a path, or is "**".
type globElement struct {
	globstar bool
	literal  string
	test     func(string) bool // nil for a literal
}

// splitPath splits at slashes, of which any number counts as one.
func splitPath(p string) []string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return strings.Split(p, "/")
}

func newGlobRule(pattern string) *globRule {
	r := new(globRule)
	if strings.HasPrefix(pattern, "#") {
		return r
	}
	for strings.HasPrefix(pattern, "!") {
		r.negate = !r.negate
		pattern = pattern[1:]
	}
	var seen []string
	for _, p := range expandBraces(pattern) {
		if slices.Contains(seen, p) {
			continue
		}
		seen = append(seen, p)
		parts := resolveDots(splitPath(p))
		r.parts = append(r.parts, parts)
		if set, ok := compileElements(parts); ok {
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

func compileElements(parts []string) ([]globElement, bool) {
	elements := make([]globElement, len(parts))
	for i, part := range parts {
		e, err := compileElement(part)
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

func compileElement(pattern string) (globElement, error) {
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
		word := strings.Map(upper, pattern)
		return globElement{test: func(f string) bool { return strings.Map(upper, f) == word }}, nil
	}
	ast := parseGlobAST(pattern)
	text := ast.String()
	re, literal := ast.source()
	if !ast.magic && strings.ToUpper(text) == strings.ToLower(text) {
		return globElement{literal: literal}, nil
	}
	compiled, err := compileJS("^"+re+"$", ast.unicode)
	if err != nil {
		return globElement{}, err
	}
	return globElement{test: compiled.MatchString}, nil
}

func isDots(f string) bool { return f == "." || f == ".." }

func fastTest(pattern string) func(string) bool {
	if starsOnly.MatchString(pattern) {
		return func(f string) bool { return f != "" && !isDots(f) }
	}
	if m := starsAndExt.FindStringSubmatch(pattern); m != nil {
		ext := strings.ToLower(m[1])
		return func(f string) bool { return strings.HasSuffix(strings.ToLower(f), ext) }
	}
	if m := questions.FindStringSubmatch(pattern); m != nil {
		ext, length := strings.ToLower(m[1]), len(units(pattern))
		return func(f string) bool {
			return len(units(f)) == length && !isDots(f) && strings.HasSuffix(strings.ToLower(f), ext)
		}
	}
	if starDotStar.MatchString(pattern) {
		return func(f string) bool { return !isDots(f) && strings.Contains(f, ".") }
	}
	if dotStar.MatchString(pattern) {
		return func(f string) bool { return !isDots(f) && strings.HasPrefix(f, ".") }
	}
	return nil
}

// match reports whether the rule's pattern matches f, whatever its negation.
// With partial, f may also be the beginning of something that matches.
func (r *globRule) match(f string, partial bool) bool {
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
		if matchGlob(ff, pattern, partial) {
			return true
		}
	}
	return false
}

func matchGlob(file []string, pattern []globElement, partial bool) bool {
	isStar := func(e globElement) bool { return e.globstar }
	first := slices.IndexFunc(pattern, isStar)
	if first < 0 {
		return matchElements(file, pattern, partial)
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
		if !matchElements(file[:min(len(file), len(head))], head, partial) {
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
		case matchElements(file[start:], tail, partial):
			tailLength = len(tail)
		case file[len(file)-1] != "" || at+len(tail) == len(file):
			return false
		case !matchElements(file[start-1:], tail, partial):
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
	b := globBody{partial: partial}
	b.split(body, len(file)-tailLength)
	return b.match(file, at, 0, 0, tailLength > 0) == globYes
}

// A globBody is what stands between two "**": sections of plain elements, each
// with the last place where it can be.
type globBody struct {
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
	globGiveUp // no, and no other place can help
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
		if matchElements(file[min(at, end):end], s, b.partial) && depth < maxGlobstars {
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
	return globGiveUp
}

// matchElements compares element by element. Past the end of the pattern only
// the empty element of a trailing slash is left out; past the end of the file
// only a partial match is one.
func matchElements(file []string, pattern []globElement, partial bool) bool {
	n := min(len(file), len(pattern))
	for i := range n {
		e := &pattern[i]
		if e.globstar || e.test == nil && e.literal != file[i] || e.test != nil && !e.test(file[i]) {
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
