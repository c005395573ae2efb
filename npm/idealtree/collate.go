package idealtree

import "strings"

// alphabet is the order of ASCII's characters in English (CLDR's root collation), which
// npm sorts names and paths by. Letters differ by case only where nothing else differs,
// lower case first.
const alphabet = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ"

var primary, tertiary = weights()

func weights() (p, t [128]int) {
	for i, c := range alphabet {
		p[c] = i + 1
		if c >= 'A' && c <= 'Z' {
			p[c], t[c] = i, 1
		}
	}
	return p, t
}

// collate compares two names or paths. Characters outside of ASCII come after it, by
// their code points.
func collate(a, b string) int {
	if a == b {
		return 0
	}
	x, y, lower := []rune(a), []rune(b), 0
	for i := range min(len(x), len(y)) {
		if x[i] == y[i] {
			continue
		}
		px, tx := weigh(x[i])
		py, ty := weigh(y[i])
		if px != py {
			return px - py
		}
		if lower == 0 {
			lower = tx - ty
		}
	}
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	if lower != 0 {
		return lower
	}
	return strings.Compare(a, b)
}

func weigh(c rune) (int, int) {
	if c < 128 {
		return primary[c], tertiary[c]
	}
	return len(alphabet) + int(c), 0
}
