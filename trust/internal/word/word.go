// Package word reads and writes the words of a line of a trust file (SPEC.md section 9.1).
package word

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/everythingstays/es/records"
)

// MaxLabel is how many bytes a label may have.
const MaxLabel = 64

// A Token is a word of a line, by its place in the line's raw text.
type Token struct {
	Text       string
	Start, End int
}

// Tokenize splits a line at spaces and tabs. A '#' that starts a token starts a
// comment; a double quote holds spaces together.
func Tokenize(text string) ([]Token, error) {
	var ts []Token
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		if text[i] == '#' {
			break
		}
		start, quoted := i, false
		for i < len(text) && (quoted || text[i] != ' ' && text[i] != '\t') {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == '\\' && quoted:
				i++ // the escaped byte, if there is one
			}
			i++
		}
		if quoted {
			return nil, fmt.Errorf("a quoted text does not end; close it with \"")
		}
		ts = append(ts, Token{text[start:i], start, i})
	}
	return ts, nil
}

// ParseYesNo reads the value of an option that is on or off.
func ParseYesNo(option, value string) (bool, error) {
	if value != "yes" && value != "no" {
		return false, fmt.Errorf("%s=%.40q; write %s=yes or %s=no", option, value, option, option)
	}
	return value == "yes", nil
}

// ParseScope reads a scope.
func ParseScope(s string) (records.Scope, error) {
	scope, err := records.ParseScope(s)
	if err != nil {
		return "", fmt.Errorf("%w; a scope is a name, a prefix such as left-*, @scope/* or *", err)
	}
	return scope, nil
}

// ParseFingerprint takes the digits alone: a shorter key id is not unique, and
// spaces would be other words.
func ParseFingerprint(s string) (records.Fingerprint, error) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return records.Fingerprint{}, fmt.Errorf("%.80q is not a fingerprint; write its 40 or 64 hexadecimal digits without spaces", s)
		}
	}
	b, err := hex.DecodeString(s)
	if err == nil {
		var key records.Fingerprint
		if key, err = records.FingerprintFromBytes(b); err == nil {
			return key, nil
		}
	}
	return records.Fingerprint{}, fmt.Errorf("%.80q has %d digits; write the whole fingerprint of 40 or 64", s, len(s))
}

// ParseInt takes decimal digits without sign or leading zero.
func ParseInt(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s || n < low || n > high {
		return 0, fmt.Errorf("write a number from %d to %d", low, high)
	}
	return n, nil
}

// ParseDate reads a day.
func ParseDate(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("until=%.40q is not a day; write until=YYYY-MM-DD, the last day on which the line counts", s)
	}
	return t, nil
}

// ParseLabel reads a bare word, or a text in double quotes in which a backslash
// makes the next byte literal.
func ParseLabel(s string) (string, error) {
	label := s
	if strings.HasPrefix(s, `"`) {
		inside := s[1:]
		var b strings.Builder
		for i := 0; ; i++ {
			if inside[i] == '"' {
				if i != len(inside)-1 {
					return "", fmt.Errorf("label=%.80q has text after its closing quote", s)
				}
				break
			}
			if inside[i] == '\\' {
				i++
				if inside[i] != '"' && inside[i] != '\\' {
					return "", fmt.Errorf(`label=%.80q: a backslash stands before " or \ only`, s)
				}
			}
			b.WriteByte(inside[i])
		}
		label = b.String()
	} else if strings.ContainsAny(s, `"\`) {
		return "", fmt.Errorf("label=%.80q: put the whole text in quotes", s)
	}
	return label, checkLabel(label)
}

func checkLabel(label string) error {
	if label == "" {
		return fmt.Errorf("the label is empty; leave label= out")
	}
	if err := records.CheckText(label, MaxLabel); err != nil {
		return fmt.Errorf("the label %q %w", label, err)
	}
	return nil
}

// FormatLabel writes what ParseLabel reads.
func FormatLabel(label string) string {
	if !strings.ContainsAny(label, " \"\\#") {
		return label
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(label) + `"`
}

// IsOver reports whether a last day is over at now; the zero time is no end.
func IsOver(lastDay, now time.Time) bool {
	return !lastDay.IsZero() && !now.Before(lastDay.AddDate(0, 0, 1))
}
