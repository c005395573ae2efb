package npmrange

import (
	"errors"
	"fmt"
	"strings"

	"github.com/everythingstays/es/records"
)

// Kind says what a Constraint asks for.
type Kind int

const (
	Latest  Kind = iota // "" or "*": what the tag latest says, whatever that is
	Version             // one version
	InRange             // a version of a range
	Tag                 // what a word such as "next" stands for
)

// A Constraint is what may stand behind NAME@. The zero value asks for the latest.
type Constraint struct {
	Kind    Kind
	Version records.Version // of kind Version
	Range   Range           // of kind InRange
	Tag     string          // of kind Tag
}

// ParseConstraint reads a version, a range or a tag, with white space around it
// (SPEC.md [I1], [R121]). The error does not repeat s.
func ParseConstraint(s string) (Constraint, error) {
	if len(s) > MaxRange {
		return Constraint{}, fmt.Errorf("has %d bytes, the limit is %d", len(s), MaxRange)
	}
	s = strings.TrimFunc(s, isSpace)
	if s == "" || s == "*" {
		return Constraint{}, nil
	}
	if v, err := ParseVersion(s); err == nil {
		return Constraint{Kind: Version, Version: v}, nil
	}
	if r, err := Parse(s); err == nil {
		return Constraint{Kind: InRange, Range: r}, nil
	}
	if records.CheckTag(s) == nil {
		return Constraint{Kind: Tag, Tag: s}, nil
	}
	return Constraint{}, errors.New("is not a version, a tag or an npm range")
}

// ParseVersion reads one version as people type it: white space, "v" and "=" before
// it, and build metadata after it, say nothing.
func ParseVersion(s string) (records.Version, error) {
	s = strings.TrimFunc(s, isSpace)
	v := strings.TrimLeftFunc(s, func(c rune) bool { return c == 'v' || c == '=' || isSpace(c) })
	if i := strings.IndexByte(v, '+'); i > 0 && buildEnd(v, i) == len(v) {
		v = v[:i]
	}
	if version, err := records.ParseVersion(v); err == nil {
		return version, nil
	}
	return records.ParseVersion(s)
}

// Match reports whether v may be what c asks for: any version may be the latest,
// or have a tag.
func (c Constraint) Match(v records.Version) bool {
	switch c.Kind {
	case Version:
		return v == c.Version
	case InRange:
		return c.Range.Match(v)
	}
	return true
}
