package minimatch

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// posixClasses are what stands inside a bracket expression for a named class;
// negative ones take what is not in theirs.
var posixClasses = []struct {
	name     string
	set      string
	unicode  bool
	negative bool
}{
	{"[:alnum:]", `\p{L}\p{Nl}\p{Nd}`, true, false},
	{"[:alpha:]", `\p{L}\p{Nl}`, true, false},
	{"[:ascii:]", `\x00-\x7f`, false, false},
	{"[:blank:]", `\p{Zs}\t`, true, false},
	{"[:cntrl:]", `\p{Cc}`, true, false},
	{"[:digit:]", `\p{Nd}`, true, false},
	{"[:graph:]", `\p{Z}\p{C}`, true, true},
	{"[:lower:]", `\p{Ll}`, true, false},
	{"[:print:]", `\p{C}`, true, false},
	{"[:punct:]", `\p{P}`, true, false},
	{"[:space:]", `\p{Z}\t\r\n\v\f`, true, false},
	{"[:upper:]", `\p{Lu}`, true, false},
	{"[:word:]", `\p{L}\p{Nl}\p{Nd}\p{Pc}`, true, false},
	{"[:xdigit:]", `A-Fa-f0-9`, false, false},
}

var (
	jsSpecial      = regexp.MustCompile(`[-[\]{}()*+?.,\\^$|#\s]`)
	bracketSpecial = regexp.MustCompile(`[[\]\\-]`)
)

func escapeJS(s string) string      { return jsSpecial.ReplaceAllString(s, `\$0`) }
func escapeBracket(s string) string { return bracketSpecial.ReplaceAllString(s, `\$0`) }

// neverMatches is what minimatch makes of a bracket expression that is no good.
const neverMatches = "$."

// bracketSource makes a class of the bracket expression at pos. It returns how
// many bytes it took, 0 if the '[' is only text.
func bracketSource(glob string, pos int) (src string, unicode bool, consumed int, magic bool) {
	p := bracketParser{glob: glob, i: pos + 1}
	if p.i < len(glob) && (glob[p.i] == '!' || glob[p.i] == '^') {
		p.negate = true
		p.i++
	}
	switch p.run() {
	case bracketText:
		return "", false, 0, false
	case bracketBad:
		return neverMatches, false, len(glob) - pos, true
	}
	if len(p.ranges) == 0 && len(p.negs) == 0 {
		return neverMatches, false, len(glob) - pos, true
	}
	if len(p.negs) == 0 && len(p.ranges) == 1 && !p.negate {
		if single := strings.TrimPrefix(p.ranges[0], `\`); utf8.RuneCountInString(single) == 1 {
			return escapeJS(single), false, p.end - pos, false
		}
	}
	caret, notCaret := "", "^"
	if p.negate {
		caret, notCaret = "^", ""
	}
	ranges := "[" + caret + strings.Join(p.ranges, "") + "]"
	negs := "[" + notCaret + strings.Join(p.negs, "") + "]"
	switch {
	case len(p.ranges) > 0 && len(p.negs) > 0:
		src = "(" + ranges + "|" + negs + ")"
	case len(p.ranges) > 0:
		src = ranges
	default:
		src = negs
	}
	return src, p.unicode, p.end - pos, true
}

type bracketResult int

const (
	bracketClass bracketResult = iota
	bracketText
	bracketBad
)

type bracketParser struct {
	glob    string
	i, end  int
	negate  bool
	unicode bool
	ranges  []string
	negs    []string
	from    string // the start of a range whose end is to come
}

func (p *bracketParser) run() bracketResult {
	escaping := false
	for first := true; p.i < len(p.glob); {
		_, size := utf8.DecodeRuneInString(p.glob[p.i:])
		c := p.glob[p.i : p.i+size]
		if c == "]" && !first && !escaping {
			p.end = p.i + 1
			return bracketClass
		}
		first = false
		if c == `\` && !escaping {
			escaping = true
			p.i++
			continue
		}
		if c == "[" && !escaping {
			if took, bad := p.posixClass(); bad {
				return bracketBad
			} else if took {
				continue
			}
		}
		escaping = false
		p.character(c)
	}
	return bracketText
}

func (p *bracketParser) posixClass() (took, bad bool) {
	for _, class := range posixClasses {
		if !strings.HasPrefix(p.glob[p.i:], class.name) {
			continue
		}
		if p.from != "" {
			return false, true
		}
		p.i += len(class.name)
		if class.negative {
			p.negs = append(p.negs, class.set)
		} else {
			p.ranges = append(p.ranges, class.set)
		}
		p.unicode = p.unicode || class.unicode
		return true, false
	}
	return false, false
}

func (p *bracketParser) character(c string) {
	if p.from != "" {
		switch {
		case c > p.from:
			p.ranges = append(p.ranges, escapeBracket(p.from)+"-"+escapeBracket(c))
		case c == p.from:
			p.ranges = append(p.ranges, escapeBracket(c))
		}
		p.from = ""
		p.i += len(c)
		return
	}
	rest := p.glob[p.i+len(c):]
	switch {
	case strings.HasPrefix(rest, "-]"):
		p.ranges = append(p.ranges, escapeBracket(c+"-"))
		p.i += len(c) + 1
	case strings.HasPrefix(rest, "-"):
		p.from = c
		p.i += len(c) + 1
	default:
		p.ranges = append(p.ranges, escapeBracket(c))
		p.i += len(c)
	}
}

var (
	bracketed = regexp.MustCompile(`\[([^/\\])\]`)
	escaped   = regexp.MustCompile(`\\([^/])`)
)

// unescapeGlob takes the escapes out of a pattern that has no magic.
func unescapeGlob(s string) string {
	return escaped.ReplaceAllString(unescapeBrackets(s), "$1")
}

// unescapeBrackets makes "[x]" x, unless a backslash stands before it.
func unescapeBrackets(s string) string {
	var b strings.Builder
	for last := 0; ; {
		m := bracketed.FindStringSubmatchIndex(s[last:])
		if m == nil {
			b.WriteString(s[last:])
			return b.String()
		}
		start, end := last+m[0], last+m[1]
		if start > 0 && s[start-1] == '\\' {
			b.WriteString(s[last : start+1])
			last = start + 1
			continue
		}
		b.WriteString(s[last:start])
		b.WriteString(s[last+m[2] : last+m[3]])
		last = end
	}
}
