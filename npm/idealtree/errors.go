package idealtree

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/everythingstays/es/records"
)

// Limits of a tree and of the work on it.
const (
	MaxPlaces    = 100_000
	MaxDepth     = 64     // node_modules within node_modules
	MaxPackages  = 50_000 // names that a source is asked for
	MaxVersions  = 50_000 // of one package
	MaxManifests = 200_000
	maxNesting   = 1_000      // peers of peers
	maxWork      = 10_000_000 // edges that are looked at
	maxTries     = 200_000    // releases that are put into peer sets
)

// A LimitError says that manifests ask for more than is ever needed.
type LimitError struct {
	What  string
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("more than %d %s; if this is not an attack, depend on less", e.Limit, e.What)
}

// A MissingError says that there is nothing that a dependency can be.
type MissingError struct {
	Name, Spec string
	By         string // who needs it, quoted or plain
	Err        error
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("find %q@%q, which %s needs: %v", records.Clip(e.Name), records.Clip(e.Spec), e.By, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// A ConflictError says that the project's own dependencies have peers that cannot stand
// together: npm calls it ERESOLVE.
type ConflictError struct {
	Peer  Peer
	Found string // what stands in the way, NAME@VERSION
	For   string // which of the project's dependencies it is about
}

// A Peer is a peer dependency that something else than it asks for stands in for.
type Peer struct {
	By, Name, Range string
}

func (p Peer) String() string {
	return fmt.Sprintf("%s needs the peer %s@%q", p.By, p.Name, records.Clip(p.Range))
}

func (e *ConflictError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ERESOLVE: %s", e.Peer)
	if e.Found != "" {
		fmt.Fprintf(&b, ", but %s is there", e.Found)
	}
	if e.For != "" {
		fmt.Fprintf(&b, ", while %s is resolved", e.For)
	}
	b.WriteString("; change one of the versions, or write an override")
	return b.String()
}

// An OverrideError says that an override contradicts what package.json itself asks for.
type OverrideError struct{ Name, Spec, Override string }

func (e *OverrideError) Error() string {
	return fmt.Sprintf("the override of %q to %q conflicts with the direct dependency %q: write \"$%s\" as override, or change the dependency",
		records.Clip(e.Name), records.Clip(e.Override), records.Clip(e.Spec), records.Clip(e.Name))
}

// isFatal tells what ends everything from a release that cannot be found.
func isFatal(err error) bool {
	var limit *LimitError
	return errors.As(err, &limit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
