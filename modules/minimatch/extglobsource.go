package minimatch

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	anyStar         = `[^/]*?`
	anyStarNotEmpty = `[^/]+?`
	noTraversal     = `(?!(?:^|/)\.\.?(?:$|/))`
)

// source returns the JavaScript regular expression for a, and the text it
// stands for if it has no magic.
func (a *globAST) source() (re, text string) {
	if a.root == a {
		a.flatten()
		a.fillNegs()
	}
	if a.kind == 0 {
		return a.concatSource()
	}
	body := a.alternativesSource()
	if a.isStart() && a.isEnd() && body == "" && a.kind != '!' {
		s := a.String()
		a.parts, a.kind, a.magic = []globPart{{text: s}}, 0, false
		return s, unescapeGlob(s)
	}
	text = unescapeGlob(body)
	switch {
	case a.kind == '!' && a.emptyExt:
		return anyStarNotEmpty, text
	case a.kind == '!':
		return "(?:(?!(?:" + body + "))" + anyStar + ")", text
	case a.kind == '@':
		return "(?:" + body + ")", text
	}
	return "(?:" + body + ")" + string(a.kind), text
}

func (a *globAST) concatSource() (re, text string) {
	plain := true
	for _, p := range a.parts {
		plain = plain && p.node == nil
	}
	noEmpty := plain && a.isStart() && a.isEnd()
	var b strings.Builder
	for _, p := range a.parts {
		if p.node != nil {
			s, _ := p.node.source()
			b.WriteString(s)
			a.magic = a.magic || p.node.magic
			a.unicode = a.unicode || p.node.unicode
			continue
		}
		s, magic, u := textSource(p.text, noEmpty)
		b.WriteString(s)
		a.magic = a.magic || magic
		a.unicode = a.unicode || u
	}
	src := b.String()
	start, end := "", ""
	if a.isStart() && len(a.parts) > 0 && a.parts[0].node == nil {
		dots := len(a.parts) == 1 && (a.parts[0].text == "." || a.parts[0].text == "..")
		if !dots && mayMatchDots(src) {
			start = noTraversal
		}
	}
	if a.root.filledNegs && a.parent != nil && a.parent.kind == '!' && a.isEnd() {
		end = `(?:$|\/)`
	}
	return start + src + end, unescapeGlob(src)
}

func mayMatchDots(src string) bool {
	starts := func(s string) bool { return s != "" && (s[0] == '[' || s[0] == '.') }
	if starts(src) {
		return true
	}
	if rest, ok := strings.CutPrefix(src, `\.`); ok {
		if starts(rest) {
			return true
		}
		rest, ok = strings.CutPrefix(rest, `\.`)
		return ok && starts(rest)
	}
	return false
}

func (a *globAST) alternativesSource() string {
	var list []string
	for _, p := range a.parts {
		s, _ := p.node.source()
		a.unicode = a.unicode || p.node.unicode
		if s != "" || !(a.isStart() && a.isEnd()) {
			list = append(list, s)
		}
	}
	return strings.Join(list, "|")
}

var onlyStars = regexp.MustCompile(`^[*]+$`)

// textSource makes an expression of text with '*', '?' and '[...]'.
func textSource(glob string, noEmpty bool) (re string, magic, unicode bool) {
	var b strings.Builder
	escaping, inStar := false, false
	for i := 0; i < len(glob); {
		r, size := utf8.DecodeRuneInString(glob[i:])
		c := glob[i : i+size]
		switch {
		case escaping:
			escaping = false
			if strings.ContainsRune(`().*{}+?[]^$\!`, r) {
				b.WriteByte('\\')
			}
			b.WriteString(c)
			i += size
			continue
		case r == '*':
			if !inStar {
				if noEmpty && onlyStars.MatchString(glob) {
					b.WriteString(anyStarNotEmpty)
				} else {
					b.WriteString(anyStar)
				}
			}
			inStar, magic = true, true
			i++
			continue
		}
		inStar = false
		i += size
		switch r {
		case '\\':
			if i == len(glob) {
				b.WriteString(`\\`)
			} else {
				escaping = true
			}
		case '[':
			src, u, consumed, m := bracketSource(glob, i-1)
			if consumed > 0 {
				b.WriteString(src)
				unicode = unicode || u
				magic = magic || m
				i += consumed - 1
				continue
			}
			b.WriteString(`\[`)
		case '?':
			b.WriteString(`[^/]`)
			magic = true
		default:
			b.WriteString(escapeJS(c))
		}
	}
	return b.String(), magic, unicode
}
