package records

import (
	"errors"
	"fmt"
)

// A FormatError says which rule of SPEC.md some bytes break, and where. No key,
// clock or trust file changes that verdict: peers that relay such bytes are at
// fault.
type FormatError struct {
	Rule string // the rule's tag in SPEC.md, such as "R7"
	Path string // where in the object, such as "body/release/name"; may be ""
	Err  error
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%v [%s]", e.Err, e.Rule)
	}
	return fmt.Sprintf("%s: %v [%s]", e.Path, e.Err, e.Rule)
}

func (e *FormatError) Unwrap() error { return e.Err }

// A ruleError is why a name, version, scope or text is refused, before it is
// known where in an object it stands.
type ruleError struct {
	rule    string
	message string
}

func (e *ruleError) Error() string { return e.message }

func against(rule, format string, args ...any) error {
	return &ruleError{rule, fmt.Sprintf(format, args...)}
}

func broken(rule, path, format string, args ...any) error {
	return &FormatError{Rule: rule, Path: path, Err: fmt.Errorf(format, args...)}
}

// within says where in an object err was found; a nil err stays nil.
func within(path string, err error) error {
	if err == nil {
		return nil
	}
	var re *ruleError
	if !errors.As(err, &re) {
		return err
	}
	return &FormatError{Rule: re.rule, Path: path, Err: err}
}
