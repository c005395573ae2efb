package index

import (
	"bytes"
	"errors"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Invalid says why a signature does not count by what is known of the author's key, as
// the store keeps it: codes and numbers, no text. It is zero when the signature counts.
type Invalid struct {
	Problem sign.Problem
	Key     records.Fingerprint // the primary key or subkey that is the cause; zero for NotASignature
	Since   int64               // when it was revoked or expired, in Unix seconds; 0 for other problems
}

// NotASignature is the problem of an envelope that this es takes for malformed, though an
// earlier one stored it.
const NotASignature sign.Problem = "not a signature"

// Validate opens a stored envelope with the author's key as it is known now. The error is
// set beside NotASignature alone.
func Validate(envelope []byte, key *sign.Key) (Invalid, error) {
	_, err := sign.Open(envelope, sign.KeyRing{key.Fingerprint(): key})
	if err == nil {
		return Invalid{}, nil
	}
	var by *sign.KeyError
	if !errors.As(err, &by) {
		return Invalid{Problem: NotASignature}, err
	}
	v := Invalid{Problem: by.Problem, Key: by.Fingerprint}
	if !by.Since.IsZero() {
		v.Since = by.Since.Unix()
	}
	return v, nil
}

// String says it to people; "" when the signature counts.
func (v Invalid) String() string {
	switch v.Problem {
	case "":
		return ""
	case NotASignature:
		return string(NotASignature)
	}
	e := &sign.KeyError{Fingerprint: v.Key, Problem: v.Problem}
	if v.Since != 0 {
		e.Since = time.Unix(v.Since, 0)
	}
	return e.Error()
}

// columns are the values of invalid, invalid_key and invalid_since.
func (v Invalid) columns() []any {
	return []any{string(v.Problem), v.key(), v.Since}
}

func (v Invalid) key() []byte {
	if v.Key.IsZero() {
		return []byte{}
	}
	return v.Key.Bytes()
}

// InvalidColumns are those of records from which an InvalidScanner scans.
const InvalidColumns = "invalid, invalid_key, invalid_since"

// An InvalidScanner scans InvalidColumns.
type InvalidScanner struct {
	problem string
	key     []byte
	since   int64
}

// To are the targets of the scan.
func (s *InvalidScanner) To() []any { return []any{&s.problem, &s.key, &s.since} }

// Is reports whether exactly v was scanned.
func (s *InvalidScanner) Is(v Invalid) bool {
	return s.problem == string(v.Problem) && bytes.Equal(s.key, v.key()) && s.since == v.Since
}

// Invalid is what was scanned. A key that is no fingerprint is dropped: only the problem
// decides anything.
func (s *InvalidScanner) Invalid() Invalid {
	v := Invalid{Problem: sign.Problem(s.problem), Since: s.since}
	v.Key, _ = records.FingerprintFromBytes(s.key)
	return v
}
