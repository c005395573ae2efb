// Package casefold folds the names that some file system takes for the same one to the
// same string (SPEC.md [M11]), and says which characters Unicode 15.0.0 has ([M10]). Its
// tables are generated, so that no other version of Unicode changes a verdict.
package casefold

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var joiners = strings.NewReplacer("\u200c", "", "\u200d", "")

// Fold maps names that some file system takes for the same one to the same
// string ([M11]): by case, by composition, and by the joiners that HFS+ ignores. s
// has only characters that Unicode 15.0.0 assigns, whose case folding and
// normalization no later version changes. Folding twice is folding once.
func Fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for _, r := range norm.NFD.String(joiners.Replace(s)) {
		if full, ok := fullFolding[r]; ok {
			b.WriteString(full)
		} else {
			b.WriteRune(simpleFold(r))
		}
	}
	return norm.NFC.String(b.String())
}

// simpleFold is the mapping of statuses C and S in Unicode's CaseFolding.txt. It
// leads to lower case, but for Cherokee, whose lower case came later.
func simpleFold(r rune) rune {
	if unicode.SimpleFold(r) == r {
		return r
	}
	upper := unicode.ToUpper(r)
	if unicode.Is(unicode.Cherokee, r) {
		return upper
	}
	return unicode.ToLower(upper)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// IsAssigned reports whether r is a character in Unicode 15.0.0 ([M10]).
func IsAssigned(r rune) bool { return !unicode.Is(unassigned, r) }
