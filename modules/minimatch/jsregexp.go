package minimatch

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// A jsRegexp is the part of JavaScript's regular expressions that minimatch
// makes of a glob. Package regexp has no lookahead, which "!(a|b)" needs.
type jsRegexp struct {
	unicode  bool // the u flag: characters are code points, not UTF-16 units
	anchored bool // it can match at the beginning alone
	match    jsMatcher
}

// A jsMatcher matches at s.in[i:] and calls next with where it ended. Whether a
// loop is greedy is nothing to a caller that only asks yes or no.
type jsMatcher func(s *jsState, i int, next func(int) bool) bool

type jsState struct {
	in     []rune
	budget *Budget
}

// compileJS compiles source with the flag i, and with u if unicode.
func compileJS(source string, unicode bool) (*jsRegexp, error) {
	p := &jsParser{src: []rune(source)}
	m, n, err := p.alternatives()
	if err == nil && p.pos < len(p.src) {
		err = fmt.Errorf("unmatched ')'")
	}
	if err != nil {
		return nil, fmt.Errorf("compile glob %q: %v", source, err)
	}
	// Of "^a|b$", '^' anchors the first alternative and '$' the last one.
	return &jsRegexp{unicode: unicode, anchored: n == 1 && strings.HasPrefix(source, "^"), match: m}, nil
}

// test reports whether the expression matches s somewhere, as JavaScript's test
// does. It gives up, and reports false, when there is no budget left.
func (r *jsRegexp) test(s string, budget *Budget) bool {
	state := &jsState{in: []rune(s), budget: budget}
	if !r.unicode {
		state.in = units(s)
	}
	for i := range len(state.in) + 1 {
		if r.match(state, i, func(int) bool { return true }) {
			return true
		}
		if r.anchored {
			return false
		}
	}
	return false
}

// units returns the UTF-16 code units of s, which are JavaScript's characters.
func units(s string) []rune {
	u := utf16.Encode([]rune(s))
	r := make([]rune, len(u))
	for i, c := range u {
		r[i] = rune(c)
	}
	return r
}

type jsParser struct {
	src []rune
	pos int
}

func (p *jsParser) peek() (rune, bool) {
	if p.pos < len(p.src) {
		return p.src[p.pos], true
	}
	return 0, false
}

func (p *jsParser) accept(s string) bool {
	if strings.HasPrefix(string(p.src[p.pos:min(len(p.src), p.pos+len(s))]), s) {
		p.pos += len(s)
		return true
	}
	return false
}

// alternatives also returns how many there are.
func (p *jsParser) alternatives() (jsMatcher, int, error) {
	var list []jsMatcher
	for {
		m, err := p.sequence()
		if err != nil {
			return nil, 0, err
		}
		list = append(list, m)
		if !p.accept("|") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], 1, nil
	}
	return func(s *jsState, i int, next func(int) bool) bool {
		for _, m := range list {
			if m(s, i, next) {
				return true
			}
		}
		return false
	}, len(list), nil
}

func (p *jsParser) sequence() (jsMatcher, error) {
	var list []jsMatcher
	for {
		c, ok := p.peek()
		if !ok || c == '|' || c == ')' {
			return inSequence(list), nil
		}
		m, err := p.atom()
		if err != nil {
			return nil, err
		}
		list = append(list, p.quantified(m))
	}
}

func inSequence(list []jsMatcher) jsMatcher {
	if len(list) == 1 {
		return list[0]
	}
	var run func(s *jsState, n, i int, next func(int) bool) bool
	run = func(s *jsState, n, i int, next func(int) bool) bool {
		if n == len(list) {
			return next(i)
		}
		return list[n](s, i, func(j int) bool { return run(s, n+1, j, next) })
	}
	return func(s *jsState, i int, next func(int) bool) bool { return run(s, 0, i, next) }
}

func (p *jsParser) quantified(m jsMatcher) jsMatcher {
	var least, most int
	switch {
	case p.accept("*"):
		least, most = 0, -1
	case p.accept("+"):
		least, most = 1, -1
	case p.accept("?"):
		least, most = 0, 1
	default:
		return m
	}
	p.accept("?")
	var run func(s *jsState, n, i int, next func(int) bool) bool
	run = func(s *jsState, n, i int, next func(int) bool) bool {
		if !s.budget.spend(regexpStep) {
			return false
		}
		if n >= least && next(i) {
			return true
		}
		if n == most {
			return false
		}
		return m(s, i, func(j int) bool {
			if j == i && n >= least {
				return false
			}
			return run(s, n+1, j, next)
		})
	}
	return func(s *jsState, i int, next func(int) bool) bool { return run(s, 0, i, next) }
}

func (p *jsParser) atom() (jsMatcher, error) {
	switch {
	case p.accept("(?!"):
		return p.group(true)
	case p.accept("(?:"), p.accept("("):
		return p.group(false)
	}
	c := p.src[p.pos]
	p.pos++
	switch c {
	case '^':
		return func(s *jsState, i int, next func(int) bool) bool { return i == 0 && next(i) }, nil
	case '$':
		return func(s *jsState, i int, next func(int) bool) bool { return i == len(s.in) && next(i) }, nil
	case '*', '+', '?':
		return nil, fmt.Errorf("nothing to repeat")
	case '[':
		set, err := p.class()
		return one(set), err
	case '.':
		return one(func(r rune) bool { return r != '\n' && r != '\r' && r != 0x2028 && r != 0x2029 }), nil
	case '\\':
		set, _, err := p.escape()
		return one(set), err
	}
	return one(is(c)), nil
}

func (p *jsParser) group(negative bool) (jsMatcher, error) {
	m, _, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, fmt.Errorf("missing ')'")
	}
	if !negative {
		return m, nil
	}
	return func(s *jsState, i int, next func(int) bool) bool {
		return !m(s, i, func(int) bool { return true }) && next(i)
	}, nil
}

// A runeSet says whether it has a character.
type runeSet func(rune) bool

func one(set runeSet) jsMatcher {
	return func(s *jsState, i int, next func(int) bool) bool {
		if !s.budget.spend(regexpStep) || i >= len(s.in) {
			return false
		}
		return set(s.in[i]) && next(i+1)
	}
}

func is(c rune) runeSet {
	c = upper(c)
	return func(r rune) bool { return upper(r) == c }
}

// upper is what the flag i makes of a character before comparing.
func upper(r rune) rune {
	u := unicode.ToUpper(r)
	if r >= 0x80 && u < 0x80 {
		return r
	}
	return u
}

// class reads a character class after its '['.
func (p *jsParser) class() (runeSet, error) {
	negative := p.accept("^")
	var sets []runeSet
	for {
		c, ok := p.peek()
		if !ok {
			return nil, fmt.Errorf("missing ']'")
		}
		p.pos++
		if c == ']' {
			break
		}
		set, lo, err := p.classItem(c)
		if err != nil {
			return nil, err
		}
		if next, _ := p.peek(); next == '-' && lo >= 0 && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
			p.pos += 2
			_, hi, err := p.classItem(p.src[p.pos-1])
			if err != nil {
				return nil, err
			}
			set = inRange(lo, hi)
		}
		sets = append(sets, set)
	}
	return func(r rune) bool {
		for _, set := range sets {
			if set(r) {
				return !negative
			}
		}
		return negative
	}, nil
}

// classItem returns the set of one item, and its character, or -1 for a
// property.
func (p *jsParser) classItem(c rune) (runeSet, rune, error) {
	if c != '\\' {
		return is(c), c, nil
	}
	return p.escape()
}

func inRange(lo, hi rune) runeSet {
	return func(r rune) bool {
		for _, c := range []rune{r, unicode.ToUpper(r), unicode.ToLower(r)} {
			if lo <= c && c <= hi {
				return true
			}
		}
		return false
	}
}

// escape reads what follows a backslash.
func (p *jsParser) escape() (runeSet, rune, error) {
	c, ok := p.peek()
	if !ok {
		return nil, 0, fmt.Errorf("ends with a backslash")
	}
	p.pos++
	switch c {
	case 'p':
		set, err := p.property()
		return set, -1, err
	case 'x':
		n, err := strconv.ParseUint(string(p.src[p.pos:min(len(p.src), p.pos+2)]), 16, 8)
		if err != nil {
			return nil, 0, fmt.Errorf("bad \\x")
		}
		p.pos += 2
		return is(rune(n)), rune(n), nil
	case 't':
		c = '\t'
	case 'r':
		c = '\r'
	case 'n':
		c = '\n'
	case 'v':
		c = '\v'
	case 'f':
		c = '\f'
	}
	return is(c), c, nil
}

// property reads the name in \p{L}. The flag i makes \p{Lu} and \p{Ll} take
// letters of both cases.
func (p *jsParser) property() (runeSet, error) {
	if !p.accept("{") {
		return nil, fmt.Errorf("bad \\p")
	}
	end := p.pos
	for end < len(p.src) && p.src[end] != '}' {
		end++
	}
	table, ok := unicode.Categories[string(p.src[p.pos:end])]
	if !ok {
		return nil, fmt.Errorf("unknown property")
	}
	p.pos = min(len(p.src), end+1)
	return func(r rune) bool {
		return unicode.In(r, table) || unicode.In(unicode.ToUpper(r), table) || unicode.In(unicode.ToLower(r), table)
	}, nil
}
