package records

import "fmt"

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

func broken(rule, path, format string, args ...any) error {
	return &FormatError{Rule: rule, Path: path, Err: fmt.Errorf(format, args...)}
}

func brokenErr(rule, path string, err error) error {
	if err == nil {
		return nil
	}
	return &FormatError{Rule: rule, Path: path, Err: err}
}
