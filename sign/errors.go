package sign

import (
	"errors"
	"fmt"
	"time"

	"github.com/everythingstays/es/records"
)

// A SignatureError says that an envelope is wrong for ever: no key, revocation
// or clock can make it right. Err is a *records.FormatError when the record
// itself is malformed.
type SignatureError struct {
	Rule string // the rule's tag in SPEC.md, such as "S7"
	Err  error
}

func (e *SignatureError) Error() string {
	var fe *records.FormatError
	if errors.As(e.Err, &fe) {
		return fmt.Sprintf("envelope: %v", e.Err)
	}
	return fmt.Sprintf("signature: %v [%s]", e.Err, e.Rule)
}

func (e *SignatureError) Unwrap() error { return e.Err }

// A KeyBlockError says that bytes are not a key block that es accepts. For
// ParseKey that verdict is final; for ReadKey it says why a key is of no use.
type KeyBlockError struct {
	Rule string // the rule's tag in SPEC.md, such as "S42"
	Err  error
}

func (e *KeyBlockError) Error() string { return fmt.Sprintf("key block: %v [%s]", e.Err, e.Rule) }
func (e *KeyBlockError) Unwrap() error { return e.Err }

// An UnknownKeyError says that no key block of the author is at hand. What could
// be checked without one was in order.
type UnknownKeyError struct {
	Fingerprint records.Fingerprint
}

func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("key %s is unknown", e.Fingerprint)
}

// Problem says what keeps a key from signing at some time.
type Problem string

const (
	Revoked        Problem = "revoked"         // by its owner, for this time
	Expired        Problem = "expired"         // before this time
	NotForSigning  Problem = "not for signing" // its owner gave it other uses
	MissingSubkey  Problem = "missing subkey"  // the key block lacks the key that signed
	NoSecret       Problem = "no secret"       // its secret part is not at hand
	DifferentOwner Problem = "different owner" // the key block is another author's
)

// A KeyError says that a signature does not count by what is known of the
// author's key now. A newer key block may change that.
type KeyError struct {
	Fingerprint records.Fingerprint // the primary key or subkey that is the cause
	Problem     Problem
	Since       time.Time // when it was revoked or expired; zero for other problems
	Rule        string    // the rule's tag in SPEC.md, such as "S22"; may be ""
}

func (e *KeyError) Error() string {
	s := fmt.Sprintf("key %s: %s", e.Fingerprint, e.Problem)
	if !e.Since.IsZero() {
		s += " since " + e.Since.UTC().Format(time.RFC3339)
	}
	if e.Rule != "" {
		s += " [" + e.Rule + "]"
	}
	return s
}

func badSignature(rule, format string, args ...any) error {
	return &SignatureError{Rule: rule, Err: fmt.Errorf(format, args...)}
}

func badKey(rule, format string, args ...any) error {
	return &KeyBlockError{Rule: rule, Err: fmt.Errorf(format, args...)}
}
