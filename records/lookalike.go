package records

import (
	"slices"
	"strings"
)

// minEdited is the shortest part of a name, scope or base, in which one edit makes
// a look-alike: too many shorter names differ in one letter.
const minEdited = 5

var lookAlikes = strings.NewReplacer("0", "o", "1", "l", "i", "l", "rn", "m", "vv", "w")

// Skeleton returns what is left of a name when that is removed which people
// overlook (SPEC.md section 3.6). Names with the same skeleton look alike.
func (n Name) Skeleton() string {
	var b []byte
	for _, c := range []byte(strings.TrimSuffix(string(n), ".js")) {
		if strings.IndexByte(nameMarks, c) < 0 {
			b = append(b, c)
		}
	}
	return string(slices.Compact([]byte(lookAlikes.Replace(string(b)))))
}

// nameMarks are the characters of names that stand between words.
const nameMarks = "@/-_."

// LooksLike reports whether somebody may take n for another name that they know
// (SPEC.md section 3.6): both have one skeleton, or n is one edit away from known. It is
// not symmetric: a name without an ending that another has is not taken for it.
func (n Name) LooksLike(known Name) bool {
	return n != known && (withinOneEdit(string(n), string(known)) || n.Skeleton() == known.Skeleton())
}

// withinOneEdit reports whether one letter more, one less, another one, or two neighbours in
// the other order make name of known.
func withinOneEdit(name, known string) bool {
	i := 0
	for i < len(name) && i < len(known) && name[i] == known[i] {
		i++
	}
	if min(len(partAt(name, i)), len(partAt(known, i))) < minEdited {
		return false
	}
	a, b := name[i:], known[i:]
	switch len(name) - len(known) {
	case 1:
		return a[1:] == b && !startsWord(name, i)
	case 0:
		if len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:] {
			return true
		}
		return len(a) > 0 && a[1:] == b[1:] && !startsWord(name, i) && !(isDigit(a[0]) && isDigit(b[0]))
	case -1:
		return a == b[1:] && !startsWord(known, i) && !isEnding(known, i)
	}
	return false
}

// partAt returns the scope or the base of a name, in which its byte i is or whose
// end it would lengthen.
func partAt(name string, i int) string {
	slash := strings.IndexByte(name, '/')
	switch {
	case slash < 0:
		return name
	case i <= slash:
		return strings.TrimPrefix(name[:slash], "@")
	}
	return name[slash+1:]
}

// startsWord reports whether name[i] is the first letter of a word: another one makes
// another word.
func startsWord(name string, i int) bool {
	return i == 0 || strings.IndexByte(nameMarks, name[i-1]) >= 0
}

// isEnding reports whether name[i] ends a word that is one without it too, as in
// "through2" and "https".
func isEnding(name string, i int) bool {
	last := i+1 == len(name) || strings.IndexByte(nameMarks, name[i+1]) >= 0
	return last && (isDigit(name[i]) || strings.IndexByte("srd", name[i]) >= 0)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
