package npmrange

import "strings"

// isSpace reports whether c is white space to JavaScript.
func isSpace(c rune) bool {
	switch {
	case '\t' <= c && c <= '\r', c == ' ', c == 0xa0, c == 0x1680, 0x2000 <= c && c <= 0x200a,
		c == 0x2028, c == 0x2029, c == 0x202f, c == 0x205f, c == 0x3000, c == 0xfeff:
		return true
	}
	return false
}

// collapse makes one space of each run of white space, and drops it at both ends.
func collapse(s string) string { return strings.Join(strings.FieldsFunc(s, isSpace), " ") }

// stripBuilds removes build metadata, wherever it stands.
func stripBuilds(s string) string {
	if strings.IndexByte(s, '+') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if end := buildEnd(s, i); end > i {
			i = end
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// buildEnd returns the end of the build metadata that begins at i, or i.
func buildEnd(s string, i int) int {
	end := i
	for end < len(s) && (end == i && s[end] == '+' || end > i && s[end] == '.') {
		next := end + 1
		for next < len(s) && isIdentifier(s[next]) {
			next++
		}
		if next == end+1 {
			break
		}
		end = next
	}
	return end
}

// expandHyphen rewrites "1.2 - 3" to ">=1.2.0 <4.0.0-0". Where build metadata stood
// there may be more spaces than one, which node-semver does not take everywhere.
func expandHyphen(s string, prerelease bool) string {
	from, to, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(s, " "), " "), " - ")
	if !ok {
		return s
	}
	low, ok := parsePartial(from)
	if !ok {
		return s
	}
	high, ok := parsePartial(to)
	if !ok {
		return s
	}
	return strings.Trim(low.from(from, prerelease)+" "+high.to(to, prerelease), " ")
}

func (p *partial) from(text string, prerelease bool) string {
	low := lowest(prerelease)
	switch {
	case isWild(p.major):
		return ""
	case isWild(p.minor):
		return ">=" + p.major + ".0.0" + low
	case isWild(p.patch):
		return ">=" + p.major + "." + p.minor + ".0" + low
	case p.pre != "":
		return ">=" + text
	}
	return ">=" + text + low
}

func (p *partial) to(text string, prerelease bool) string {
	switch {
	case isWild(p.major):
		return ""
	case isWild(p.minor):
		return "<" + next(p.major) + ".0.0-0"
	case isWild(p.patch):
		return "<" + p.major + "." + next(p.minor) + ".0-0"
	case p.pre != "":
		return "<=" + p.version()
	case prerelease:
		return "<" + p.major + "." + p.minor + "." + next(p.patch) + "-0"
	}
	return "<=" + text
}

// joinOperators removes the space between an operator and its version.
func joinOperators(s string) string {
	var b strings.Builder
	copied := 0
	for i := 0; i < len(s); {
		start := i
		switch {
		case s[i] == '<' || s[i] == '>':
			i++
		case !isPrefix(s[i]) && !startsVersion(s[i]):
			i++
			continue
		}
		for i < len(s) && isPrefix(s[i]) {
			i++
		}
		if i == len(s) || !startsVersion(s[i]) {
			continue
		}
		at := start
		if s[at] == ' ' {
			at++
		}
		op, _ := cutOperator(s[at:])
		if at += len(op); s[at] == ' ' {
			b.WriteString(s[copied:at])
			copied = at + 1
		}
		i = versionEnd(s, i)
	}
	return b.String() + s[copied:]
}

func isPrefix(c byte) bool { return c == 'v' || c == '=' || c == ' ' }

func startsVersion(c byte) bool { return isDigit(c) || c == 'x' || c == 'X' || c == '*' }

// versionEnd returns where what may be a version at i ends: three numbers with a
// pre-release that may lack its hyphen, or else a partial version.
func versionEnd(s string, i int) int {
	end, parts, numbers := i, 0, 0
	for parts < 3 {
		n := i
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		switch {
		case n > i:
			numbers++
		case n < len(s) && startsVersion(s[n]):
			n++
		default:
			return end
		}
		parts++
		end, i = n, n
		if parts < 3 {
			if i == len(s) || s[i] != '.' {
				return end
			}
			i++
		}
	}
	if end < len(s) && s[end] == '-' {
		i = end + 1
	} else if numbers < 3 {
		return end
	}
	for {
		n := i
		for n < len(s) && isIdentifier(s[n]) {
			n++
		}
		if n == i {
			return end
		}
		end = n
		if end == len(s) || s[end] != '.' {
			return end
		}
		i = end + 1
	}
}

// joinPrefixes removes one space after each "^", "~" and "~>", and writes the last
// like the second.
func joinPrefixes(s string) string {
	if !strings.ContainsAny(s, "~^") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] != '~' && s[i] != '^' {
			continue
		}
		rest := s[i+1:]
		if s[i] == '~' {
			rest = strings.TrimPrefix(rest, ">")
		}
		if strings.HasPrefix(rest, " ") {
			i = len(s) - len(rest)
		}
	}
	return b.String()
}
