package install

import (
	"errors"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// Kind says what a Spec asks for.
type Kind int

const (
	Latest  Kind = iota // nothing was said: the tag "latest", or else the newest
	Version             // exactly one version
	Range               // an npm version range
	Tag                 // a word such as "next"
	CID                 // exactly one module, whoever signed it or nobody
)

// A Spec is what stands behind the name of a dependency in package.json, or
// after the @ on the command line. The zero value asks for the latest version.
type Spec struct {
	Kind    Kind
	Text    string          // as written
	Alias   records.Name    // the real name when Text is "npm:REAL@...", else ""
	Version records.Version // of kind Version
	CID     cid.Cid         // of kind CID: as CIDv1
	match   func(records.Version) bool
}

// ParseSpec reads a version, a range, a tag, a CID or an alias as package.json
// may hold it. What npm would get from somewhere else (git, a URL, a file, a
// workspace) is a *SpecError.
func ParseSpec(s string) (Spec, error) {
	return Spec{}, errors.New("parse spec: not built yet")
}

// Match reports whether v is a version that s asks for, by npm's rules for
// ranges and pre-releases. Tags and Latest match every version, and a CID none.
func (s Spec) Match(v records.Version) bool {
	return s.match == nil || s.match(v)
}

// String returns the text of s.
func (s Spec) String() string { return s.Text }

// A Request is one argument of `es add`.
type Request struct {
	Name records.Name
	Spec Spec
}

// ParseRequest reads NAME, NAME@VERSION, NAME@RANGE, NAME@TAG or NAME@CID, where
// NAME may have a scope.
func ParseRequest(s string) (Request, error) {
	return Request{}, errors.New("parse request: not built yet")
}

// String returns the request as one would type it.
func (r Request) String() string {
	if r.Spec.Text == "" {
		return string(r.Name)
	}
	return string(r.Name) + "@" + r.Spec.Text
}
