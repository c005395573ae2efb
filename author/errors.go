package author

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A RecordError says that what is to be said does not fit into a record.
type RecordError struct {
	About string // such as left-pad@1.0.0; "" for a statement
	Err   error
}

func (e *RecordError) Error() string {
	if e.About == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("the record of %s cannot be made: %v", e.About, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// A KeyEndedError says that a key cannot sign any more.
type KeyEndedError struct {
	Key     *sign.Key
	At      time.Time
	Revoked bool // or else expired
}

func (e *KeyEndedError) Error() string {
	return fmt.Sprintf("key %s is %s and cannot sign", e.Key.Fingerprint(), e.Problem())
}

// Problem is such as "revoked on 2026-01-31".
func (e *KeyEndedError) Problem() string {
	how := "expired"
	if e.Revoked {
		how = "revoked"
	}
	return how + " on " + e.At.UTC().Format(time.DateOnly)
}

// CheckKey returns a *KeyEndedError for a key that is revoked or expired.
func CheckKey(key *sign.Key, now time.Time) error {
	if r, ok := key.Revocation(); ok {
		return &KeyEndedError{Key: key, At: r.At, Revoked: true}
	}
	if t, ok := key.Expires(); ok && !now.Before(t) {
		return &KeyEndedError{Key: key, At: t}
	}
	return nil
}

// An UnknownLogError refuses to sign with a key whose own log may be longer than what is
// here (SPEC.md [X90]).
type UnknownLogError struct {
	Author  records.Fingerprint
	Why     string  // nobody was asked; "" when somebody was
	Missing cid.Cid // a record of the key that a later one names; undefined for none
}

func (e *UnknownLogError) Error() string {
	if e.Why == "" {
		return fmt.Sprintf("what key %s has signed elsewhere is not all here", e.Author)
	}
	return fmt.Sprintf("what key %s has signed elsewhere is not known here, and nobody could be asked", e.Author)
}

// A PrivateError refuses a package that its author does not want published.
type PrivateError struct{ Package string }

func (e *PrivateError) Error() string { return `package.json says "private" of ` + e.Package }

// A PublishedError refuses to sign another module as a version that the key released.
type PublishedError struct {
	Name    records.Name
	Version records.Version
	Author  records.Fingerprint
	Before  cid.Cid // the module
	Now     cid.Cid
}

func (e *PublishedError) Error() string {
	return fmt.Sprintf("%s@%s was published before with other contents", e.Name, e.Version)
}

// A FrozenError refuses a version that the key has released as different modules
// (SPEC.md [X1]).
type FrozenError struct {
	Name    records.Name
	Version records.Version
	Author  records.Fingerprint
	Modules []cid.Cid
}

func (e *FrozenError) Error() string {
	return fmt.Sprintf("%s@%s is frozen: your key signed different modules as this version", e.Name, e.Version)
}

// A LatestError refuses to make a version the latest unasked.
type LatestError struct {
	Name    records.Name
	Version records.Version
	Highest records.Version // that the key released; "" where Version is a pre-release
}

func (e *LatestError) Error() string {
	if e.Highest == "" {
		return fmt.Sprintf("%s@%s is a pre-release, and would become latest", e.Name, e.Version)
	}
	return fmt.Sprintf("%s@%s is older than %s, which you published, and would become latest", e.Name, e.Version, e.Highest)
}

// A TagError says that a tag which was asked for is none.
type TagError struct {
	By  string // who asked for it
	Err error
}

func (e *TagError) Error() string { return fmt.Sprintf("%s: %v", e.By, e.Err) }
func (e *TagError) Unwrap() error { return e.Err }

// A NotSaidError says that there is nothing to take back.
type NotSaidError struct {
	Author records.Fingerprint
	Body   records.Body // that would take something back
	Ranges []string     // of notices of the kind that stand
}

func (e *NotSaidError) Error() string {
	switch b := e.Body.(type) {
	case *records.Tag:
		return fmt.Sprintf("key %s gives no version of %s the tag %s: nothing to remove, and nothing was signed", e.Author, b.Name, b.Tag)
	case *records.Notice:
		return fmt.Sprintf("key %s has not said %q of exactly %s@%s: nothing to take back, and nothing was signed", e.Author, b.NoticeOf, b.Name, b.Range)
	case *records.Delegate:
		return fmt.Sprintf("key %s has delegated nothing to %s: nothing to take back, and nothing was signed", e.Author, b.To)
	}
	return fmt.Sprintf("key %s has said nothing of the kind: nothing to take back, and nothing was signed", e.Author)
}

// An UnknownVersionError says that nobody has released a version, as far as is known here,
// or not as the module.
type UnknownVersionError struct {
	Name    records.Name
	Version records.Version
	Module  cid.Cid // undefined for any
}

func (e *UnknownVersionError) Error() string {
	if e.Module.Defined() {
		return fmt.Sprintf("nobody released %s@%s as %s", e.Name, e.Version, e.Module)
	}
	return fmt.Sprintf("%s@%s is not known here", e.Name, e.Version)
}

// An AmbiguousError says that a version is claimed to be several modules.
type AmbiguousError struct {
	Name    records.Name
	Version records.Version
	Modules []cid.Cid // sorted by their text
}

func (e *AmbiguousError) Error() string {
	var all []string
	for _, m := range e.Modules {
		all = append(all, m.String())
	}
	return fmt.Sprintf("%s@%s is claimed to be several modules: %s", e.Name, e.Version, strings.Join(all, ", "))
}
