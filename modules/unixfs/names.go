package unixfs

import (
	"strings"
	"unicode/utf8"

	"github.com/everythingstays/es/modules/casefold"
	"github.com/everythingstays/es/records"
)

// CheckElement checks one element of a path against [M10]: it must be a file name, and
// the same one, on every operating system. Anything else is a *RuleError.
func CheckElement(s string) error {
	if reason := elementProblem(s); reason != "" {
		return ruleErrorf("M10", "", "the name %.200q %s", s, reason)
	}
	return nil
}

// elementProblem says what is wrong with one element of a path, or "".
func elementProblem(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > MaxElement:
		return "is longer than 255 bytes"
	case s == "." || s == "..":
		return "is not a name"
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	}
	for _, r := range s {
		if reason := checkRune(r); reason != "" {
			return reason
		}
	}
	switch {
	case s[len(s)-1] == '.':
		return "ends with a dot, which Windows drops"
	case s[len(s)-1] == ' ':
		return "ends with a space, which Windows drops"
	case records.IsWindowsDevice(s):
		return "is a device on Windows"
	case isShortName(s):
		return "has the form of a Windows short name"
	case casefold.Fold(s) == ".git":
		return "would be a git repository"
	}
	return ""
}

func checkRune(r rune) string {
	switch {
	case r == '/' || r == '\\':
		return "has a path separator"
	case r == ':':
		return "has a colon, which names a stream on Windows"
	case strings.ContainsRune(`<>"|?*`, r):
		return "has a character that Windows does not allow"
	case r < 0x20 || 0x7F <= r && r <= 0x9F:
		return "has a control character"
	case isBidiOrInvisible(r):
		return "has an invisible character or one that changes the direction of text"
	case r == 0xFFFD, r == 0xFFFE, r == 0xFFFF:
		return "has a character that stands for none"
	case !casefold.IsAssigned(r):
		return "has a character that Unicode 15.0.0 does not have, so that systems may differ on its case"
	}
	return ""
}

// isBidiOrInvisible leaves out the two joiners, which emoji and several scripts
// need in names; fold ignores them instead.
func isBidiOrInvisible(r rune) bool {
	switch {
	case r == 0x00AD, r == 0x034F, r == 0x061C, r == 0x180E, r == 0x200B, r == 0xFEFF,
		0x115F <= r && r <= 0x1160, r == 0x3164, r == 0xFFA0,
		r == 0x200E, r == 0x200F,
		0x2028 <= r && r <= 0x202E,
		0x2060 <= r && r <= 0x206F,
		0xFFF0 <= r && r <= 0xFFFB,
		0xE0000 <= r && r <= 0xE00FF, 0xE01F0 <= r && r <= 0xE0FFF:
		return true
	}
	return false
}

// isShortName reports whether Windows could have made s up as the short name of
// another file, as in GIT~1 or LONGFI~2.TXT.
func isShortName(s string) bool {
	stem, ext, _ := strings.Cut(s, ".")
	if len(stem) > 8 || len(ext) > 3 || strings.Contains(ext, ".") {
		return false
	}
	i := strings.LastIndexByte(stem, '~')
	if i < 1 || i == len(stem)-1 {
		return false
	}
	return strings.Trim(stem[i+1:], "0123456789") == ""
}

// CheckPath checks a whole path: each element ([M10]), its length and its depth ([M24]).
func CheckPath(path string) error {
	if len(path) > MaxTreePath {
		return ruleErrorf("M24", path, "the path has %d bytes, the limit is %d", len(path), MaxTreePath)
	}
	elements := strings.Split(path, "/")
	if len(elements) > MaxTreeDepth {
		return ruleErrorf("M24", path, "the path has %d elements, the limit is %d", len(elements), MaxTreeDepth)
	}
	for _, e := range elements {
		if err := CheckElement(e); err != nil {
			return withPath(path, err)
		}
	}
	return nil
}

// ComparePaths orders paths element by element, so that what is in one
// directory stands together.
func ComparePaths(a, b string) int {
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

// collisions finds names in one directory that are the same on some system.
type collisions struct {
	folded map[string]string // folded name -> name as it is
}

// add returns the earlier name that collides with name.
func (c *collisions) add(name string) (string, bool) {
	if c.folded == nil {
		c.folded = make(map[string]string)
	}
	key := casefold.Fold(name)
	if other, ok := c.folded[key]; ok {
		return other, true
	}
	c.folded[key] = name
	return "", false
}

// CheckPaths checks the names of all files of a module ([M10], [M11], [M24] to [M26]), and
// that no two of them are one on some system. The paths are sorted by ComparePaths.
func CheckPaths(paths []string) error {
	if len(paths) > records.MaxFiles {
		return ruleErrorf("M26", "", "the module has %d files, the limit is %d", len(paths), records.MaxFiles)
	}
	for _, p := range paths {
		if err := CheckPath(p); err != nil {
			return err
		}
	}
	directories := 0
	return checkDirectory(paths, 0, &directories)
}

// checkDirectory checks the entries of the directory that the first skip bytes
// of all paths name.
func checkDirectory(paths []string, skip int, directories *int) error {
	var names collisions
	entries := 0
	for len(paths) > 0 {
		name, _, isDir := strings.Cut(paths[0][skip:], "/")
		if other, collides := names.add(name); collides {
			return ruleErrorf("M11", paths[0], "is the same as %.200q on some systems", paths[0][:skip]+other)
		}
		if entries++; entries > MaxDirEntries {
			return ruleErrorf("M25", paths[0], "its directory has more than %d entries", MaxDirEntries)
		}
		n := 1
		if isDir {
			if *directories++; *directories > MaxDirectories {
				return ruleErrorf("M25", paths[0], "the module has more than %d directories", MaxDirectories)
			}
			prefix := paths[0][:skip+len(name)+1]
			for n < len(paths) && strings.HasPrefix(paths[n], prefix) {
				n++
			}
			if err := checkDirectory(paths[:n], len(prefix), directories); err != nil {
				return err
			}
		}
		paths = paths[n:]
	}
	return nil
}
