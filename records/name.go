package records

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Name is a module's name, as npm spells it: "left-pad" or "@acme/left-pad".
// A Name made by ParseName is lower-case ASCII and at most MaxName bytes long.
type Name string

// ParseName checks s against SPEC.md section 3.1.
func ParseName(s string) (Name, error) {
	if err := checkName(s); err != nil {
		return "", fmt.Errorf("module name %q: %w", Clip(s), err)
	}
	return Name(s), nil
}

// Scope returns "@acme" for "@acme/left-pad", and "" for a name without scope.
func (n Name) Scope() string {
	if i := strings.IndexByte(string(n), '/'); i > 0 {
		return string(n[:i])
	}
	return ""
}

// Base returns the name without its scope.
func (n Name) Base() string {
	return string(n[strings.IndexByte(string(n), '/')+1:])
}

func checkName(s string) error {
	if s == "" {
		return against("R1", "is empty")
	}
	if len(s) > MaxName {
		return against("R2", "has %d bytes, the limit is %d", len(s), MaxName)
	}
	base := s
	if s[0] == '@' {
		scope, rest, ok := strings.Cut(s[1:], "/")
		if !ok {
			return against("R1", "has a scope and nothing after it")
		}
		if err := checkNamePart(scope); err != nil {
			return err
		}
		base = rest
	}
	return checkNamePart(base)
}

func checkNamePart(s string) error {
	if s == "" {
		return against("R1", "has an empty part")
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '_' || c == '.'):
		case i == 0 && (c == '-' || c == '_' || c == '.'):
			return against("R1", "starts with %q; it must start with a-z or 0-9", rune(c))
		case 'A' <= c && c <= 'Z':
			return against("R1", "has the upper-case letter %q; names are lower-case", rune(c))
		default:
			return against("R1", "has the byte %q; only a-z, 0-9, '-', '_' and '.' are allowed", c)
		}
	}
	if s[len(s)-1] == '.' {
		return against("R3", "ends with a dot, which some file systems drop")
	}
	if s == "node_modules" || s == "favicon.ico" {
		return against("R3", "is reserved by npm")
	}
	if IsWindowsDevice(s) {
		return against("R3", "is a device name on Windows")
	}
	return nil
}

// IsWindowsDevice reports whether Windows opens a device when asked for the file s,
// whatever its extension (SPEC [M10]).
func IsWindowsDevice(s string) bool {
	stem, _, _ := strings.Cut(s, ".")
	stem = strings.ToLower(strings.TrimRight(stem, " "))
	switch stem {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	for _, port := range []string{"com", "lpt"} {
		switch digit, ok := strings.CutPrefix(stem, port); {
		case !ok:
		case len(digit) == 1 && '0' <= digit[0] && digit[0] <= '9':
			return true
		case digit == "¹" || digit == "²" || digit == "³":
			return true
		}
	}
	return false
}

// Clip shortens untrusted text for a message, to at most 140 bytes of whole characters.
func Clip(s string) string {
	const most = 140
	if len(s) <= most {
		return s
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
