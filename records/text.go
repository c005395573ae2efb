package records

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckText checks a free text against SPEC.md section 3.5: at most max bytes of
// valid UTF-8 on one line, without characters that are invisible, that move the
// cursor or that change the direction of what stands beside them.
func CheckText(s string, max int) error {
	if len(s) > max {
		return against("R9", "has %d bytes, the limit is %d", len(s), max)
	}
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return against("R9", "is not valid UTF-8 at byte %d", i)
			}
		}
		if unsafeRune(r) {
			return against("R9", "has the character %U at byte %d", r, i)
		}
	}
	return nil
}

// CleanText makes a text that CheckText accepts from any bytes (SPEC.md section
// 3.5): white space becomes single spaces, what CheckText refuses is dropped,
// and the rest is cut to max bytes between characters.
func CleanText(s string, max int) string {
	var b strings.Builder
	space := false
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				continue
			}
		}
		if isSpace(r) {
			space = b.Len() > 0
			continue
		}
		if unsafeRune(r) {
			continue
		}
		n := utf8.RuneLen(r)
		if space {
			n++
		}
		if b.Len()+n > max {
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isSpace is written out, because unicode.IsSpace may grow with Unicode and the
// text of a release must not depend on the release of Go.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
		return true
	}
	return 0x2000 <= r && r <= 0x200A
}

// unsafeRunes are the characters besides C0, DEL and C1 that no text may hold.
var unsafeRunes = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00AD, 0x00AD, 1}, // soft hyphen
		{0x034F, 0x034F, 1}, // combining grapheme joiner
		{0x061C, 0x061C, 1}, // Arabic letter mark
		{0x115F, 0x1160, 1}, // Hangul fillers
		{0x17B4, 0x17B5, 1}, // Khmer inherent vowels
		{0x180B, 0x180F, 1}, // Mongolian selectors and vowel separator
		{0x200B, 0x200F, 1}, // zero-width characters and direction marks
		{0x2028, 0x202E, 1}, // line and paragraph separators, direction embeddings
		{0x2060, 0x206F, 1}, // word joiner, invisible operators, direction isolates
		{0x3164, 0x3164, 1}, // Hangul filler
		{0xFEFF, 0xFEFF, 1}, // byte order mark
		{0xFFA0, 0xFFA0, 1}, // halfwidth Hangul filler
		{0xFFF0, 0xFFFB, 1}, // specials
		{0xFFFE, 0xFFFF, 1},
	},
	R32: []unicode.Range32{
		{0x1D173, 0x1D17A, 1}, // musical formatting
		{0xE0000, 0xE0FFF, 1}, // tags
	},
}

func unsafeRune(r rune) bool {
	return r < 0x20 || 0x7F <= r && r <= 0x9F || unicode.Is(unsafeRunes, r)
}
