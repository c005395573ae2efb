package records

import (
	"fmt"
	"strings"
)

// Scope is a set of names: "left-pad", "left-*", "@acme/*" or "*".
type Scope string

// minPrefix is the shortest prefix that a scope may have before its star.
const minPrefix = 3

// ParseScope checks s against SPEC.md section 3.4.
func ParseScope(s string) (Scope, error) {
	if err := checkScope(s); err != nil {
		return "", fmt.Errorf("scope %q: %w", Clip(s), err)
	}
	return Scope(s), nil
}

func checkScope(s string) error {
	prefix, star := strings.CutSuffix(s, "*")
	if !star {
		return scopeName(s)
	}
	switch {
	case strings.Contains(prefix, "*"):
		return against("R8", "has more than one star")
	case prefix == "":
		return nil
	case strings.HasSuffix(prefix, "/"):
		return scopeName(prefix + "x")
	case len(prefix) < minPrefix:
		return against("R8", "has a prefix shorter than %d characters", minPrefix)
	case prefix[0] == '@':
		_, base, ok := strings.Cut(prefix, "/")
		if !ok {
			return against("R8", "would span several scopes; write %s/* for one", prefix)
		}
		if len(base) < minPrefix {
			return against("R8", "has a prefix shorter than %d characters", minPrefix)
		}
		return scopeName(prefix + "x")
	}
	return scopeName(prefix + "x")
}

// scopeName checks the name that a scope is, or that its prefix begins.
func scopeName(s string) error {
	if err := checkName(s); err != nil {
		return against("R8", "%v", err)
	}
	return nil
}

// Contains reports whether n is in s.
func (s Scope) Contains(n Name) bool {
	prefix, star := strings.CutSuffix(string(s), "*")
	if !star {
		return string(s) == string(n)
	}
	if prefix == "" {
		return true
	}
	// "left-*" speaks of names without a scope, "@acme/*" of one scope.
	return strings.HasPrefix(string(n), prefix)
}

// Specificity orders scopes that contain the same name: the higher decides.
// An exact name is above every prefix, a longer prefix above a shorter one,
// and "*" is below all.
func (s Scope) Specificity() int {
	if strings.HasSuffix(string(s), "*") {
		return len(s) - 1
	}
	return MaxName + 1
}
