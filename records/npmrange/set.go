package npmrange

import (
	"strconv"
	"strings"

	"github.com/everythingstays/es/records"
)

// maxVersion is the most bytes of a version in a range, as node-semver has it;
// versions of releases are shorter.
const maxVersion = 256

// parseSet reads what stands between two "||", in the steps of node-semver: each
// rewrites the text for the next, and what a step does not know it leaves for the
// last one to refuse.
func parseSet(s string, prerelease bool) ([]comparator, error) {
	s = stripBuilds(s)
	s = expandHyphen(s, prerelease)
	s = joinOperators(s)
	s = joinPrefixes(s)
	var set []comparator
	for word := range strings.SplitSeq(s, " ") {
		for _, text := range expand(word, prerelease) {
			c, any, ok := parseComparator(text, prerelease)
			switch {
			case !ok:
				return nil, errRange
			case !any:
				set = append(set, c)
			}
		}
	}
	return set, nil
}

// expand rewrites one word to comparators with whole versions.
func expand(word string, prerelease bool) []string {
	if rest, ok := strings.CutPrefix(word, "^"); ok {
		if p, ok := parsePartial(rest); ok {
			return p.caret(prerelease)
		}
	} else if rest, ok := strings.CutPrefix(word, "~"); ok {
		if p, ok := parsePartial(strings.TrimPrefix(rest, ">")); ok {
			return p.tilde(prerelease)
		}
	} else if op, rest := cutOperator(word); true {
		if p, ok := parsePartial(rest); ok && p.ordered() {
			return p.bounds(op, word, prerelease)
		}
	}
	return []string{dropStar(word)}
}

// parseComparator reads "", or an operator and a version; any is true for what
// every version meets.
func parseComparator(s string, prerelease bool) (c comparator, any, ok bool) {
	if s == "" || s == ">=0.0.0" && !prerelease || s == ">=0.0.0-0" && prerelease {
		return comparator{}, true, true
	}
	op, rest := cutOperator(s)
	if i := strings.IndexByte(rest, '+'); i >= 0 && buildEnd(rest, i) == len(rest) {
		rest = rest[:i] // there is one again where a star stood in it
	}
	p, ok := parsePartial(strings.TrimPrefix(rest, "v"))
	if !ok || p.prefix != "" || p.wild() {
		return comparator{}, false, false
	}
	for _, n := range []string{p.major, p.minor, p.patch} {
		if _, fits := parseNumber(n); !fits {
			return comparator{}, false, false
		}
	}
	version := p.version()
	if len(version) > maxVersion {
		return comparator{}, false, false
	}
	if op == "=" {
		op = ""
	}
	return comparator{op, records.Version(version)}, false, true
}

// cutOperator cuts "<", "<=", ">", ">=", "=" or nothing from the front.
func cutOperator(s string) (op, rest string) {
	n := 0
	if n < len(s) && (s[n] == '<' || s[n] == '>') {
		n++
	}
	if n < len(s) && s[n] == '=' {
		n++
	}
	return s[:n], s[n:]
}

// dropStar removes the first "*" with what stands before it as its operator: all
// that node-semver does about a star in a word that it does not understand.
func dropStar(s string) string {
	i := strings.IndexByte(s, '*')
	if i < 0 {
		return s
	}
	start := i
	if start > 0 && s[start-1] == '=' {
		start--
	}
	if start > 0 && (s[start-1] == '<' || s[start-1] == '>') {
		start--
	}
	return s[:start] + s[i+1:]
}

// A partial is a version of which the end may be missing or wild. A part that is
// missing is "".
type partial struct {
	prefix              string // what stood before it, of 'v', '=' and ' '
	major, minor, patch string
	pre                 string // without the hyphen
}

// maxDigits is how long a number may be for node-semver to see one at all.
const maxDigits = 257

// parsePartial reads all of s.
func parsePartial(s string) (p partial, ok bool) {
	rest := strings.TrimLeft(s, "v= ")
	p.prefix = s[:len(s)-len(rest)]
	for i, part := range []*string{&p.major, &p.minor, &p.patch} {
		if i > 0 {
			if rest == "" {
				return p, true
			}
			if rest[0] != '.' {
				return p, false
			}
			rest = rest[1:]
		}
		n := 0
		for n < len(rest) && isDigit(rest[n]) {
			n++
		}
		switch {
		case n > maxDigits || n > 1 && rest[0] == '0':
			return p, false
		case n == 0 && rest != "" && isWild(rest[:1]):
			n = 1
		case n == 0:
			return p, false
		}
		*part, rest = rest[:n], rest[n:]
	}
	if rest == "" {
		return p, true
	}
	p.pre, ok = strings.CutPrefix(rest, "-")
	return p, ok && isPrerelease(p.pre)
}

// Limits of node-semver's patterns on one pre-release identifier: digits before the
// first letter, and characters after it.
const (
	maxLeadingDigits = 256
	maxIdentifier    = 250
)

func isPrerelease(s string) bool {
	for id := range strings.SplitSeq(s, ".") {
		n := 0
		for n < len(id) && isDigit(id[n]) {
			n++
		}
		switch {
		case id == "":
			return false
		case n == len(id):
			if n > 1 && id[0] == '0' || n > maxDigits {
				return false
			}
			continue
		case n > maxLeadingDigits || len(id)-n-1 > maxIdentifier:
			return false
		}
		for ; n < len(id); n++ {
			if !isIdentifier(id[n]) {
				return false
			}
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isIdentifier(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-'
}

// isWild reports whether a part of a version is missing or stands for any number.
func isWild(part string) bool { return part == "" || part == "x" || part == "X" || part == "*" }

func (p *partial) wild() bool { return isWild(p.major) || isWild(p.minor) || isWild(p.patch) }

// ordered reports whether nothing but wild parts follows a wild one.
func (p *partial) ordered() bool {
	return !(isWild(p.major) && !isWild(p.minor)) && !(isWild(p.minor) && !isWild(p.patch))
}

// version returns the version without its prefix.
func (p *partial) version() string {
	v := p.major + "." + p.minor + "." + p.patch
	if p.pre != "" {
		v += "-" + p.pre
	}
	return v
}

// next returns the number after n. One that no version can have gives another such.
func next(n string) string {
	i, ok := parseNumber(n)
	if !ok {
		return n
	}
	return strconv.FormatInt(i+1, 10)
}

// maxNumber is the greatest number of a version.
const maxNumber = 1<<53 - 1

func parseNumber(s string) (int64, bool) {
	i, err := strconv.ParseInt(s, 10, 64)
	return i, err == nil && i <= maxNumber
}

// lowest ends a version that begins a range of versions with missing parts.
func lowest(prerelease bool) string {
	if prerelease {
		return "-0"
	}
	return ""
}

// caret returns what "^" before p means.
func (p *partial) caret(prerelease bool) []string {
	zero := p.major == "0"
	switch {
	case isWild(p.major):
		return nil
	case isWild(p.minor):
		return []string{">=" + p.major + ".0.0" + lowest(prerelease), "<" + next(p.major) + ".0.0-0"}
	case isWild(p.patch) && zero:
		return []string{">=0." + p.minor + ".0" + lowest(prerelease), "<0." + next(p.minor) + ".0-0"}
	case isWild(p.patch):
		return []string{">=" + p.major + "." + p.minor + ".0" + lowest(prerelease), "<" + next(p.major) + ".0.0-0"}
	case zero && p.minor == "0":
		return []string{">=" + p.version(), "<0.0." + next(p.patch) + "-0"}
	case zero:
		return []string{">=" + p.version(), "<0." + next(p.minor) + ".0-0"}
	}
	return []string{">=" + p.version(), "<" + next(p.major) + ".0.0-0"}
}

// tilde returns what "~" before p means.
func (p *partial) tilde(prerelease bool) []string {
	switch {
	case isWild(p.major):
		return nil
	case isWild(p.minor):
		return []string{">=" + p.major + ".0.0" + lowest(prerelease), "<" + next(p.major) + ".0.0-0"}
	case isWild(p.patch):
		return []string{">=" + p.major + "." + p.minor + ".0" + lowest(prerelease), "<" + p.major + "." + next(p.minor) + ".0-0"}
	}
	return []string{">=" + p.version(), "<" + p.major + "." + next(p.minor) + ".0-0"}
}

// bounds returns what word, an operator and p, means.
func (p *partial) bounds(op, word string, prerelease bool) []string {
	low := lowest(prerelease)
	if op == "=" && p.wild() {
		op = ""
	}
	switch {
	case isWild(p.major) && (op == "<" || op == ">"):
		return []string{"<0.0.0-0"}
	case isWild(p.major):
		return nil
	case !p.wild():
		return []string{word}
	case op == "" && isWild(p.minor):
		return []string{">=" + p.major + ".0.0" + low, "<" + next(p.major) + ".0.0-0"}
	case op == "":
		return []string{">=" + p.major + "." + p.minor + ".0" + low, "<" + p.major + "." + next(p.minor) + ".0-0"}
	}
	major, minor := p.major, p.minor
	if isWild(minor) {
		minor = "0"
	}
	if op == ">" || op == "<=" { // what comes after all that p stands for
		if isWild(p.minor) {
			major = next(major)
		} else {
			minor = next(minor)
		}
		op = map[string]string{">": ">=", "<=": "<"}[op]
	}
	if op == "<" {
		low = "-0"
	}
	return []string{op + major + "." + minor + ".0" + low}
}
