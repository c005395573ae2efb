package index

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A ReleasedError says that a record of our own was not added, since its author
// released the version before, as another module ([X1]). Nothing is frozen by that.
type ReleasedError struct {
	Name    records.Name
	Version records.Version
	Author  records.Fingerprint
	Module  cid.Cid // what the new record says
}

func (e *ReleasedError) Error() string {
	return fmt.Sprintf("%s@%s was released before by key %s, and not as %s", e.Name, e.Version, e.Author, e.Module)
}

// A NotFoundError says that a record is not in the index.
type NotFoundError struct{ Record cid.Cid }

func (e *NotFoundError) Error() string { return fmt.Sprintf("record %s is not in the index", e.Record) }

// An EquivocationError says that a version is frozen, since its author signed two
// modules as that version. Add returns it for a record of our own.
type EquivocationError struct {
	Name    records.Name
	Version records.Version
	Author  records.Fingerprint
}

func (e *EquivocationError) Error() string {
	return fmt.Sprintf("%s@%s is frozen: key %s signed different modules as this version", e.Name, e.Version, e.Author)
}

// Printable shortens untrusted text for a message and makes it safe to show.
func Printable(s string) string {
	if records.CheckText(s, 80) != nil {
		return fmt.Sprintf("%.80q", s)
	}
	return s
}
