package records

import (
	"fmt"
	"strings"
)

// Version is a semantic version 2.0 without build metadata: "1.2.3-rc.1".
// A Version made by ParseVersion is at most MaxVersion bytes long.
type Version string

const maxInt = 1<<53 - 1 // what JavaScript, and so node-semver, can hold

// ParseVersion checks s against SPEC.md section 3.2. It allocates nothing for a
// valid version and takes time linear in len(s).
func ParseVersion(s string) (Version, error) {
	if err := checkVersion(s); err != nil {
		return "", fmt.Errorf("version %q: %w", Clip(s), err)
	}
	return Version(s), nil
}

// Prerelease returns "rc.1" for "1.2.3-rc.1", and "" for a final version.
func (v Version) Prerelease() string {
	_, pre, _ := strings.Cut(string(v), "-")
	return pre
}

// Compare returns -1, 0 or 1 as v comes before, equals or comes after w in
// semantic version order. Both must be valid.
func (v Version) Compare(w Version) int {
	vn, vp, vpre := strings.Cut(string(v), "-")
	wn, wp, wpre := strings.Cut(string(w), "-")
	if c := compareDotted(vn, wn); c != 0 {
		return c
	}
	switch {
	case vpre && !wpre:
		return -1
	case !vpre && wpre:
		return 1
	}
	return compareDotted(vp, wp)
}

// compareDotted compares dot-separated identifiers: numbers by value and before
// words, words by bytes, and a shorter list before a longer one it begins.
func compareDotted(a, b string) int {
	for {
		if a == "" || b == "" {
			return sign(len(a) - len(b))
		}
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareIdentifier(x, y); c != 0 {
			return c
		}
	}
}

// CompareStable orders versions as someone who wants the newest does: a pre-release
// comes before every version that is none.
func (v Version) CompareStable(w Version) int {
	if vp, wp := v.Prerelease() != "", w.Prerelease() != ""; vp != wp {
		if vp {
			return -1
		}
		return 1
	}
	return v.Compare(w)
}

func compareIdentifier(x, y string) int {
	xn, yn := isDigits(x), isDigits(y)
	switch {
	case xn && yn:
		if len(x) != len(y) {
			return sign(len(x) - len(y))
		}
		return strings.Compare(x, y)
	case xn:
		return -1
	case yn:
		return 1
	}
	return strings.Compare(x, y)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func checkVersion(s string) error {
	if s == "" {
		return against("R4", "is empty")
	}
	if len(s) > MaxVersion {
		return against("R6", "has %d bytes, the limit is %d", len(s), MaxVersion)
	}
	if strings.IndexByte(s, '+') >= 0 {
		return against("R5", "has build metadata; versions that differ only there compare equal")
	}
	core, pre, hasPre := strings.Cut(s, "-")
	rest := core
	for i := range 3 {
		part, after, more := strings.Cut(rest, ".")
		if err := checkVersionNumber(part); err != nil {
			return err
		}
		if more != (i < 2) {
			return against("R4", "does not have the form MAJOR.MINOR.PATCH")
		}
		rest = after
	}
	if !hasPre {
		return nil
	}
	for {
		part, after, more := strings.Cut(pre, ".")
		if err := checkPrerelease(part); err != nil {
			return err
		}
		if !more {
			return nil
		}
		pre = after
	}
}

func checkVersionNumber(s string) error {
	if !isDigits(s) {
		return against("R4", "does not have the form MAJOR.MINOR.PATCH")
	}
	if len(s) > 1 && s[0] == '0' {
		return against("R4", "has the number %s with a leading zero", Clip(s))
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		n = n*10 + int64(s[i]-'0')
		if n > maxInt {
			return against("R4", "has a number above 2^53-1")
		}
	}
	return nil
}

func checkPrerelease(s string) error {
	if s == "" {
		return against("R4", "has an empty pre-release identifier")
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return against("R4", "has %q in its pre-release part", c)
		}
	}
	if isDigits(s) && len(s) > 1 && s[0] == '0' {
		return against("R4", "has the number %s with a leading zero", Clip(s))
	}
	return nil
}
