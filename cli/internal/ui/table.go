package ui

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columnGap is how many spaces stand between columns, and minColumn how narrow one gets
// before others do.
const (
	columnGap = 2
	minColumn = 8
)

// Table writes rows in columns, of which the first is never cut.
func (s *Streams) Table(rows [][]string) { s.ColumnsOf(rows, 1, nil) }

// ColumnsOf writes rows in columns. On a terminal each row takes one line: what is too long
// is cut, the widest column first, but never in the first fixed columns, whose values
// somebody may want to copy. No cell begins a line of its own. Style, if there is one, colours a cell that is ready to be printed.
func (s *Streams) ColumnsOf(rows [][]string, fixed int, style func(row, column int, text string) string) {
	var widths []int
	cells := make([][]string, len(rows))
	for i, r := range rows {
		cells[i] = slices.Clone(r)
		for j := range cells[i] {
			cells[i][j] = strings.ReplaceAll(Visible(cells[i][j]), "\n", `\n`)
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], TextWidth(cells[i][j]))
		}
	}
	fit(widths, fixed, s.Columns)
	for i, r := range cells {
		for len(r) > 0 && r[len(r)-1] == "" {
			r = r[:len(r)-1]
		}
		var line strings.Builder
		for j, text := range r {
			text = truncate(text, widths[j])
			pad := ""
			if j < len(r)-1 {
				pad = strings.Repeat(" ", widths[j]-TextWidth(text)+columnGap)
			}
			if style != nil && s.Colour {
				text = style(i, j, text)
			}
			line.WriteString(text + pad)
		}
		line.WriteByte('\n')
		s.Out.Write([]byte(line.String()))
	}
}

// fit makes columns narrower until they fit into a line of so many characters; 0 is any.
func fit(widths []int, fixed, columns int) {
	if columns <= 0 || len(widths) <= fixed {
		return
	}
	total := columnGap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for floor := minColumn; total > columns && floor > 0; floor = floor / 2 {
		for total > columns {
			widest := fixed
			for j := fixed; j < len(widths); j++ {
				if widths[j] >= widths[widest] {
					widest = j
				}
			}
			if widths[widest] <= floor {
				break
			}
			widths[widest]--
			total--
		}
	}
}

// TextWidth is how many columns of a terminal a text takes.
func TextWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch k := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case k == width.EastAsianWide || k == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// truncate cuts a text to so many columns, and shows that it did.
func truncate(s string, columns int) string {
	if TextWidth(s) <= columns {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > columns-1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}

// Colours of a terminal.
const (
	Bold   = "\x1b[1m"
	Green  = "\x1b[32m"
	Yellow = "\x1b[33m"
	Red    = "\x1b[31m"
	plain  = "\x1b[0m"
)

// Coloured returns the text in the colour of a terminal.
func Coloured(colour, text string) string {
	if text == "" || colour == "" {
		return text
	}
	return colour + text + plain
}
