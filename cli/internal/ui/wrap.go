package ui

import "strings"

// wrapIndent begins the lines that a message goes on in: none of them looks like a message
// of its own.
const wrapIndent = "    "

// wrap breaks a line between words where it has more than so many columns; 0 is any. A word
// that is longer, such as a CID, stays whole, so that it can be copied.
func wrap(line string, columns int) string {
	if columns <= 0 || TextWidth(line) <= columns {
		return line
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	var b strings.Builder
	b.WriteString(indent)
	at := len(indent)
	for i, word := range strings.Split(line[len(indent):], " ") {
		n := TextWidth(word)
		switch {
		case i == 0:
		case at+1+n > columns:
			b.WriteString("\n" + indent + wrapIndent)
			at = len(indent) + len(wrapIndent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
