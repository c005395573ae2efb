package install

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/everythingstays/es/install/tree"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

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

// A DisagreeError says why a frozen install stopped: es-lock.json is not the
// lockfile of this package.json.
type DisagreeError struct {
	Reasons []tree.Disagreement // what differs; none when there is no es-lock.json
}

func (e *DisagreeError) Error() string {
	if len(e.Reasons) == 0 {
		return "es-lock.json does not agree with package.json: there is no es-lock.json"
	}
	var reasons []string
	for _, d := range e.Reasons {
		reasons = append(reasons, d.String())
	}
	return "es-lock.json does not agree with package.json: " + strings.Join(reasons, "; ")
}
