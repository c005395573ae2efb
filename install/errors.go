package install

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/everythingstays/es/internal/jsontext"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// A SpecError says that a dependency asks for something that es cannot get.
type SpecError struct {
	Spec   string
	Reason string
}

func (e *SpecError) Error() string { return fmt.Sprintf("%q: %s", clip(e.Spec), e.Reason) }

// A SyntaxError says where package.json or es-lock.json is broken.
type SyntaxError = jsontext.SyntaxError

// A DependencyError says which package needed what could not be had. It wraps
// the resolver's or the fetcher's own error.
type DependencyError struct {
	By   string // who needs it: "a@1.0.0", or "" for the project itself
	Name records.Name
	Spec string
	Err  error
}

func (e *DependencyError) Error() string {
	what := string(e.Name)
	if e.Spec != "" {
		what += "@" + clip(e.Spec)
	}
	if e.By != "" {
		what += ", which " + e.By + " needs"
	}
	return fmt.Sprintf("resolve %s: %v", what, e.Err)
}

func (e *DependencyError) Unwrap() error { return e.Err }

// An IntegrityError says that a module's bytes are not what its release or the
// lockfile says. Nothing of it was installed.
type IntegrityError struct {
	Path   string // where in the project it belongs
	Name   records.Name
	Module cid.Cid
	Err    error
}

func (e *IntegrityError) Error() string {
	return fmt.Sprintf("check %s (%s): %v", e.Name, e.Module, e.Err)
}

func (e *IntegrityError) Unwrap() error { return e.Err }

// A MissingError says that a module is not on this machine, and that no Fetcher
// was given to bring it.
type MissingError struct {
	Name   records.Name
	Module cid.Cid
	Err    error
}

func (e *MissingError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("%s (%s) is not on this machine, or not all of it", e.Name, e.Module)
	}
	return fmt.Sprintf("read %s (%s): %v", e.Name, e.Module, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// An OccupiedError says that something es did not install stands where a
// package must go.
type OccupiedError struct {
	Path   string
	Reason string
	By     string // the file or field that has another package manager install it, or ""
}

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("install into %s: %s", e.Path, e.Reason)
}

// A DisagreeError says why a frozen install stopped: es-lock.json is not the
// lockfile of this package.json.
type DisagreeError struct {
	Reasons []string // at least one
}

func (e *DisagreeError) Error() string {
	return "es-lock.json does not agree with package.json: " + strings.Join(e.Reasons, "; ")
}

// clip shortens s for an error message.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
