package tree

import (
	"fmt"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

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
		what += "@" + records.Clip(e.Spec)
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
