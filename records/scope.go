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
		return "", fmt.Errorf("scope %q: %w", clip(s), err)
	}
	return Scope(s), nil
}

func checkScope(s string) error {
	prefix, star := strings.CutSuffix(s, "*")
	if !star {
		return checkName(s)
	}
	switch {
	case strings.Contains(prefix, "*"):
		return fmt.Errorf("has more than one star")
	case prefix == "":
		return nil
	case strings.HasSuffix(prefix, "/"):
		return checkName(prefix + "x")
	case len(prefix) < minPrefix:
		return fmt.Errorf("has a prefix shorter than %d characters", minPrefix)
	case prefix[0] == '@':
		scope, base, ok := strings.Cut(prefix, "/")
		if !ok {
			return fmt.Errorf("would span several scopes; write %s/* for one", prefix)
		}
		if len(base) < minPrefix {
			return fmt.Errorf("has a prefix shorter than %d characters", minPrefix)
		}
		return checkName(scope + "/" + base + "x")
	}
	return checkName(prefix + "x")
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
