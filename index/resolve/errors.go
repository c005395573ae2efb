package resolve

import (
	"fmt"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A NotFoundError says that no release in the index answers the question.
type NotFoundError struct {
	Name       records.Name
	Constraint string            // empty for any version
	Have       []records.Version // the trusted ones of the name, newest first
	// Invalid is about the version that was meant when it was signed, and no signature
	// over it counts any more.
	Invalid *trust.Decision
	Tag     string // when a tag was asked for
	// Tagged is the version that Tag stands for: its release is not here.
	Tagged records.Version
}

func (e *NotFoundError) Error() string {
	switch {
	case e.Invalid != nil:
		return fmt.Sprintf("%s@%s was signed, and no signature over it counts any more", e.Name, e.Invalid.Version)
	case e.Tagged != "":
		return fmt.Sprintf("tag %s of %s is version %s, which has not come here yet", e.Tag, e.Name, e.Tagged)
	case len(e.Have) > 0 && e.Tag != "":
		return fmt.Sprintf("%s has no tag %s; its newest version is %s", e.Name, e.Tag, e.Have[0])
	case len(e.Have) > 0:
		return fmt.Sprintf("no version of %s matches %q; the newest is %s", e.Name, e.Constraint, e.Have[0])
	case e.Constraint != "":
		return fmt.Sprintf("no release of %s@%s is known here", e.Name, index.Printable(e.Constraint))
	}
	return fmt.Sprintf("no release of %s is known here", e.Name)
}

// A ConstraintError says that a constraint cannot be understood.
type ConstraintError struct {
	Constraint string
	Err        error
}

func (e *ConstraintError) Error() string { return fmt.Sprintf("%.80q %v", e.Constraint, e.Err) }

// An UntrustedError says that what was asked for exists, but that none of it is trusted.
type UntrustedError struct {
	Name       records.Name
	Constraint string
	Version    records.Version // the newest that matches, by the first of Signers
	Decision   trust.Decision  // about that version
	Signers    []Claimant      // who released a matching version, at most MaxClaimants
	Keys       int             // how many keys did
}

func (e *UntrustedError) Error() string {
	return fmt.Sprintf("%s@%s is not trusted: %s", e.Name, e.Version, e.Decision.Reason)
}

// An UncheckedError says that a version which a registry signed may be the one, and that its
// tarball was not unpacked here: whoever asks may have that done, and ask again.
type UncheckedError struct {
	Name    records.Name
	Version records.Version
	Claims  []trust.Verdict // one of them at least, each with its Release
}

func (e *UncheckedError) Error() string {
	return fmt.Sprintf("%s@%s is signed by a registry, and its tarball was not unpacked here yet", e.Name, e.Version)
}

// A ConflictError says that keys which decide about the version disagree.
type ConflictError struct {
	Name     records.Name
	Version  records.Version
	Decision trust.Decision
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s@%s is in conflict: %s", e.Name, e.Version, e.Decision.Reason)
}

// A HeldError says that what was asked for is trusted, but not to be used unasked:
// it is yanked, or held (SPEC.md [T40], [T41], [T45]).
type HeldError struct {
	Name     records.Name
	Version  records.Version
	Decision trust.Decision
	Yanked   []trust.Notice
}

func (e *HeldError) Error() string {
	switch {
	case e.Decision.Hold == trust.Backdated:
		return fmt.Sprintf("%s@%s is held: its record is dated before its key ended, and came here long after that", e.Name, e.Version)
	case e.Decision.Hold == trust.Cooldown:
		return fmt.Sprintf("%s@%s is held: it has been known here for less than min-age", e.Name, e.Version)
	case len(e.Yanked) > 0:
		return fmt.Sprintf("%s@%s is yanked: %s", e.Name, e.Version, index.Printable(e.Yanked[0].Text))
	}
	return fmt.Sprintf("%s@%s is held", e.Name, e.Version)
}

// An EquivocationError says that a version is frozen, with what is decided about it.
type EquivocationError struct {
	index.EquivocationError
	Decision trust.Decision
}

func (e *EquivocationError) Unwrap() error { return &e.EquivocationError }
