package npmrc

import (
	"encoding/json"
	"strings"
)

type line struct {
	key, value string
	list       bool // key[] = value
}

// parse reads lines of "key = value" as npm's ini does. What stands under a
// [section] is no setting of npm's. A key alone has the value true.
func parse(text string) []line {
	var lines []line
	section := false
	for raw := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		trimmed := strings.TrimSpace(raw)
		if trimmed == "" || trimmed[0] == ';' || trimmed[0] == '#' {
			continue
		}
		if trimmed[0] == '[' && strings.HasSuffix(trimmed, "]") {
			section = true
			continue
		}
		if section {
			continue
		}
		key, value, hasValue := strings.Cut(raw, "=")
		l := line{key: unquote(key), value: "true"}
		if hasValue {
			l.value = unquote(value)
		}
		if k, ok := strings.CutSuffix(l.key, "[]"); ok && k != "" {
			l.key, l.list = k, true
		}
		if l.key != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// unquote reads a value: a JSON string in quotes, or what stands before a comment,
// in which a backslash keeps ";", "#" and itself.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 1 && s[0] == '\'' && s[len(s)-1] == '\'' {
		s = s[1 : len(s)-1]
		var value string
		if json.Unmarshal([]byte(s), &value) == nil {
			return value
		}
		return s
	}
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		var value string
		if json.Unmarshal([]byte(s), &value) == nil {
			return value
		}
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ';' || c == '#':
			return strings.TrimSpace(out.String())
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`\;#`, s[i+1]) >= 0:
			i++
			out.WriteByte(s[i])
		default:
			out.WriteByte(c)
		}
	}
	return strings.TrimSpace(out.String())
}

// hasVariable reports whether s has something that npm would expand.
func hasVariable(s string) bool {
	start := strings.Index(s, "${")
	return start >= 0 && strings.IndexByte(s[start:], '}') > 0
}

// expand replaces ${NAME} by the variable's value, and ${NAME?} by nothing where
// it is not set; ${NAME} that is not set stays. A backslash before it keeps it.
func expand(s string, env func(string) (string, bool)) string {
	var out strings.Builder
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			break
		}
		length := strings.IndexByte(s[start:], '}')
		if length < 0 {
			break
		}
		whole := s[start : start+length+1]
		name := whole[2 : len(whole)-1]
		optional := strings.HasSuffix(name, "?")
		name = strings.TrimSuffix(name, "?")
		before := strings.TrimRight(s[:start], `\`)
		escapes := start - len(before)
		out.WriteString(before)
		out.WriteString(s[len(before) : len(before)+escapes/2])
		s = s[start+length+1:]
		if escapes%2 == 1 || name == "" || strings.ContainsAny(name, "${?") {
			out.WriteString(whole)
			continue
		}
		value, ok := env(name)
		if !ok && !optional {
			value = whole
		}
		out.WriteString(value)
	}
	out.WriteString(s)
	return out.String()
}
