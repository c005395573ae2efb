package endpoint

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/everythingstays/es/records"
)

// A Source is what an endpoint serves. Its methods are called by many requests at a
// time. An error is a *RefusedError, or becomes an answer with 500.
type Source interface {
	// Stamp names the present state of a package's view: it changes whenever
	// Packument would return something else.
	Stamp(ctx context.Context, name string, form Form) (string, error)
	Packument(ctx context.Context, name string, form Form) (*Packument, error)
	Tarball(ctx context.Context, name, version string) (*Tarball, error)
	Search(ctx context.Context, text string, from, size int) (*Found, error)
	// Advisories returns what is known against these versions by name.
	Advisories(ctx context.Context, installed map[string][]string) (map[string][]Advisory, error)
	// Private reports whether a package is only for who brings a token.
	Private(ctx context.Context, name string) (bool, error)
	// User is whom a token belongs to; "" if it is none.
	User(ctx context.Context, token string) (string, error)
	Publish(ctx context.Context, user string, p *Publication) error
}

// Form says how much of a packument a client asks for.
type Form bool

const (
	Abbreviated Form = false // enough to install
	Full        Form = true
)

// A RefusedError is an answer that is not what was asked for.
type RefusedError struct {
	Status int    // of HTTP
	Text   string // for the person at the client: what, why, what to type
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Text) }

// A Packument is the view of one package.
type Packument struct {
	Name     string
	Tags     map[string]string
	Created  time.Time
	Modified time.Time
	Versions []Version
	// Rest is an object of the further members of the full form; nil without.
	Rest jsontext.Value
}

// A Version is one version of a package.
type Version struct {
	Version    string
	Published  time.Time
	Manifest   *records.Manifest
	Deprecated string
	// Package is the whole package.json for the full form; nil leaves it at Manifest.
	Package jsontext.Value
	// Registry is what a registry says of the version. It is passed on as it is, but
	// for where the tarball is, and of the fields below only Resolved counts then.
	Registry jsontext.Value

	SHA512     [sha512.Size]byte // of the tarball
	SHA1       [20]byte          // yarn 1 writes it into its lockfiles
	Files      int64
	Size       int64 // bytes, unpacked
	Signatures []records.OriginSignature
	// Resolved is the tarball's URL at the registry it came from; empty for others.
	Resolved string
}

// A Tarball is an open tarball; the endpoint closes it.
type Tarball struct {
	io.ReadSeekCloser
	SHA512 [sha512.Size]byte
}

// Found is an answer to a search.
type Found struct {
	Total int
	Hits  []Hit
}

// A Hit is one package of a search.
type Hit struct {
	Name, Version, Description string
	Keywords                   []string
	Published                  time.Time
	Publisher                  string
	Homepage, Repository       string
	Score                      float64 // 0 to 1
}

// An Advisory is news about versions of a package.
type Advisory struct {
	ID         int64    `json:"id"`
	URL        string   `json:"url"`
	Title      string   `json:"title"`
	Severity   string   `json:"severity"` // info, low, moderate, high or critical
	Vulnerable string   `json:"vulnerable_versions"`
	CWE        []string `json:"cwe"`
	CVSS       CVSS     `json:"cvss"`
}

// CVSS is an advisory's score.
type CVSS struct {
	Score  float64 `json:"score"`
	Vector string  `json:"vectorString,omitempty"`
}

// A Publication is what a client asks to publish: one version with its tarball.
type Publication struct {
	Name, Version string
	Tags          []string // that are to point at it
	Tarball       []byte
}
