package search

import "strings"

const (
	letters   = "abcdefghijklmnopqrstuvwxyz0123456789"
	nameBytes = letters + "-._/@"
	// maxEdited is the longest text whose edits are looked for.
	maxEdited = 64
)

// edits returns everything that is one edit of bytes of the alphabet away from the text,
// as a JSON array. The text must have no other bytes.
func edits(text, alphabet string) string {
	var b strings.Builder
	n := len(text)
	b.Grow((2*n + 1) * len(alphabet) * (n + 4))
	b.WriteByte('[')
	add := func(parts ...string) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for _, p := range parts {
			b.WriteString(p)
		}
		b.WriteByte('"')
	}
	for i := range n + 1 {
		for j := range len(alphabet) {
			if i == 0 || alphabet[j] != text[i-1] { // else it is the one before
				add(text[:i], alphabet[j:j+1], text[i:])
			}
			if i < n && alphabet[j] != text[i] {
				add(text[:i], alphabet[j:j+1], text[i+1:])
			}
		}
		if i < n && (i == 0 || text[i] != text[i-1]) {
			add(text[:i], text[i+1:])
		}
		if i+1 < n && text[i] != text[i+1] {
			add(text[:i], text[i+1:i+2], text[i:i+1], text[i+2:])
		}
	}
	b.WriteByte(']')
	return b.String()
}

// unlikely is how much less likely it is than others that somebody typed one text and
// meant the other, which is an edit away, in the measure of texts.Weight: letters are
// swapped and doubled sooner than replaced, and the first one is seldom wrong.
func unlikely(typed, meant string) float64 {
	at := 0
	for at < len(typed) && at < len(meant) && typed[at] == meant[at] {
		at++
	}
	cost := 0.0
	switch {
	case len(typed) < len(meant):
		cost = 1
	case len(typed) > len(meant):
		if at == 0 || typed[at] != typed[at-1] {
			cost = 1.5
		}
	case at+1 < len(typed) && typed[at] == meant[at+1] && typed[at+1] == meant[at]:
		return 0
	default:
		cost = 1.5
	}
	if at == 0 {
		cost += 2
	}
	return cost
}

// isOf reports whether the text has bytes of the alphabet alone.
func isOf(text, alphabet string) bool { return strings.Trim(text, alphabet) == "" }
