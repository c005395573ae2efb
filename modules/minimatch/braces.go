package minimatch

import (
	"regexp"
	"strconv"
	"strings"
)

// Brace expansion as in the package brace-expansion 5.0.9: "a{b,c}{1..3}".
const (
	maxExpansions      = 100_000
	maxExpansionLength = 4_000_000
)

// Stand-ins for escaped characters while a pattern is expanded. NUL cannot be
// in a pattern that matches a file.
var (
	escapeBraces = strings.NewReplacer(
		`\\`, "\x00S\x00", `\{`, "\x00O\x00", `\}`, "\x00C\x00", `\,`, "\x00M\x00", `\.`, "\x00P\x00")
	unescapeBraces = strings.NewReplacer(
		"\x00S\x00", `\`, "\x00O\x00", "{", "\x00C\x00", "}", "\x00M\x00", ",", "\x00P\x00", ".")

	numericSequence = regexp.MustCompile(`^-?\d+\.\.-?\d+(?:\.\.-?\d+)?$`)
	letterSequence  = regexp.MustCompile(`^[a-zA-Z]\.\.[a-zA-Z](?:\.\.-?\d+)?$`)
	paddedNumber    = regexp.MustCompile(`^-?0\d`)
)

// expandBraces returns the patterns that s stands for, or fewer when no budget is left.
func expandBraces(s string, budget *Budget) []string {
	if !hasBraces(s) {
		return []string{s}
	}
	if strings.HasPrefix(s, "{}") {
		s = `\{\}` + s[2:]
	}
	list := (&braceExpander{budget}).groups(escapeBraces.Replace(s), true)
	for i := range list {
		list[i] = unescapeBraces.Replace(list[i])
	}
	return list
}

// hasBraces is /\{(?:(?!\{).)*\}/: a '{', then no '{' before a '}', in a line.
func hasBraces(s string) bool {
	open := false
	for _, c := range s {
		switch {
		case c == '{':
			open = true
		case c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029:
			open = false
		case c == '}' && open:
			return true
		}
	}
	return false
}

// A braceExpander charges what it makes.
type braceExpander struct{ budget *Budget }

func (e *braceExpander) groups(s string, top bool) []string {
	acc := []string{""}
	dropEmpty, first := false, true
	for {
		pre, body, post, ok := balancedBraces(s)
		if !ok {
			return e.combine(acc, s, []string{""}, dropEmpty)
		}
		last := post == ""
		if strings.HasSuffix(pre, "$") {
			acc = e.combine(acc, pre+"{"+body+"}", []string{""}, dropEmpty && last)
			first = false
			if last {
				return acc
			}
			s = post
			continue
		}
		numeric, letter := numericSequence.MatchString(body), letterSequence.MatchString(body)
		sequence := numeric || letter
		if !sequence && !strings.Contains(body, ",") {
			if commaThenBrace(post) {
				s = pre + "{" + body + "\x00C\x00" + post
				top = true
				continue
			}
			return e.combine(acc, pre+"{"+body+"}"+post, []string{""}, dropEmpty)
		}
		if first {
			dropEmpty, first = top && !sequence, false
		}
		var values []string
		if sequence {
			values = e.sequence(body, letter)
		} else {
			values = e.options(body)
		}
		acc = e.combine(acc, pre, values, dropEmpty && last)
		if last {
			return acc
		}
		s = post
	}
}

// commaThenBrace is /,(?!,).*\}/.
func commaThenBrace(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == ',' && (i+1 == len(s) || s[i+1] != ',') && strings.Contains(s[i+1:], "}") {
			return true
		}
	}
	return false
}

func (e *braceExpander) options(body string) []string {
	parts := commaParts(body)
	if len(parts) == 1 {
		parts = e.groups(parts[0], false)
		for i := range parts {
			parts[i] = "{" + parts[i] + "}"
		}
		if len(parts) == 1 {
			return parts
		}
	}
	var values []string
	length := 0
	for _, part := range parts {
		for _, v := range e.groups(part, false) {
			if len(values) >= maxExpansions || length+len(v) > maxExpansionLength {
				return values
			}
			values = append(values, v)
			length += len(v)
		}
	}
	return values
}

func (e *braceExpander) combine(acc []string, pre string, values []string, dropEmpty bool) []string {
	var out []string
	length := 0
	for _, a := range acc {
		for _, v := range values {
			expansion := a + pre + v
			if dropEmpty && expansion == "" {
				continue
			}
			if len(out) >= maxExpansions || length+len(expansion) > maxExpansionLength || !e.budget.spend(expansionStep+len(expansion)/8) {
				return out
			}
			out = append(out, expansion)
			length += len(expansion)
		}
	}
	return out
}

// commaParts splits at commas that are not inside braces.
func commaParts(s string) []string {
	if s == "" {
		return []string{""}
	}
	pre, body, post, ok := balancedBraces(s)
	if !ok {
		return strings.Split(s, ",")
	}
	parts := strings.Split(pre, ",")
	parts[len(parts)-1] += "{" + body + "}"
	if post != "" {
		rest := commaParts(post)
		parts[len(parts)-1] += rest[0]
		parts = append(parts, rest[1:]...)
	}
	return parts
}

func (e *braceExpander) sequence(body string, letters bool) []string {
	parts := strings.Split(body, "..")
	x, y := sequenceEnd(parts[0]), sequenceEnd(parts[1])
	step := 1
	if len(parts) == 3 {
		step = max(abs(sequenceEnd(parts[2])), 1)
	}
	width := max(len(parts[0]), len(parts[1]))
	pad := false
	for _, part := range parts {
		pad = pad || paddedNumber.MatchString(part)
	}
	if y < x {
		step = -step
	}
	var list []string
	for i := x; (step > 0 && i <= y || step < 0 && i >= y) && len(list) < maxExpansions && e.budget.spend(expansionStep); i += step {
		list = append(list, sequenceItem(i, letters, pad, width))
	}
	return list
}

func sequenceItem(i int, letters, pad bool, width int) string {
	if letters {
		if i == '\\' {
			return ""
		}
		return string(rune(i))
	}
	s := strconv.Itoa(i)
	if need := width - len(s); pad && need > 0 {
		if i < 0 {
			return "-" + strings.Repeat("0", need) + s[1:]
		}
		return strings.Repeat("0", need) + s
	}
	return s
}

func sequenceEnd(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return int(s[0])
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// balancedBraces finds the first outermost pair of braces, as the package
// balanced-match does; with an unmatched '{' it takes the leftmost inner pair.
func balancedBraces(s string) (pre, body, post string, ok bool) {
	l, r, ok := braceRange(s)
	if !ok {
		return "", "", "", false
	}
	return s[:l], s[l+1 : r], s[r+1:], true
}

func braceRange(s string) (l, r int, ok bool) {
	index := func(b byte, from int) int {
		if from > len(s) {
			return -1
		}
		if i := strings.IndexByte(s[from:], b); i >= 0 {
			return from + i
		}
		return -1
	}
	ai := index('{', 0)
	bi := index('}', ai+1)
	if ai < 0 || bi <= 0 {
		return 0, 0, false
	}
	var begs []int
	left, right := len(s), -1
	for i := ai; i >= 0; {
		switch {
		case i == ai:
			begs = append(begs, i)
			ai = index('{', i+1)
		case len(begs) == 1:
			return begs[0], bi, true
		default:
			if n := len(begs); n > 0 {
				if beg := begs[n-1]; beg < left {
					left, right = beg, bi
				}
				begs = begs[:n-1]
			}
			bi = index('}', i+1)
		}
		if ai < bi && ai >= 0 {
			i = ai
		} else {
			i = bi
		}
	}
	if len(begs) > 0 && right >= 0 {
		return left, right, true
	}
	return 0, 0, false
}
